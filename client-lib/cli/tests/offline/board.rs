//! The Board's work that needs no server: keys, founding, showing, signing.

use crate::desk::Desk;

/// A founder's file as a server writes it; its invitation is good until the year 2200.
fn founder(desk: &Desk) {
    desk.write("founder.json", include_str!("founder.json"), 0o600);
}

#[test]
fn a_key_is_two_files_and_never_overwrites() {
    let desk = Desk::new();
    let made = desk.run("board keygen --out alice.board").ok();
    let line = made.out.trim_end();
    assert_eq!(desk.read("alice.board.pub"), format!("{line}\n"));
    let words: Vec<_> = line.split(' ').collect();
    assert_eq!(
        (words[0], words[1].len(), words[2].len()),
        ("board-person", 32, 64)
    );
    let sealed = desk.read("alice.board");
    assert!(sealed.starts_with("plenary board key v1\n"));
    use std::os::unix::fs::PermissionsExt;
    let mode = desk.path("alice.board").metadata().unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);

    desk.run("board keygen --out alice.board")
        .fails(2, "exists");
    assert_eq!(desk.read("alice.board"), sealed);
    desk.run("board keygen --out nowhere/alice.board")
        .fails(4, "folder");

    let member = "00112233445566778899aabbccddeeff";
    let words = format!("--json board keygen --out bob.board --member {member}");
    let json = desk.run(&words).ok().json();
    assert_eq!(json["member"], member);
    assert_eq!(json["public"], "bob.board.pub");
    assert_eq!(json["public_key"].as_str().unwrap().len(), 64);
}

#[test]
fn a_heartbeat_key_is_nobody_s_and_no_board_key() {
    let desk = Desk::new();
    let made = desk.run("board keygen --heartbeat --out beat.key").ok();
    let words: Vec<_> = made.out.split_whitespace().collect();
    assert_eq!(
        (words[0], words[1].len(), words.len()),
        ("heartbeat-key", 64, 2)
    );
    assert!(
        desk.read("beat.key")
            .starts_with("plenary heartbeat key v1\n")
    );
    desk.run("board keygen --heartbeat --recovery --out other")
        .fails(2, "cannot be used with");
    founder(&desk);
    desk.run("board keygen --out alice.board").ok();
    let found = "--profile p network found --founder founder.json --board alice.board.pub \
                 --name Alice --state Utopia --out f.request --heartbeat-key";
    desk.run(&format!("{found} alice.board.pub"))
        .fails(2, "not the public half of a heartbeat key");
    desk.run(&format!("{found} beat.key.pub")).ok();
    let shown = desk.bare("board show f.request", "").ok().out;
    assert!(shown.contains("- heartbeat key "), "{shown}");
    // Each sort of key signs its own.
    desk.run("board sign --key beat.key f.request --out sig")
        .fails(2, "plenary board key");
    desk.run("board heartbeat --key alice.board --folder m")
        .fails(2, "plenary heartbeat key");
    for wrong in ["0", "37h", "often"] {
        desk.run(&format!(
            "board heartbeat --key beat.key --folder m --every {wrong}"
        ))
        .fails(2, "--every");
    }
}

#[test]
fn passphrases_come_from_private_files_only() {
    let desk = Desk::new();
    desk.bare("board keygen --out a --passphrase hunter2", "")
        .fails(2, "--passphrase");
    desk.write("open", "secret\n", 0o644);
    desk.bare("board keygen --out a --passphrase-file open", "")
        .fails(2, "chmod 600");
    desk.write("empty", "\n", 0o600);
    desk.bare("board keygen --out a --passphrase-file empty", "")
        .fails(2, "empty");
    desk.write("two", "one\ntwo\n", 0o600);
    desk.bare("board keygen --out a --passphrase-file two", "")
        .fails(2, "more than one line");
    desk.bare("board keygen --out a --passphrase-file absent", "")
        .fails(4, "absent");
    assert!(!desk.path("a").exists());
}

#[test]
fn a_founding_is_drafted_shown_and_signed() {
    let desk = Desk::new();
    founder(&desk);
    for name in ["alice", "bob", "carol"] {
        desk.run(&format!("board keygen --out {name}.board")).ok();
    }
    let board = "--board alice.board.pub --board bob.board.pub --board carol.board.pub";
    let found = format!(
        "--json --profile p network found --founder founder.json {board} --name Alice \
         --state Utopia --channel encryption --channel metaverse=Worlds --out f.request"
    );
    let made = desk.run(&found).ok().json();
    assert_eq!(made["request"], "f.request");
    assert_eq!(made["board"], 3);
    desk.run(&found.replace("f.request", "g.request"))
        .fails(2, "holds a profile already");

    let shown = desk.bare("board show f.request", "").ok().out;
    for said in ["Alice", "Utopia", "encryption", "Worlds", "TLP:AMBER"] {
        assert!(shown.contains(said), "{shown} lacks {said}");
    }
    let statements = desk
        .bare("board show --json -", &desk.read("f.request"))
        .ok();
    // ROOT, POLICY, SERVER, ADMIT, DEVICE and two channels.
    assert_eq!(statements.json()["statements"].as_array().unwrap().len(), 7);

    let sign = "--json board sign --key bob.board f.request --out b.sig";
    let signed = desk.run(sign).ok().json();
    assert_eq!(signed["statements"], 7);
    assert!(
        desk.read("bob.board.pub")
            .contains(signed["member"].as_str().unwrap())
    );
    assert!(desk.read("b.sig").starts_with("plenary"));
    desk.run(sign).fails(2, "exists");

    desk.write("wrong", "incorrect horse\n", 0o600);
    let refused = desk.bare(
        "--json --passphrase-file wrong board sign --key bob.board f.request --out c.sig",
        "",
    );
    assert_eq!(
        (refused.code, refused.error_code().as_str()),
        (3, "wrong-passphrase")
    );
    assert!(!desk.path("c.sig").exists());
}

#[test]
fn what_is_no_request_or_key_is_told_apart() {
    let desk = Desk::new();
    desk.run("board keygen --out alice.board").ok();
    desk.write("junk", "plenary request v1\nAAAA\nend\n", 0o600);
    desk.bare("board show junk", "").fails(2, "plenary: ");
    desk.bare("board show alice.board", "")
        .fails(2, "plenary: ");
    desk.bare("board show absent", "").fails(4, "no such file");
    desk.run("board sign --key junk alice.board --out s")
        .fails(2, "plenary: ");
    desk.write("binary", "\u{0}\u{1b}[2J", 0o600);
    let shown = desk.bare("board show binary", "").fails(2, "plenary: ");
    assert!(!shown.err.contains('\u{1b}'));

    founder(&desk);
    let found = "network found --founder founder.json --name A --state B --out r --board";
    desk.run(&format!("{found} alice.board"))
        .fails(2, "public half of a Board key");
    desk.run(&format!("{found} alice.board.pub --founder junk"))
        .fails(2, "--founder");
    desk.write("founder.json", "{\"server_key\": \"00\"}", 0o600);
    desk.run(&format!("{found} alice.board.pub"))
        .fails(2, "invitation");
    assert!(!desk.path("r").exists());
}

#[test]
fn a_profile_opens_offline_with_its_passphrase_only() {
    let desk = Desk::new();
    founder(&desk);
    desk.run("board keygen --out alice.board").ok();
    desk.run(
        "--profile p network found --founder founder.json --board alice.board.pub --name Alice \
         --state Utopia --out f.request",
    )
    .ok();
    let status = desk.run("--profile p --offline --json status").ok().json();
    assert_eq!(status["profile"], "p");
    assert_eq!(status["standing"], "unknown");
    assert_eq!(status["online"], false);
    for count in ["ledger", "queued", "messages"] {
        assert_eq!(status[count], 0, "{count}");
    }
    for words in ["members", "channels", "tail"] {
        let listed = desk.run(&format!("--profile p --offline {words}")).ok();
        assert_eq!(listed.out, "", "{words}");
    }
    desk.run("--profile p --offline send encryption hello")
        .fails(4, "no channel");
    desk.run("--profile p --offline invite")
        .fails(2, "--offline");

    desk.write("wrong", "incorrect horse\n", 0o600);
    let words = "--json --profile p --passphrase-file wrong --offline status";
    let refused = desk.bare(words, "");
    assert_eq!(
        (refused.code, refused.error_code().as_str()),
        (3, "wrong-passphrase")
    );

    // Nothing listens where the invitation says.
    let words = "--json --profile p --timeout 1 channels";
    let far = desk.run(words);
    assert_eq!((far.code, far.error_code().as_str()), (6, "offline"));
}
