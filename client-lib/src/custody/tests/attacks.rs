//! One byte, one file, one statement more or less: named.
//!
//! `BUNDLE_STEP=1 cargo test -p plenary-client custody::tests` flips every byte of everything; every
//! day it is each seventh, and each 47th where the forger makes the checksums fit.

use std::{fs, path::Path};

use plenary_certs::custody::{Act, Entry};
use plenary_proto::ids::{DeviceId, Digest, ItemId, NetworkId, UnixMillis};
use tempfile::TempDir;

use super::{
    super::{Fault, bag, verify},
    fixture::{Fixture, files, key},
};

/// From one byte to be flipped to the next.
fn step(everyday: usize) -> usize {
    let asked = std::env::var("BUNDLE_STEP").ok();
    asked.map_or(everyday, |step| step.parse().unwrap())
}

/// Makes the checksums fit again, as whoever has the tool can.
fn close_again(folder: &Path) {
    for tag in [
        "bagit.txt",
        "bag-info.txt",
        "manifest-sha256.txt",
        "tagmanifest-sha256.txt",
    ] {
        fs::remove_file(folder.join(tag)).unwrap();
    }
    bag::close(folder, "again", UnixMillis(0)).unwrap();
}

fn flip(path: &Path, at: usize) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let mut bytes = whole.clone();
    bytes[at] ^= 1 << (at % 8);
    fs::write(path, bytes).unwrap();
    whole
}

#[test]
fn a_flipped_byte_anywhere_is_named() {
    let step = step(7);
    let fixture = Fixture::new();
    let bag = fixture.bundle(true);
    for file in files(bag.path()) {
        let path = bag.path().join(&file);
        for at in (0..fs::metadata(&path).unwrap().len() as usize).step_by(step) {
            let whole = flip(&path, at);
            let fault = verify(bag.path(), Some(&fixture.root1), None).unwrap_err();
            let told = fault.to_string();
            assert!(told.contains(&file), "{file} at {at}: {told}");
            fs::write(&path, whole).unwrap();
        }
    }
    verify(bag.path(), None, None).unwrap();
}

/// The same by somebody who makes the checksums fit: signatures, hashes and the drawing tell.
#[test]
fn a_flipped_byte_is_named_also_where_the_checksums_fit() {
    let step = step(47);
    for with in [true, false] {
        let fixture = Fixture::new();
        let bag = fixture.bundle(with);
        let payload = files(bag.path());
        for file in payload.iter().filter(|file| file.starts_with("data/")) {
            let path = bag.path().join(file);
            for at in (0..fs::metadata(&path).unwrap().len() as usize).step_by(step) {
                let whole = flip(&path, at);
                close_again(bag.path());
                let refused = verify(bag.path(), Some(&fixture.root1), None);
                // The page's version, if it was that, is told.
                let told = refused.map_or(true, |found| !found.page);
                assert!(told, "{file} at {at} of {with}");
                fs::write(&path, whole).unwrap();
            }
        }
    }
}

#[test]
fn a_file_more_or_less_is_named() {
    let fixture = Fixture::new();
    let bag = fixture.bundle(true);
    let root = bag.path();
    for file in files(root) {
        let path = root.join(&file);
        let whole = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let fault = verify(root, None, None).unwrap_err();
        assert!(fault.to_string().contains(&file), "{file}: {fault}");
        if file.starts_with("data/") {
            close_again(root);
            let fault = verify(root, None, None).unwrap_err();
            // A later statement slips into the gap, or refers to what is gone.
            assert!(
                fault.to_string().contains(&file) || file.contains("statements"),
                "{file}: {fault}"
            );
        }
        fs::write(&path, whole).unwrap();
        close_again(root);
    }
    for more in [
        "more.txt",
        "data/more.txt",
        "data/original/more",
        "data/statements/more",
    ] {
        fs::write(root.join(more), "x").unwrap();
        let fault = verify(root, None, None).unwrap_err();
        assert_eq!(fault.place, more);
        if more.starts_with("data/") {
            close_again(root);
            assert_eq!(verify(root, None, None).unwrap_err().place, more);
        }
        fs::remove_file(root.join(more)).unwrap();
        close_again(root);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/etc/hostname", root.join("data/link")).unwrap();
        assert_eq!(verify(root, None, None).unwrap_err().place, "data/link");
        fs::remove_file(root.join("data/link")).unwrap();
    }
    verify(root, None, None).unwrap();
    let nowhere = tempfile::tempdir().unwrap();
    assert_eq!(
        verify(nowhere.path(), None, None).unwrap_err().place,
        "bagit.txt"
    );
}

/// A bundle with other statements than were made, everything else done right.
fn with_entries(fixture: &Fixture, entries: Vec<Entry>) -> Result<TempDir, Fault> {
    let good = fixture.bundle(true);
    let mut parts = fixture.parts(true);
    parts.entries = entries;
    let folder = good.path();
    fs::remove_dir_all(folder.join("data/statements")).unwrap();
    for file in [
        "ledger.cbor",
        "profiles.cbor",
        "manifest.cbor",
        "message.cbor",
    ] {
        fs::remove_file(folder.join("data").join(file)).unwrap();
    }
    super::super::Evidence::of(&parts).write(folder)?;
    close_again(folder);
    verify(folder, Some(&fixture.root1), None).map(|_| good)
}

#[test]
fn replayed_and_foreign_statements_are_refused_by_name() {
    let fixture = Fixture::new();
    let good = fixture.entries();
    let (last, before) = good.split_last().unwrap();
    let said = last.statement().unwrap();
    let sign = |spoil: fn(&mut plenary_certs::custody::Statement), n: u8| {
        let mut said = said.clone();
        spoil(&mut said);
        let mut entries = before.to_vec();
        entries.push(Entry::sign(&said, &key(4, n)));
        entries
    };
    let mut doubled = good.clone();
    doubled.push(good[1].clone());
    let mut swapped = good.clone();
    swapped.swap(1, 2);
    let cases = [
        ("twice", doubled),
        ("was said before", swapped),
        ("another item", sign(|said| said.item = ItemId([1; 16]), 1)),
        (
            "another network",
            sign(|said| said.network = NetworkId([1; 16]), 1),
        ),
        (
            "another manifest",
            sign(|said| said.manifest = Digest([1; 32]), 1),
        ),
        ("another root", sign(|said| said.root = Digest([1; 32]), 1)),
        ("custody key", sign(|_| {}, 0)),
        (
            "does not know",
            sign(|said| said.device = DeviceId([77; 16]), 1),
        ),
        (
            "another ledger",
            sign(|said| said.ledger.hash = Digest([1; 32]), 1),
        ),
    ];
    for (name, entries) in cases {
        let fault = with_entries(&fixture, entries).map(drop).unwrap_err();
        assert!(
            fault.place.starts_with("data/statements/"),
            "{name}: {fault}"
        );
        assert!(fault.what.contains(name), "{name}: {fault}");
    }
    // Somebody else's record of the same file: another item.
    let other = fixture.sibling();
    let fault = with_entries(&fixture, other.entries())
        .map(drop)
        .unwrap_err();
    assert!(fault.what.contains("another item"), "{fault}");
    // A token that nobody checks proves nothing.
    let stamped = vec![good[0].clone().stamped(vec![1, 2, 3])];
    let fault = with_entries(&fixture, stamped).map(drop).unwrap_err();
    assert!(fault.what.contains("time stamp"), "{fault}");
}

#[test]
fn what_was_left_out_is_told_where_anybody_names_it() {
    let fixture = Fixture::new();
    let mut parts = fixture.parts(true);
    let lost = parts.entries.remove(0);
    let checked = super::super::Evidence::of(&parts)
        .check(None, None)
        .unwrap();
    let found = super::super::verify::verdict(&checked);
    assert_eq!(found.missing, [lost.id()]);
    assert!(super::super::page::render(&checked).contains("Not whole"));
    // Without the message, somebody must say that they deposited it.
    parts.message = None;
    let fault = super::super::Evidence::of(&parts)
        .check(None, None)
        .map(drop);
    assert!(fault.unwrap_err().what.contains("deposited"));
}

#[test]
fn another_file_of_the_same_size_is_not_the_original() {
    let fixture = Fixture::new();
    let bag = fixture.bundle(true);
    let path = bag.path().join("data/original/re%port.txt");
    let whole = fs::read(&path).unwrap();
    for forged in [
        whole.to_ascii_uppercase(),
        whole[1..].to_vec(),
        [&whole[..], b"."].concat(),
    ] {
        fs::write(&path, forged).unwrap();
        close_again(bag.path());
        let fault = verify(bag.path(), None, None).unwrap_err();
        assert_eq!(fault.place, "data/original/re%port.txt");
    }
}

#[test]
fn the_page_cannot_say_anything_else() {
    let fixture = Fixture::new();
    let bag = fixture.bundle(true);
    let path = bag.path().join("data/record.html");
    let page = fs::read_to_string(&path).unwrap();
    fs::write(&path, page.replace(Act::Verified.word(), "never seen")).unwrap();
    close_again(bag.path());
    assert_eq!(
        verify(bag.path(), None, None).unwrap_err().place,
        "data/record.html"
    );
}
