//! `plenary verify` of a bundle, on a machine that never saw the network. The bundle was written by a
//! real client; it must be verifiable for as long as this program is.

use std::{fs, path::Path};

use crate::desk::Desk;

const ROOT1: &str = "dfdfd48bc1d736b7de35847b9a39d5a32be1e6d70d87a6ab95dcf95e9a2b7dd6";
const SHA256: &str = "84c06f5975fc869baa8824138e89b57c2cd01e8bb0fc84685889dba9fb64d8d6";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// A desk with the bundle on it, and nothing else.
fn desk() -> Desk {
    let desk = Desk::new();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/offline/bundle");
    copy(&kept, &desk.path("evidence"));
    desk
}

#[test]
fn a_bundle_holds_without_a_profile() {
    let desk = desk();
    let ran = desk
        .bare(&format!("verify evidence --root1 {ROOT1}"), "")
        .ok();
    for said in [
        "It holds.",
        "statements.csv",
        SHA256,
        "Founder",
        "verified",
        ROOT1,
    ] {
        assert!(ran.out.contains(said), "{} lacks {said}", ran.out);
    }
    assert_eq!(ran.err, "");
    let json = desk.bare("--json verify evidence", "").ok().json();
    assert_eq!(json["verified"], "custody");
    assert_eq!(
        (&json["root1"], &json["root1_given"]),
        (&ROOT1.into(), &false.into())
    );
    assert_eq!(
        (&json["sha256"], &json["original"]),
        (&SHA256.into(), &false.into())
    );
    assert_eq!(json["statements"].as_array().unwrap().len(), 7);
    assert_eq!(json["statements"][0]["act"], "deposited");
    assert_eq!(json["missing"].as_array().unwrap().len(), 0);
    // Without the hash it is said what all rests on.
    let ran = desk.bare("verify evidence", "").ok();
    assert!(
        ran.err.contains("compare") && ran.err.contains(ROOT1),
        "{}",
        ran.err
    );
}

#[test]
fn a_bundle_packed_by_another_program_is_told_so() {
    let desk = desk();
    let tar = |arguments: &[&str]| {
        let ran = std::process::Command::new("tar")
            .current_dir(desk.path("."))
            .args(arguments)
            .status();
        ran.is_ok_and(|status| status.success())
    };
    if !tar(&["--format=ustar", "-cf", "evidence.tar", "evidence"]) {
        eprintln!("NOT TESTED: there is no `tar` on the path");
        return;
    }
    desk.bare(&format!("verify evidence.tar --root1 {ROOT1}"), "")
        .fails(7, "packed by another program");
    desk.bare(
        &format!("verify evidence.tar --root1 {}", "00".repeat(32)),
        "",
    )
    .fails(7, "data/ledger.cbor");
}

#[test]
fn what_is_wrong_is_named_and_ends_with_7() {
    let desk = desk();
    let zeros = "00".repeat(32);
    desk.bare(&format!("verify evidence --root1 {zeros}"), "")
        .fails(7, "data/ledger.cbor");
    let path = desk.path("evidence/data/statements/00003-verified.cbor");
    let mut bytes = fs::read(&path).unwrap();
    bytes[200] ^= 1;
    fs::write(&path, bytes).unwrap();
    desk.bare("verify evidence", "")
        .fails(7, "WRONG: data/statements/00003-verified.cbor");
    let json = desk.bare("--json verify evidence", "");
    assert_eq!((json.code, json.error_code().as_str()), (7, "trust"));
    fs::create_dir(desk.path("empty")).unwrap();
    desk.bare("verify empty", "").fails(7, "bagit.txt");
}

#[test]
fn custody_is_explained() {
    let desk = Desk::new();
    for (command, said) in [
        ("custody", "withdrawn  the sender took"),
        ("custody export", "BagIt"),
        ("receipts", "offered"),
        ("withdraw", "keeps it"),
        ("export-sample", "SHA256.sample"),
        ("verify", "plenary custody export"),
    ] {
        let help = desk.bare(&format!("{command} --help"), "").ok().out;
        assert!(help.contains(said), "{command}: {help} lacks {said}");
    }
    for words in [
        "receipts c 1",
        "withdraw c 1",
        "export-sample c 1 --out d",
        "custody show c 1",
        "custody export c 1 --out d",
        "custody delete c 1",
    ] {
        desk.run(words).fails(4, "no Plenary profile");
    }
    desk.bare("custody export c 1 --out d --original f --no-original", "")
        .fails(2, "cannot be used");
}
