//! TLS as others see it: what OpenSSL is refused, and what it is never offered.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use std::process::{Command, Stdio};
use std::sync::Arc;

use common::{Server, founder};
use plenary_certs::tls::client_config;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What `openssl s_client` says, and whether a handshake was completed. `None`: there is no OpenSSL.
fn openssl(port: u16, args: &[&str]) -> Option<(bool, String)> {
    let output = Command::new("openssl")
        .args([
            "s_client",
            "-connect",
            &format!("127.0.0.1:{port}"),
            "-servername",
            "localhost",
        ])
        .args(args)
        .stdin(Stdio::null())
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            println!("NOT TRIED: no openssl here ({error})");
            return None;
        }
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    // Without a cipher agreed upon there was no handshake.
    let agreed = said.contains("Cipher is TLS_") || said.contains("Cipher is ECDHE");
    Some((agreed, said))
}

#[test]
fn nothing_but_tls_1_3_with_the_hybrid_group_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"));
    for (args, alert) in [
        (&["-tls1_2"][..], "protocol version"),
        (&["-tls1_3", "-groups", "X25519"], "handshake failure"),
        (&["-tls1_3", "-groups", "P-256"], "handshake failure"),
    ] {
        let Some((agreed, said)) = openssl(server.port, args) else {
            return;
        };
        assert!(!agreed, "{args:?}: {said}");
        assert!(said.contains(alert), "{args:?}: {said}");
    }
}

/// A client that would gladly resume a session and send early data.
#[tokio::test]
async fn no_session_is_resumed_and_no_early_data_taken() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let pinned = client_config(founder(&data).ca_pin.parse().unwrap()).unwrap();
    let mut eager = ClientConfig::clone(&pinned);
    eager.resumption = Resumption::in_memory_sessions(8);
    eager.enable_early_data = true;
    let eager = Arc::new(eager);
    for _ in 0..3 {
        let tcp = TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(eager.clone());
        let mut tls = connector.connect(name, tcp).await.unwrap();
        tls.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        // Tickets would come before the answer.
        let mut answer = Vec::new();
        tls.read_to_end(&mut answer).await.ok();
        let (_, session) = tls.get_ref();
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        assert!(!session.is_early_data_accepted());
        assert_eq!(session.tls13_tickets_received(), 0);
        let group = session.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    }
}
