//! The server as a process: first start, second start, stop, and what it refuses to start with.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use futures_util::StreamExt;
use plenary_certs::invitation::Invitation;
use plenary_certs::tls::client_config;
use plenary_proto::codec::decode_server;
use plenary_proto::reply::ServerFrame;
use plenary_server::folder::Founder;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

struct Server {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
    port: u16,
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plenary-server"));
    command
        .args(["--listen", "127.0.0.1:0", "--log", "trace", "--data"])
        .arg(data)
        .current_dir(data.parent().unwrap());
    command
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut process = command(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let port = loop {
            let line = lines.next().expect("ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("plenary-server: listening on ") {
                break address.rsplit_once(':').unwrap().1.parse().unwrap();
            }
            said.push(line);
        };
        Self {
            process,
            lines,
            said,
            port,
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.process.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// How it ended, and its log.
    fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        assert!(self.lines.next().is_none());
        (self.process.wait().unwrap(), log)
    }
}

fn founder(data: &Path) -> Founder {
    serde_json::from_slice(&fs::read(data.join("founder.json")).unwrap()).unwrap()
}

fn run(command: &mut Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (
        status.code().unwrap(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

/// Connects as the founder would, and returns the first message.
async fn first_frame(founder: &Founder, port: u16) -> ServerFrame {
    let config = client_config(founder.ca_pin.parse().unwrap()).unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let mut request = "wss://localhost/".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "plenary.v1".parse().unwrap());
    let (mut socket, _) = client_async(request, tls).await.unwrap();
    match socket.next().await {
        Some(Ok(Message::Binary(bytes))) => decode_server(bytes).unwrap(),
        other => panic!("no frame: {other:?}"),
    }
}

#[tokio::test]
async fn the_first_start_makes_what_the_second_finds() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let server = Server::start(&data);
    let told = founder(&data);
    assert_eq!(told.address, format!("localhost:{}", server.port));
    let said = server.said.join("\n");
    for needed in [&told.address, &told.ca_pin, &told.server_key] {
        assert!(said.contains(needed), "{said}");
    }
    let secret = told.invitation.clone().unwrap();
    let invitation = Invitation::parse(&secret).unwrap();
    assert_eq!(invitation.ca.to_string(), told.ca_pin);
    let ServerFrame::Hello(hello) = first_frame(&told, server.port).await else {
        panic!("no HELLO first");
    };
    assert_eq!(hello.server_key.to_string(), told.server_key);

    // A second server on the same folder is refused.
    let (code, refused) = run(&mut command(&data));
    assert_eq!(code, 1);
    assert!(refused.contains("in use"), "{refused}");

    server.signal("-TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("listening") && log.contains("ended"), "{log}");
    assert!(!said.contains(&secret) && !log.contains(&secret));

    let server = Server::start(&data);
    let again = founder(&data);
    assert_eq!(again.ca_pin, told.ca_pin);
    assert_eq!(again.server_key, told.server_key);
    let again = Invitation::parse(&again.invitation.unwrap()).unwrap();
    assert_eq!(again.id, invitation.id);
    server.signal("-INT");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[tokio::test]
async fn a_hangup_reloads_and_does_not_end_it() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let mut server = Server::start(&data);
    // The log says when it is ready for the signal and when it is done.
    let stderr = server.process.stderr.take().unwrap();
    server.signal("-HUP");
    let mut log = BufReader::new(stderr).lines();
    assert!(log.any(|line| line.unwrap().contains("serving a new certificate")));
    first_frame(&founder(&data), server.port).await;
    server.signal("-TERM");
    assert!(server.process.wait().unwrap().success());
}

#[test]
fn what_cannot_be_started_with_is_said() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let (code, said) = run(command(&data).arg("--check-config"));
    assert_eq!((code, said.contains("valid")), (0, true), "{said}");
    assert!(!data.exists(), "a check writes nothing");
    let (code, said) = run(command(&data).args(["--check-config", "--name", "no name"]));
    assert_eq!((code, said.contains("names")), (2, true), "{said}");
    let (code, said) = run(command(&data).arg("--loud"));
    assert_eq!((code, said.contains("--loud")), (2, true), "{said}");
    let (code, said) = run(command(&data).arg("--help"));
    assert_eq!((code, said.contains("SIGTERM")), (0, true), "{said}");

    fs::create_dir(&data).unwrap();
    fs::write(data.join("letter.txt"), "dear").unwrap();
    let (code, said) = run(&mut command(&data));
    assert_eq!(
        (code, said.contains("is not a Plenary")),
        (1, true),
        "{said}"
    );

    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("plenary-server.example.toml");
    let (code, said) = run(command(&data)
        .arg("--check-config")
        .arg("--config")
        .arg(example));
    assert_eq!(code, 0, "{said}");
}
