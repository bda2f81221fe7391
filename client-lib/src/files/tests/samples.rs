//! Malware samples: sealed on disk, whatever happens; in the clear by name only.

use std::{fs, path::Path};

use plenary_proto::limits::SMALL_CHUNK;

use super::*;

/// A sample of four chunks, and where it is kept.
fn sample() -> (Vec<u8>, Manifest, Vec<SealedChunk>, Desk) {
    let data = bytes(3 * SMALL_CHUNK + 1000);
    let (manifest, chunks) = seal(plan("../invoice.exe", &data).malware(), &data);
    (data, manifest, chunks, Desk::new())
}

fn receive(desk: &Desk, manifest: &Manifest, chunks: &[SealedChunk]) -> std::path::PathBuf {
    let mut incoming = SealedIncoming::resume(desk.folder.path(), manifest).unwrap();
    for chunk in chunks.iter().skip(incoming.next() as usize) {
        incoming
            .write(chunk.index, &mut chunk.bytes.clone())
            .unwrap();
    }
    incoming.finish().unwrap()
}

/// Whether a stretch of the file in the clear is anywhere in a folder.
fn in_the_clear(folder: &Path, data: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let found = fs::read(entry.unwrap().path()).unwrap();
        let mut pieces = data.chunks_exact(64).step_by(50);
        pieces.any(|piece| found.windows(64).any(|part| part == piece))
    })
}

#[test]
fn no_byte_in_the_clear_reaches_the_disk_until_exported_by_hash() {
    let (data, manifest, chunks, desk) = sample();
    let folder = desk.folder.path();
    let mut incoming = SealedIncoming::resume(folder, &manifest).unwrap();
    for chunk in &chunks[..3] {
        let mut bad = chunk.bytes.clone();
        bad[1000] ^= 1;
        assert!(incoming.write(chunk.index, &mut bad).is_err());
        incoming
            .write(chunk.index, &mut chunk.bytes.clone())
            .unwrap();
        assert!(!in_the_clear(folder, &data));
    }
    drop(incoming);
    let path = receive(&desk, &manifest, &chunks);
    assert_eq!(path, sealed_path(folder, manifest.item()));
    assert_eq!(desk.names(), [format!("{}.sealed", manifest.item())]);
    let whole: Vec<u8> = chunks
        .iter()
        .flat_map(|chunk| chunk.bytes.clone())
        .collect();
    assert!(fs::read(&path).unwrap() == whole);
    assert!(!in_the_clear(folder, &data));

    let out = Desk::new();
    for n in ["", " (2)"] {
        let exported = export_sample(&path, &manifest, out.folder.path()).unwrap();
        let name = format!("{}{n}.sample", manifest.sha256());
        assert_eq!(exported, out.folder.path().join(name));
        assert!(fs::read(&exported).unwrap() == data);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&exported).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
    assert_eq!(out.names().len(), 2, "nothing else is left");
    // Again, with nothing to be fetched.
    assert_eq!(receive(&desk, &manifest, &[]), path);
}

#[test]
fn a_resume_takes_what_still_opens_and_a_damaged_file_is_not_exported() {
    let (data, manifest, chunks, desk) = sample();
    let path = receive(&desk, &manifest, &chunks);
    let whole = fs::read(&path).unwrap();
    let chunk = manifest.layout().sealed_chunk() as usize;
    let out = Desk::new();
    type Damage = Box<dyn Fn(&mut Vec<u8>)>;
    let cases: [(u32, Damage); 6] = [
        (0, Box::new(|bytes| bytes[0] ^= 1)),
        (1, Box::new(move |bytes| bytes[chunk] ^= 1)),
        (3, Box::new(|bytes| *bytes.last_mut().unwrap() ^= 1)),
        (2, Box::new(move |bytes| bytes.truncate(3 * chunk - 1))),
        (0, Box::new(|bytes| bytes.clear())),
        (4, Box::new(|bytes| bytes.push(0))),
    ];
    for (next, damage) in cases {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let exported = export_sample(&path, &manifest, out.folder.path());
        // What follows the last chunk is nobody's: it is not looked at.
        assert_eq!(exported.is_ok(), next == 4);
        if let Ok(exported) = exported {
            fs::remove_file(exported).unwrap();
        }
        assert_eq!(out.names(), [""; 0]);
        let incoming = SealedIncoming::resume(desk.folder.path(), &manifest).unwrap();
        assert_eq!(incoming.next(), next);
        // Not under its final name while it is not whole.
        assert!(!path.exists());
        drop(incoming);
        assert!(fs::read(receive(&desk, &manifest, &chunks)).unwrap() == whole);
    }
    assert!(!in_the_clear(desk.folder.path(), &data));
}

#[test]
fn a_whole_that_is_wrong_is_not_kept() {
    let (_, manifest, chunks, desk) = sample();
    let mut forged = manifest;
    forged.sha256.0[3] ^= 1;
    let mut incoming = SealedIncoming::resume(desk.folder.path(), &forged).unwrap();
    for chunk in &chunks {
        incoming
            .write(chunk.index, &mut chunk.bytes.clone())
            .unwrap();
    }
    assert_eq!(incoming.finish(), Err(ItemError::Digest));
    assert_eq!(desk.names(), [""; 0]);
}

#[test]
fn one_fetch_has_the_sample() {
    let (_, manifest, _, desk) = sample();
    let first = SealedIncoming::resume(desk.folder.path(), &manifest).unwrap();
    let second = SealedIncoming::resume(desk.folder.path(), &manifest);
    assert_eq!(second.map(|it| it.next()), Err(ItemError::InUse));
    drop(first);
}
