//! The server as a process: first start, second start, stop, and what it refuses to start with.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

use bytes::Bytes;
use common::{Server, command, founder, run};
use futures_util::{SinkExt, StreamExt};
use plenary_certs::handshake::{Opener, Transcript};
use plenary_certs::invitation::Invitation;
use plenary_certs::tls::{Authority, Reloadable, client_config, exporter, server_config};
use plenary_proto::codec::{decode_server, encode_client};
use plenary_proto::ids::Digest;
use plenary_proto::reply::{Code, ServerFrame};
use plenary_proto::request::{ClientFrame, Knock};
use plenary_server::clock::now;
use plenary_server::folder::Founder;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

async fn connect_tls(founder: &Founder, port: u16) -> TlsStream<TcpStream> {
    let config = client_config(founder.ca_pin.parse().unwrap()).unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(config).connect(name, tcp).await.unwrap()
}

/// Connects as the founder would.
async fn connect(founder: &Founder, port: u16) -> WebSocketStream<TlsStream<TcpStream>> {
    let mut request = "wss://localhost/".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "plenary.v1".parse().unwrap());
    let tls = connect_tls(founder, port).await;
    client_async(request, tls).await.unwrap().0
}

async fn message(socket: &mut WebSocketStream<TlsStream<TcpStream>>) -> Bytes {
    match socket.next().await {
        Some(Ok(Message::Binary(bytes))) => bytes,
        other => panic!("no frame: {other:?}"),
    }
}

async fn first_frame(founder: &Founder, port: u16) -> ServerFrame {
    decode_server(message(&mut connect(founder, port).await).await).unwrap()
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

/// What a knock says: HELLO as received, and the channel binding as this side sees it.
fn knock(invitation: &Invitation, hello: &[u8], binding: &[u8; 32]) -> Message {
    let nonce = Digest([7; 32]);
    let opener = Opener::Guest(invitation.id);
    let transcript = Transcript::new(hello, binding, opener, &nonce);
    let mac = transcript.knock_mac(&invitation.knock_key().unwrap());
    Message::Binary(encode_client(ClientFrame::Knock(Knock {
        invitation: invitation.id,
        nonce,
        mac,
    })))
}

/// Knocks as the founder, at this port.
async fn knock_at(founder: &Founder, port: u16) -> ServerFrame {
    let invitation = Invitation::parse(founder.invitation.as_ref().unwrap()).unwrap();
    let mut socket = connect(founder, port).await;
    let hello = message(&mut socket).await;
    let binding = exporter(socket.get_ref().get_ref().1).unwrap();
    let knock = knock(&invitation, &hello, &binding);
    socket.send(knock).await.unwrap();
    decode_server(message(&mut socket).await).unwrap()
}

/// A relay between a client and the server, with a certificate of the very same CA: it sees and
/// hands on every message, both ways.
async fn relay(data: &Path, founder: Founder, port: u16) -> u16 {
    let authority = Authority::open(data).unwrap().unwrap();
    let identity = authority.issue(&["localhost".to_owned()], now()).unwrap();
    let acceptor = TlsAcceptor::from(server_config(Reloadable::new(identity)).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut client = acceptor.accept(tcp).await.unwrap();
        let mut server = connect_tls(&founder, port).await;
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    at
}

#[tokio::test]
async fn a_relay_with_a_valid_certificate_cannot_authenticate() {
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let mut server = Server::start(&data);
    let told = founder(&data);
    // The same knock straight to the server opens.
    let opened = knock_at(&told, server.port).await;
    assert!(matches!(opened, ServerFrame::Ok(_)), "{opened:?}");
    let between = relay(&data, told.clone(), server.port).await;
    let refused = knock_at(&told, between).await;
    assert!(
        matches!(&refused, ServerFrame::Refused(failure) if failure.code == Code::Unauthenticated),
        "{refused:?}"
    );
    server.signal("-TERM");
    assert!(server.process.wait().unwrap().success());
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
