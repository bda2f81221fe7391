//! `doctor`, completions and manual pages of the real binary.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::{Server, run};
use serde_json::Value;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_plenary-server"))
}

/// Exit code, and each finding's verdict and text.
fn doctor(data: &Path) -> (i32, BTreeMap<String, (String, String)>) {
    let out = program()
        .args(["doctor", "--json", "--data"])
        .arg(data)
        .output()
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let findings = text.lines().map(|line| {
        let found: Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| found[name].as_str().unwrap().to_owned();
        (field("what"), (field("verdict"), field("text")))
    });
    (out.status.code().unwrap(), findings.collect())
}

#[test]
fn a_healthy_server_is_good_and_each_ill_is_named_with_its_remedy() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    // Before the first start nothing is wrong, and nothing is made.
    let (code, found) = doctor(&data);
    assert_eq!(
        (code, found["data folder"].0.as_str()),
        (0, "warning"),
        "{found:?}"
    );
    assert!(!data.exists());

    let mut server = Server::start(&data);
    let (code, found) = doctor(&data);
    assert_eq!(code, 0, "{found:?}");
    for what in [
        "configuration",
        "data folder",
        "server",
        "clock",
        "certificate",
        "connection",
    ] {
        assert_eq!(found[what].0, "good", "{what}: {}", found[what].1);
    }
    assert!(
        found["connection"].1.contains("X25519MLKEM768"),
        "{found:?}"
    );
    assert_eq!(found["backup"].0, "warning");
    assert!(found["backup"].1.contains("backup-key"), "{found:?}");
    assert!(
        found["address"].1.contains("only this machine"),
        "{found:?}"
    );

    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let (code, found) = doctor(&data);
    assert_eq!(
        (code, found["server"].0.as_str()),
        (0, "warning"),
        "{found:?}"
    );

    let open = |mode| fs::set_permissions(&data, fs::Permissions::from_mode(mode)).unwrap();
    open(0o755);
    let (code, found) = doctor(&data);
    assert_eq!((code, found["data folder"].0.as_str()), (1, "bad"));
    assert!(found["data folder"].1.contains("chmod 700"), "{found:?}");
    open(0o700);
    fs::remove_file(data.join("server.key")).unwrap();
    let (code, found) = doctor(&data);
    assert_eq!((code, found["data folder"].0.as_str()), (1, "bad"));
    assert!(found["data folder"].1.contains("restore"), "{found:?}");
}

#[test]
fn completions_and_manual_pages_are_made_of_the_arguments() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, said) = run(program().args(["completions", shell]));
        assert_eq!((code, said.contains("verify-backup")), (0, true), "{shell}");
    }
    let base = tempfile::tempdir().unwrap();
    let (code, said) = run(program().arg("man").arg("--out").arg(base.path()));
    assert_eq!(code, 0, "{said}");
    let page = |name: &str| fs::read_to_string(base.path().join(name)).unwrap();
    assert!(page("plenary-server.1").contains("SIGHUP"));
    assert!(page("plenary-server-admin-reload.1").contains("exit code 1"));
    assert!(page("plenary-server-restore.1").contains("nothing is ever restored over data"));
}
