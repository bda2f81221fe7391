//! One run: who does what when, what befalls them, and what came of it.

mod faults;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use plenary_certs::ledger::{Body, EntryRule, Grant, Resume, Statement, Target};
use plenary_client::{
    AlarmKind, ErrorKind, Event, Label,
    simulation::{Dice, Shape, World},
};
use plenary_proto::{
    ids::{ChannelId, MemberId, UnixMillis},
    reply::Reply,
    request::Request,
};

use crate::{
    judge::{Judge, Violation},
    trace::Trace,
    weather::{LIES, Weather},
};

/// How much a run is to be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    /// Members with a device each.
    pub clients: usize,
    /// Channels that the ledger names.
    pub channels: usize,
    /// What clients do.
    pub operations: u64,
    /// What befalls them.
    pub faults: u64,
    /// The server lies now and then.
    pub hostile: bool,
    /// Every line of the trace is kept.
    pub keep: bool,
    /// Ends then, with what was done by then.
    pub until: Option<Instant>,
}

/// What came of it.
pub struct Outcome {
    pub trace: Trace,
    pub counts: BTreeMap<String, u64>,
    pub operations: u64,
    pub faults: u64,
    pub simulated_ms: u64,
    pub shown: u64,
    /// Messages said, in the log, told to have failed.
    pub messages: [usize; 3],
}

/// Between two looks at everything.
const LOOK_EVERY: u64 = 2_000;
/// The weather is fair for so long before that; and at most, until nothing moves.
const FAIR_MS: u64 = 60_000;
const PATIENCE_MS: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const DIRECTS: usize = 24;

pub struct Run {
    plan: Plan,
    dice: Dice,
    world: World,
    weather: Weather,
    judge: Judge,
    trace: Trace,
    counts: BTreeMap<String, u64>,
    operations: u64,
    faults: u64,
    start: UnixMillis,
    rules: Vec<EntryRule>,
    /// All channels, the direct ones too.
    channels: Vec<ChannelId>,
    /// Who wants to be in which channel.
    wanted: BTreeMap<usize, BTreeSet<ChannelId>>,
    /// No connection before then.
    away: BTreeMap<usize, UnixMillis>,
    /// Suspended until then.
    suspended: BTreeMap<usize, UnixMillis>,
    /// Grants taken back until then.
    withdrawn: BTreeMap<(usize, ChannelId), UnixMillis>,
    revoked: BTreeSet<usize>,
    /// Lied to: alarms are right.
    lied_to: BTreeSet<usize>,
    /// Had a clock that was further off than the server bears.
    off: BTreeSet<usize>,
    looked: u64,
}

/// Plays a plan to its end. Errors: what must not be, with the last lines.
pub fn play(plan: Plan) -> Result<Outcome, Violation> {
    let mut run = Run::new(plan);
    match run.all() {
        Ok(()) => Ok(Outcome {
            simulated_ms: run.world.now.0 - run.start.0,
            shown: run.judge.shown,
            messages: run.judge.counts(),
            trace: run.trace,
            counts: run.counts,
            operations: run.operations,
            faults: run.faults,
        }),
        Err(violation) => {
            if let Ok(path) = std::env::var("PLENARY_TRACE") {
                let all: Vec<_> = run.trace.lines.iter().cloned().collect();
                std::fs::write(path, all.join("\n")).expect("the trace can be written");
            }
            let mut lines: Vec<_> = run.trace.lines.iter().rev().take(40).cloned().collect();
            lines.reverse();
            Err(format!("{violation}\n  {}", lines.join("\n  ")))
        }
    }
}

impl Run {
    fn new(plan: Plan) -> Self {
        let dice = Dice::new(plan.seed).split(u64::MAX);
        let rules: Vec<_> = (0..plan.channels)
            .map(|index| match index % 3 {
                1 => EntryRule::Granted,
                _ => EntryRule::Open,
            })
            .collect();
        let mut shape = Shape::small(plan.clients);
        shape.channels = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| (*rule, Label::Red, index % plan.clients))
            .collect();
        let mut world = World::shaped(plan.seed, shape);
        world.comes_back = false;
        let weather = Weather::new(dice.split(u64::MAX - 1));
        world.wire = Some(Box::new(weather.clone()));
        let start = world.now;
        Self {
            channels: world.channels.clone(),
            plan,
            dice,
            world,
            weather,
            judge: Judge::default(),
            trace: Trace::new(
                start,
                plan.keep || std::env::var_os("PLENARY_TRACE").is_some(),
            ),
            counts: BTreeMap::new(),
            operations: 0,
            faults: 0,
            start,
            rules,
            wanted: BTreeMap::new(),
            away: BTreeMap::new(),
            suspended: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            revoked: BTreeSet::new(),
            lied_to: BTreeSet::new(),
            off: BTreeSet::new(),
            looked: 0,
        }
    }

    fn all(&mut self) -> Result<(), Violation> {
        self.begin()?;
        let in_time = |plan: &Plan| plan.until.is_none_or(|until| Instant::now() < until);
        while self.operations < self.plan.operations && in_time(&self.plan) {
            let busy = 1 + self.dice.below(8);
            for _ in 0..busy {
                if self.operations < self.plan.operations {
                    self.operate();
                }
                let due = self.plan.faults * self.operations / self.plan.operations.max(1);
                if self.faults < due {
                    self.befall();
                }
            }
            let wait = match self.dice.below(400) {
                0 => MINUTE + self.dice.below(20 * MINUTE as usize) as u64,
                _ => 20 + self.dice.below(400) as u64,
            };
            self.pass(wait)?;
            if self.operations - self.looked >= LOOK_EVERY {
                self.look()?;
            }
        }
        self.look()
    }

    /// Everybody is in some channels before anything goes wrong.
    fn begin(&mut self) -> Result<(), Violation> {
        let clients = self.plan.clients;
        for party in 0..clients {
            self.world.connect(party);
        }
        self.pass(2_000)?;
        for (index, channel) in self.world.channels.clone().into_iter().enumerate() {
            let owner = index % clients;
            let size = 2 + self.dice.below(if index == 0 { clients } else { 9 });
            let mut members = vec![owner];
            for _ in 0..size {
                let party = self.dice.below(clients);
                if !members.contains(&party) {
                    members.push(party);
                }
            }
            if self.rules[index] == EntryRule::Granted {
                let grants = members
                    .iter()
                    .skip(1)
                    .map(|party| grant(self.world.member_of(*party), channel, true));
                let bodies: Vec<_> = grants.collect();
                self.state(bodies);
            }
            for (turn, party) in members.into_iter().enumerate() {
                if turn == 0 || self.rules[index] == EntryRule::Open {
                    self.enter(party, channel);
                    self.pass(300)?;
                }
                self.wanted.entry(party).or_default().insert(channel);
            }
        }
        self.pass(10_000)?;
        self.look()
    }

    /// One thing that a client does.
    fn operate(&mut self) {
        self.operations += 1;
        let party = self.someone();
        match self.dice.below(400) {
            0 => {
                let open: Vec<_> = self.ledger_channels(EntryRule::Open);
                let channel = *self.dice.pick(&open);
                self.wanted.entry(party).or_default().insert(channel);
                self.enter(party, channel);
            }
            1 if self.channels.len() < self.plan.channels + DIRECTS => {
                let with: Vec<_> = (0..1 + self.dice.below(4))
                    .map(|_| self.someone())
                    .filter(|other| *other != party)
                    .map(|other| self.world.member_of(other))
                    .collect();
                match self.world.try_direct(party, &with) {
                    Ok(channel) => {
                        self.channels.push(channel);
                        self.note(party, "direct", &format!("with {}", with.len()));
                    }
                    Err(error) => self.refused(party, "direct", &error),
                }
            }
            _ => self.send(party),
        }
    }

    fn send(&mut self, party: usize) {
        let mine: Vec<_> = self
            .channels
            .iter()
            .copied()
            .filter(|channel| self.world.is_in(party, *channel))
            .collect();
        if mine.is_empty() {
            return self.note(party, "send", "nowhere");
        }
        let channel = *self.dice.pick(&mine);
        let number = self.judge.next();
        let length = self.dice.below(200);
        let text = format!("{number} {}", "x".repeat(length));
        let device = self.world.device(party);
        match self.world.try_send(party, channel, &text) {
            Ok(mark) => {
                self.judge.said(party, device, channel, Some(mark));
                self.note(party, "send", &format!("{number} in {channel}"));
            }
            Err(error) if error.to_string() == "the process died" => {
                self.judge.said(party, device, channel, None);
                self.note(party, "send", &format!("{number} in {channel}, died"));
                self.world.survive_simulated(party, error);
            }
            Err(error) => self.refused(party, "send", &error),
        }
    }

    fn enter(&mut self, party: usize, channel: ChannelId) {
        match self.world.try_enter(party, channel) {
            Ok(()) => self.note(party, "enter", &channel.to_string()),
            Err(error) => self.refused(party, "enter", &error),
        }
    }

    /// The Board says something, by the first of it.
    fn state(&mut self, bodies: Vec<Body>) {
        for body in bodies {
            let statement: Statement = self.world.ledger.draft(body, self.world.server_clock());
            let signed = self.world.sign(&statement);
            let answer = self
                .world
                .request_as(0, Request::LedgerSubmit(vec![signed]));
            assert!(matches!(answer, Ok(Reply::LedgerHead(_))), "{answer:?}");
        }
        let head = self.world.ledger.head().seq.0;
        self.trace
            .line(self.world.now, "board", "statement", &head.to_string());
    }

    /// Time passes, and what came of it is looked at.
    fn pass(&mut self, millis: u64) -> Result<(), Violation> {
        let end = self.world.now.plus(millis);
        while self.world.now < end {
            let step = match end.0 - self.world.now.0 {
                rest if rest > 2_000 => 1_000,
                rest => rest,
            };
            self.world.pass_time(step);
            self.gather()?;
            self.come_back();
        }
        Ok(())
    }

    /// Who was away, suspended or without a grant is back when it is time.
    fn come_back(&mut self) {
        let now = self.world.now;
        for party in due(&mut self.suspended, now) {
            let target = Target::Device(self.world.device(party));
            self.state(vec![Body::Resume(Resume { target })]);
            self.note(party, "resumed", "");
        }
        for (party, channel) in due(&mut self.withdrawn, now) {
            self.state(vec![grant(self.world.member_of(party), channel, true)]);
            self.note(party, "granted", &channel.to_string());
        }
        for party in due(&mut self.away, now) {
            self.connect(party);
        }
        for party in 0..self.world.parties.len() {
            let idle = !self.world.is_connected(party) && !self.away.contains_key(&party);
            if idle && !self.revoked.contains(&party) {
                let wait = 100 + self.dice.below(3_000) as u64;
                self.away.insert(party, now.plus(wait));
            }
        }
    }

    fn connect(&mut self, party: usize) {
        if self.revoked.contains(&party) || self.world.is_connected(party) {
            return;
        }
        self.world.connect(party);
    }

    /// What the server took, and what the parties told and show.
    fn gather(&mut self) -> Result<(), Violation> {
        let now = self.world.now;
        for record in self.judge.log(&self.world)? {
            let kind = if record.sealed { "message" } else { "change" };
            let by = format!("{} {}", record.device, record.devices.len());
            let what = format!("{kind} in {} by {by}", record.channel);
            let seq = record.seq.0.to_string();
            self.trace.line(now, "server", &what, &seq);
        }
        let done = std::mem::take(&mut self.weather.0.borrow_mut().done);
        for (party, what) in done {
            if LIES.iter().any(|lie| format!("{lie:?}") == what) {
                self.lied_to.insert(party);
            }
            self.note(party, "on the line", &what);
        }
        for party in 0..self.world.parties.len() {
            if std::mem::take(&mut self.world.parties[party].deaths) > 0 {
                self.judge.restarted(&self.world, party);
                self.note(party, "died", "");
            }
            let trouble = std::mem::take(&mut self.world.parties[party].trouble);
            for error in trouble {
                self.note(party, "trouble", error.code());
                if !self.lied_to.contains(&party) {
                    return Err(format!("{party}: {error}"));
                }
            }
            let events = self.world.take_events(party);
            let mut read = false;
            for event in events {
                read |= matches!(event, Event::Messages { .. });
                self.told(party, &event)?;
            }
            if read {
                if self.lied_to.contains(&party) {
                    self.judge.read_anew(party);
                }
                let shown = self.judge.show(&self.world, party)?;
                if let Some(last) = shown.last() {
                    let what = format!("{} messages", shown.len());
                    let seq = format!("{} in {}", last.seq.0, last.channel);
                    self.note(party, &what, &seq);
                }
            }
        }
        Ok(())
    }

    fn told(&mut self, party: usize, event: &Event) -> Result<(), Violation> {
        let device = self.world.device(party);
        let (what, outcome) = match event {
            Event::Sent {
                message,
                channel,
                seq,
            } => {
                self.judge.acknowledged(device, *channel, *message, *seq)?;
                ("sent", format!("{} in {channel}", seq.0))
            }
            Event::Failed { message, reason } => {
                let which = self.judge.failed(device, *message)?;
                ("failed", format!("{which:?} {reason}"))
            }
            Event::Messages { channel, through } => ("read", format!("{} in {channel}", through.0)),
            Event::Ledger(head) => ("ledger", head.seq.0.to_string()),
            Event::Alarm {
                kind,
                what,
                channel,
            } => {
                let place = channel.map(|channel| channel.to_string());
                if !self.expected(party, *kind) {
                    return Err(format!("{party} raised {kind} {place:?}: {what}"));
                }
                ("alarm", format!("{kind} {place:?}"))
            }
            Event::Clock(_) => ("clock", String::new()),
            Event::Held { channel, reason } => ("held", format!("{channel} {reason}")),
            Event::Entered(channel) => ("entered", channel.to_string()),
            Event::Left(channel) => ("left", channel.to_string()),
            Event::Online => ("online", String::new()),
            Event::Offline => ("offline", String::new()),
            _ => ("other", String::new()),
        };
        self.note(party, what, &outcome);
        Ok(())
    }

    /// Whether an alarm is right.
    fn expected(&self, party: usize, kind: AlarmKind) -> bool {
        // Whose clock is far ahead is told so by the server; whose clock jumps, waits too long.
        let by_clock = matches!(kind, AlarmKind::ChangeRefused | AlarmKind::RosterKey);
        let clock = by_clock && self.off.contains(&party);
        clock || self.lied_to.contains(&party)
    }

    /// The weather clears up, everybody comes back, and then nothing may be missing.
    fn look(&mut self) -> Result<(), Violation> {
        self.looked = self.operations;
        self.weather.clear();
        let now = self.world.now;
        for party in 0..self.world.parties.len() {
            let one = &mut self.world.parties[party];
            one.skew = 0;
            one.slow_until = now;
        }
        self.away.values_mut().for_each(|until| *until = now);
        self.suspended.values_mut().for_each(|until| *until = now);
        self.withdrawn.values_mut().for_each(|until| *until = now);
        self.pass(FAIR_MS)?;
        let mut waited = 0;
        while let Err(missing) = self.quiet() {
            if waited >= PATIENCE_MS {
                return Err(missing);
            }
            self.pass(MINUTE)?;
            waited += MINUTE;
        }
        for party in self.lied_to.clone() {
            self.judge.read_anew(party);
            self.judge.show(&self.world, party)?;
        }
        self.trace.line(self.world.now, "judge", "all there", "");
        Ok(())
    }

    fn quiet(&mut self) -> Result<(), Violation> {
        for party in self.lied_to.clone() {
            self.judge.read_anew(party);
            self.judge.show(&self.world, party)?;
        }
        for party in 0..self.world.parties.len() {
            if !self.revoked.contains(&party) && !self.world.is_caught_up(party) {
                return Err(format!(
                    "{party} does not catch up: {:?}",
                    self.world.standings(party)
                ));
            }
        }
        self.judge.all_there(&mut self.world)
    }

    fn ledger_channels(&self, rule: EntryRule) -> Vec<ChannelId> {
        let all = self.world.channels.iter().zip(&self.rules);
        all.filter(|(_, one)| **one == rule)
            .map(|(channel, _)| *channel)
            .collect()
    }

    /// A party that is not out for good.
    fn someone(&self) -> usize {
        loop {
            let party = self.dice.below(self.world.parties.len());
            if !self.revoked.contains(&party) {
                return party;
            }
        }
    }

    fn refused(&mut self, party: usize, what: &str, error: &plenary_client::Error) {
        if error.kind() == ErrorKind::Store {
            self.note(party, what, "died");
            return self.world.survive_simulated(party, error.clone());
        }
        self.note(party, what, &error.to_string());
    }

    fn fault(&mut self, party: usize, what: &str, outcome: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
        self.note(party, what, outcome);
    }

    fn note(&mut self, party: usize, what: &str, outcome: &str) {
        self.trace
            .line(self.world.now, &party.to_string(), what, outcome);
    }
}

fn due<K: Copy + Ord>(waiting: &mut BTreeMap<K, UnixMillis>, now: UnixMillis) -> Vec<K> {
    let due: Vec<_> = waiting
        .iter()
        .filter(|(_, until)| **until <= now)
        .map(|(key, _)| *key)
        .collect();
    for key in &due {
        waiting.remove(key);
    }
    due
}

fn grant(member: MemberId, channel: ChannelId, granted: bool) -> Body {
    Body::Grant(Grant {
        channel,
        member,
        granted,
    })
}
