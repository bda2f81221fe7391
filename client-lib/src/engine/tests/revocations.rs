//! Revocations under load, with senders that go away and come back, and networks of different
//! speed. Whoever is revoked colludes with the server: it keeps its state and gets everything, what
//! the log has and what the server refused. Counted is what it can open.
//!
//! All 200: `cargo test -p plenary-client --lib -- --ignored --nocapture two_hundred_revocations`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use plenary_certs::ledger::{Body, Reason, Revoke, Suspend, Target};
use plenary_proto::{
    ids::*,
    reply::{Record, Reply, ServerFrame},
    request::{ClientFrame, Request},
};

use crate::{
    engine::{Event, mls::Processed},
    simulation::{Passing, Wire, World},
};

/// Frames to a party wait up to this long: it learns of a statement that much later.
const LATENCY_MS: usize = 2_000;

/// A ciphertext as it left its sender.
#[derive(Debug, Clone)]
struct Ciphertext {
    at: UnixMillis,
    from: usize,
    /// The ledger that its sender had been given by then.
    known: LedgerSeq,
    channel: ChannelId,
    epoch: Epoch,
    bytes: Bytes,
}

#[derive(Default)]
struct Seen {
    left: Vec<Ciphertext>,
    known: BTreeMap<usize, u64>,
    /// On the way to the parties.
    waiting: Vec<(UnixMillis, usize, ServerFrame)>,
}

/// Delays what goes to the parties, each by its own time, and keeps what leaves them.
struct Slow {
    seen: Arc<Mutex<Seen>>,
    delays: Vec<u64>,
}

impl Wire for Slow {
    fn up(&mut self, now: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        if let ClientFrame::Request(_, Request::Append(append)) = &frame
            && append.commit.is_none()
        {
            let mut seen = self.seen.lock().unwrap();
            let known = LedgerSeq(seen.known.get(&from).copied().unwrap_or_default());
            seen.left.push(Ciphertext {
                at: now,
                from,
                known,
                channel: append.channel,
                epoch: append.epoch,
                bytes: append.bytes.clone(),
            });
        }
        passing.up(from, frame);
    }

    fn down(&mut self, now: UnixMillis, to: usize, frame: ServerFrame, _: &mut Passing) {
        let due = now.plus(self.delays[to]);
        self.seen.lock().unwrap().waiting.push((due, to, frame));
    }

    fn idle(&mut self, now: UnixMillis, passing: &mut Passing) {
        // One each: what it makes its reader do happens before the next one comes.
        let mut served = BTreeSet::new();
        let mut seen = self.seen.lock().unwrap();
        let (due, waiting) = std::mem::take(&mut seen.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|(at, to, _)| *at <= now && served.insert(*to));
        seen.waiting = waiting;
        for (_, to, frame) in due {
            if let ServerFrame::Reply(_, Ok(Reply::LedgerPage { statements, .. })) = &frame {
                *seen.known.entry(to).or_default() += statements.len() as u64;
            }
            passing.down(to, frame);
        }
    }
}

/// What came of one who was put out.
struct Outcome {
    /// From the statement to the last ciphertext that could be opened.
    exposed_ms: u64,
    /// How many could be opened at all.
    opened: usize,
    /// From the statement to the last removal.
    removed_ms: u64,
}

struct Load {
    world: World,
    seen: Arc<Mutex<Seen>>,
    /// Those who stay; the rest are put out one by one.
    stay: usize,
    /// When each of the rest was put out, and by which statement.
    out: BTreeMap<usize, (UnixMillis, LedgerSeq)>,
    said: usize,
}

impl Load {
    fn new(seed: u64, stay: usize, victims: usize) -> Self {
        let mut world = World::new(seed, stay + victims);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let delays = (0..stay + victims)
            .map(|_| world.dice().below(LATENCY_MS) as u64)
            .collect();
        for index in 0..stay + victims {
            world.connect(index);
        }
        world.run();
        for channel in &world.channels.clone()[..2] {
            world.enter_all(*channel);
            world.run_for(60_000);
        }
        let all = world.ledger.head().seq.0;
        seen.lock().unwrap().known = (0..stay + victims).map(|index| (index, all)).collect();
        world.wire = Some(Box::new(Slow {
            seen: seen.clone(),
            delays,
        }));
        Self {
            world,
            seen,
            stay,
            out: BTreeMap::new(),
            said: 0,
        }
    }

    /// Everybody speaks now and then; some go away and come back.
    fn live(&mut self, millis: u64) {
        for _ in 0..millis / 250 {
            for index in 0..self.world.parties.len() {
                let dice = self.world.dice();
                if self.out.contains_key(&index) || dice.below(6) > 0 {
                    continue;
                }
                let channel = *dice.pick(&self.world.channels[..2]);
                self.said += 1;
                let text = format!("{} by {index}", self.said);
                self.world.send(index, channel, &text);
            }
            // The first two stay online, so that somebody is.
            let restless = 2 + self.world.dice().below(self.world.parties.len() - 2);
            if !self.out.contains_key(&restless) {
                match self.world.is_connected(restless) {
                    true => {
                        self.world.disconnect(restless);
                        let mut seen = self.seen.lock().unwrap();
                        seen.waiting.retain(|(_, to, _)| *to != restless);
                    }
                    false => self.world.connect(restless),
                }
            }
            self.world.run_for(250);
        }
    }

    fn put_out(&mut self, victim: usize) {
        let target = match victim % 3 {
            0 => Target::Device(DeviceId([victim as u8 + 101; 16])),
            _ => Target::Member(MemberId([victim as u8 + 1; 16])),
        };
        let body = match victim % 5 {
            0 => Body::Suspend(Suspend {
                target,
                reason: Reason::Misuse,
            }),
            _ => Body::Revoke(Revoke {
                target,
                reason: Reason::Lost,
            }),
        };
        let by = self.world.dice().below(2);
        self.world.submit(by, body);
        while self.world.network.ledger_head() != self.world.ledger.head() {
            assert!(self.world.step(by), "not submitted");
        }
        let at = (self.world.now, self.world.ledger.head().seq);
        self.out.insert(victim, at);
    }

    fn log(&mut self, channel: ChannelId) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        loop {
            let after = records.last().map_or(Seq(0), |record| record.seq);
            let read = Request::Read {
                channel,
                after,
                limit: 256,
            };
            match self.world.request_as(0, read) {
                Ok(Reply::Records { records: more, .. }) if !more.is_empty() => {
                    records.extend(more);
                }
                Ok(_) => return records,
                Err(failure) => panic!("{failure}"),
            }
        }
    }

    /// Plays the one who was put out, with everything in its hands.
    fn collude(&mut self, victim: usize) -> Outcome {
        let (at, seq) = self.out[&victim];
        let mut outcome = Outcome {
            exposed_ms: 0,
            opened: 0,
            removed_ms: 0,
        };
        let ledger: Vec<Bytes> = self
            .world
            .ledger
            .entries_after(self.world.parties[victim].engine.ledger_seq())
            .map(|(_, signed)| Bytes::copy_from_slice(signed))
            .collect();
        let engine = &mut self.world.parties[victim].engine;
        engine.append_statements(&ledger).unwrap();
        let left = self.seen.lock().unwrap().left.clone();
        for channel in &self.world.channels.clone()[..2] {
            let records = self.log(*channel);
            let engine = &mut self.world.parties[victim].engine;
            let row = engine.channels[channel].row.clone();
            let mut previous = row.basis;
            let mut removed = false;
            let pending = engine.store.pending(*channel).unwrap();
            let own = engine.device();
            let rest = records.iter().filter(|record| record.seq > row.head.seq);
            for record in rest.map(Some).chain([None]) {
                let commit = record.is_none_or(|record| record.bytes[..4] == [0, 1, 0, 1]);
                if !commit {
                    continue;
                }
                let group = engine.group(*channel).unwrap();
                let epoch = group.epoch();
                // All that ever left anybody, in this epoch or said to be: the sound ones open once.
                for one in left.iter().filter(|one| one.channel == *channel) {
                    let tried = one.epoch == epoch || (removed && one.at > at);
                    if !tried || one.from == victim {
                        continue;
                    }
                    let opened = group.process(&one.bytes, previous);
                    if let Ok(Processed::Message { data, .. }) = opened {
                        assert!(
                            one.known < seq && data.ledger.seq < seq,
                            "{} sealed to {victim} with {:?}, given {:?} as it left at {:?}; out since {seq:?} at {at:?}",
                            one.from,
                            data.ledger.seq,
                            one.known,
                            one.at,
                        );
                        outcome.opened += 1;
                        let after = one.at.0.saturating_sub(at.0);
                        outcome.exposed_ms = outcome.exposed_ms.max(after);
                    }
                }
                let Some(record) = record.filter(|_| !removed) else {
                    break;
                };
                if record.device == own {
                    // Taken, and the answer never came: it has what it takes to follow.
                    let pending = pending.as_ref().unwrap();
                    assert_eq!(pending.client_id, record.client_id);
                    group.apply(pending.secrets.as_ref().unwrap()).unwrap();
                    previous = Some(pending.basis);
                    continue;
                }
                match group.process(&record.bytes, previous) {
                    Ok(Processed::Commit {
                        basis,
                        removed: out,
                        ..
                    }) => {
                        previous = Some(basis);
                        if out {
                            removed = true;
                            let after = record.time.0.saturating_sub(at.0);
                            outcome.removed_ms = outcome.removed_ms.max(after);
                        }
                    }
                    Ok(_) => panic!("no commit"),
                    Err(error) => panic!("{victim} at {:?}: {error}", record.seq),
                }
            }
            assert!(removed, "{victim} was never removed");
        }
        outcome
    }

    fn finish(mut self) -> Vec<Outcome> {
        for index in 0..self.stay {
            if !self.world.is_connected(index) {
                self.world.connect(index);
            }
        }
        self.world.run_for(120_000);
        for channel in &self.world.channels.clone()[..2] {
            for index in 0..self.stay {
                self.world
                    .send(index, *channel, &format!("last words of {index}"));
            }
            self.world.run_for(60_000);
            let first = self.world.texts(0, *channel);
            for index in 0..self.stay {
                let inside = self.world.devices_in(index, *channel);
                assert_eq!(inside.len(), self.stay, "{index}");
                assert_eq!(self.world.texts(index, *channel), first, "{index}");
                assert!(first.contains(&format!("last words of {index}")));
                assert_eq!(self.world.queued(index), 0, "{index}");
            }
        }
        let alarms = self.world.alarms();
        assert_eq!(alarms, [] as [&Event; 0]);
        let out: Vec<_> = self.out.keys().copied().collect();
        out.into_iter().map(|victim| self.collude(victim)).collect()
    }
}

fn revocations(seed: u64, stay: usize, victims: usize) -> Vec<Outcome> {
    let mut load = Load::new(seed, stay, victims);
    load.live(2_000);
    for victim in stay..stay + victims {
        load.put_out(victim);
        let pause = 250 * (1 + load.world.dice().below(12)) as u64;
        load.live(pause);
    }
    load.finish()
}

fn report(mut outcomes: Vec<Outcome>) {
    let count = outcomes.len();
    let opened: usize = outcomes.iter().map(|one| one.opened).sum();
    let removed = outcomes.iter().map(|one| one.removed_ms).max();
    outcomes.sort_unstable_by_key(|one| one.exposed_ms);
    let at = |percent: usize| outcomes[(count * percent).div_ceil(100).max(1) - 1].exposed_ms;
    println!(
        "{count} put out: sealed to them knowing it 0; opened of what others sealed before they \
         knew {opened}; from the statement to the last ciphertext that opens: median {} ms, p99 \
         {} ms, worst {} ms; to the last removal: worst {} ms",
        at(50),
        at(99),
        at(100),
        removed.unwrap_or_default(),
    );
    assert!(
        opened > 0,
        "the one who colludes must be able to open something"
    );
    assert!(at(99) < 60_000);
}

#[test]
fn revocations_under_load_leave_nothing_to_open() {
    report(revocations(1, 5, 6));
}

/// Eight networks with twenty-five each.
#[test]
#[ignore = "minutes: cargo test -p plenary-client --lib two_hundred_revocations -- --ignored"]
fn two_hundred_revocations_under_load() {
    report((0..8).flat_map(|seed| revocations(seed, 10, 25)).collect());
}
