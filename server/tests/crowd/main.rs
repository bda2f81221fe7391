//! Crowds of authenticated connections on the real server: held, cut and back; abusive ones beside
//! members who talk; floods by somebody who was let in. The transport alone, with an echo behind it,
//! has its own floods in `transport`.
//!
//! Small ones run every day. The big ones:
//!
//! ```sh
//! cargo test --release -p plenary-server --test crowd -- --ignored --nocapture --test-threads 1
//! ```
//!
//! `PLENARY_FLOOD_CONNECTIONS` (5,000), `PLENARY_FLOOD_HELD` in seconds (300), `PLENARY_FLOOD_ABUSIVE`
//! (2,000) and `PLENARY_FLOOD_MEMBERS` (200) change their size, `PLENARY_TRIAL_SEED` which abusive
//! connection begins with what.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod abuse;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/flood.rs"]
mod flood;
mod network;
mod seat;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt;
use plenary_proto::ids::{ChannelId, LedgerSeq, Seq};
use plenary_proto::limits::CHAT_MESSAGE;
use plenary_proto::reply::{Code, Reply};
use plenary_proto::request::Request;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_tungstenite::tungstenite::Message;

use abuse::{abuse, packages, ping};
use flood::{more_files, report, told};
use network::{Channel, Network};
use seat::{Seat, close_code};

/// Members of one channel.
const TOGETHER: usize = 20;
/// Memory that a held connection may take on the server, with all of its queue empty.
const EACH: u64 = 64 << 10;
/// Memory that 2,000 abusive connections may take on the server.
const ABUSE: u64 = 512 << 20;

/// Members in channels of [`TOGETHER`].
fn channels(members: usize) -> Vec<Vec<usize>> {
    let all: Vec<_> = (0..members).collect();
    all.chunks(TOGETHER).map(<[usize]>::to_vec).collect()
}

/// One small answer: this connection is served.
async fn served(seat: &mut Seat) {
    let nothing = Request::LedgerRead {
        after: LedgerSeq(u64::MAX >> 1),
        limit: 1,
    };
    let answer = seat.ask(nothing).await.expect("a connection was dropped");
    assert!(answer.is_ok(), "{answer:?}");
}

// Held, cut, back.

#[tokio::test]
async fn a_hundred_are_held_and_all_come_back() {
    held(100, Duration::from_millis(500)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "5,000 authenticated connections for 5 minutes; the command is above"]
async fn five_thousand_authenticated_are_held_and_all_come_back() {
    let count = told("PLENARY_FLOOD_CONNECTIONS", 5_000);
    let seconds = told("PLENARY_FLOOD_HELD", 300);
    let back = held(count as usize, Duration::from_secs(seconds)).await;
    assert!(back < Duration::from_secs(30), "{back:?}");
}

/// How long all took to come back.
async fn held(count: usize, time: Duration) -> Duration {
    more_files();
    let home = tempfile::tempdir().unwrap();
    // All come from one address here.
    let limits = [("HANDSHAKES_PER_ADDRESS", "256")];
    let (network, _) = Network::start(home.path(), &limits, count, &[]).await;
    let network = Arc::new(network);
    let before = network.memory();
    let begun = Instant::now();
    let mut seats = crowd(&network, count).await;
    let connected = begun.elapsed();
    let each = network.memory().saturating_sub(before) / count as u64;
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds == 0 || begun.elapsed() < time {
        // Answers every ping meanwhile, and proves that each is there.
        for seat in &mut seats {
            served(seat).await;
        }
        rounds += 1;
    }
    let held = begun.elapsed();
    // All cut at once, without a word, and back.
    let begun = Instant::now();
    drop(seats);
    let mut seats = crowd(&network, count).await;
    for seat in &mut seats {
        served(seat).await;
    }
    let back = begun.elapsed();
    report(
        "authenticated",
        0,
        &[
            ("connections", count as u64),
            ("seconds_held", held.as_secs()),
            ("rounds_of_requests", rounds),
            ("dropped", 0),
            ("connect_ms", connected.as_millis() as u64),
            ("back_ms", back.as_millis() as u64),
            ("bytes_each", each),
            ("bytes_server", network.memory()),
        ],
    );
    // Of a few the allocator's own steps are most.
    assert!(count < 1_000 || each < EACH, "{each} bytes a connection");
    back
}

/// So many devices, in as fast as they get in.
async fn crowd(network: &Arc<Network>, count: usize) -> Vec<Seat> {
    let mut entering = JoinSet::new();
    let mut seats = Vec::new();
    for n in 0..count {
        // No more at once than the server takes: what is above only waits.
        if entering.len() >= 200 {
            seats.extend(entering.join_next().await.map(Result::unwrap));
        }
        let network = network.clone();
        entering.spawn(async move { network.seat(n).await });
    }
    while let Some(seat) = entering.join_next().await {
        seats.push(seat.unwrap());
    }
    seats
}

// Abusive ones beside members.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abusive_connections_leave_members_served() {
    Box::pin(beside(40, 20, 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "2,000 abusive connections beside 200 members; the command is above"]
async fn two_thousand_abusive_leave_two_hundred_authenticated_served() {
    let abusive = told("PLENARY_FLOOD_ABUSIVE", 2_000);
    let members = told("PLENARY_FLOOD_MEMBERS", 200);
    let (alone, beside, memory) = Box::pin(beside(abusive, members as usize, 30)).await;
    assert!(memory < ABUSE, "{memory} bytes for the abusive");
    assert!(beside <= alone * 2, "{alone:?} alone, {beside:?} beside");
}

/// The 99th percentile from saying to acknowledged: alone, and beside the abusive; and the memory that
/// these took.
async fn beside(abusive: u64, members: usize, rounds: u32) -> (Duration, Duration, u64) {
    more_files();
    let seed = told("PLENARY_TRIAL_SEED", 1);
    let home = tempfile::tempdir().unwrap();
    let limits = [("HANDSHAKES_PER_ADDRESS", "256")];
    // Every abusive connection has a device of its own, of which half use it.
    let devices = members + abusive as usize;
    let (network, channels) =
        Network::start(home.path(), &limits, devices, &channels(members)).await;
    let network = Arc::new(network);
    let mut seats = Vec::new();
    for n in 0..members {
        let mut seat = network.seat(n).await;
        let channel = channels[n / TOGETHER].clone();
        let watched = seat.ask(Request::Watch(vec![channel.id])).await.unwrap();
        assert!(matches!(watched, Ok(Reply::Heads(_))), "{watched:?}");
        seats.push((seat, channel));
    }
    let (seats, _) = talk(seats, 2, 0).await;
    let (seats, alone) = talk(seats, rounds, 1).await;
    let before = network.memory();
    let mut attack = JoinSet::new();
    let elsewhere = elsewhere();
    for n in 0..abusive {
        let network = network.clone();
        let one = async move {
            let device = &network.devices[members + n as usize];
            abuse(network.door.clone(), device, n + seed).await;
        };
        attack.spawn_on(one, elsewhere.handle());
    }
    // Until all of them have begun: the last is as abusive as the first.
    sleep(Duration::from_millis(abusive * 2)).await;
    let (_, during) = talk(seats, rounds, 2).await;
    let memory = network.memory().saturating_sub(before);
    assert_eq!(
        attack.len() as u64,
        abusive,
        "an attacker got what it wanted"
    );
    // Each holds the network, and with it the server's process: it ends with the last of them.
    attack.shutdown().await;
    elsewhere.shutdown_background();
    report(
        "abusive_authenticated",
        seed,
        &[
            ("abusive", abusive),
            ("members", members as u64),
            ("messages", u64::from(rounds) * members as u64),
            ("p99_us_alone", alone.as_micros() as u64),
            ("p99_us_beside", during.as_micros() as u64),
            ("bytes_more", memory),
        ],
    );
    (alone, during, memory)
}

/// The machines of the abusive: what they take of the processors that they share with the server here
/// is not to be what members wait for.
fn elsewhere() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(|| {
            // On Linux a nice value is each thread's own.
            let _ = rustix::process::nice(10);
        })
        .build()
        .unwrap()
}

/// Everybody says one thing a second, spread over it, and each is acknowledged; the slowest of a
/// hundred.
async fn talk(
    seats: Vec<(Seat, Channel)>,
    rounds: u32,
    phase: u128,
) -> (Vec<(Seat, Channel)>, Duration) {
    let mut talking = JoinSet::new();
    let step = Duration::from_secs(1) / u32::try_from(seats.len()).unwrap();
    for (n, (mut seat, channel)) in (0..).zip(seats) {
        talking.spawn(async move {
            sleep(step * n).await;
            let mut second = interval(Duration::from_secs(1));
            let mut waited = Vec::new();
            for round in 0..u128::from(rounds) {
                second.tick().await;
                let begun = Instant::now();
                let mark = (phase << 96) | (u128::from(n) << 64) | round;
                let said = seat.ask(channel.message(mark)).await.unwrap();
                assert!(matches!(said, Ok(Reply::Appended { .. })), "{said:?}");
                waited.push(begun.elapsed());
            }
            (n, seat, channel, waited)
        });
    }
    let (mut seats, mut waited) = (Vec::new(), Vec::new());
    while let Some(done) = talking.join_next().await {
        let (n, seat, channel, times) = done.unwrap();
        seats.push((n, seat, channel));
        waited.extend(times);
    }
    seats.sort_by_key(|(n, ..)| *n);
    waited.sort_unstable();
    let p99 = waited[waited.len() * 99 / 100];
    let seats = seats.into_iter().map(|(_, seat, channel)| (seat, channel));
    (seats.collect(), p99)
}

// Floods by somebody who was let in.

#[tokio::test]
async fn who_was_let_in_and_floods_is_told_to_wait_or_put_out() {
    let home = tempfile::tempdir().unwrap();
    let limits = [("MESSAGES_PER_MINUTE", "60"), ("MESSAGE_BURST", "20")];
    let (network, channels) = Network::start(home.path(), &limits, 8, &[vec![0, 1, 2, 3]]).await;
    let channel = &channels[0];

    // Messages: after the burst each is refused with the time to wait, and that is enough.
    let mut flooder = network.seat(1).await;
    let mut refused = None;
    for mark in 0..30 {
        match flooder.ask(channel.message(mark)).await.unwrap() {
            Ok(Reply::Appended { .. }) => assert!(refused.is_none()),
            Err(failure) => {
                assert_eq!(failure.code, Code::RateLimited);
                refused = refused.or(Some((mark, failure.retry_after_ms.unwrap())));
            }
            other => panic!("{other:?}"),
        }
    }
    let (mark, wait) = refused.expect("a flood of messages was taken");
    assert!(
        (20..30).contains(&mark) && (1..=1_000).contains(&wait),
        "{mark} {wait}"
    );
    sleep(Duration::from_millis(wait)).await;
    let said = flooder.ask(channel.message(mark)).await.unwrap();
    assert!(matches!(said, Ok(Reply::Appended { .. })), "{said:?}");
    // Another's messages are another's rate.
    let mut member = network.seat(2).await;
    let said = member.ask(channel.message(100)).await.unwrap();
    assert!(matches!(said, Ok(Reply::Appended { .. })), "{said:?}");

    // Key packages that are none: each is refused, and from some number on before it is looked at.
    let mut flooder = network.seat(4).await;
    let mut waits = Vec::new();
    for _ in 0..100 {
        let failure = flooder.ask(packages()).await.unwrap().unwrap_err();
        match failure.code {
            Code::Invalid => assert!(waits.is_empty()),
            Code::RateLimited => waits.push(failure.retry_after_ms.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    assert!(
        waits.len() >= 10 && waits.iter().all(|wait| *wait > 0),
        "{waits:?}"
    );

    // Channels that are not there, logs of others, pages from beyond the end.
    for n in 0..50 {
        let read = Request::Read {
            channel: if n % 2 == 0 {
                ChannelId([n; 16])
            } else {
                channel.id
            },
            after: Seq(u64::MAX - u64::from(n)),
            limit: u32::MAX,
        };
        assert!(flooder.ask(read).await.unwrap().is_err());
    }

    // What breaks the rules of the connection ends it, with a code that says why.
    assert_eq!(ping(&mut flooder).await, 1_008);
    let mut huge = network.seat(5).await;
    let message = Message::Binary(Bytes::from(vec![0; CHAT_MESSAGE + 1]));
    // It may be cut while it still says it.
    let _ = huge.socket.send(message).await;
    assert_eq!(close_code(&mut huge.socket).await, 1_009);
    let mut garbage = network.seat(6).await;
    let message = Message::Binary(Bytes::from(vec![0xFF; 1_000]));
    garbage.socket.send(message).await.unwrap();
    assert_eq!(close_code(&mut garbage.socket).await, 1_002);
    // Nobody else noticed.
    let said = member.ask(channel.message(101)).await.unwrap();
    assert!(matches!(said, Ok(Reply::Appended { .. })), "{said:?}");
}
