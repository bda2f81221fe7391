//! Folders packed and unpacked; archives made to do harm.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use tar::{Builder, EntryType, Header};

use crate::files::{
    ItemError,
    folder::{pack, unpack},
};

/// Every path below, files with their bytes.
fn all(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_owned();
            if path.is_dir() {
                all.push((name, None));
                open.push(path);
            } else {
                all.push((name, Some(fs::read(path).unwrap())));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn a_folder_comes_out_as_it_went_in() {
    let home = tempfile::tempdir().unwrap();
    let from = home.path().join("case 7");
    let deep = from.join("a").join("b".repeat(120)).join("c");
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir(from.join("empty")).unwrap();
    fs::write(from.join("Übersicht.txt"), "what we found").unwrap();
    fs::write(deep.join("disk.img"), vec![7; 300_000]).unwrap();
    fs::write(from.join("run.sh"), "").unwrap();
    fs::set_permissions(from.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    pack(&from, &mut one).unwrap();
    pack(&from, &mut two).unwrap();
    assert!(one == two, "the same folder, the same archive");
    let into = home.path().join("in");
    fs::create_dir(&into).unwrap();
    for name in ["case 7", "case 7 (2)"] {
        let path = unpack(&one[..], &into, "case 7.tar").unwrap();
        assert_eq!(path, into.join(name));
        assert_eq!(all(&path), all(&from));
        let mode = |file: &str| path.join(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode("run.sh") & 0o777, 0o700);
        assert_eq!(mode("Übersicht.txt") & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(&into).unwrap().count(), 2);
    // A link may lead anywhere: it is named, not followed.
    symlink("/etc/passwd", from.join("a").join("link")).unwrap();
    let refused = pack(&from, &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, ItemError::NotAFile { .. }), "{refused}");
    assert!(refused.to_string().contains("link"), "{refused}");
}

/// One entry, with a name that the tar library itself would refuse to write.
fn entry(archive: &mut Builder<Vec<u8>>, name: &[u8], kind: EntryType, link: Option<&str>) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    let bytes: &[u8] = if kind == EntryType::Regular {
        b"harm"
    } else {
        b""
    };
    header.set_size(bytes.len() as u64);
    if let Some(link) = link {
        header.set_link_name(link).unwrap();
    }
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

#[test]
fn nothing_lands_outside_and_nothing_but_files_and_folders_is_made() {
    let regular = EntryType::Regular;
    let cases: [(&str, EntryType, Option<&str>, &str); 9] = [
        ("/etc/harm", regular, None, "absolute"),
        ("../harm", regular, None, "outside"),
        ("a/../../harm", regular, None, "outside"),
        ("a/..", EntryType::Directory, None, "outside"),
        ("link", EntryType::Symlink, Some("/etc"), "link"),
        ("link", EntryType::Link, Some("../harm"), "link"),
        ("device", EntryType::Block, None, "neither"),
        ("pipe", EntryType::Fifo, None, "neither"),
        (".", EntryType::Directory, None, "no name"),
    ];
    for (name, kind, link, why) in cases {
        let home = tempfile::tempdir().unwrap();
        let into = home.path().join("in");
        fs::create_dir(&into).unwrap();
        let mut archive = Builder::new(Vec::new());
        entry(&mut archive, b"good", regular, None);
        entry(&mut archive, name.as_bytes(), kind, link);
        let archive = archive.into_inner().unwrap();
        let refused = unpack(&archive[..], &into, "x.tar").unwrap_err();
        assert!(refused.to_string().contains(why), "{name}: {refused}");
        assert!(all(home.path()) == [(PathBuf::from("in"), None)], "{name}");
    }
    // Twice the same, once by another spelling.
    for second in ["a", "./a", "a\u{200b}"] {
        let home = tempfile::tempdir().unwrap();
        let mut archive = Builder::new(Vec::new());
        entry(&mut archive, b"a", regular, None);
        entry(&mut archive, second.as_bytes(), regular, None);
        let archive = archive.into_inner().unwrap();
        let refused = unpack(&archive[..], home.path(), "x.tar").unwrap_err();
        assert!(refused.to_string().contains("twice"), "{refused}");
    }
    // A file where a folder is due, a cut archive, and no archive at all.
    let home = tempfile::tempdir().unwrap();
    let mut archive = Builder::new(Vec::new());
    entry(&mut archive, b"a", regular, None);
    entry(&mut archive, b"a/b", regular, None);
    let archive = archive.into_inner().unwrap();
    for bytes in [&archive[..], &archive[..514], &[7; 2_000]] {
        unpack(bytes, home.path(), "x.tar").unwrap_err();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
    // Names are cleaned, part by part.
    let mut archive = Builder::new(Vec::new());
    entry(&mut archive, b"con", EntryType::Directory, None);
    entry(&mut archive, b"con/a:b", regular, None);
    let archive = archive.into_inner().unwrap();
    let path = unpack(&archive[..], home.path(), "../../x.tar").unwrap();
    assert_eq!(path.parent(), Some(home.path()));
    let names: Vec<_> = all(&path).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [PathBuf::from("_con"), PathBuf::from("_con/a_b")]);
}
