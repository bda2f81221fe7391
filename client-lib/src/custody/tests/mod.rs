//! Bundles on a machine that knows nothing, against whoever had them in between.

mod attacks;
mod fixture;
mod packed;

use std::fs;

use plenary_certs::custody::Act;

use super::{is_bundle, verify};
use fixture::{DATA, Fixture, HOSTILE};

#[test]
fn a_bundle_proves_file_people_and_order_to_a_stranger() {
    let fixture = Fixture::new();
    let bag = fixture.bundle(true);
    assert!(is_bundle(bag.path()));
    let found = verify(bag.path(), Some(&fixture.root1), None).unwrap();
    assert_eq!(verify(bag.path(), None, None).unwrap(), found);
    assert_eq!(found.root1, fixture.root1);
    assert_eq!(
        (found.name.as_str(), found.size),
        ("re%port.txt", DATA.len() as u64)
    );
    assert_eq!(found.sha256, *fixture.manifest.sha256());
    assert_eq!(found.sender_name.as_deref(), Some(HOSTILE));
    assert!(found.original && found.missing.is_empty());
    let told: Vec<_> = found
        .statements
        .iter()
        .map(|said| (said.act, said.name.as_deref(), said.server_time.is_some()))
        .collect();
    let bob = Some("Bob");
    assert_eq!(
        told,
        [
            (Act::Deposited, Some(HOSTILE), true),
            (Act::Collected, bob, true),
            (Act::Verified, bob, true),
            (Act::Exported, bob, false),
        ]
    );
    assert_eq!(
        fs::read(bag.path().join("data/original/re%port.txt")).unwrap(),
        DATA
    );
}

#[test]
fn another_root_1_is_another_network() {
    let fixture = Fixture::new();
    let bag = fixture.bundle(true);
    let mut other = fixture.root1;
    other.0[0] ^= 1;
    let fault = verify(bag.path(), Some(&other), None).unwrap_err();
    assert_eq!(fault.place, "data/ledger.cbor");
    assert!(fault.what.contains("another network"), "{fault}");
}

#[test]
fn without_the_original_nothing_of_it_is_there() {
    let fixture = Fixture::new();
    let bag = fixture.bundle(false);
    let found = verify(bag.path(), Some(&fixture.root1), None).unwrap();
    assert!(!found.original);
    assert_eq!(found.sha256, *fixture.manifest.sha256());
    assert_eq!(found.statements.len(), 4);
    let bytes = fixture.manifest.encode();
    let key = fixture.key(&bytes);
    for file in fixture::files(bag.path()) {
        let found = fs::read(bag.path().join(&file)).unwrap();
        assert!(!found.windows(32).any(|part| part == key), "{file}");
        assert!(
            !found.windows(DATA.len()).any(|part| part == DATA),
            "{file}"
        );
    }
}

#[test]
fn the_page_says_it_and_nobody_s_name_is_markup() {
    let fixture = Fixture::new();
    let page = fs::read_to_string(fixture.bundle(true).path().join("data/record.html")).unwrap();
    for said in [
        &fixture.manifest.sha256().to_string(),
        &fixture.root1.to_string(),
        "2027-01-15 08:00:00.000 UTC",
        "not countersigned",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&lt;U+202E&gt;",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("<script") && !page.contains('\u{202e}'));
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_sample_is_called_by_its_hash() {
    let fixture = Fixture::malware();
    let bag = fixture.bundle(true);
    verify(bag.path(), None, None).unwrap();
    let name = format!("data/original/{}.sample", fixture.manifest.sha256());
    assert_eq!(fs::read(bag.path().join(name)).unwrap(), DATA);
}
