//! Receiving, with stops, forged wholes and damaged disks.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use plenary_proto::limits::SMALL_CHUNK;

use super::*;
use crate::files::record::RECORD;

fn receive(mut incoming: Incoming, chunks: &[SealedChunk]) -> Result<PathBuf, ItemError> {
    for chunk in chunks.iter().skip(incoming.next() as usize) {
        incoming.write(chunk.index, &mut chunk.bytes.clone())?;
    }
    incoming.finish()
}

#[test]
fn arrives_under_a_free_name_and_leaves_nothing_else() {
    let (data, manifest, chunks) = sample();
    let desk = Desk::new();
    let folder = desk.folder.path();
    fs::write(folder.join("sample.bin"), b"mine").unwrap();
    for expected in ["sample (2).bin", "sample (3).bin"] {
        let path = receive(Incoming::create(folder, &manifest).unwrap(), &chunks).unwrap();
        assert_eq!(path, folder.join(expected));
        assert!(fs::read(path).unwrap() == data);
    }
    assert_eq!(fs::read(folder.join("sample.bin")).unwrap(), b"mine");
    assert_eq!(
        desk.names(),
        ["sample (2).bin", "sample (3).bin", "sample.bin"]
    );
}

#[test]
fn an_empty_file_arrives() {
    let desk = Desk::new();
    let (manifest, chunks) = seal(plan("../empty", b""), b"");
    let incoming = Incoming::create(desk.folder.path(), &manifest).unwrap();
    let path = receive(incoming, &chunks).unwrap();
    assert_eq!(path, desk.folder.path().join("_empty"));
    assert_eq!(fs::read(path).unwrap(), b"");
}

#[test]
fn no_byte_of_a_bad_chunk_is_written() {
    let (data, manifest, chunks) = sample();
    let desk = Desk::new();
    let mut incoming = Incoming::create(desk.folder.path(), &manifest).unwrap();
    let part = desk
        .names()
        .into_iter()
        .find(|name| name.ends_with(".part"))
        .unwrap();
    let part = desk.folder.path().join(part);
    for chunk in &chunks {
        let before = fs::read(&part).unwrap();
        let mut bad = chunk.bytes.clone();
        bad[1000] ^= 1;
        assert!(incoming.write(chunk.index, &mut bad).is_err());
        assert!(incoming.write(chunk.index, &mut []).is_err());
        assert!(
            incoming
                .write(chunk.index + 1, &mut chunk.bytes.clone())
                .is_err()
        );
        assert!(fs::read(&part).unwrap() == before);
        assert!(!desk.folder.path().join("sample.bin").exists());
        incoming
            .write(chunk.index, &mut chunk.bytes.clone())
            .unwrap();
    }
    assert!(fs::read(incoming.finish().unwrap()).unwrap() == data);
}

#[test]
fn a_whole_that_is_wrong_gets_no_name() {
    let (_, manifest, chunks) = sample();
    for forge in [
        (|m: &mut Manifest| m.root.0[5] ^= 1) as fn(&mut Manifest),
        |m| m.sha256.0[5] ^= 1,
    ] {
        let desk = Desk::new();
        let mut forged = manifest.clone();
        forge(&mut forged);
        let incoming = Incoming::create(desk.folder.path(), &forged).unwrap();
        let refused = receive(incoming, &chunks).unwrap_err();
        assert!(matches!(refused, ItemError::Root | ItemError::Digest));
        assert_eq!(desk.names(), [""; 0]);
    }
    let desk = Desk::new();
    let incoming = Incoming::create(desk.folder.path(), &manifest).unwrap();
    assert_eq!(
        receive(incoming, &chunks[..2]),
        Err(ItemError::Incomplete { have: 2, of: 4 })
    );
    // What was right stays for a resume.
    assert_eq!(desk.names().len(), 2);
    Incoming::resume(desk.folder.path(), &manifest)
        .unwrap()
        .discard()
        .unwrap();
    assert_eq!(desk.names(), [""; 0]);
}

#[test]
fn receiving_resumes_at_the_first_chunk_that_is_not_as_it_was() {
    let (data, manifest, chunks) = sample();
    let start = || {
        let desk = Desk::new();
        let mut incoming = Incoming::create(desk.folder.path(), &manifest).unwrap();
        for chunk in &chunks[..3] {
            incoming
                .write(chunk.index, &mut chunk.bytes.clone())
                .unwrap();
        }
        drop(incoming);
        let names = desk.names();
        let [part, journal] = &names[..] else {
            panic!("{names:?}")
        };
        let paths = (
            desk.folder.path().join(part),
            desk.folder.path().join(journal),
        );
        (desk, paths)
    };
    type Damage = fn(&Path, &Path);
    let cases: &[(u32, Damage)] = &[
        (3, |_, _| {}),
        (2, |part, _| cut(part, 1)),
        (2, |_, journal| cut(journal, 1)),
        (1, |part, _| flip(part, SMALL_CHUNK + 5)),
        (1, |_, journal| flip(journal, RECORD)),
        (1, |_, journal| flip(journal, 2 * RECORD - 1)),
        (0, |part, _| fs::write(part, b"").unwrap()),
        (0, |part, _| fs::remove_file(part).unwrap()),
        (0, |_, journal| fs::remove_file(journal).unwrap()),
        (3, |part, _| append(part, b"torn")),
        (3, |_, journal| append(journal, b"torn")),
    ];
    for (number, (next, damage)) in cases.iter().enumerate() {
        let (desk, (part, journal)) = start();
        damage(&part, &journal);
        let incoming = Incoming::resume(desk.folder.path(), &manifest).unwrap();
        assert_eq!(incoming.next(), *next, "case {number}");
        let path = receive(incoming, &chunks).unwrap();
        assert!(fs::read(path).unwrap() == data);
        assert_eq!(desk.names(), ["sample.bin"]);
    }
    let (desk, _) = start();
    assert!(matches!(
        Incoming::create(desk.folder.path(), &manifest),
        Err(ItemError::Io {
            kind: std::io::ErrorKind::AlreadyExists,
            ..
        })
    ));
}

fn cut(path: &Path, bytes: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes)
        .unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn append(path: &Path, more: &[u8]) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, [&bytes, more].concat()).unwrap();
}

#[cfg(unix)]
#[test]
fn temporary_files_are_for_the_owner_only() {
    use std::os::unix::fs::PermissionsExt;

    let (data, manifest, chunks) = sample();
    let desk = Desk::new();
    let _sending =
        Outgoing::create(Cursor::new(&data[..]), &desk.journal(), &plan("n", &data)).unwrap();
    let mut incoming = Incoming::create(desk.folder.path(), &manifest).unwrap();
    incoming.write(0, &mut chunks[0].bytes.clone()).unwrap();
    for name in desk.names() {
        let mode = fs::metadata(desk.folder.path().join(&name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn one_transfer_has_the_part_file() {
    let (_, manifest, chunks) = sample();
    let desk = Desk::new();
    let mut first = Incoming::create(desk.folder.path(), &manifest).unwrap();
    first.write(0, &mut chunks[0].bytes.clone()).unwrap();
    let second = || Incoming::resume(desk.folder.path(), &manifest).map(|it| it.next());
    assert_eq!(second(), Err(ItemError::InUse));
    drop(first);
    assert_eq!(second(), Ok(1));
}

/// A disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn what_the_disk_refused_gets_no_name() {
    let (_, manifest, chunks) = sample();
    let desk = Desk::new();
    let mut incoming = Incoming::create(desk.folder.path(), &manifest).unwrap();
    incoming.write(0, &mut chunks[0].bytes.clone()).unwrap();
    incoming.file = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let refused = incoming.write(1, &mut chunks[1].bytes.clone());
    assert!(matches!(
        refused,
        Err(ItemError::Io {
            kind: std::io::ErrorKind::StorageFull,
            ..
        })
    ));
    assert_eq!(incoming.write(2, &mut chunks[2].bytes.clone()), refused);
    assert_eq!(incoming.finish(), Err(refused.unwrap_err()));
    assert!(!desk.folder.path().join("sample.bin").exists());
    assert_eq!(
        Incoming::resume(desk.folder.path(), &manifest)
            .unwrap()
            .next(),
        1
    );
}

/// Receives so many chunks with a checkpoint at each 128 KiB, then stops.
fn receive_some(desk: &Desk, manifest: &Manifest, chunks: &[SealedChunk], count: usize) {
    let mut incoming = Incoming::create(desk.folder.path(), manifest).unwrap();
    incoming.every = 128 << 10;
    for chunk in &chunks[..count] {
        incoming
            .write(chunk.index, &mut chunk.bytes.clone())
            .unwrap();
    }
}

fn named(desk: &Desk, end: &str) -> PathBuf {
    let name = desk.names().into_iter().find(|name| name.ends_with(end));
    desk.folder.path().join(name.unwrap())
}

#[test]
fn a_resume_reads_back_only_what_came_after_the_checkpoint() {
    let data = bytes(10 * SMALL_CHUNK);
    let (manifest, chunks) = seal(plan("sample.bin", &data), &data);
    let desk = Desk::new();
    receive_some(&desk, &manifest, &chunks, 6);
    let resume = || Incoming::resume(desk.folder.path(), &manifest).unwrap();
    assert_eq!(resume().next(), 6);
    // A byte before the checkpoint, behind the fifth chunk, is not looked at; one after it is.
    let part = named(&desk, ".part");
    let whole = fs::read(&part).unwrap();
    let flip = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&part, bytes).unwrap();
    };
    flip(10);
    assert_eq!(resume().next(), 6);
    flip(whole.len() - 1);
    assert_eq!(resume().next(), 5);
    let state = named(&desk, ".state");
    fs::write(&part, &whole).unwrap();
    let path = receive(resume(), &chunks).unwrap();
    assert!(fs::read(path).unwrap() == data);
    assert_eq!(desk.names(), ["sample.bin"], "{}", state.display());
}

#[test]
fn a_checkpoint_that_cannot_be_relied_on_says_nothing() {
    let data = bytes(10 * SMALL_CHUNK);
    let (manifest, chunks) = seal(plan("sample.bin", &data), &data);
    let (other, other_chunks) = seal(plan("other.bin", &data), &data);
    for harm in 0..5 {
        let desk = Desk::new();
        receive_some(&desk, &manifest, &chunks, 6);
        let (state, part) = (named(&desk, ".state"), named(&desk, ".part"));
        let mut bytes = fs::read(&state).unwrap();
        match harm {
            0 => bytes[20] ^= 1,
            1 => bytes.truncate(30),
            2 => {
                // Another item's.
                let desk = Desk::new();
                receive_some(&desk, &other, &other_chunks, 6);
                bytes = fs::read(named(&desk, ".state")).unwrap();
            }
            // It says more than there is.
            3 => fs::File::options()
                .write(true)
                .open(&part)
                .and_then(|file| file.set_len(SMALL_CHUNK as u64))
                .unwrap(),
            _ => fs::write(named(&desk, ".part.journal"), []).unwrap(),
        }
        fs::write(&state, &bytes).unwrap();
        let incoming = Incoming::resume(desk.folder.path(), &manifest).unwrap();
        let expected = [6, 6, 6, 1, 0][harm];
        assert_eq!(incoming.next(), expected, "{harm}");
        let path = receive(incoming, &chunks).unwrap();
        assert!(fs::read(path).unwrap() == data);
        assert_eq!(desk.names(), ["sample.bin"], "{harm}");
    }
}
