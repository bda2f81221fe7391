//! Help, usage errors, and what is said without a profile or a server.

use crate::desk::Desk;

#[test]
fn help_teaches_and_tells_the_exit_codes() {
    let desk = Desk::new();
    let help = desk.bare("--help", "").ok().out;
    for said in [
        "Examples:",
        "Exit codes:",
        "  7  trust",
        "--passphrase-file",
        "tail",
    ] {
        assert!(help.contains(said), "{help} lacks {said}");
    }
    for (command, said) in [
        ("network found", "founder.json"),
        ("board", "How an admission goes"),
        ("send", "--label TLP:RED"),
        ("tail", "jq -r .text"),
        ("search", "jq -r .excerpt"),
        ("join", "fingerprint"),
        ("audit", "--compare heads.bob"),
        ("verify", "--root1 HASH"),
        ("alarms", "log_forked"),
        ("invite", "contact point"),
        ("requests", "countersign"),
        ("ledger log", "--new"),
        ("board request root", "--replace"),
        ("board heartbeat", "signs nothing while"),
        ("ledger check", "proof of misuse"),
        ("ledger confirm", "by voice"),
    ] {
        let help = desk.bare(&format!("{command} --help"), "").ok().out;
        assert!(help.contains(said), "{command}: {help} lacks {said}");
    }
    assert!(!desk.bare("--help", "").out.contains('\u{1b}'));
    assert!(
        desk.bare("--color always --help", "")
            .out
            .contains('\u{1b}')
    );
}

#[test]
fn usage_errors_are_two_and_json_when_asked() {
    let desk = Desk::new();
    for words in [
        "nonsense",
        "send",
        "join",
        "join --wait --name Bob",
        "send c t --label TLP:PINK",
        "tail --since yesterday",
        "members --timeout soon",
        "send c t --notice --thread x",
        "board request revoke member x --reason boredom --out r",
        "board request admit 1234 --out r",
        "board request policy --out r",
        "board request change-channel c --out r",
        "board request root --threshold admit=x --out r",
        "board request renew m --until yesterday --out r",
        "board request recover --out r",
    ] {
        desk.bare(words, "").fails(2, "error: ");
        let json = desk.bare(&format!("{words} --json"), "");
        assert_eq!(
            (json.code, json.error_code().as_str()),
            (2, "input"),
            "{words}"
        );
        assert_eq!(json.out, "");
    }
}

#[test]
fn without_a_profile_every_command_says_so() {
    let desk = Desk::new();
    for words in [
        "status",
        "alarms",
        "members",
        "channels",
        "tail",
        "requests",
        "invite",
        "sync",
        "talk c",
        "enter c",
        "direct m",
        "send c t",
        "reply c 1 t",
        "join --wait",
        "board request channel x --out r",
        "audit",
        "board request root --out r",
        "board request suspend member m --out r",
        "ledger log",
    ] {
        desk.run(words).fails(4, "no Plenary profile");
        let json = desk.run(&format!("--json {words}"));
        assert_eq!(
            (json.code, json.error_code().as_str()),
            (4, "not-a-profile")
        );
    }
    // By default the profile lies under the home folder; the environment may name another.
    let told = desk.run("status").err;
    assert!(told.contains(".local/share/plenary/default"), "{told}");
}

#[test]
fn an_invitation_that_is_none_is_refused_before_anything_is_made() {
    let desk = Desk::new();
    let join = "--profile p join --name Bob --state Ruritania";
    desk.run(&format!("{join} plenary:junk"))
        .fails(2, "plenary: ");
    desk.run(&format!("{join} -")).fails(2, "plenary: ");
    // Where nobody sits at a terminal nothing is asked.
    desk.run("--profile p join plenary:junk")
        .fails(2, "Give --name");
    desk.run("--profile p join plenary:junk --name Bob")
        .fails(2, "Give --state");
    desk.run(&format!("{join} plenary:x --board-key pass"))
        .fails(2, "board-person");
    assert!(!desk.path("p").exists());
}

#[test]
fn a_folder_that_is_no_profile_is_left_alone() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("p")).unwrap();
    std::fs::write(desk.path("p/letter.txt"), "dear").unwrap();
    desk.run("--profile p --offline status")
        .fails(4, "no Plenary profile");
    assert_eq!(desk.read("p/letter.txt"), "dear");
}

#[test]
fn without_a_terminal_no_passphrase_is_asked_for() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("p")).unwrap();
    // setsid: no controlling terminal, also where the tests run on one.
    let run = std::process::Command::new("setsid")
        .args([
            "-w",
            env!("CARGO_BIN_EXE_plenary"),
            "--profile",
            "p",
            "status",
        ])
        .current_dir(desk.path(""))
        .stdin(std::process::Stdio::null())
        .output();
    // Not every system has it.
    if let Ok(run) = run {
        let err = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(2), "{err}");
        assert!(err.contains("--passphrase-file"), "{err}");
    }
}

#[test]
fn what_is_no_proof_is_refused_without_a_profile() {
    let desk = Desk::new();
    let root1 = "0".repeat(64);
    std::fs::write(desk.path("junk"), b"hello").unwrap();
    desk.run(&format!("verify junk --root1 {root1}"))
        .fails(2, "no file that can be verified");
    let mut proof = b"\x84\x6dplenary proof\x01\x01\x41\x00".to_vec();
    std::fs::write(desk.path("short"), &proof).unwrap();
    desk.run(&format!("verify short --root1 {root1}"))
        .fails(7, "it proves nothing");
    proof[16] = 99;
    std::fs::write(desk.path("newer"), &proof).unwrap();
    let json = desk.run(&format!("--json verify newer --root1 {root1}"));
    assert_eq!((json.code, json.error_code().as_str()), (7, "trust"));
    desk.run("verify absent --root1 00").fails(2, "root1");
}
