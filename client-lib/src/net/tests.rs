//! Openings that must fail, and what a server may not send.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_proto::{
    codec::{encode_server, parts},
    ids::{Digest, InvitationId, LedgerSeq, NetworkId, RequestId},
    limits::{self, CHAT_MESSAGE, FRAGMENTS},
    reply::{Code, Failure, Limits, Push, Reply, ServerFrame},
    request::{ClientFrame, Purpose, Request},
};
use tokio::{io::AsyncReadExt, join};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use super::{
    Connection, Credentials, Expected, OpenerKey, open,
    testing::{Peer, Server},
};
use crate::error::{Error, ErrorKind};

/// A connection and the other end of it.
async fn pair(purpose: Purpose) -> (Connection, Peer) {
    let server = Server::start().await;
    let credentials = server.device(purpose);
    let settle = Box::pin(server.settle());
    let (connection, peer) = join!(open(&credentials, server.expected()), settle);
    (connection.unwrap(), peer)
}

fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind()
}

fn read(after: u64) -> Request {
    Request::LedgerRead {
        after: LedgerSeq(after),
        limit: 1,
    }
}

#[tokio::test]
async fn a_device_opens_asks_and_is_told() {
    let (mut connection, mut peer) = pair(Purpose::Chat).await;
    assert_eq!(connection.key_packages, 12);
    let off = connection.hello.time.0.abs_diff(super::driver::now().0);
    assert!(off < 60_000, "{off} ms");
    let frame = ClientFrame::Request(RequestId(1), read(0));
    connection.send(frame.clone()).await.unwrap();
    assert_eq!(peer.receive().await, frame);
    peer.answer(RequestId(1), Ok(Reply::Done)).await;
    let answer = ServerFrame::Reply(RequestId(1), Ok(Reply::Done));
    assert_eq!(connection.next().await, Ok(answer));
}

#[tokio::test]
async fn a_guest_knocks() {
    let server = Server::start().await;
    let credentials = Credentials {
        opener: OpenerKey::Guest {
            invitation: InvitationId([8; 16]),
            verifier: Digest([4; 32]),
        },
        ..server.device(Purpose::Chat)
    };
    let expected = Expected {
        server_key: None,
        ..server.expected()
    };
    // The scripted server checks the MAC.
    let (connection, _peer) = join!(open(&credentials, expected), server.settle());
    assert!(connection.is_ok());
    assert!(!format!("{credentials:?}").contains("4, 4"));
}

#[tokio::test]
async fn nobody_there_is_offline_and_names_the_address() {
    let server = Server::start().await;
    let credentials = server.device(Purpose::Chat);
    let expected = server.expected();
    drop(server);
    let error = open(&credentials, expected).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Offline);
    assert!(error.to_string().contains(&credentials.address), "{error}");
}

#[tokio::test]
async fn a_text_that_is_no_address_is_refused() {
    for address in ["", "two words:1", "[::1:443", "host:99 9"] {
        let credentials = Credentials {
            address: address.to_owned(),
            ca_pin: Digest([0; 32]),
            opener: OpenerKey::Guest {
                invitation: InvitationId([8; 16]),
                verifier: Digest([4; 32]),
            },
        };
        let got = kind(open(&credentials, Expected::default()).await);
        assert_eq!(got, ErrorKind::Input, "{address:?}");
    }
}

#[tokio::test]
async fn hostile_certificate_of_another_ca() {
    let server = Server::start().await;
    let credentials = Credentials {
        ca_pin: Digest([1; 32]),
        ..server.device(Purpose::Chat)
    };
    let (opened, tls) = join!(open(&credentials, server.expected()), server.try_tls());
    assert_eq!(kind(opened), ErrorKind::Trust);
    assert!(tls.is_err());
}

#[tokio::test]
async fn hostile_certificate_for_another_name() {
    let server = Server::start().await;
    let credentials = Credentials {
        address: server.address.replace("localhost", "127.0.0.1"),
        ..server.device(Purpose::Chat)
    };
    let (opened, tls) = join!(open(&credentials, server.expected()), server.try_tls());
    assert_eq!(kind(opened), ErrorKind::Trust);
    assert!(tls.is_err());
}

/// The server shows this HELLO; nothing signed may have left when the client refuses it.
async fn refused_hello(change: impl FnOnce(&mut plenary_proto::reply::Hello)) -> ErrorKind {
    let server = Server::start().await;
    let credentials = server.device(Purpose::Chat);
    let mut hello = server.hello();
    change(&mut hello);
    let script = Box::pin(async {
        let mut peer = server.accept().await;
        peer.raw(encode_server(ServerFrame::Hello(hello))).await;
        peer.try_receive().await
    });
    let (opened, after) = join!(open(&credentials, server.expected()), script);
    assert_eq!(after, None, "something was sent to the wrong server");
    kind(opened)
}

#[tokio::test]
async fn hostile_hello_gets_no_signature() {
    assert_eq!(
        refused_hello(|hello| hello.network = NetworkId([1; 16])).await,
        ErrorKind::Trust
    );
    assert_eq!(
        refused_hello(|hello| hello.server_key.0[0] ^= 1).await,
        ErrorKind::Trust
    );
    let inflations: [fn(&mut Limits); 5] = [
        |limits| limits.chat_message += 1,
        |limits| limits.bulk_message += 1,
        |limits| limits.read_records += 1,
        |limits| limits.chat_message = 10,
        |limits| limits.read_records = 0,
    ];
    for inflate in inflations {
        let got = refused_hello(|hello| inflate(&mut hello.limits)).await;
        assert_eq!(got, ErrorKind::Trust);
    }
}

#[tokio::test]
async fn hostile_ok_by_another_key_or_transcript() {
    let server = Server::start().await;
    let credentials = server.device(Purpose::Chat);
    for (exact, own_key) in [(true, false), (false, true)] {
        let (opened, ()) = join!(open(&credentials, server.expected()), async {
            let mut peer = server.accept().await;
            let mut transcript = peer.greet(&server.hello()).await;
            if !exact {
                let opener = plenary_certs::handshake::Opener::Guest(InvitationId([0; 16]));
                let nonce = Digest([0; 32]);
                transcript =
                    plenary_certs::handshake::Transcript::new(b"", &[0; 32], opener, &nonce);
            }
            let other = plenary_certs::signing::SigningKey::from_seed(&[1; 32]).unwrap();
            let key = if own_key { &server.key } else { &other };
            peer.ok(key, &transcript).await;
        });
        assert_eq!(kind(opened), ErrorKind::Trust);
    }
}

/// The relay has a certificate of the right CA and passes every frame on unchanged. The device's
/// signature binds the relay's own TLS connection to the client, so the true server refuses it,
/// and the true server's OK, if it gave one, would not hold at the client.
#[tokio::test]
async fn hostile_relay_with_the_right_certificate() {
    let server = Server::start().await;
    let relay = server.twin().await;
    let mut credentials = server.device(Purpose::Chat);
    credentials.address = relay.address.clone();
    let onward = server.device(Purpose::Chat);
    let honest = async {
        let mut peer = server.accept().await;
        let hello = encode_server(ServerFrame::Hello(server.hello()));
        peer.raw(hello.clone()).await;
        let ClientFrame::Auth(auth) = peer.receive().await else {
            panic!("no AUTH")
        };
        let opener = plenary_certs::handshake::Opener::Device(auth.device, auth.purpose);
        let transcript =
            plenary_certs::handshake::Transcript::new(&hello, &peer.binding, opener, &auth.nonce);
        let key = super::testing::device_key().public();
        assert!(transcript.check_auth(&key, &auth.signature).is_err());
        // A careless server lets it in all the same.
        peer.ok(&server.key, &transcript).await;
    };
    let between = async {
        let mut victim = relay.accept().await;
        let (mut socket, _) = super::opening::reach(&onward).await.unwrap();
        let hello = socket.next().await.unwrap().unwrap();
        victim.socket.send(hello).await.unwrap();
        let auth = victim.socket.next().await.unwrap().unwrap();
        socket.send(auth).await.unwrap();
        let ok = socket.next().await.unwrap().unwrap();
        victim.socket.send(ok).await.unwrap();
    };
    let (opened, (), ()) = join!(open(&credentials, server.expected()), honest, between);
    assert_eq!(kind(opened), ErrorKind::Trust);
}

#[tokio::test]
async fn a_refusal_keeps_its_kind() {
    let server = Server::start().await;
    let credentials = server.device(Purpose::Chat);
    for (code, expected) in [
        (Code::Unauthenticated, ErrorKind::Unauthenticated),
        (Code::Unavailable, ErrorKind::Unavailable),
    ] {
        let (opened, ()) = join!(open(&credentials, server.expected()), async {
            let mut peer = server.accept().await;
            peer.greet(&server.hello()).await;
            peer.send(ServerFrame::Refused(Failure::new(code, "no")))
                .await;
        });
        assert_eq!(kind(opened), expected);
    }
}

#[tokio::test]
async fn hostile_message_above_4_kib_before_ok() {
    let server = Server::start().await;
    let credentials = server.device(Purpose::Chat);
    let (opened, ()) = join!(open(&credentials, server.expected()), async {
        let mut peer = server.accept().await;
        peer.raw(Bytes::from(vec![0; limits::FRAME_BEFORE_OK + 1]))
            .await;
    });
    assert_eq!(kind(opened), ErrorKind::Integrity);
}

#[tokio::test(start_paused = true)]
async fn hostile_handshake_stall() {
    let server = Server::start().await;
    let credentials = server.device(Purpose::Chat);
    let (opened, ()) = join!(open(&credentials, server.expected()), async {
        let mut tcp = server.tcp().await;
        // Reads until the client gives up.
        while !matches!(tcp.read(&mut [0; 512]).await, Ok(0) | Err(_)) {}
    });
    assert_eq!(kind(opened), ErrorKind::Offline);
}

#[tokio::test]
async fn hostile_messages_out_of_place() {
    let fragment = |kind, last| Frame::message(vec![], OpCode::Data(kind), last);
    let mut fragments = vec![Message::Frame(fragment(Data::Binary, false))];
    fragments.resize(
        FRAGMENTS + 1,
        Message::Frame(fragment(Data::Continue, false)),
    );
    let hello = Server::start().await.hello();
    let attacks = [
        vec![Message::Text("hi".into())],
        vec![Message::Binary(vec![0; CHAT_MESSAGE + 1].into())],
        fragments,
        vec![Message::Binary(b"\xff\xff\xff"[..].into())],
        vec![Message::Binary(encode_server(ServerFrame::Hello(hello)))],
        vec![Message::Ping(Bytes::new()); 21],
    ];
    for attack in attacks {
        let (mut connection, mut peer) = pair(Purpose::Chat).await;
        let shown = format!("{:.60}", format!("{attack:?}"));
        for message in attack {
            let _ = peer.socket.feed(message).await;
        }
        let _ = peer.socket.flush().await;
        assert_eq!(
            kind(connection.next().await),
            ErrorKind::Integrity,
            "{shown}"
        );
    }
}

#[tokio::test]
async fn large_frames_travel_in_parts_both_ways() {
    let (connection, mut peer) = pair(Purpose::Chat).await;
    let (sender, mut receiver) = connection.split();
    let statements = vec![Bytes::from(vec![6; 700_000])];
    let frame = ClientFrame::Request(RequestId(5), Request::LedgerSubmit(statements));
    let (sent, got) = join!(sender.send([frame.clone()]), peer.receive());
    assert_eq!(sent, Ok(()));
    assert_eq!(got, frame);

    let reply = Reply::RequestState {
        waiting: false,
        answer: Bytes::from(vec![8; 300_000]),
    };
    let reply = ServerFrame::Reply(RequestId(5), Ok(reply));
    let push = ServerFrame::Push(Push::AdmissionRequest);
    let whole = encode_server(reply.clone());
    let server = async {
        for part in parts(&whole, CHAT_MESSAGE).unwrap() {
            peer.send(ServerFrame::Part(part)).await;
            peer.send(push.clone()).await;
        }
    };
    let client = async {
        let mut pushes = 0;
        loop {
            match receiver.next().await.unwrap() {
                ServerFrame::Push(_) => pushes += 1,
                frame => return (frame, pushes),
            }
        }
    };
    let ((), (got, pushes)) = join!(server, client);
    assert_eq!(got, reply);
    assert_eq!(pushes, whole.len().div_ceil(CHAT_MESSAGE - 64) - 1);
}

#[tokio::test]
async fn hostile_parts_out_of_order_or_too_large() {
    let (mut connection, mut peer) = pair(Purpose::Chat).await;
    let whole = Bytes::from(vec![0; 200_000]);
    let mut pieces: Vec<_> = parts(&whole, CHAT_MESSAGE).unwrap().collect();
    pieces.swap(1, 2);
    for part in pieces {
        peer.send(ServerFrame::Part(part)).await;
    }
    assert_eq!(kind(connection.next().await), ErrorKind::Integrity);

    let (mut connection, _peer) = pair(Purpose::Chat).await;
    let statements = vec![Bytes::from(vec![6; limits::FRAME_IN_PARTS])];
    let frame = ClientFrame::Request(RequestId(5), Request::LedgerSubmit(statements));
    assert_eq!(kind(connection.send(frame).await), ErrorKind::TooLarge);
}

#[tokio::test]
async fn a_bulk_connection_takes_a_whole_chunk() {
    let (mut connection, mut peer) = pair(Purpose::Bulk).await;
    let range = ServerFrame::Reply(
        RequestId(1),
        Ok(Reply::ItemRange {
            offset: 0,
            bytes: Bytes::from(vec![1; limits::CHUNK + 16]),
        }),
    );
    let (got, ()) = join!(connection.next(), peer.send(range.clone()));
    assert_eq!(got, Ok(range));
}

#[tokio::test]
async fn the_end_is_told_apart() {
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    for (code, expected) in [
        (1001, ErrorKind::Offline),
        (4001, ErrorKind::Offline),
        (4002, ErrorKind::Unauthenticated),
    ] {
        let (mut connection, mut peer) = pair(Purpose::Chat).await;
        let frame = CloseFrame {
            code: code.into(),
            reason: "bye".into(),
        };
        peer.socket.close(Some(frame)).await.unwrap();
        assert_eq!(kind(connection.next().await), expected);
    }
    let (mut connection, peer) = pair(Purpose::Chat).await;
    drop(peer);
    assert_eq!(kind(connection.next().await), ErrorKind::Offline);
}

#[tokio::test]
async fn silence_is_pinged_and_lasting_silence_ends() {
    let (mut connection, mut peer) = pair(Purpose::Chat).await;
    tokio::time::pause();
    let peer = async {
        for _ in 0..3 {
            let message = peer.socket.next().await.unwrap().unwrap();
            assert!(matches!(message, Message::Ping(_)), "{message:?}");
        }
        // Reading answered; who does not read does not answer.
        peer
    };
    let client = async {
        let start = tokio::time::Instant::now();
        let end = kind(connection.next().await);
        (end, start.elapsed())
    };
    let (_peer, (end, lasted)) = join!(peer, client);
    assert_eq!(end, ErrorKind::Offline);
    assert!(
        lasted >= 2 * limits::PING_AFTER + limits::GONE_AFTER,
        "{lasted:?}"
    );
}

#[tokio::test]
async fn a_server_that_waits_for_its_reader_does_not_stop_the_writer() {
    let (connection, mut peer) = pair(Purpose::Chat).await;
    let (sender, mut receiver) = connection.split();
    let big = vec![Bytes::from(vec![6; 7 << 20])];
    let frame = ClientFrame::Request(RequestId(1), Request::LedgerSubmit(big));
    let writer = sender.send([frame]);
    let server = async {
        // Pushes more than the buffers between hold before it reads a byte.
        let statements = vec![Bytes::from(vec![1; 60_000])];
        let page = Reply::LedgerPage {
            statements,
            head: plenary_proto::ids::LedgerHead::EMPTY,
        };
        for n in 0..400 {
            peer.answer(RequestId(n), Ok(page.clone())).await;
        }
        peer.receive().await
    };
    let reader = async {
        for _ in 0..400 {
            receiver.next().await.unwrap();
        }
    };
    let (sent, _, ()) = join!(writer, server, reader);
    assert_eq!(sent, Ok(()));
}

#[test]
fn credentials_do_not_show_their_keys() {
    let opener = OpenerKey::Device {
        device: super::testing::DEVICE,
        purpose: Purpose::Chat,
        key: Arc::new(super::testing::device_key()),
    };
    assert_eq!(
        format!("{opener:?}"),
        "Device(DeviceId(03030303..), Chat, key hidden)"
    );
}
