//! Files side by side with `openssl enc` + curl + nginx over TLS: wall time up and down, on one disk,
//! in one run; what a GiB costs sender, recipient and server; chat beside four transfers.
//!
//! ```sh
//! cargo bench -p plenary-tests --bench items -- 1024        # MiB; 256 by default
//! cargo test -p plenary-tests --bench items -- 128          # whether it works, unoptimised
//! ```
//!
//! Wants `openssl`, `curl` and `nginx` (`apt-get install nginx-light`); without one of them the
//! comparison is left out, and that is said. The others neither check what they carry nor wait for
//! the disk; Plenary does both. Ends with 1 if a figure is above what is wanted and `--hold` is given.

mod beside;
mod chat;

use std::{fs, io::Write, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use plenary_client::ids::{ChannelId, Seq};
use plenary_tests::harness::{
    Carrier, Member, Network, Newcomer, Said, Server, cpu_of, enter, person, sha256_of,
};

/// Runs server and clients.
const PROGRAM: &str = env!("CARGO_BIN_EXE_plenary-demo");
const MIB: u64 = 1 << 20;

/// Wall time of the others that ours may take; CPU-seconds a GiB of sender, recipient, server; p99
/// of chat beside transfers over idle.
const WALL: f64 = 1.0;
const CPU: [f64; 3] = [1.6, 1.8, 1.5];
const P99: f64 = 2.0;

/// A server, whoever chats, and whoever carries files in processes of their own.
struct Place {
    server: Server,
    members: Vec<Member>,
    channel: ChannelId,
    home: tempfile::TempDir,
}

/// What a way took: seconds by the clock, CPU-seconds of client and server.
struct Took {
    wall: f64,
    client: f64,
    server: f64,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let hold = arguments.iter().any(|one| one == "--hold");
    let size = arguments.iter().find_map(|one| one.parse::<u64>().ok());
    if size.is_none() && !arguments.iter().any(|one| one == "--bench") {
        println!("nothing measured: give a size in MiB");
        return Ok(());
    }
    let size = size.unwrap_or(256) * MIB;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let misses = runtime.block_on(Box::pin(run(size)))?;
    for miss in &misses {
        println!("ABOVE WHAT IS WANTED: {miss}");
    }
    ensure!(
        !hold || misses.is_empty(),
        "{} figures missed",
        misses.len()
    );
    Ok(())
}

async fn run(size: u64) -> Result<Vec<String>> {
    let mut misses = Vec::new();
    let mut wanted = |what: &str, found: f64, most: f64| {
        if found > most {
            misses.push(format!("{what}: {found:.2}, wanted at most {most:.2}"));
        }
    };
    let mut place = Place::new().await?;
    let file = place.file(size)?;
    let digest = sha256_of(&file)?;
    let gib = size as f64 / (1024 * MIB) as f64;

    let (seq, up) = place.up(2, &file)?;
    let into = place.home.path().join("in");
    fs::create_dir(&into)?;
    let (path, down) = place.down(3, seq, &into)?;
    ensure!(sha256_of(&path)? == digest, "another file arrived");
    fs::remove_dir_all(&into)?;
    let ours = up.wall + down.wall;
    println!(
        "plenary     up {:.2} s, down {:.2} s, together {ours:.2} s",
        up.wall, down.wall
    );
    let costs = [
        ("sender", up.client),
        ("recipient", down.client),
        ("server, both ways", up.server + down.server),
    ];
    for ((who, seconds), most) in costs.into_iter().zip(CPU) {
        let each = seconds / gib;
        println!("            {who}: {each:.2} CPU-seconds a GiB (wanted {most:.1})");
        wanted(&format!("CPU-seconds a GiB, {who}"), each, most);
    }
    if let Some(missing) = beside::missing() {
        println!(
            "NOT COMPARED: `{missing}` is not there; apt-get install nginx-light curl openssl"
        );
    } else {
        let folder = tempfile::tempdir_in(place.home.path())?;
        let others = beside::Others::start(folder.path())?;
        for (how, (up, down)) in [
            ("in pipes", others.in_pipes(&file)?),
            ("in steps", others.in_steps(&file)?),
        ] {
            let theirs = up + down;
            println!("nginx, {how}  up {up:.2} s, down {down:.2} s, together {theirs:.2} s");
            println!("            plenary / nginx, {how}: {:.2}", ours / theirs);
            if how == "in steps" {
                wanted(
                    "wall time over openssl enc + curl + nginx",
                    ours / theirs,
                    WALL,
                );
            }
        }
    }
    let (idle, beside) = chat::measure(&mut place, &file, seq).await?;
    println!("chat        p99 idle {idle:.1} ms, beside four transfers {beside:.1} ms");
    wanted(
        "p99 of chat beside four transfers over idle",
        beside / idle,
        P99,
    );
    Ok(misses)
}

impl Place {
    /// Members 0 and 1 chat, 2 to 5 carry.
    async fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let server = Server::start(Path::new(PROGRAM), &home.path().join("server"), "warn")?;
        let founder = person("Founder", "Norway");
        let channels = [("encryption", "for the bench")];
        let mut network = Network::found(&server, home.path(), founder, &channels).await?;
        let newcomers = (1..6).map(|n| Newcomer::member(person(format!("Member {n}"), "Portugal")));
        let mut members = network.admit(newcomers.collect(), &|| {}).await?;
        members.insert(0, network.founder.clone());
        let channel = network.founder.client()?.channel(channels[0].0).await?.id;
        enter(&members, &[channel], || {}).await?;
        for member in &mut members[2..] {
            member.leave().await?;
        }
        Ok(Self {
            server,
            members,
            channel,
            home,
        })
    }

    /// Bytes that no compression helps with.
    fn file(&self, size: u64) -> Result<std::path::PathBuf> {
        let path = self.home.path().join("image.dd");
        let mut file = std::io::BufWriter::new(fs::File::create(&path)?);
        let mut state = 7u64;
        let mut block = vec![0; MIB as usize];
        let mut left = size;
        while left > 0 {
            for word in block.chunks_exact_mut(8) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                word.copy_from_slice(&(state ^ (state >> 31)).to_le_bytes());
            }
            let now = left.min(MIB) as usize;
            file.write_all(&block[..now])?;
            left -= now as u64;
        }
        file.into_inner()?.sync_all()?;
        Ok(path)
    }

    fn carry_up(&self, who: usize, file: &Path) -> Result<Carrier> {
        let folder = &self.members[who].folder;
        Carrier::up(Path::new(PROGRAM), folder, self.channel, 0, file)
    }

    fn carry_down(&self, who: usize, seq: Seq, into: &Path) -> Result<Carrier> {
        let folder = &self.members[who].folder;
        Carrier::down(Path::new(PROGRAM), folder, self.channel, 0, seq, into)
    }

    fn up(&self, who: usize, file: &Path) -> Result<(Seq, Took)> {
        let (end, took) = self.timed(self.carry_up(who, file)?)?;
        match end {
            Said::Sent(seq) => Ok((seq, took)),
            other => anyhow::bail!("not sent: {other:?}"),
        }
    }

    fn down(&self, who: usize, seq: Seq, into: &Path) -> Result<(std::path::PathBuf, Took)> {
        let (end, took) = self.timed(self.carry_down(who, seq, into)?)?;
        match end {
            Said::Fetched(path) => Ok((path, took)),
            other => anyhow::bail!("not fetched: {other:?}"),
        }
    }

    /// From the carrier's being connected on: deriving a profile's key is no transfer.
    fn timed(&self, mut carrier: Carrier) -> Result<(Said, Took)> {
        let server = self.server.process().context("no server")?.to_string();
        let (mut begun, mut before) = (Instant::now(), cpu_of(&server)?);
        let (mut end, mut wall, mut client) = (None, 0.0, 0.0);
        while let Some(said) = carrier.said()? {
            match said {
                Said::Ready => (begun, before) = (Instant::now(), cpu_of(&server)?),
                Said::Cpu(seconds) => client = seconds,
                Said::Sent(_) | Said::Fetched(_) => {
                    wall = begun.elapsed().as_secs_f64();
                    end = Some(said);
                }
                Said::Done(_) | Said::Memory(..) => {}
            }
        }
        let server = cpu_of(&server)? - before;
        let took = Took {
            wall,
            client,
            server,
        };
        Ok((end.context("it said nothing")?, took))
    }
}
