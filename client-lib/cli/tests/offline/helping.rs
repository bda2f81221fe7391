//! Completions, manual pages, and what `doctor` says where there is nothing.

use crate::desk::Desk;

#[test]
fn completions_and_manual_pages_are_made_of_the_arguments() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let out = desk.bare(&format!("completions {shell}"), "").ok().out;
        assert!(out.contains("send-file"), "{shell}: {out}");
    }
    desk.bare("man --out pages", "").ok();
    assert!(desk.read("pages/plenary.1").contains("Exit codes"));
    assert!(desk.read("pages/plenary-board-sign.1").contains("key"));
    let help = desk.bare("--help", "").ok().out;
    assert!(!help.contains("completions"), "hidden: {help}");
}

#[test]
fn doctor_teaches_and_says_where_there_is_no_profile() {
    let desk = Desk::new();
    let help = desk.bare("doctor --help", "").ok().out;
    assert!(help.contains("jq -r"), "{help}");
    let ran = desk.run("--profile nowhere doctor");
    assert!(
        ran.code == 4 && ran.err.contains("join a network"),
        "{ran:?}"
    );
}
