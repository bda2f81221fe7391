//! Files side by side with `openssl enc` + curl + nginx over TLS, on one disk, by turns: wall time up
//! and down, what a GiB costs sender, recipient and server; then chat beside four transfers.
//!
//! ```sh
//! cargo bench -p plenary-tests --bench items -- 1024        # MiB; 256 by default
//! cargo bench -p plenary-tests --bench items -- 1024 chat   # one part: files, chat
//! cargo test -p plenary-tests --bench items -- 128          # whether it works, unoptimised
//! ```
//!
//! Also `--rounds N` (3) and `--json`. Wants `openssl`, `curl` and `nginx` (`apt-get install nginx-light`);
//! without one of them the comparison is left out, and that is said. The others neither check what they
//! carry nor wait for the disk; Plenary does both. In pipes nothing of theirs lies on disk between
//! cipher and line; in steps it does. Ends with 1 if a goal is missed and `--hold` is given.
//!
//! `--between COMMAND` is run before a file goes up and down, outside what is measured. Where the host of
//! a virtual machine takes free memory back, each page that is new costs half a microsecond of the
//! processor, ten times what copying to it does. A large file, read anew each time, keeps memory full:
//! `--between 'dd if=FILE iflag=nocache count=0; cat FILE'`.

mod beside;
mod chat;

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use plenary_client::ids::{ChannelId, Seq};
use plenary_tests::{
    harness::{Carrier, Member, Network, Newcomer, Said, Server, cpu_of, enter, person, sha256_of},
    report::{self, Goal, Row},
};

use self::beside::Others;

/// Runs server and clients.
const PROGRAM: &str = env!("CARGO_BIN_EXE_plenary-demo");
const MIB: u64 = 1 << 20;

/// Wall time of the others, in steps, that ours may take.
const WALL: f64 = 1.0;
/// CPU-seconds a GiB.
const CPU: [(&str, f64); 3] = [
    ("sender", 1.6),
    ("recipient", 1.8),
    ("server, both ways", 1.5),
];
/// p99 of chat beside transfers over idle.
const P99: f64 = 2.0;

struct Options {
    size: Option<u64>,
    parts: Vec<String>,
    rounds: usize,
    json: bool,
    hold: bool,
    between: Between,
    /// By `cargo bench`.
    bench: bool,
}

/// What is done before a file goes up and down.
#[derive(Default)]
struct Between(Option<String>);

/// A server, whoever chats, and whoever carries files in processes of their own.
struct Place {
    server: Server,
    members: Vec<Member>,
    channel: ChannelId,
    home: tempfile::TempDir,
}

/// What a way took: seconds by the clock, CPU-seconds of client and server.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    client: f64,
    server: f64,
}

/// A file up and down again.
#[derive(Clone, Copy)]
struct Both {
    up: Took,
    down: Took,
}

impl Both {
    fn wall(&self) -> f64 {
        self.up.wall + self.down.wall
    }

    /// As in [`CPU`].
    fn cpu(&self) -> [f64; 3] {
        let server = self.up.server + self.down.server;
        [self.up.client, self.down.client, server]
    }
}

impl Between {
    fn run(&self) -> Result<()> {
        let Some(words) = &self.0 else { return Ok(()) };
        let run = Command::new("sh")
            .args(["-c", words])
            .stdout(Stdio::null())
            .status()?;
        ensure!(run.success(), "{words}: {run}");
        Ok(())
    }
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            size: None,
            parts: Vec::new(),
            rounds: 3,
            json: false,
            hold: false,
            between: Between::default(),
            bench: false,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => options.bench = true,
                "--json" => options.json = true,
                "--hold" => options.hold = true,
                "--rounds" => {
                    let rounds = arguments.next().map(|rounds| rounds.parse());
                    options.rounds = rounds.unwrap_or(Ok(0))?;
                    ensure!(options.rounds > 0, "--rounds wants a number");
                }
                "--between" => {
                    let words = arguments.next().context("--between wants a command")?;
                    options.between = Between(Some(words));
                }
                "files" | "chat" => options.parts.push(argument),
                other => match other.parse() {
                    Ok(size) => options.size = Some(size),
                    Err(_) => {
                        bail!(
                            "{other:?} is none of MIB, files, chat, --rounds N, --between COMMAND, --json, --hold"
                        )
                    }
                },
            }
        }
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|one| one == part)
    }
}

fn main() -> Result<()> {
    let options = Options::parse(std::env::args().skip(1))?;
    if options.size.is_none() && !options.bench {
        println!("nothing measured: give a size in MiB");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let rows = runtime.block_on(Box::pin(run(&options)))?;
    if options.json {
        println!("{}", report::json_of("items", &rows));
    }
    let missed = rows.iter().filter(|row| row.met() == Some(false)).count();
    ensure!(!options.hold || missed == 0, "{missed} goals missed");
    Ok(())
}

async fn run(options: &Options) -> Result<Vec<Row>> {
    let size = options.size.unwrap_or(256) * MIB;
    let mut rows = Vec::new();
    println!("{}", report::head("others"));
    let mut tell = |new: Vec<Row>| {
        report::print(&new);
        rows.extend(new);
    };
    if options.wants("files") {
        tell(files(&Place::new().await?, size, options)?);
    }
    if options.wants("chat") {
        tell(vec![chat(size, options.rounds).await?]);
    }
    Ok(rows)
}

/// Each round on a server of its own: to remove large files is work for the disk, too.
async fn chat(size: u64, rounds: usize) -> Result<Row> {
    let mut row = Row {
        work: "chat: p99 idle, beside four transfers".to_owned(),
        unit: "ms",
        beside: Vec::new(),
        ours: Vec::new(),
        goal: Goal::Times(P99),
    };
    for _ in 0..rounds {
        let mut place = Place::new().await?;
        let file = place.file(size)?;
        let (seq, _) = place.up(2, &file)?;
        let (idle, beside) = chat::measure(&mut place, &file, seq).await?;
        row.beside.push(idle);
        row.ours.push(beside);
    }
    Ok(row)
}

/// Ours and the others' by turns.
fn files(place: &Place, size: u64, options: &Options) -> Result<Vec<Row>> {
    let between = &options.between;
    let file = &place.file(size)?;
    let gib = size as f64 / (1024 * MIB) as f64;
    let digest = sha256_of(file)?;
    let folder = tempfile::tempdir_in(place.home.path())?;
    let others = match beside::missing() {
        None => Some(Others::start(folder.path())?),
        Some(missing) => {
            println!(
                "NOT COMPARED: `{missing}` is not there; apt-get install nginx-light curl openssl"
            );
            None
        }
    };
    let (mut ours, mut pipes, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        between.run()?;
        let (seq, up) = place.up(2, file)?;
        let into = place.home.path().join("in");
        fs::create_dir(&into)?;
        let (path, down) = place.down(3, seq, &into)?;
        ensure!(sha256_of(&path)? == digest, "another file arrived");
        fs::remove_dir_all(&into)?;
        ours.push(Both { up, down });
        if let Some(others) = &others {
            between.run()?;
            pipes.push(others.in_pipes(file)?);
            between.run()?;
            steps.push(others.in_steps(file)?);
        }
    }
    let wall = |took: &[Both]| took.iter().map(Both::wall).collect::<Vec<_>>();
    let mut rows = vec![Row {
        work: "wall, up and down, beside pipes".to_owned(),
        unit: "s",
        beside: wall(&pipes),
        ours: wall(&ours),
        goal: Goal::None,
    }];
    rows.push(Row {
        work: "wall, up and down, beside steps".to_owned(),
        beside: wall(&steps),
        goal: Goal::Times(WALL),
        ..rows[0].clone()
    });
    for (at, (who, most)) in CPU.into_iter().enumerate() {
        let each = |took: &[Both]| took.iter().map(|took| took.cpu()[at] / gib).collect();
        rows.push(Row {
            work: format!("CPU a GiB beside pipes: {who}"),
            unit: "s",
            beside: each(&pipes),
            ours: each(&ours),
            goal: Goal::Most(most),
        });
    }
    Ok(rows)
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
