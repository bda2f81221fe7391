//! Operating the running server by its admin socket, with the real binary.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Server, command, founder, run};
use plenary_certs::tls::Authority;
use plenary_server::clock::now;
use serde_json::{Value, json};

struct Place {
    _base: tempfile::TempDir,
    data: PathBuf,
    config: PathBuf,
}

fn place() -> Place {
    let base = tempfile::tempdir().unwrap();
    let place = Place {
        data: base.path().join("data"),
        config: base.path().join("plenary-server.toml"),
        _base: base,
    };
    place.configure("");
    place
}

impl Place {
    fn configure(&self, more: &str) {
        let data = self.data.display();
        let text = format!("listen = \"127.0.0.1:0\"\ndata = \"{data}\"\n{more}");
        fs::write(&self.config, text).unwrap();
    }

    fn start(&self) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plenary-server"));
        command.arg("--config").arg(&self.config);
        Server::run(command)
    }

    fn admin(&self, words: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plenary-server"));
        command.arg("--config").arg(&self.config);
        run(command.arg("admin").args(words))
    }

    fn told(&self, words: &[&str]) -> Value {
        let (code, said) = self.admin(&[words, &["--json"]].concat());
        assert_eq!(code, 0, "{said}");
        serde_json::from_str(&said).unwrap()
    }
}

#[test]
fn status_and_lists_are_for_people_and_for_scripts() {
    let place = place();
    let server = place.start();
    let status = place.told(&["status"]);
    assert_eq!(status["process"], server.process.id());
    assert_eq!(status["listen"], format!("127.0.0.1:{}", server.port));
    assert_eq!(
        (&status["store"], &status["backup"]),
        (&Value::Null, &Value::Null)
    );
    let (code, said) = place.admin(&["status"]);
    assert_eq!(
        (code, said.contains("not founded yet")),
        (0, true),
        "{said}"
    );
    assert!(said.contains("last backup   never"), "{said}");

    let told = place.told(&["certificates"]);
    assert_eq!(told["pin"], founder(&place.data).ca_pin);
    assert!(matches!(told["chain"][0]["days"].as_i64(), Some(89 | 90)));
    assert_eq!(told["chain"][0]["names"], json!(["localhost", "127.0.0.1"]));
    assert_eq!(place.told(&["sessions"])["sessions"], json!([]));
    assert_eq!(place.told(&["quotas"])["kept"], 0);
    assert_eq!(place.told(&["trim"])["channels"], 0);
    assert_eq!(place.told(&["scrub"])["damaged"], json!([]));
    assert!(place.told(&["status"])["scrub"].as_u64().is_some());
    for words in [
        &["drop", "999"][..],
        &["drop", "--device", "abcdef"],
        &["hold", "00"],
    ] {
        let (code, said) = place.admin(words);
        assert_eq!(code, 1, "{said}");
    }
    // A connection that says nothing is seen, and can be ended.
    let guest = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    drop(guest);

    let export = place.data.with_file_name("all.export");
    let words = ["export", "--out", export.to_str().unwrap()];
    let bytes = place.told(&words);
    assert_eq!(
        fs::metadata(&export).unwrap().len(),
        bytes.as_u64().unwrap()
    );
    let mode = fs::metadata(&export).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(place.admin(&words).0, 1, "it is not overwritten");
}

#[test]
fn a_good_configuration_is_taken_and_a_bad_one_keeps_the_old() {
    let place = place();
    place.configure("[items]\nmember_bytes = 1000\n");
    let _server = place.start();
    assert_eq!(place.told(&["quotas"])["member_bytes"], 1_000);

    place.configure("[items]\nmember_bytes = 2000\n[limits]\nmessage_burst = 77\n");
    let (code, said) = place.admin(&["reload"]);
    assert_eq!(
        (code, said.contains("items.member_bytes")),
        (0, true),
        "{said}"
    );
    assert!(said.contains("restart: limits.message_burst"), "{said}");
    assert_eq!(place.told(&["quotas"])["member_bytes"], 2_000);

    // Each of these leaves everything as it was, the quota of the same file included.
    for bad in [
        "[items]\nmember_bytes = 3000\nkeep_days = 0\n",
        "[items]\nmember_bytes = 3000\n[log]\nfilter = \"loud=\\\"\"\n",
        "[items]\nmember_bytes = 3000\n[tls]\nchain = \"/no/chain\"\nkey = \"/no/key\"\n",
        "not toml",
    ] {
        place.configure(bad);
        let (code, said) = place.admin(&["reload"]);
        // This command reads the same file to find the socket: what it cannot read is usage.
        assert!(code != 0 && !said.contains("panic"), "{said}");
        let mut ask = UnixStream::connect(place.data.join("admin.sock")).unwrap();
        ask.write_all(b"{\"ask\":\"reload\"}\n").unwrap();
        let mut answer = String::new();
        BufReader::new(&ask).read_line(&mut answer).unwrap();
        assert!(answer.contains("not taken"), "{answer}");
        place.configure("");
        assert_eq!(place.told(&["quotas"])["member_bytes"], 2_000);
    }
}

#[test]
fn another_certificate_is_taken_while_the_server_runs() {
    let place = place();
    let _server = place.start();
    let before = place.told(&["certificates"]);
    // One issued elsewhere: of another CA, and for eleven days less than it says.
    let elsewhere = place.data.with_file_name("ca");
    fs::create_dir(&elsewhere).unwrap();
    let ca = Authority::create(&elsewhere, now()).unwrap();
    place.configure(&format!(
        "[tls]\nchain = \"{0}/ca.pem\"\nkey = \"{0}/ca.key\"\n",
        elsewhere.display()
    ));
    // A CA alone is no chain: refused, and the old one stays.
    let (code, said) = place.admin(&["reload"]);
    assert_eq!((code, said.contains("not taken")), (1, true), "{said}");
    assert_eq!(place.told(&["certificates"])["pin"], before["pin"]);

    let pem = fs::read_to_string(elsewhere.join("ca.pem")).unwrap();
    let chain = elsewhere.join("chain.pem");
    fs::write(&chain, pem.repeat(2)).unwrap();
    place.configure(&format!(
        "[tls]\nchain = \"{0}/chain.pem\"\nkey = \"{0}/ca.key\"\n",
        elsewhere.display()
    ));
    let (code, said) = place.admin(&["reload"]);
    assert_eq!((code, said.contains("tls.chain")), (0, true), "{said}");
    let after = place.told(&["certificates"]);
    assert_eq!(after["pin"], ca.pin().to_string());
    assert_eq!(after["own"], false);
}

#[test]
fn the_socket_is_for_the_owner_and_survives_a_kill() {
    let place = place();
    let mut server = place.start();
    let socket = place.data.join("admin.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nonsense gets an answer, and hurts nobody.
    for nonsense in [
        &b"{}\n"[..],
        b"\xff\xfe\n",
        b"{\"ask\":\"everything\"}\n",
        b"\n",
    ] {
        let mut line = UnixStream::connect(&socket).unwrap();
        line.write_all(nonsense).unwrap();
        line.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        let _ = BufReader::new(line).read_line(&mut answer);
        assert!(!answer.contains("\"ok\""), "{answer}");
    }
    let mut long = UnixStream::connect(&socket).unwrap();
    let _ = long.write_all(&[b'x'; 1 << 16]);
    drop(long);
    assert_eq!(place.admin(&["status"]).0, 0);
    // What a killed server leaves is replaced.
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    drop(server);
    assert!(socket.exists());
    let (code, said) = place.admin(&["status"]);
    assert_eq!((code, said.contains("is it running")), (1, true), "{said}");
    let server = place.start();
    assert_eq!(place.admin(&["status"]).0, 0);
    server.signal("-TERM");
    assert!(server.wait().0.success());
    assert!(!socket.exists());
}

#[test]
fn an_operator_ends_it_and_a_path_too_long_is_said() {
    let place = place();
    let server = place.start();
    let (code, said) = place.admin(&["stop", "--back-in", "30"]);
    assert_eq!(code, 0, "{said}");
    let (status, log) = server.wait();
    assert!(
        status.success() && log.contains("the operator ends"),
        "{log}"
    );

    let long = place.data.with_file_name("x".repeat(120));
    let mut server = Server::start(&long);
    let stderr = server.process.stderr.take().unwrap();
    let mut log = BufReader::new(stderr).lines();
    assert!(log.any(|line| line.unwrap().contains("admin.socket")));
    let short = place.data.with_file_name("short.sock");
    drop(server);
    let mut elsewhere = command(&long);
    elsewhere.env("PLENARY_SERVER_ADMIN__SOCKET", &short);
    let _server = Server::run(elsewhere);
    let asked = UnixStream::connect(&short);
    assert!(asked.is_ok());
}

/// The folder's and the socket's modes keep others out; should they be opened, the kernel still
/// says who asks. Only root can try it.
#[test]
fn another_user_is_refused_also_where_the_modes_let_it_in() {
    use std::os::unix::process::CommandExt;

    let place = place();
    if fs::metadata(place.data.parent().unwrap()).unwrap().uid() != 0 {
        return eprintln!("not tried: needs root");
    }
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let socket = place.data.with_file_name("open.sock");
    place.configure(&format!("[admin]\nsocket = \"{}\"\n", socket.display()));
    let _server = place.start();
    open(&socket, 0o666);
    open(&place.config, 0o644);
    open(place.data.parent().unwrap(), 0o755);
    let program = place.data.with_file_name("plenary-server");
    fs::copy(env!("CARGO_BIN_EXE_plenary-server"), &program).unwrap();
    let mut ask = Command::new(&program);
    ask.arg("--config")
        .arg(&place.config)
        .args(["admin", "status"]);
    assert_eq!(run(&mut ask).0, 0, "root is served");
    let (code, said) = run(ask.uid(65_534).current_dir("/"));
    assert_eq!(
        (code, said.contains("own user and root")),
        (1, true),
        "{said}"
    );
}

#[test]
fn logs_for_machines_are_one_object_a_line() {
    let place = place();
    place.configure("[log]\nformat = \"json\"\nfilter = \"debug\"\n");
    let server = place.start();
    assert_eq!(place.admin(&["status"]).0, 0);
    server.signal("-TERM");
    let (status, log) = server.wait();
    assert!(status.success());
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(lines.len() > 3);
    assert!(
        lines
            .iter()
            .all(|line| line["level"].is_string() && line["timestamp"].is_string())
    );
}

#[test]
fn help_teaches() {
    let place = place();
    let (code, said) = place.admin(&["--help"]);
    assert_eq!((code, said.contains("jq")), (0, true), "{said}");
    let (code, said) = place.admin(&["drop"]);
    assert_eq!(code, 2, "{said}");
    let (code, said) = place.admin(&["status"]);
    assert_eq!((code, said.contains("is it running")), (1, true), "{said}");
    assert!(!Path::new(&place.data).exists());
}
