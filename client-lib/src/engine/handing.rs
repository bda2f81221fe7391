//! What one device missed, another hands on.
//!
//! ```text
//! asker:   gap --Ask--> log ...            ... log --HandOn--> opened, verified, stored by place
//! others:        log --> turn by rank --> one of them: pieces, one after the other
//! ```
//!
//! Both travel as messages of the channel and are shown to nobody. An answer is sealed to the asker's
//! device, and holds only what was said while that device was in the group, as the one who answers has
//! read by itself; see the manual.

use plenary_certs::{
    profile::SealingKey,
    sealed_to::{open_sealed, seal_to},
};
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Epoch, Seq, UnixMillis};
use ring::digest::{SHA256, digest};

use super::{AlarmKind, Engine, Wait, healing::MOST_TRIES};
use crate::{
    content::{
        Carries, Content, Envelope, SignedContext,
        handover::{Ask, HandOn, Handed, PIECE, decode_handed, encode_handed, seal_context},
    },
    error::{Error, ErrorKind},
    store::{messages::MessageRow, returns::Gap},
};

/// Between one device's turn to answer and the next one's.
const TURN_MS: u64 = 200;
/// Who has only a part waits for those who have all.
const PART_MS: u64 = 10_000;
/// After a piece, the next one must follow, or somebody else goes on.
const PIECE_MS: u64 = 30_000;
/// Pieces to one ask; what is left is asked for again.
const MOST_PIECES: u32 = 16;
/// Asks that wait to be answered by this device, in a channel.
const MOST_TURNS: usize = 64;
/// Before an ask is repeated; twice as long each time.
const ASK_MS: u64 = 30_000;
/// Messages looked through for one piece.
const PAGE: u32 = 256;

/// This device's turn to answer somebody.
pub(super) struct Turn {
    ask: ClientId,
    asker: DeviceId,
    after: Seq,
    before: Seq,
    at: Wait,
    pieces: u32,
    /// A piece is under way.
    waits: bool,
}

/// What a step of reading heard.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heard {
    Asked {
        ask: ClientId,
        by: DeviceId,
        what: Ask,
    },
    /// A piece to whomever; `own`: by this device.
    Handed {
        ask: ClientId,
        through: Seq,
        last: bool,
        own: bool,
    },
}

/// Before what was asked for so often is asked for again.
fn before_asking(gap: &Gap) -> u64 {
    ASK_MS << gap.tries.min(10)
}

/// Whether it is time. A time further off than any wait is one by a clock that was set back since.
fn is_due(gap: &Gap, now: UnixMillis) -> bool {
    gap.at <= now || gap.at > now.plus(before_asking(gap))
}

impl Engine {
    /// Asks for what was missed, and answers whoever asked, once it is time.
    pub(super) fn hand_step(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(channel) = self.channels.get(&id).filter(|channel| channel.caught_up()) else {
            return Ok(());
        };
        let due = |gap: &&Gap| gap.before.is_some() && gap.tries <= MOST_TRIES && is_due(gap, now);
        let gap = channel.gaps.iter().find(due).copied();
        if let Some(gap) = gap {
            self.ask_for(now, id, gap)?;
        }
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        // What was to follow did not: somebody else's matter.
        channel
            .turns
            .retain(|turn| !turn.waits || !turn.at.is_over(now));
        let turn = channel
            .turns
            .iter()
            .position(|turn| !turn.waits && turn.at.is_over(now));
        match turn {
            Some(index) => self.answer(now, id, index),
            None => Ok(()),
        }
    }

    fn ask_for(&mut self, now: UnixMillis, id: ChannelId, mut gap: Gap) -> Result<(), Error> {
        let Some(before) = gap.before else {
            return Ok(());
        };
        let others = self.devices_within(id)?.len() > 1;
        gap.tries += u32::from(others);
        gap.at = now.plus(before_asking(&gap));
        let given_up = gap.tries > MOST_TRIES;
        let store = self.store.clone();
        if !others || given_up {
            store.relaxed(|| store.put_gap(&gap))?;
            self.load_gaps(id)?;
            if given_up {
                let what = format!(
                    "what was said after record {} and before {} was missed, and nobody has handed \
                     it on",
                    gap.after.0, before.0
                );
                self.alarm(Some(id), AlarmKind::MissingRecord, what);
            }
            return Ok(());
        }
        let client_id = self.client_id(now)?;
        gap.ask = Some(client_id);
        let ask = Ask::new(gap.after, before).encode();
        store.atomic(|| {
            store.queue(client_id, id, Carries::Ask, &ask)?;
            store.put_gap(&gap)
        })?;
        self.load_gaps(id)?;
        self.send_step(now, id)
    }

    /// What was heard in the log, once it is stored.
    pub(super) fn heard(&mut self, id: ChannelId, heard: Heard) -> Result<(), Error> {
        let now = self.clock;
        match heard {
            Heard::Asked { ask, by, .. } if by == self.device() => {
                tracing::debug!(?ask, "asked");
                Ok(())
            }
            Heard::Asked { ask, by, what } => {
                let covered = self.store.covered(id, what.after(), what.before())?;
                let Some((from, _)) = covered else {
                    return Ok(());
                };
                let rank = self.rank(id, ask, by)?;
                let part = u64::from(from > what.after()) * PART_MS;
                let wait = rank * TURN_MS + part + self.jitter(TURN_MS / 4)?;
                let Some(channel) = self.channels.get_mut(&id) else {
                    return Ok(());
                };
                // An ask is repeated with another mark: the one before is over.
                channel
                    .turns
                    .retain(|turn| turn.asker != by || turn.after >= what.before());
                if channel.turns.len() < MOST_TURNS {
                    channel.turns.push(Turn {
                        ask,
                        asker: by,
                        after: what.after(),
                        before: what.before(),
                        at: Wait::of(wait, now),
                        pieces: 0,
                        waits: false,
                    });
                }
                Ok(())
            }
            Heard::Handed {
                ask,
                through,
                last,
                own,
            } => {
                let Some(asker) = self.turn(id, ask).map(|turn| turn.asker) else {
                    return Ok(());
                };
                let wait = match own {
                    true => 0,
                    false => PIECE_MS + self.rank(id, ask, asker)? * TURN_MS,
                };
                if let Some(turn) = self.turn(id, ask) {
                    turn.after = turn.after.max(through);
                    turn.at = Wait::of(wait, now);
                    turn.waits = false;
                }
                if let Some(channel) = self.channels.get_mut(&id).filter(|_| last) {
                    channel.turns.retain(|turn| turn.ask != ask);
                }
                Ok(())
            }
        }
    }

    fn turn(&mut self, id: ChannelId, ask: ClientId) -> Option<&mut Turn> {
        let channel = self.channels.get_mut(&id)?;
        channel.turns.iter_mut().find(|turn| turn.ask == ask)
    }

    /// The rank of this device's hash with the ask among all that could answer.
    fn rank(&mut self, id: ChannelId, ask: ClientId, asker: DeviceId) -> Result<u64, Error> {
        let hash = |device: &DeviceId| {
            let mut hash = [0; 32];
            let input = [&ask.0[..], &device.0[..]].concat();
            hash.copy_from_slice(digest(&SHA256, &input).as_ref());
            (hash, *device)
        };
        let own = hash(&self.device());
        let devices = self.devices_within(id)?;
        let before = devices
            .iter()
            .filter(|device| **device != asker)
            .filter(|device| hash(device) < own)
            .count();
        Ok(before as u64)
    }

    /// Puts the next piece for somebody into the outbox.
    fn answer(&mut self, now: UnixMillis, id: ChannelId, index: usize) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let Some(turn) = channel.turns.get_mut(index) else {
            return Ok(());
        };
        turn.pieces += 1;
        turn.waits = true;
        turn.at = Wait::of(PIECE_MS, now);
        let (ask, asker) = (turn.ask, turn.asker);
        let (after, before, pieces) = (turn.after, turn.before, turn.pieces);
        let Some((from, end)) = self.store.covered(id, after, before)? else {
            channel.turns.remove(index);
            return Ok(());
        };
        let (handed, through) = self.collect(id, asker, (from, end))?;
        let sealing = self
            .ledger
            .read(|ledger| ledger.device(asker).map(|one| one.keys.sealing.clone()));
        let Some(sealing) = sealing else {
            return Ok(());
        };
        let context = seal_context(self.identity.network(), id, ask);
        let sealed = seal_to(&sealing, &context, &encode_handed(&handed))
            .map_err(|error| Error::new(ErrorKind::Integrity, error.to_string()))?;
        let last = through == end || pieces >= MOST_PIECES;
        let piece = HandOn::new(ask, (from, through), last, sealed).encode();
        let client_id = self.client_id(now)?;
        let store = self.store.clone();
        store.atomic(|| store.queue(client_id, id, Carries::HandOn, &piece))?;
        self.send_step(now, id)
    }

    /// Messages that the asker is entitled to, as many as fit a piece; up to where.
    fn collect(
        &self,
        id: ChannelId,
        asker: DeviceId,
        (from, end): (Seq, Seq),
    ) -> Result<(Vec<Handed>, Seq), Error> {
        let mut handed = Vec::new();
        let mut size = 0;
        let mut through = from;
        let rows = self.store.messages(id, from, PAGE)?;
        let full = rows.len() == PAGE as usize;
        for row in rows {
            if row.seq > end {
                return Ok((handed, end));
            }
            let one = Handed::new(
                (row.seq, row.time),
                (row.device, row.client_id, row.epoch),
                row.content,
                row.signature,
            );
            if size + one.size() > PIECE {
                return Ok((handed, through));
            }
            through = row.seq;
            if self.store.was_leaf(id, asker, row.seq)? {
                size += one.size();
                handed.push(one);
            }
        }
        Ok((handed, if full { through } else { end }))
    }

    /// A piece of an answer, within the transaction of its record. Whether messages came of it.
    pub(super) fn take_handed(
        &mut self,
        id: ChannelId,
        by: DeviceId,
        piece: &HandOn,
        alarms: &mut Vec<(AlarmKind, String)>,
    ) -> Result<bool, Error> {
        let mut gaps = self.store.gaps(id)?;
        gaps.retain(|gap| {
            gap.ask == Some(piece.ask())
                && gap.after < piece.through()
                && gap.before.is_some_and(|before| piece.from() < before)
        });
        if gaps.is_empty() {
            return Ok(false);
        }
        let key = SealingKey::from_parts(
            self.identity.sealing.clone(),
            self.identity.sealing_public.clone(),
        );
        let context = seal_context(self.identity.network(), id, piece.ask());
        let handed = open_sealed(&key, &context, piece.sealed())
            .ok()
            .and_then(|bytes| decode_handed(&bytes));
        let Some(handed) = handed else {
            let what = format!("{by:?} hands on what cannot be opened");
            alarms.push((AlarmKind::InvalidMessage, what));
            return Ok(false);
        };
        let mut came = false;
        let mut last = (Seq(0), Epoch(0));
        for one in &handed {
            let place = (one.seq(), one.epoch());
            let outside = one.seq() <= piece.from() || one.seq() > piece.through();
            if outside || place.0 <= last.0 || place.1 < last.1 || !self.is_by_its_device(id, one) {
                let what = format!("{by:?} hands on a message that does not hold");
                alarms.push((AlarmKind::InvalidMessage, what));
                return Ok(came);
            }
            last = place;
            // Two may answer one ask: what came from the other is had.
            let missed = |gap: &Gap| {
                let before = gap.before.is_some_and(|before| one.seq() < before);
                gap.after < one.seq() && before
            };
            if gaps.iter().any(missed) {
                came |= self.store_handed(id, by, one)?;
            }
        }
        for gap in &gaps {
            self.store
                .fill_gap(id, gap, piece.from(), piece.through())?;
        }
        Ok(came)
    }

    fn is_by_its_device(&self, id: ChannelId, one: &Handed) -> bool {
        let device = one.device();
        let key = self
            .ledger
            .read(|ledger| ledger.device(device).map(|device| device.keys.mls));
        let envelope = Envelope {
            carries: Carries::Content,
            content: one.content.clone(),
            signature: one.signature(),
        };
        let context = SignedContext {
            network: self.identity.network(),
            channel: id,
            epoch: one.epoch(),
            client_id: one.client_id(),
        };
        key.is_some_and(|key| envelope.verify(&context, &key).is_ok())
            && Content::decode(&one.content).is_ok()
    }

    fn store_handed(&mut self, id: ChannelId, by: DeviceId, one: &Handed) -> Result<bool, Error> {
        let own = one.device() == self.device();
        if own && let Some(mut row) = self.store.outgoing(one.client_id())? {
            row.seq = Some(one.seq());
            self.place(&row)?;
            return Ok(true);
        }
        let marked = self.store.message_of(one.client_id())?;
        let twice = marked.is_some_and(|row| row.device == one.device() && row.channel == id);
        if twice || self.store.has_message(id, one.seq())? {
            return Ok(false);
        }
        self.store.add_message(&MessageRow {
            position: 0,
            channel: id,
            seq: one.seq(),
            client_id: one.client_id(),
            device: one.device(),
            time: one.time(),
            epoch: one.epoch(),
            content: one.content.clone(),
            signature: one.signature(),
            seen: None,
            handed_by: Some(by),
        })?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::simulation::World;

    fn piece(world: &World, ask: ClientId, id: ChannelId, stretch: (Seq, Seq)) -> HandOn {
        let (hander, asker) = (&world.parties[0].engine, &world.parties[1].engine);
        let (handed, through) = hander.collect(id, asker.device(), stretch).unwrap();
        let context = seal_context(hander.identity.network(), id, ask);
        let to = &asker.identity.sealing_public;
        let sealed = seal_to(to, &context, &encode_handed(&handed)).unwrap();
        HandOn::new(ask, (stretch.0, through), true, sealed)
    }

    #[test]
    fn a_clock_set_back_asks_at_once() {
        let now = UnixMillis(1_800_000_000_000);
        let mut gap = Gap {
            id: 1,
            after: Seq(1),
            before: Some(Seq(9)),
            tries: 2,
            at: UnixMillis(0),
            ask: None,
        };
        assert!(is_due(&gap, now));
        gap.at = now.plus(before_asking(&gap));
        assert!(!is_due(&gap, now));
        assert!(is_due(&gap, gap.at));
        assert!(is_due(&gap, UnixMillis(now.0 - 1)));
    }

    /// Whoever has only a part answers at the same time as somebody who has all.
    #[test]
    fn two_answers_to_one_ask_may_overlap() {
        let mut world = World::connected(1, 2);
        let channel = world.channels[0];
        world.enter_all(channel);
        for text in ["a", "b", "c", "d"] {
            world.send(0, channel, text);
            world.run();
        }
        let ask = ClientId([9; 16]);
        let rows = world.parties[0].engine.store.messages(channel, Seq(0), 10);
        let places: Vec<Seq> = rows.unwrap().iter().map(|row| row.seq).collect();
        let (start, end) = (Seq(places[0].0 - 1), places[3]);
        {
            let connection = world.parties[1].engine.store.lock();
            connection.execute("DELETE FROM message", []).unwrap();
            let sql = "INSERT INTO gap VALUES(1, ?, ?, ?, 1, 0, ?)";
            let (after, before) = (start.0 as i64, end.0 as i64 + 1);
            let gap = params![channel.0, after, before, ask.0];
            connection.execute(sql, gap).unwrap();
        }
        let by = world.device(0);
        let parts = [
            piece(&world, ask, channel, (places[0], places[1])),
            piece(&world, ask, channel, (start, end)),
        ];
        let mut alarms = Vec::new();
        for part in &parts {
            let engine = &mut world.parties[1].engine;
            assert!(engine.take_handed(channel, by, part, &mut alarms).unwrap());
        }
        assert_eq!(alarms, []);
        assert_eq!(world.texts(1, channel), ["a", "b", "c", "d"]);
        assert_eq!(
            world.parties[1].engine.store.gaps(channel).unwrap().len(),
            0
        );
    }
}
