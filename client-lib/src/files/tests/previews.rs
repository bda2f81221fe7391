//! Previews: what is one, where it travels, where it does not.

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what a decoder makes of it";

#[test]
fn a_preview_is_a_small_text_or_picture() {
    for (bytes, kind) in [
        (PNG, PreviewKind::Png),
        (b"\xff\xd8\xff\xe0 jpeg", PreviewKind::Jpeg),
        (b"RIFF\x01\x02\x03\x04WEBPVP8 ", PreviewKind::Webp),
        ("Größe\tin €\nzwei".as_bytes(), PreviewKind::Text),
    ] {
        let preview = Preview::new(bytes).unwrap();
        assert_eq!((preview.kind(), preview.bytes()), (kind, bytes));
        assert_eq!(preview.text().is_some(), kind == PreviewKind::Text);
    }
    let escape = b"\x1b[2J clears the screen".as_slice();
    for wrong in [b"".as_slice(), escape, b"%PDF-1.7\xff", b"GIF89a\0", b"a\0"] {
        assert!(Preview::new(wrong).is_err(), "{wrong:?}");
    }
    assert!(Preview::new(vec![b'a'; MAX_PREVIEW]).is_ok());
    assert!(Preview::new(vec![b'a'; MAX_PREVIEW + 1]).is_err());
    let shown = format!("{:?}", Preview::new("secret").unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn first_lines_are_those_of_a_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let first = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Preview::first_lines(&path).map(|one| one.text().unwrap_or_default().to_owned())
    };
    assert_eq!(first(b"\xef\xbb\xbfone\r\ntwo\r\n").unwrap(), "one\ntwo");
    let many: String = (0..500).map(|n| format!("line {n}\n")).collect();
    let shown = first(many.as_bytes()).unwrap();
    assert_eq!(
        (shown.lines().count(), shown.ends_with("line 19")),
        (20, true)
    );
    // Cut within a character.
    for offset in 0..4 {
        let long = format!("{}{}", "a".repeat(offset), "€".repeat(5_000));
        let shown = first(long.as_bytes()).unwrap();
        assert!(long.starts_with(&shown) && shown.len() > 2_000);
    }
    for wrong in [
        b"".as_slice(),
        b" \n\n",
        PNG,
        b"ab\xffcd",
        b"a\0b",
        b"\xe2\x82",
    ] {
        assert!(first(wrong).is_err(), "{wrong:?}");
    }
    assert!(Preview::first_lines(folder.path()).is_err());
}

#[test]
fn it_travels_in_the_manifest_and_nowhere_else() {
    let data = b"the whole text";
    let shown = Preview::new("the whole").unwrap();
    let (manifest, _) = seal(plan("notes.txt", data).preview(shown.clone()), data);
    let bytes = manifest.encode();
    let read = Manifest::decode(&bytes).unwrap();
    assert_eq!(read.preview(), Some(&shown));
    assert_eq!(read, manifest);
    // What statements hash and others may see is without it.
    let described = manifest.describe().encode();
    let holds = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"the whole");
    assert!(holds(&bytes) && !holds(&described));
    assert!(Described::decode(&described).is_ok());
    let (plain, _) = seal(fixed(&manifest), data);
    assert_eq!(plain.describe().hash(), manifest.describe().hash());

    for cut in 0..bytes.len() {
        assert!(Manifest::decode(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Manifest::decode(&flipped) {
            assert_eq!(*other.encode(), flipped);
        }
    }
}

/// The same item without its preview.
fn fixed(of: &Manifest) -> Plan {
    let mut plan = of.plan.clone();
    plan.preview = None;
    plan
}

#[test]
fn a_sample_has_none_whoever_made_it() {
    let data = b"MZ";
    let shown = Preview::new("what it does").unwrap();
    let (manifest, _) = seal(plan("a.exe", data).preview(shown.clone()).malware(), data);
    assert_eq!(manifest.preview(), None);
    assert_eq!(
        Manifest::decode(&manifest.encode()).unwrap().preview(),
        None
    );
    // Made by a client that is not honest: the flag is there and a preview, too.
    let (honest, _) = seal(plan("a.exe", data).preview(shown), data);
    let mut bytes = honest.encode().to_vec();
    let tail = [&[0xf4, 0xf6, 0x82, 0x01, 0x4c], b"what it does".as_slice()].concat();
    let at = bytes.len() - tail.len();
    assert_eq!(bytes[at..], tail);
    bytes[at] = 0xf5;
    assert!(matches!(
        Manifest::decode(&bytes),
        Err(ItemError::Manifest {
            field: "preview",
            ..
        })
    ));
    bytes[at] = 0xf4;
    assert!(Manifest::decode(&bytes).is_ok());
    // Another kind than the bytes are.
    bytes[at + 3] = 2;
    assert!(Manifest::decode(&bytes).is_err());
}

#[test]
fn saved_under_a_clean_and_free_name() {
    let folder = tempfile::tempdir().unwrap();
    let preview = Preview::new(PNG).unwrap();
    let one = preview.save(folder.path(), "../scan.pdf").unwrap();
    let two = preview.save(folder.path(), "../scan.pdf").unwrap();
    assert_eq!(one, folder.path().join("_scan.pdf.preview.png"));
    assert_ne!(one, two);
    assert!(fs::read(one).unwrap() == PNG && fs::read(two).unwrap() == PNG);
}
