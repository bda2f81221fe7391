//! Our server beside a bare one: what members' safety costs over what the stack can do.
//!
//! ```sh
//! cargo bench -p plenary-tests --bench server                    # all of it: under eight minutes
//! cargo bench -p plenary-tests --bench server -- fanout channels # some
//! cargo bench -p plenary-tests --bench server -- --rounds 9 --json
//! cargo bench -p plenary-tests --bench server -- --program ELSEWHERE/plenary-demo  # another build
//! cargo bench -p plenary-tests --bench server -- --growth docs/growth  # only: how cost grows, drawn
//! ```
//!
//! Ours is the release server with a founded network, real authentication keys and real groups of the
//! hybrid suite ([`world`]); beside it stands tokio-tungstenite over rustls without a store
//! ([`bare`]), and of others' brokers those that are installed ([`peers`]). All are processes of their
//! own; one generator ([`line`], [`load`]) drives them by turns, the order changing with every round,
//! and the system tells what CPU each had. The table has medians, and the ratio to the bare server with
//! its range over the rounds. Ends with 1 if a goal of the design is
//! missed and `--hold` is given.

mod bare;
mod growth;
mod line;
mod live;
mod load;
mod peers;
mod plot;
mod rest;
mod world;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use plenary_proto::request::Purpose;
use plenary_tests::report::{self, Goal, Row};
use tokio::runtime::Runtime;

use self::{
    bare::{BARE, Bare},
    line::{Address, Target, Who},
    load::{Fan, Many, Took},
    peers::Peer,
    world::{Channel, Plan, World},
};

/// Runs our server.
const PROGRAM: &str = env!("CARGO_BIN_EXE_plenary-demo");

/// Bytes of a message: for ours the sealed one, as MLS makes it.
const BYTES: usize = 512;
/// Who hears in the large channel, and who speaks.
const READERS: usize = 200;
const SENDERS: usize = 16;
/// Devices of the network.
const DEVICES: usize = 1_000;
/// Small channels, and who is in each.
const CHANNELS: (usize, usize) = (100, 10);

const WORKS: [&str; 8] = [
    "fanout", "channels", "trickle", "catchup", "idle", "appends", "start", "live",
];

/// Connections that stand idle: the steps at which memory is told.
const IDLE: [usize; 3] = [2_000, 5_000, 10_000];
/// Records that a device missed.
const MISSED: u64 = 10_000;
/// Records that a server starts with.
const RECORDS: u64 = 1_000_000;
/// Records appended in one round.
const APPENDS: usize = 50_000;

struct Options {
    works: Vec<String>,
    program: PathBuf,
    rounds: usize,
    json: bool,
    hold: bool,
    /// Where the curves are drawn; nothing else is then measured.
    growth: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self {
            works: Vec::new(),
            program: PROGRAM.into(),
            rounds: 5,
            json: false,
            hold: false,
            growth: None,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--json" => options.json = true,
                "--hold" => options.hold = true,
                "--rounds" => {
                    let rounds = arguments.next().map(|rounds| rounds.parse());
                    options.rounds = rounds.unwrap_or(Ok(0))?;
                    ensure!(options.rounds > 0, "--rounds wants a number");
                }
                "--program" => {
                    let program = arguments.next().context("--program wants a path")?;
                    options.program = std::path::absolute(program)?;
                }
                "--growth" => {
                    let folder = arguments.next().context("--growth wants a folder")?;
                    options.growth = Some(std::path::absolute(folder)?);
                }
                work if WORKS.contains(&work) => options.works.push(work.to_owned()),
                other => bail!(
                    "{other:?} is none of {WORKS:?}, --rounds N, --program PATH, --json, --hold, \
                     --growth FOLDER"
                ),
            }
        }
        Ok(options)
    }

    fn wants(&self, work: &str) -> bool {
        self.works.is_empty() || self.works.iter().any(|one| one == work)
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    if arguments.first().is_some_and(|first| first == BARE) {
        return runtime.block_on(bare::serve());
    }
    if arguments.is_empty() {
        println!("nothing measured: `cargo bench -p plenary-tests --bench server`");
        return Ok(());
    }
    let options = Options::parse(&arguments)?;
    if let Some(folder) = &options.growth {
        return grow(&runtime, &options, folder);
    }
    let rows = runtime.block_on(Box::pin(run(&options)))?;
    if options.json {
        println!("{}", report::json_of("server", &rows));
    }
    let missed = rows.iter().filter(|row| row.met() == Some(false)).count();
    ensure!(!options.hold || missed == 0, "{missed} goals missed");
    Ok(())
}

/// Measures and draws how cost grows.
fn grow(runtime: &Runtime, options: &Options, folder: &Path) -> Result<()> {
    raise_open_files()?;
    fs::create_dir_all(folder)?;
    let mut curves =
        runtime.block_on(Box::pin(growth::server(&options.program, options.rounds)))?;
    curves.push(growth::client()?);
    for curve in &curves {
        curve.print();
        plot::draw(curve, folder)?;
    }
    Ok(())
}

/// All servers, and how to come to them.
struct Place {
    world: World,
    bare: Bare,
    at_bare: Target,
    peers: Vec<Peer>,
    home: tempfile::TempDir,
}

impl Place {
    async fn make(program: &Path, plans: &[Plan]) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let ours = home.path().join("ours");
        let world = World::make(program, &ours, DEVICES, plans).await?;
        let bare = Bare::start()?;
        let at_bare = Target::new(bare.address, &bare.pin)?;
        Ok(Self {
            world,
            bare,
            at_bare,
            peers: Vec::new(),
            home,
        })
    }

    /// One channel on all, the first of its devices speaking: the bare server, ours, the others.
    /// `number`: where channels have numbers, one not used before.
    async fn fans(
        &self,
        channel: &Channel,
        senders: usize,
        number: u32,
        timed: bool,
    ) -> Result<Vec<Fan>> {
        let address = Address::Bare {
            channel: number,
            bytes: channel.bytes,
        };
        let (mut at_bare, mut at_ours) = (Vec::new(), Vec::new());
        for device in &channel.devices {
            at_bare.push(self.at_bare.open(Who::Anybody).await?);
            at_ours.push(self.world.open(*device).await?);
        }
        let readers = at_bare.split_off(senders);
        let bare = Fan::new(self.bare.process(), address, at_bare, readers, timed).await?;
        let readers = at_ours.split_off(senders);
        let process = self.world.process()?;
        let ours = Fan::new(process, channel.address.clone(), at_ours, readers, timed).await?;
        let mut fans = vec![bare, ours];
        for peer in &self.peers {
            let mut lines = peer.lines(channel.devices.len()).await?;
            let readers = lines.split_off(senders);
            let address = peer.address(number, channel.bytes);
            fans.push(Fan::new(peer.process(), address, lines, readers, timed).await?);
        }
        Ok(fans)
    }

    /// These channels on all; `number`: the others' for the first.
    async fn many(&self, channels: &[Channel], number: u32) -> Result<Vec<Many>> {
        let (mut at_bare, mut at_ours) = (Vec::new(), Vec::new());
        for (n, channel) in (number..).zip(channels) {
            let (mut lines, mut bare_lines) = (Vec::new(), Vec::new());
            for device in &channel.devices {
                let who = Who::Device(&self.world.devices[*device], Purpose::Chat);
                lines.push(self.world.target.open(who).await?);
                bare_lines.push(self.at_bare.open(Who::Anybody).await?);
            }
            let address = Address::Bare {
                channel: n,
                bytes: channel.bytes,
            };
            at_bare.push((address, bare_lines));
            at_ours.push((channel.address.clone(), lines));
        }
        let mut many = vec![
            Many::new(self.bare.process(), at_bare).await?,
            Many::new(self.world.process()?, at_ours).await?,
        ];
        for peer in &self.peers {
            let mut at_peer = Vec::new();
            for (n, channel) in (number..).zip(channels) {
                let lines = peer.lines(channel.devices.len()).await?;
                at_peer.push((peer.address(n, channel.bytes), lines));
            }
            many.push(Many::new(peer.process(), at_peer).await?);
        }
        Ok(many)
    }
}

/// The first `size` devices in one channel.
fn large(size: usize, bytes: usize) -> Plan {
    let devices = (0..size).collect();
    Plan { devices, bytes }
}

/// Channels of so many devices each, no device in two.
fn small(number: usize, size: usize, bytes: usize) -> impl Iterator<Item = Plan> {
    (0..number).map(move |n| Plan {
        devices: (n * size..(n + 1) * size).collect(),
        bytes,
    })
}

async fn run(options: &Options) -> Result<Vec<Row>> {
    raise_open_files()?;
    let (number, size) = CHANNELS;
    let mut plans = vec![large(SENDERS + READERS, BYTES)];
    plans.extend(small(number, size, BYTES));
    let mut place = Place::make(&options.program, &plans).await?;
    place.peers = Peer::start_all().await?;
    let mut rows = Vec::new();
    println!("{}", report::head("bare"));
    let mut tell = |new: Vec<Row>| {
        report::print(&new);
        rows.extend(new);
    };
    if options.wants("fanout") {
        tell(fanout(&place, options.rounds).await?);
    }
    if options.wants("channels") {
        tell(channels(&place, options.rounds).await?);
    }
    if options.wants("trickle") {
        tell(trickle(&place, options.rounds).await?);
    }
    if options.wants("catchup") {
        tell(catch_up(&place, options.rounds).await?);
    }
    if options.wants("idle") {
        tell(idle(&mut place).await?);
    }
    if options.wants("appends") {
        tell(appends(&place, options.rounds).await?);
    }
    if options.wants("start") {
        tell(start(&mut place).await?);
    }
    if options.wants("live") {
        drop(place);
        tell(live::live(&options.program, options.rounds).await?);
    }
    Ok(rows)
}

/// Of so many, which goes first changes with the round.
fn order(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (round + turn) % count)
}

fn figures(took: &[Took], figure: impl Fn(&Took) -> f64) -> Vec<f64> {
    took.iter().map(figure).collect()
}

/// Ours beside the bare server, and below it each of the others.
fn rows(
    place: &Place,
    work: &str,
    unit: &'static str,
    took: &[Vec<Took>],
    goal: Goal,
    figure: impl Fn(&Took) -> f64,
) -> Vec<Row> {
    let mut measured = took.iter().map(|took| figures(took, &figure));
    let bare = measured.next().unwrap_or_default();
    let peers = place.peers.iter().map(|peer| (peer.label(), Goal::None));
    let whose = std::iter::once((work.to_owned(), goal)).chain(peers);
    whose
        .zip(measured)
        .map(|((work, goal), ours)| Row {
            work,
            unit,
            beside: bare.clone(),
            ours,
            goal,
        })
        .collect()
}

/// Once small to warm up, then by turns; `sizes`: of the first and of the others.
async fn turns<T>(
    all: &mut [T],
    rounds: usize,
    sizes: [u64; 2],
    work: impl AsyncFn(&mut T, u64) -> Result<Took>,
) -> Result<Vec<Vec<Took>>> {
    for one in &mut *all {
        work(one, sizes[0]).await?;
    }
    let mut took = vec![Vec::new(); all.len()];
    for round in 0..rounds {
        for which in order(all.len(), round) {
            took[which].push(work(&mut all[which], sizes[1]).await?);
        }
    }
    Ok(took)
}

async fn fanout(place: &Place, rounds: usize) -> Result<Vec<Row>> {
    let mut fans = place
        .fans(&place.world.channels[0], SENDERS, 0, false)
        .await?;
    let took = turns(&mut fans, rounds, [50, 400], async |fan, size| {
        fan.blast(size, 4).await
    })
    .await?;
    Ok([
        rows(
            place,
            "1 to 200, 512 B: CPU a million deliveries",
            "s",
            &took,
            Goal::Times(0.60 / 0.36),
            |one| one.cpu * 1e6 / one.deliveries as f64,
        ),
        rows(
            place,
            "1 to 200, 512 B: deliveries",
            "a second",
            &took,
            Goal::None,
            |one| one.deliveries as f64 / one.wall,
        ),
    ]
    .concat())
}

async fn channels(place: &Place, rounds: usize) -> Result<Vec<Row>> {
    let mut many = place.many(&place.world.channels[1..], 100).await?;
    let took = turns(&mut many, rounds, [10, 200], async |one, size| {
        one.talk(size).await
    })
    .await?;
    Ok([
        rows(
            place,
            "100 channels of 10: CPU a thousand messages",
            "ms",
            &took,
            Goal::Times(90.0 / 44.0),
            |one| one.cpu * 1e6 / one.messages as f64,
        ),
        rows(
            place,
            "100 channels of 10: acknowledged",
            "a second",
            &took,
            Goal::Part(13.0 / 23.8),
            |one| one.messages as f64 / one.wall,
        ),
    ]
    .concat())
}

async fn trickle(place: &Place, rounds: usize) -> Result<Vec<Row>> {
    let mut fans = place
        .fans(&place.world.channels[0], SENDERS, 1, true)
        .await?;
    let took = turns(&mut fans, rounds, [1, 5], async |fan, size| {
        fan.trickle(20, size).await
    })
    .await?;
    Ok([
        rows(
            place,
            "20 a second to 200: p50",
            "ms",
            &took,
            Goal::None,
            |one| one.p50,
        ),
        rows(
            place,
            "20 a second to 200: p99",
            "ms",
            &took,
            Goal::Times(6.0 / 2.8),
            |one| one.p99,
        ),
        rows(
            place,
            "20 a second to 200: CPU a second",
            "ms",
            &took,
            Goal::None,
            |one| one.cpu * 1e3 / one.wall,
        ),
    ]
    .concat())
}

/// Comes back as a device that missed the last ten thousand messages.
async fn catch_up(place: &Place, rounds: usize) -> Result<Vec<Row>> {
    let channel = &place.world.channels[1];
    let mut lines = Vec::new();
    for device in &channel.devices {
        lines.push(place.world.open(*device).await?);
    }
    let there = vec![(channel.address.clone(), lines)];
    let mut ours = Many::new(place.world.process()?, there).await?;
    ours.talk_alone(MISSED).await?;
    let mut figures = Vec::new();
    for _ in 0..rounds {
        figures.push(rest::catch_up(&place.world, channel, MISSED).await?);
    }
    Ok(vec![Row {
        work: "catch-up of 10,000 missed".to_owned(),
        unit: "records/s",
        beside: Vec::new(),
        ours: figures,
        goal: Goal::Least(100_000.0),
    }])
}

/// Fresh processes, so that nothing done before counts.
async fn idle(place: &mut Place) -> Result<Vec<Row>> {
    place.world.restart()?;
    place.bare = Bare::start()?;
    place.at_bare = Target::new(place.bare.address, &place.bare.pin)?;
    let others = !place.peers.is_empty();
    place.peers.clear();
    // One after the other: all at once would be more files than a process may open.
    let (bare, bare_opening) =
        stand(place.bare.process(), &place.at_bare, |_| Who::Anybody).await?;
    let devices = &place.world.devices;
    let device = |n: usize| Who::Device(&devices[n % devices.len()], Purpose::Chat);
    let process = place.world.process()?;
    let mut all = vec![(None, stand(process, &place.world.target, device).await?)];
    if others {
        for peer in Peer::start_all().await? {
            let stood = stand(peer.process(), &peer.target, |_| Who::Client(peer.kind)).await?;
            all.push((Some(peer.label()), stood));
        }
    }
    // Another's rows have its name, and no goal.
    let named = |label: &Option<String>, work: String, goal| match label {
        Some(label) => (label.clone(), Goal::None),
        None => (work, goal),
    };
    let mut rows = Vec::new();
    for (step, connections) in IDLE.iter().enumerate() {
        for (label, (held, _)) in &all {
            let work = format!("idle connection, of {connections}");
            let (work, goal) = named(label, work, Goal::Times(32.0 / 24.0));
            rows.push(Row {
                work,
                unit: "KiB",
                beside: vec![bare[step]],
                ours: vec![held[step]],
                goal,
            });
        }
    }
    for (label, (_, opening)) in all {
        let work = "connect and authenticate: CPU".to_owned();
        let (work, goal) = named(&label, work, Goal::Times(0.5 / 0.16));
        rows.push(Row {
            work,
            unit: "ms",
            beside: bare_opening.clone(),
            ours: opening,
            goal,
        });
    }
    Ok(rows)
}

/// KiB a connection at each step, and CPU-milliseconds of opening one.
async fn stand<'a>(
    process: u32,
    target: &Target,
    who: impl Fn(usize) -> Who<'a>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let mut idle = rest::Idle::new(process, target)?;
    // What a process takes once, at its first connections.
    idle.grow(100, &who).await?;
    idle.opening.clear();
    let mut steps = Vec::new();
    for to in IDLE {
        steps.push(idle.grow(to, &who).await?);
    }
    Ok((steps, idle.opening))
}

/// The store alone, beside a bare file.
async fn appends(place: &Place, rounds: usize) -> Result<Vec<Row>> {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let folder = tempfile::tempdir_in(place.home.path())?;
        for which in order(2, round) {
            if which == 0 {
                bare.push(rest::raw_file(&folder.path().join("raw"), APPENDS, BYTES).await?);
            } else {
                ours.push(rest::appends(&folder.path().join("store"), APPENDS, BYTES).await?);
            }
        }
    }
    Ok(vec![Row {
        work: "durable appends, 256 waiting (bare: a file)".to_owned(),
        unit: "a second",
        beside: bare,
        ours,
        goal: Goal::Least(40_000.0),
    }])
}

/// A server with a million records: after a stop, and after a kill.
async fn start(place: &mut Place) -> Result<Vec<Row>> {
    let data = place.world.server.data().join("store");
    place.world.server.stop()?;
    let channel = &place.world.channels[1];
    let Address::Ours { epoch, .. } = channel.address else {
        bail!("not ours");
    };
    rest::fill(&data, channel, epoch, 0..RECORDS).await?;
    let mut figures = Vec::new();
    let mut killed = Vec::new();
    for _ in 0..3 {
        figures.push(place.world.restart()?);
        place.world.server.kill()?;
        killed.push(place.world.restart()?);
    }
    let row = |work: &str, ours| Row {
        work: work.to_owned(),
        unit: "s",
        beside: Vec::new(),
        ours,
        goal: Goal::None,
    };
    Ok(vec![
        row("start with 1,000,000 records", figures),
        row("the same after a kill", killed),
    ])
}

/// Ten thousand connections are as many files.
fn raise_open_files() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
