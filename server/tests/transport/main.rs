//! The transport over real loopback TLS: what it carries, and what it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

#[path = "../common/flood.rs"]
mod flood;
mod floods;
mod rig;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_proto::ids::DeviceId;
use plenary_proto::limits::{CHAT_MESSAGE, CREDIT_CHUNKS, FRAME_BEFORE_OK};
use plenary_server::net::Settings;
use rig::{Client, Rig, data_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

const ALICE: DeviceId = DeviceId([1; 16]);
const BOB: DeviceId = DeviceId([2; 16]);

fn quick(handshake_ms: u64) -> Settings {
    Settings {
        handshake: Duration::from_millis(handshake_ms),
        ..Settings::default()
    }
}

#[tokio::test]
async fn frames_go_both_ways_and_both_ends_see_one_binding() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.connect().await;
    let binding = client.binding();
    assert_eq!(client.next().await[..], binding);
    client.settle(ALICE).await;
    for len in [0, 1, 125, 126, 65_535, 65_536, CHAT_MESSAGE] {
        let message = Bytes::from(vec![len as u8; len]);
        client.send(message.clone()).await;
        assert_eq!(client.next().await, message);
    }
}

#[tokio::test]
async fn a_frame_above_4_kib_before_ok_is_refused_and_one_of_4_kib_is_not() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.connect().await;
    client.next().await;
    client.send(vec![0; FRAME_BEFORE_OK]).await;
    assert_eq!(client.next().await.len(), FRAME_BEFORE_OK);
    client.send(vec![0; FRAME_BEFORE_OK + 1]).await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn a_message_above_the_limit_is_refused_after_ok_too() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    client.send(vec![0; CHAT_MESSAGE + 1]).await;
    assert_eq!(client.closed().await, 1009);
    // Also when it comes in fragments that are each within it.
    let mut client = rig.settled(ALICE).await;
    client
        .frame(data_frame(Data::Binary, vec![0; CHAT_MESSAGE], false))
        .await;
    client
        .frame(data_frame(Data::Continue, vec![0; 1], true))
        .await;
    assert_eq!(client.closed().await, 1009);
}

#[tokio::test]
async fn who_is_too_slow_is_cut_at_every_stage() {
    let rig = Rig::start(quick(400)).await;

    // Says nothing at all.
    let mut silent = TcpStream::connect(rig.address).await.unwrap();
    // Finishes TLS, then says nothing.
    let mut no_upgrade = rig.tls().await;
    // Half an upgrade.
    let mut half = rig.tls().await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        .await
        .unwrap();
    // Upgrades, then never authenticates, but pings.
    let mut mute = rig.connect().await;
    mute.next().await;
    mute.socket.send(Message::Ping(Bytes::new())).await.unwrap();

    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(no_upgrade.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(half.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(mute.closed().await, 4000);
}

#[tokio::test]
async fn who_is_settled_is_not_cut_by_the_handshake_limit() {
    let rig = Rig::start(quick(300)).await;
    let mut settled = rig.settled(ALICE).await;
    let mut mute = rig.connect().await;
    mute.next().await;
    // Its end shows that the time is over, for the settled one, who came earlier, too.
    assert_eq!(mute.closed().await, 4000);
    settled.send(&b"still here"[..]).await;
    assert_eq!(settled.next().await[..], *b"still here");
}

#[tokio::test]
async fn an_endless_upgrade_request_is_refused() {
    let rig = Rig::start(Settings::default()).await;
    let mut stream = rig.tls().await;
    let mut request = b"GET / HTTP/1.1\r\nX: ".to_vec();
    request.resize(5000, b'x');
    let _ = stream.write_all(&request).await;
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_text_message_is_refused() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    client
        .socket
        .send(Message::Text("hello".into()))
        .await
        .unwrap();
    assert_eq!(client.closed().await, 1003);
}

#[tokio::test]
async fn only_our_subprotocol_is_served() {
    let rig = Rig::start(Settings::default()).await;
    for offered in [None, Some("mqtt"), Some("plenary.v2"), Some("plenary.v1x")] {
        let refused = rig.try_connect(offered).await.unwrap_err();
        assert!(
            refused.to_string().contains("400"),
            "{offered:?}: {refused}"
        );
    }
    rig.try_connect(Some("mqtt, plenary.v1")).await.unwrap();
}

#[tokio::test]
async fn the_65th_fragment_ends_the_connection_empty_ones_counted() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    client
        .frame(data_frame(Data::Binary, b"a".to_vec(), false))
        .await;
    for _ in 0..62 {
        client
            .frame(data_frame(Data::Continue, vec![], false))
            .await;
    }
    client
        .frame(data_frame(Data::Continue, b"z".to_vec(), true))
        .await;
    assert_eq!(client.next().await[..], *b"az");

    client.frame(data_frame(Data::Binary, vec![], false)).await;
    for _ in 0..64 {
        client
            .frame(data_frame(Data::Continue, vec![], false))
            .await;
    }
    assert_eq!(client.closed().await, 1008);
}

#[tokio::test]
async fn a_ping_flood_ends_the_connection_and_ten_pings_do_not() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    for _ in 0..10 {
        client
            .socket
            .feed(Message::Ping(Bytes::new()))
            .await
            .unwrap();
    }
    client.send(&b"fine"[..]).await;
    assert_eq!(client.next().await[..], *b"fine");
    // At most ten more fall into a second that has just begun.
    for _ in 0..21 {
        client
            .socket
            .feed(Message::Ping(Bytes::new()))
            .await
            .unwrap();
    }
    client.socket.flush().await.unwrap();
    assert_eq!(client.closed().await, 1008);
}

#[tokio::test]
async fn an_unmasked_frame_is_refused() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    let stream = client.socket.get_mut();
    stream.write_all(&[0x82, 1, b'x']).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(client.closed().await, 1002);
}

#[tokio::test]
async fn a_slow_reader_is_dropped_and_the_others_go_on() {
    let rig = Rig::start(Settings::default()).await;
    let slow = rig.settled(ALICE).await;
    let mut quick = rig.settled(BOB).await;
    let frame = Bytes::from(vec![7; 60 * 1024]);
    let mut pushed = 0;
    // Kernel buffers hold some megabytes before the queue fills.
    while rig.registry.push(ALICE, &frame) == 1 {
        pushed += 1;
        assert!(pushed < 10_000, "an unread queue grows without end");
        assert_eq!(rig.registry.push(BOB, &frame), 1);
        assert_eq!(quick.next().await, frame);
    }
    assert!(pushed >= 4, "{pushed}: 256 KiB must fit");
    rig.gone(ALICE).await;
    quick.send(&b"unharmed"[..]).await;
    assert_eq!(quick.next().await[..], *b"unharmed");
    drop(slow);
}

#[tokio::test]
async fn work_beside_the_messages_goes_on_while_the_peer_does_not_read() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    client.send(&b"later"[..]).await;
    rig.working.notified().await;
    // Until the kernel takes no more and what is pushed waits.
    let frame = Bytes::from(vec![7; 60 * 1024]);
    let mut unmoved = 0;
    for _ in 0..10_000 {
        let waiting = rig.registry.seen()[0].waiting;
        if waiting == 0 {
            unmoved = 0;
            assert_eq!(rig.registry.push(ALICE, &frame), 1);
        } else {
            unmoved += 1;
        }
        if unmoved == 50 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(unmoved, 50, "the kernel takes everything");
    rig.go_on.notify_one();
    let finished = async {
        while rig.finished() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), finished)
        .await
        .expect("it hangs on the reader");
}

#[tokio::test]
async fn pushes_arrive_while_the_session_works() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    client.send(&b"wait"[..]).await;
    rig.working.notified().await;
    for n in 0..100u8 {
        assert_eq!(rig.registry.push(ALICE, &Bytes::copy_from_slice(&[n])), 1);
    }
    for n in 0..100u8 {
        assert_eq!(client.next().await[..], [n]);
    }
    rig.go_on.notify_one();
    assert_eq!(client.next().await[..], *b"waited");
}

#[tokio::test]
async fn work_begun_is_ended_even_when_the_device_is_cut() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    client.send(&b"wait"[..]).await;
    rig.working.notified().await;
    assert_eq!(rig.registry.cut(&[ALICE]), 1);
    rig.go_on.notify_one();
    // Its answer is no longer for the device.
    assert_eq!(client.next().await[..], *b"bye");
    assert_eq!(client.closed().await, 4002);
    assert_eq!(rig.finished(), 1);
}

#[tokio::test]
async fn a_cut_device_is_out_at_once_and_others_stay() {
    let rig = Rig::start(Settings::default()).await;
    let mut first = rig.settled(ALICE).await;
    let mut second = rig.settled(ALICE).await;
    let mut bob = rig.settled(BOB).await;
    assert_eq!(rig.registry.cut(&[ALICE]), 2);
    assert_eq!(first.next().await[..], *b"bye");
    assert_eq!(first.closed().await, 4002);
    assert_eq!(second.next().await[..], *b"bye");
    assert_eq!(second.closed().await, 4002);
    bob.send(&b"here"[..]).await;
    assert_eq!(bob.next().await[..], *b"here");
}

#[tokio::test]
async fn the_server_stops_clean() {
    let rig = Rig::start(Settings::default()).await;
    let mut settled = rig.settled(ALICE).await;
    let mut unsettled = rig.connect().await;
    unsettled.next().await;
    let mut in_handshake = rig.tls().await;
    rig.stop.send(true).unwrap();
    assert_eq!(settled.next().await[..], *b"bye");
    assert_eq!(settled.closed().await, 1001);
    assert_eq!(unsettled.next().await[..], *b"bye");
    assert_eq!(unsettled.closed().await, 1001);
    assert_eq!(in_handshake.read(&mut [0; 16]).await.unwrap_or(0), 0);
    let address = rig.address;
    rig.stopped().await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn handshakes_above_the_share_wait_their_turn() {
    let rig = Rig::start(Settings {
        handshakes_per_address: 2,
        ..Settings::default()
    })
    .await;
    let first = TcpStream::connect(rig.address).await.unwrap();
    let _second = rig.tls().await;
    let (waiting, ()) = tokio::join!(rig.settled(ALICE), async {
        // The third is not served while both are there; one leaves, and it is.
        drop(first);
    });
    // It is settled, so it holds no share: the next one gets in at once.
    let _next = rig.settled(BOB).await;
    drop(waiting);
}

#[tokio::test]
async fn silence_is_pinged_and_lasting_silence_ends() {
    let rig = Rig::start(Settings {
        ping_after: Duration::from_millis(100),
        gone_after: Duration::from_millis(300),
        ..Settings::default()
    })
    .await;
    let mut client = rig.settled(ALICE).await;
    // Reading answers pings: four of them are longer than the silence that ends a connection.
    for _ in 0..4 {
        let message = client.socket.next().await.unwrap().unwrap();
        assert!(matches!(message, Message::Ping(_)), "{message:?}");
    }
    client.send(&b"alive"[..]).await;
    client.until(b"alive").await;
    // Who does not read does not answer.
    rig.gone(ALICE).await;
}

#[tokio::test]
async fn garbage_instead_of_tls_harms_nobody() {
    let rig = Rig::start(Settings::default()).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 300],
        &[0x16, 3, 1, 255, 255],
    ] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
    }
    let mut client: Client = rig.settled(ALICE).await;
    client.send(&b"ok"[..]).await;
    assert_eq!(client.next().await[..], *b"ok");
}

#[tokio::test]
async fn work_beside_the_messages_holds_none_up_and_is_bounded() {
    let rig = Rig::start(Settings::default()).await;
    let mut client = rig.settled(ALICE).await;
    let released = async |client: &mut Client| {
        rig.go_on.notify_one();
        assert_eq!(client.next().await[..], *b"done later");
    };
    for _ in 1..CREDIT_CHUNKS {
        client.send(&b"later"[..]).await;
    }
    client.send(&b"passes"[..]).await;
    assert_eq!(client.next().await[..], *b"passes");
    // One more, and nothing is read until one of them is done.
    client.send(&b"later"[..]).await;
    client.send(&b"waits"[..]).await;
    released(&mut client).await;
    assert_eq!(client.next().await[..], *b"waits");
    for _ in 1..CREDIT_CHUNKS {
        released(&mut client).await;
    }
    assert_eq!(rig.finished(), CREDIT_CHUNKS);
    // What has begun is ended also when the device is cut.
    client.send(&b"later"[..]).await;
    client.send(&b"passes"[..]).await;
    assert_eq!(client.next().await[..], *b"passes");
    assert_eq!(rig.registry.cut(&[ALICE]), 1);
    rig.go_on.notify_one();
    assert_eq!(client.next().await[..], *b"bye");
    assert_eq!(client.closed().await, 4002);
    assert_eq!(rig.finished(), CREDIT_CHUNKS + 1);
}
