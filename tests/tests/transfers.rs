//! Files through cuts: client killed, server killed, line dropped, both ways; and how much memory it
//! takes. The small ones run every day; the long ones by command:
//!
//! ```sh
//! PLENARY_SOAK=10240:200 cargo test --release -p plenary-tests --test transfers -- --ignored --nocapture cuts
//! PLENARY_SIZES=1,1024,10240 cargo test --release -p plenary-tests --test transfers -- --ignored --nocapture memory
//! ```
//!
//! Mebibytes and cuts each way; sizes in mebibytes.

mod common;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use common::{PROGRAM, Room};
use plenary_client::ids::Seq;
use plenary_tests::harness::{Carrier, Line, Peak, Said, Server, sha256_of};
use serde_json::json;

const MIB: u64 = 1 << 20;
/// A window of eight chunks, and one that was on its way to the disk.
const RESENT: u64 = 8 * MIB;
const UNACKNOWLEDGED: u64 = 8 * MIB;
/// Beside the chunks: handshakes, the ledger, messages, what a new client reads.
const ASIDE: u64 = 256 << 10;

#[derive(Debug, Clone, Copy)]
enum Cut {
    Client,
    Server,
    Line,
}

const CUTS: [Cut; 3] = [Cut::Client, Cut::Server, Cut::Line];

/// A server behind a line, and two members whose clients run in processes of their own.
struct World {
    room: Room,
    server: Server,
    line: Line,
    dice: u64,
    /// Bytes a second; 0: what the line carries.
    rate: u64,
}

/// What a way through cuts took.
#[derive(Debug, Default)]
struct Told {
    cuts: u64,
    resent: u64,
    seconds: f64,
    /// The longest time from a restart of the client to the next byte.
    restart: Duration,
}

impl World {
    async fn new() -> Result<Self> {
        let mut room = Room::of(2).await?;
        for member in &mut room.members {
            member.leave().await?;
        }
        room.network.founder.leave().await.ok();
        // The line takes the address that everybody knows; the server moves behind it.
        room.server.stop()?;
        let known = room.server.port();
        let server = Server::start(Path::new(PROGRAM), &room.home.path().join("server"), "info")?;
        let line = Line::open(known, server.port()).await?;
        Ok(Self {
            room,
            server,
            line,
            dice: 7,
            rate: 0,
        })
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.dice >> 33) % sides.max(1)
    }

    fn file(&self, size: u64) -> Result<PathBuf> {
        let path = self.room.home.path().join("evidence.bin");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        let block: Vec<u8> = (0..MIB).map(|n| (n * n / 7 % 251) as u8).collect();
        let mut left = size;
        while left > 0 {
            let now = left.min(MIB) as usize;
            file.write_all(&left.to_be_bytes()[..now.min(8)])?;
            file.write_all(&block[..now.saturating_sub(8)])?;
            left -= now as u64;
        }
        file.into_inner()?.sync_all()?;
        Ok(path)
    }

    fn up(&self, file: &Path) -> Result<Carrier> {
        let folder = &self.room.members[0].folder;
        Carrier::up(
            Path::new(PROGRAM),
            folder,
            self.room.channel,
            self.rate,
            file,
        )
    }

    fn down(&self, seq: Seq, into: &Path) -> Result<Carrier> {
        let folder = &self.room.members[1].folder;
        Carrier::down(
            Path::new(PROGRAM),
            folder,
            self.room.channel,
            self.rate,
            seq,
            into,
        )
    }

    /// Carries to the end through so many cuts at random places. What the carrier said last before
    /// it told of its memory.
    async fn through(
        &mut self,
        size: u64,
        cuts: u64,
        start: impl Fn(&Self) -> Result<Carrier>,
    ) -> Result<(Said, Told)> {
        let begun = Instant::now();
        let mut told = Told::default();
        let mut carrier = start(self)?;
        let mut restarted: Option<Instant> = None;
        let mut last = None;
        let mut due = self.place(size, cuts, 0);
        loop {
            let (said, back) =
                tokio::task::spawn_blocking(move || (carrier.said(), carrier)).await?;
            carrier = back;
            let done = match said? {
                Some(Said::Done(done)) => done,
                Some(Said::Ready | Said::Cpu(_) | Said::Memory(..)) => continue,
                Some(end) => {
                    last = Some(end);
                    continue;
                }
                None => break,
            };
            if done > 0
                && let Some(since) = restarted.take()
            {
                told.restart = told.restart.max(since.elapsed());
            }
            if told.cuts >= cuts || done < due {
                continue;
            }
            let cut = CUTS[(told.cuts % 3) as usize];
            told.cuts += 1;
            due = self.place(size, cuts, told.cuts);
            match cut {
                Cut::Client => {
                    carrier.kill()?;
                    restarted = Some(Instant::now());
                    carrier = start(self)?;
                }
                Cut::Server => {
                    self.server.kill()?;
                    self.server.restart()?;
                }
                Cut::Line => self.line.cut(),
            }
        }
        told.seconds = begun.elapsed().as_secs_f64();
        Ok((last.context("it said nothing")?, told))
    }

    /// Where the next cut is due.
    fn place(&mut self, size: u64, cuts: u64, after: u64) -> u64 {
        let part = size / cuts.max(1);
        // The last one comes well before the end.
        part * after + self.roll(part / 2)
    }
}

fn show(way: &str, size: u64, told: &Told) {
    let each = told.resent as f64 / MIB as f64 / told.cuts.max(1) as f64;
    println!(
        "{}",
        json!({
            "trial": "cuts",
            "way": way,
            "mib": size / MIB,
            "cuts": told.cuts,
            "seconds": round(told.seconds),
            "resent_mib_a_cut": round(each),
            // From the start of a killed client's next process: the profile's key is derived, too.
            "first_byte_seconds_at_most": round(told.restart.as_secs_f64()),
        })
    );
}

/// To hundredths.
fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

async fn cuts(size: u64, cuts: u64, rate: u64) -> Result<()> {
    let mut world = World::new().await?;
    world.rate = rate;
    let file = world.file(size)?;
    let digest = sha256_of(&file)?;

    let before = world.line.carried().0;
    let path = file.clone();
    let (end, mut told) = world
        .through(size, cuts, move |world| world.up(&path))
        .await?;
    let Said::Sent(seq) = end else {
        bail!("not sent: {end:?}");
    };
    let carried = world.line.carried().0 - before;
    // Padme adds less than an eighth; the layout tells how much.
    let sealed = plenary_client::files::Layout::of(size)?.sealed_size();
    told.resent = carried.saturating_sub(sealed);
    show("up", size, &told);
    ensure!(told.cuts == cuts, "{} cuts of {cuts}", told.cuts);
    let allowed = (RESENT + UNACKNOWLEDGED + ASIDE) * (cuts + 1) + sealed / 50;
    ensure!(told.resent <= allowed, "{} > {allowed}", told.resent);

    let into = world.room.home.path().join("in");
    std::fs::create_dir_all(&into)?;
    let before = world.line.carried().1;
    let place = into.clone();
    let (end, mut told) = world
        .through(size, cuts, move |world| world.down(seq, &place))
        .await?;
    let Said::Fetched(fetched) = end else {
        bail!("not fetched: {end:?}");
    };
    told.resent = (world.line.carried().1 - before).saturating_sub(sealed);
    show("down", size, &told);
    ensure!(told.cuts == cuts, "{} cuts of {cuts}", told.cuts);
    ensure!(told.resent <= allowed, "{} > {allowed}", told.resent);
    ensure!(sha256_of(&fetched)? == digest, "another file");
    let left: Vec<_> = std::fs::read_dir(&into)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<_, _>>()?;
    ensure!(left == ["evidence.bin"], "{left:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_arrives_whole_through_cuts_of_every_kind() -> Result<()> {
    // Slow enough to be met on the way.
    Box::pin(cuts(24 * MIB + 5, 3, 12 * MIB)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "10 GiB, long: cargo test --release -p plenary-tests --test transfers -- --ignored cuts"]
async fn a_large_file_arrives_whole_through_many_cuts() -> Result<()> {
    let told = std::env::var("PLENARY_SOAK").unwrap_or("10240:200".to_owned());
    let (size, count) = told.split_once(':').context("PLENARY_SOAK=MIB:CUTS")?;
    Box::pin(cuts(size.parse::<u64>()? * MIB, count.parse()?, 0)).await
}

const CLIENT_MEMORY: u64 = 32 * MIB;
const SERVER_MEMORY: u64 = 16 * MIB;

async fn memory(sizes: &[u64]) -> Result<()> {
    let mut world = World::new().await?;
    for size in sizes {
        let file = world.file(size * MIB)?;
        let into = tempfile::tempdir_in(world.room.home.path())?;
        let server = world.server.process().context("no server")?.to_string();
        let mut seq = Seq(0);
        for way in ["up", "down"] {
            let peak = Peak::begin(&server)?;
            let mut carrier = match way {
                "up" => world.up(&file)?,
                _ => world.down(seq, into.path())?,
            };
            let mut client = None;
            while let Some(said) = carrier.said()? {
                match said {
                    Said::Sent(sent) => seq = sent,
                    Said::Memory(idle, most) => client = Some(most.saturating_sub(idle)),
                    Said::Ready | Said::Cpu(_) | Said::Done(_) | Said::Fetched(_) => {}
                }
            }
            let client = client.context("the client does not tell")?;
            let (idle, most) = peak.end()?;
            let server = most.saturating_sub(idle);
            println!(
                "{}",
                json!({
                    "trial": "memory",
                    "way": way,
                    "mib": size,
                    "client_mib_above_idle": round(client as f64 / MIB as f64),
                    "server_mib_above_idle": round(server as f64 / MIB as f64),
                })
            );
            ensure!(client <= CLIENT_MEMORY, "client: {client} bytes");
            ensure!(server <= SERVER_MEMORY, "server: {server} bytes");
        }
        std::fs::remove_file(file)?;
    }
    world.dice = 0;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_the_same_for_every_size() -> Result<()> {
    Box::pin(memory(&[1, 48])).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "10 GiB, long: cargo test --release -p plenary-tests --test transfers -- --ignored memory"]
async fn memory_is_the_same_for_large_sizes() -> Result<()> {
    let sizes = std::env::var("PLENARY_SIZES").unwrap_or("1,1024,10240".to_owned());
    let sizes: Vec<u64> = sizes.split(',').map(str::parse).collect::<Result<_, _>>()?;
    Box::pin(memory(&sizes)).await
}
