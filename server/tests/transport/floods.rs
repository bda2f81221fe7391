//! Floods: attackers, and a member beside them who is served as if they were not there.
//!
//! The small ones run every day. The big ones, against a server in a process of its own:
//!
//! ```sh
//! cargo test --release -p plenary-server --test transport floods -- --ignored --nocapture
//! ```
//!
//! `PLENARY_FLOOD_CONNECTIONS` (5,000), `PLENARY_FLOOD_HELD` in seconds (300),
//! `PLENARY_FLOOD_ABUSIVE` (2,000) and `PLENARY_FLOOD_MEMBERS` (200) change their size.

use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt;
use plenary_proto::ids::DeviceId;
use plenary_proto::limits::HANDSHAKES_PER_ADDRESS;
use plenary_server::net::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use crate::{
    flood::{more_files, report, told},
    rig::{Client, Line, Rig, data_frame},
};

/// What a member beside an attack may wait at most, on a busy machine.
const SERVED: Duration = Duration::from_secs(2);

/// Talks to the echo; the slowest answer.
async fn served(member: &mut Client, times: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for n in 0..times {
        let begun = Instant::now();
        let said = Bytes::from(format!("still here {n}"));
        member.send(said.clone()).await;
        member.until(&said).await;
        slowest = slowest.max(begun.elapsed());
    }
    slowest
}

/// From another address of this machine.
async fn from(address: [u8; 4], to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((address, 0).into())?;
    socket.connect(to).await
}

#[tokio::test]
async fn a_frame_byte_by_byte_holds_nobody_up_and_ends_with_the_handshake_limit() {
    let rig = Rig::start(Settings {
        handshake: Duration::from_millis(1_500),
        ..Settings::default()
    })
    .await;
    let mut member = rig.settled(DeviceId([1; 16])).await;

    // Settled, it may take its time, and the message arrives.
    let mut slow = rig.settled(DeviceId([2; 16])).await;
    let frame = masked(&[7; 600]);
    for byte in &frame {
        let below = slow.socket.get_mut();
        below.write_all(&[*byte]).await.unwrap();
        below.flush().await.unwrap();
    }
    assert_eq!(slow.next().await, [7; 600][..]);

    // Not settled, it is cut, and told so.
    let mut dripping = rig.connect().await;
    dripping.next().await;
    let begun = Instant::now();
    let cut = async {
        loop {
            for byte in &frame[..20] {
                let below = dripping.socket.get_mut();
                if below.write_all(&[*byte]).await.is_err() || below.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(code) = dripping.closed_yet().await {
                    assert_eq!(code, 4_000);
                    return;
                }
            }
        }
    };
    let (slowest, ()) = tokio::join!(served(&mut member, 50), cut);
    assert!(slowest < SERVED, "{slowest:?}");
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn one_address_cannot_take_every_handshake() {
    let rig = Rig::start(Settings {
        handshake: Duration::from_secs(5),
        ..Settings::default()
    })
    .await;
    // Silent before TLS, four times as many as one address has a share of.
    let mut silent = Vec::new();
    for _ in 0..4 * HANDSHAKES_PER_ADDRESS {
        silent.push(from([127, 0, 0, 2], rig.address).await.unwrap());
    }
    let begun = Instant::now();
    let mut member = rig.settled(DeviceId([1; 16])).await;
    assert!(begun.elapsed() < SERVED, "{:?}", begun.elapsed());
    assert!(served(&mut member, 20).await < SERVED);
    // And each of them is put out.
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
    assert!(served(&mut member, 20).await < SERVED);
}

#[tokio::test]
async fn a_reconnect_storm_leaves_the_others_served() {
    let rig = Rig::start(Settings::default()).await;
    let mut member = rig.settled(DeviceId([1; 16])).await;
    let storm = async {
        for round in 0..4u8 {
            let all =
                (0..50u8).map(|n| rig.settled(DeviceId([round.wrapping_mul(50) + n + 2; 16])));
            // All at once, and all gone at once, without a word.
            drop(futures_util::future::join_all(all).await);
        }
    };
    let (slowest, ()) = tokio::join!(served(&mut member, 100), storm);
    assert!(slowest < SERVED, "{slowest:?}");
    // What they left behind is forgotten.
    for n in [2, 51, 151] {
        rig.gone(DeviceId([n; 16])).await;
    }
}

#[tokio::test]
async fn five_million_empty_fragments_end_at_the_65th() {
    let rig = Rig::start(Settings::default()).await;
    let mut member = rig.settled(DeviceId([1; 16])).await;
    let mut attacker = rig.settled(DeviceId([2; 16])).await;
    let attack = async {
        attacker
            .frame(data_frame(Data::Binary, Vec::new(), false))
            .await;
        for _ in 0..5_000_000 {
            let frame = data_frame(Data::Continue, Vec::new(), false);
            if attacker.socket.send(Message::Frame(frame)).await.is_err() {
                break;
            }
            if let Some(code) = attacker.closed_yet().await {
                assert_eq!(code, 1_008);
                break;
            }
        }
    };
    let (slowest, ()) = tokio::join!(served(&mut member, 50), attack);
    assert!(slowest < SERVED, "{slowest:?}");
    rig.gone(DeviceId([2; 16])).await;
}

/// A whole binary message as a client sends it, under a mask of zeros.
fn masked(payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [&[0x82, 0x80 | 126][..], &len, &[0; 4], payload].concat()
}

// The big ones.

/// A server in a process of its own: its memory is its own, and so are its open files.
struct Apart {
    process: Child,
    /// Kept: a server that can say nothing any more ends.
    _said: Lines<BufReader<ChildStdout>>,
    line: Line,
}

impl Apart {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "floods::serves"])
            .env(ROLE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = said
            .by_ref()
            .map(|line| line.unwrap())
            .find_map(|line| Line::parse(line.strip_prefix("serves ")?))
            .expect("no server");
        Self {
            process,
            _said: said,
            line,
        }
    }

    /// Bytes of memory it holds now.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1_024
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const ROLE: &str = "PLENARY_FLOOD_SERVER";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server that the big ones start"]
async fn serves() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    more_files();
    let rig = Rig::start(Settings {
        // All come from one address here.
        handshakes_per_address: 256,
        ..Settings::default()
    })
    .await;
    println!("serves {}", rig.line());
    // Until it is killed.
    std::future::pending::<()>().await;
}

fn device(n: u64) -> DeviceId {
    DeviceId(u128::from(n).to_be_bytes())
}

/// So many settled connections, as fast as they get in.
async fn crowd(line: &Line, count: u64) -> Vec<Client> {
    let mut joining = JoinSet::new();
    let mut clients = Vec::new();
    for n in 0..count {
        // No more at once than the server takes: what is above only waits.
        if joining.len() >= 200 {
            clients.extend(joining.join_next().await.map(Result::unwrap));
        }
        let line = line.clone();
        joining.spawn(async move { line.settled(device(n + 1)).await });
    }
    while let Some(client) = joining.join_next().await {
        clients.push(client.unwrap());
    }
    clients
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "5,000 connections for 5 minutes; the command is above"]
async fn five_thousand_are_held_and_all_come_back() {
    more_files();
    let (count, held) = (
        told("PLENARY_FLOOD_CONNECTIONS", 5_000),
        told("PLENARY_FLOOD_HELD", 300),
    );
    let server = Apart::start();
    let before = server.memory();
    let begun = Instant::now();
    let mut clients = crowd(&server.line, count).await;
    let connected = begun.elapsed();
    let memory = server.memory();
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(held) {
        // Answers every ping meanwhile, and proves that each is served.
        for client in &mut clients {
            served(client, 1).await;
        }
        rounds += 1;
    }
    // All cut at once, without a word, and back.
    let begun = Instant::now();
    drop(clients);
    let mut back = crowd(&server.line, count).await;
    for client in &mut back {
        served(client, 1).await;
    }
    let returned = begun.elapsed();
    let each = (memory - before) / count;
    report(
        "held",
        0,
        &[
            ("connections", count),
            ("seconds_held", held),
            ("rounds_of_echoes", rounds),
            ("dropped", 0),
            ("connect_ms", connected.as_millis() as u64),
            ("back_ms", returned.as_millis() as u64),
            ("bytes_each", each),
        ],
    );
    assert!(returned < Duration::from_secs(30), "{returned:?}");
    assert!(each < 64 * 1_024, "{each} bytes a connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "2,000 abusive connections beside 200 members; the command is above"]
async fn two_thousand_abusive_leave_two_hundred_served() {
    more_files();
    let (abusive, members) = (
        told("PLENARY_FLOOD_ABUSIVE", 2_000),
        told("PLENARY_FLOOD_MEMBERS", 200),
    );
    let server = Apart::start();
    let mut clients = crowd(&server.line, members).await;
    let alone = p99(&mut clients).await;
    let before = server.memory();
    let mut attack = JoinSet::new();
    for n in 0..abusive {
        let line = server.line.clone();
        attack.spawn(async move { abuse(&line, n).await });
    }
    let beside = p99(&mut clients).await;
    let memory = server.memory() - before;
    attack.abort_all();
    report(
        "abusive",
        0,
        &[
            ("abusive", abusive),
            ("members", members),
            ("p99_us_alone", alone.as_micros() as u64),
            ("p99_us_beside", beside.as_micros() as u64),
            ("bytes_more", memory),
        ],
    );
    assert!(memory < 256 << 20, "{memory} bytes for the abusive");
    // The attackers' own work is on the same processors: what is to be seen is that nobody starves.
    assert!(
        beside < alone * 2 + Duration::from_millis(50),
        "{alone:?}, {beside:?}"
    );
}

/// One abusive connection after the other, each of another kind.
async fn abuse(line: &Line, n: u64) {
    let [_, third, fourth] = [0, (n / 250) as u8, (n % 250) as u8 + 1];
    for round in 0.. {
        let Ok(mut stream) = from([127, 1, third, fourth], line.address()).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            continue;
        };
        match (n + round) % 4 {
            // Silent before TLS, and half a hello.
            0 => drop(stream.read(&mut [0; 16]).await),
            1 => {
                let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await;
                let _ = stream.read(&mut [0; 16]).await;
            }
            // Garbage, at once.
            2 => {
                let _ = stream.write_all(&[0; 300]).await;
                let _ = stream.read(&mut [0; 16]).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            // Connects and goes.
            _ => {
                drop(stream);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// The slowest of a hundred answers, over a steady load from everybody.
async fn p99(clients: &mut [Client]) -> Duration {
    let mut waited = Vec::new();
    for _ in 0..20 {
        for client in clients.iter_mut() {
            waited.push(served(client, 1).await);
        }
    }
    waited.sort_unstable();
    waited[waited.len() * 99 / 100]
}
