//! Bundles as one file.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use tempfile::TempDir;

use super::{
    super::{Fault, is_bundle, pack, verify},
    fixture::{Fixture, files},
};

/// A bundle's archive, and the folder that it lies in.
fn packed(fixture: &Fixture) -> (TempDir, PathBuf) {
    let (bag, place) = (fixture.bundle(true), tempfile::tempdir().unwrap());
    let archive = place.path().join("evidence.tar");
    let mut file = File::create(&archive).unwrap();
    pack(bag.path(), "evidence", &mut file).unwrap();
    (place, archive)
}

#[test]
fn it_proves_what_the_folder_proves_and_packs_to_the_same_bytes() {
    let fixture = Fixture::new();
    let (bag, (_place, archive)) = (fixture.bundle(true), packed(&fixture));
    assert!(is_bundle(&archive) && !is_bundle(&bag.path().join("bagit.txt")));
    let found = verify(&archive, Some(&fixture.root1), None).unwrap();
    assert_eq!(Ok(found), verify(bag.path(), Some(&fixture.root1), None));
    let (_again, again) = packed(&fixture);
    assert!(fs::read(archive).unwrap() == fs::read(again).unwrap());
}

#[test]
fn a_flipped_byte_anywhere_in_it_is_named() {
    let fixture = Fixture::new();
    let (_place, archive) = packed(&fixture);
    let names = files(fixture.bundle(true).path());
    let whole = fs::read(&archive).unwrap();
    let step = std::env::var("BUNDLE_STEP").map_or(97, |step| step.parse().unwrap());
    let mut in_files = 0;
    for at in (0..whole.len()).step_by(step).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&archive, bytes).unwrap();
        let Fault { place, what } = verify(&archive, Some(&fixture.root1), None).unwrap_err();
        let in_file = names.iter().any(|name| place.contains(name.as_str()));
        assert!(in_file || place == "the archive", "{at}: {place}: {what}");
        in_files += u32::from(in_file);
    }
    assert!(in_files > 10, "{in_files}");
    for cut in [
        0,
        300,
        512,
        whole.len() / 2,
        whole.len() - 512,
        whole.len() - 1,
    ] {
        fs::write(&archive, &whole[..cut]).unwrap();
        assert!(
            verify(&archive, Some(&fixture.root1), None).is_err(),
            "{cut}"
        );
    }
    let longer = [&whole[..], &[0; 512]].concat();
    fs::write(&archive, longer).unwrap();
    let fault = verify(&archive, Some(&fixture.root1), None).unwrap_err();
    assert_eq!(fault.place, "the archive");
    fs::write(&archive, whole).unwrap();
    verify(&archive, Some(&fixture.root1), None).unwrap();
}

#[test]
fn one_made_to_do_harm_writes_nothing_elsewhere() {
    let place = tempfile::tempdir().unwrap();
    let archive = place.path().join("evidence.tar");
    type Entries = &'static [(&'static str, tar::EntryType)];
    use tar::EntryType::{Directory, Regular, Symlink};
    let cases: [(Entries, &str); 5] = [
        (&[("../../out.txt", Regular)], "no path"),
        (&[("/tmp/plenary-out.txt", Regular)], "no path"),
        (&[("a", Directory), ("a/link", Symlink)], "neither"),
        (&[("a", Directory), ("b", Directory)], "beside"),
        (
            &[("a", Directory), ("a/x", Regular), ("a/x", Regular)],
            "exists",
        ),
    ];
    for (entries, why) in cases {
        let mut builder = tar::Builder::new(File::create(&archive).unwrap());
        for (name, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(0);
            header.set_mode(0o644);
            // The crate itself refuses to write such names.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if *kind == Symlink {
                header.set_link_name("/etc/passwd").unwrap();
            }
            header.set_cksum();
            builder.append(&header, std::io::empty()).unwrap();
        }
        builder.into_inner().unwrap().flush().unwrap();
        let fault = verify(&archive, None, None).unwrap_err().to_string();
        assert!(fault.contains(why), "{entries:?}: {fault}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}
