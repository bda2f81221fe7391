//! A channel that this device cannot follow: told at once, read again, and if that does not help,
//! entered again by an external commit under the same identity; what was missed is asked for (see
//! [`super::handing`]).
//!
//! ```text
//! In --next record does not hold--> In (doubt: reads again, later and later) --holds--> In
//!                                    | a commit that was read so often, group lost, trimmed
//!                                    v
//!  In (gap closes) <-- Entering (gap opens) --too often--> stuck --`enter` by a person--> Entering
//!  |                         | the log is another one
//!  +-------------------------+--> back to where it last held, and Entering
//! ```
//!
//! Group and position are kept while a record is in doubt: who lies about it once may tell the truth
//! the next time, and then nothing has happened. Records that do not add up to what the server signed,
//! a hole and a commit under another ledger are never a reason to enter again: there is nothing in them
//! that the device's own state could be at fault for.
//!
//! A return may be out of a lie, or into one. So before each the log is traced, without being opened,
//! from where it was left, and if it is another one, from further and further back: what was read after
//! the last place in common is set aside, what this device sent there waits again, and the rest is
//! handed on by peers. A log that turns out to be another one within an hour after a return is left
//! again by itself; at any other time that takes a person, for then the server has lied about what it
//! signed.
//!
//! Tries are counted on disk and spread out: a server that goes on feeding nonsense, or a member, gets
//! a handful of returns within the hour and then a channel that stands still and says why.

use std::collections::BTreeSet;

use plenary_proto::{
    ids::{ChannelHead, ChannelId, Epoch, Seq, UnixMillis},
    reply::{Code, Failure},
};

use super::{
    AlarmKind, Engine, Event, GroupError, In, Wait, entering::channel_row, tracing::Trace,
};
use crate::{
    content::{Carries, Content, Envelope, Kind, SignedContext},
    error::{Error, ErrorKind},
    store::{
        messages::MessageRow,
        outbox::OutboxRow,
        returns::{Gap, Healing},
    },
};

/// Returns, or tries to return, before a person must look.
pub(super) const MOST_TRIES: u32 = 6;
/// So often is a commit read that does not hold before the device's own state is thought to be at
/// fault.
const READS: u32 = 3;
/// After so long without another one, a return counts as done.
const FORGET_MS: u64 = 3_600_000;
/// Before the second try, or reading; four times as long before each further one.
const WAIT_MS: u64 = 1_000;
/// All members may have to return from the same thing: not in the same moment.
const SPREAD_MS: u64 = 300;

const OTHER_LOG: &str = "the server's log is not the one that was read here any more";

/// A record that does not hold.
pub(super) struct Doubt {
    pub(super) at: Seq,
    /// What was said of it.
    told: BTreeSet<AlarmKind>,
    /// What was said last.
    why: String,
    /// How often it was read. Pushes do not count: nobody signs for them.
    reads: u32,
}

impl Doubt {
    /// Why reading does not go on, once that is not a matter of a moment.
    pub(super) fn lasting(&self) -> Option<&str> {
        (self.reads >= READS).then_some(&self.why)
    }
}

impl Engine {
    /// Says what is wrong with a record, once for each kind.
    pub(super) fn doubt(&mut self, id: ChannelId, (at, kind): (Seq, AlarmKind), what: &str) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let doubt = channel.doubt.take_if(|doubt| doubt.at == at);
        let mut doubt = doubt.unwrap_or(Doubt {
            at,
            told: BTreeSet::new(),
            why: String::new(),
            reads: 0,
        });
        let first = doubt.told.insert(kind);
        what.clone_into(&mut doubt.why);
        channel.doubt = Some(doubt);
        if first {
            self.alarm(Some(id), kind, what);
        }
    }

    /// What comes next was read and does not hold: it is read again later, and if it may be this
    /// device's own state, the channel is entered again in the end.
    pub(super) fn read_in_vain(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        (at, kind): (Seq, AlarmKind),
        why: &str,
    ) -> Result<(), Error> {
        self.doubt(id, (at, kind), why);
        self.welcome_is_due(id);
        let Some(doubt) = self
            .channels
            .get_mut(&id)
            .and_then(|channel| channel.doubt.as_mut())
        else {
            return Ok(());
        };
        doubt.reads += 1;
        let reads = doubt.reads;
        if reads >= READS {
            match kind {
                AlarmKind::InvalidCommit | AlarmKind::RecordsTrimmed => {
                    return self.rejoin(now, id, why);
                }
                AlarmKind::LogForked if self.leave_lie(now, id)? => return Ok(()),
                _ => {}
            }
        }
        let wait = fourfold(reads - 1, 3) + self.jitter(SPREAD_MS)?;
        self.put_off(now, id, wait);
        Ok(())
    }

    /// The server's log is not the one that this device follows. If it came back lately, that was
    /// into a lie, and it returns once more; else it stands still.
    pub(super) fn other_log(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if !self.leave_lie(now, id)?
            && let Some(channel) = self.channels.get_mut(&id)
        {
            channel.stuck = Some(OTHER_LOG.to_owned());
        }
        Ok(())
    }

    /// Whether this device came back lately, and now does so again.
    fn leave_lie(&mut self, now: UnixMillis, id: ChannelId) -> Result<bool, Error> {
        let healing = self.store.healing(id)?;
        let lately = healing.is_some_and(|one| !one.given_up && one.last.plus(FORGET_MS) > now);
        if lately && channel_row(self, id)?.standing == In::In {
            self.rejoin(now, id, OTHER_LOG)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether this device's group of a channel that it is in can be used. If not, it enters again.
    pub(super) fn is_sound(&mut self, now: UnixMillis, id: ChannelId) -> Result<bool, Error> {
        if self.is_resting(id) {
            return Ok(true);
        }
        match self.group(id) {
            Ok(_) => Ok(true),
            Err(GroupError::Store(why)) => Err(Error::new(ErrorKind::Store, why)),
            Err(error) => {
                let what = format!(
                    "this device's state of the channel is damaged or gone ({error}); it enters again"
                );
                self.alarm(Some(id), AlarmKind::GroupLost, what);
                self.rejoin(now, id, &error.to_string())?;
                Ok(false)
            }
        }
    }

    /// Out of a state that leads nowhere, by entering again.
    pub(super) fn rejoin(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        why: &str,
    ) -> Result<(), Error> {
        let Some(healing) = self.count(now, id, why)? else {
            return Ok(());
        };
        self.step(id, |engine| {
            let mut row = channel_row(engine, id)?;
            engine.store.open_gap(id, row.head.seq)?;
            engine.store.drop_pending(id)?;
            engine.store.put_healing(id, Some(&healing))?;
            engine.mls.forget(id)?;
            row.standing = In::Entering;
            row.note = Some(format!("entering again: {why}"));
            engine.save_row(row)
        })?;
        self.drop_group(id);
        self.appending(id, false);
        let wait = healing.wait() + self.jitter(SPREAD_MS)?;
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.pushed.clear();
            channel.reading = false;
            channel.fence_at = None;
            channel.doubt = None;
            channel.trace = Some(Trace::from(channel.row.head));
            channel.failing.clear();
            channel.not_before = Wait::of(wait, now);
        }
        Ok(())
    }

    /// Entering again did not work, for a reason that time alone may not mend.
    pub(super) fn rejoin_failed(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        why: &str,
    ) -> Result<(), Error> {
        if self.store.healing(id)?.is_none() {
            return Ok(());
        }
        if let Some(healing) = self.count(now, id, why)? {
            self.store.put_healing(id, Some(&healing))?;
            self.put_off(now, id, healing.wait());
        }
        Ok(())
    }

    /// One more try; `None` if there were too many, and the channel stands still.
    fn count(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        why: &str,
    ) -> Result<Option<Healing>, Error> {
        let before = self.store.healing(id)?;
        let before = before.filter(|one| !one.given_up && one.last.plus(FORGET_MS) > now);
        let healing = Healing {
            tries: before.map_or(0, |one| one.tries) + 1,
            last: now,
            why: why.to_owned(),
            given_up: false,
        };
        if healing.tries <= MOST_TRIES {
            return Ok(Some(healing));
        }
        let healing = Healing {
            given_up: true,
            ..healing
        };
        self.store.put_healing(id, Some(&healing))?;
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.stuck = Some(why.to_owned());
            channel.gave_up = true;
        }
        let what = format!(
            "this device entered again {MOST_TRIES} times in vain and stops: {why}; enter the \
             channel once it is known what is wrong"
        );
        self.alarm(Some(id), AlarmKind::GroupLost, what);
        Ok(None)
    }

    /// A person wants another try.
    pub(super) fn try_again(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        self.store.put_healing(id, None)?;
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.stuck = None;
            channel.gave_up = false;
            channel.not_before = Wait::OVER;
        }
        self.rejoin(now, id, "asked for")
    }

    /// Within the transaction of being back: what this device had sent and knows the place of is in
    /// the log, and will not be read there any more.
    pub(super) fn place_own(&mut self, id: ChannelId, through: Seq) -> Result<(), Error> {
        for row in self.store.acknowledged(id, through)? {
            self.place(&row)?;
        }
        Ok(())
    }

    /// A message of this device whose place in the log is passed becomes a message here.
    pub(super) fn place(&mut self, row: &OutboxRow) -> Result<(), Error> {
        let Some(seq) = row.seq else { return Ok(()) };
        let known = self.store.has_message(row.channel, seq)?;
        let shown = Content::decode(&row.content)
            .is_ok_and(|content| !matches!(content.kind(), Kind::Custody(_)));
        if row.carries == Carries::Content && shown && !known {
            // Signed for the epoch of what stands before it: which one it was in is no longer known.
            let epoch = self
                .store
                .epoch_before(row.channel, seq)?
                .unwrap_or(Epoch(0));
            let context = SignedContext {
                network: self.identity.network(),
                channel: row.channel,
                epoch,
                client_id: row.client_id,
            };
            let key = &self.mls_key;
            let envelope = Envelope::sign(row.carries, row.content.clone(), &context, |bytes| {
                Ok::<_, Error>(key.sign(bytes))
            })?;
            self.store.add_message(&MessageRow {
                position: 0,
                channel: row.channel,
                seq,
                client_id: row.client_id,
                device: self.device(),
                time: self.clock,
                epoch,
                content: envelope.content,
                signature: envelope.signature,
                seen: None,
                handed_by: None,
            })?;
        }
        self.store.unqueue(row.client_id)?;
        if row.carries == Carries::Content {
            self.event(Event::Sent {
                message: row.client_id,
                channel: row.channel,
                seq,
            });
        }
        Ok(())
    }

    /// Back in: who is in, and what was missed. Within the caller's transaction.
    pub(super) fn returned(
        &mut self,
        id: ChannelId,
        end: Seq,
        head: ChannelHead,
    ) -> Result<(), Error> {
        let devices = self.devices_within(id)?;
        self.store.begin_leaves(id, end, head.seq, &devices)?;
        self.store.close_gap(id, head.seq)
    }

    pub(super) fn load_gaps(&mut self, id: ChannelId) -> Result<(), Error> {
        let gaps: Vec<Gap> = self.store.gaps(id)?;
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.gaps = gaps;
        }
        Ok(())
    }
}

/// Whether a refusal says something of what was asked, and not of the moment.
pub(super) fn lasting(failure: &Failure) -> bool {
    !matches!(
        failure.code,
        Code::StaleEpoch
            | Code::Conflict
            | Code::Fenced
            | Code::Unavailable
            | Code::RateLimited
            | Code::Unauthenticated
    )
}

impl Healing {
    fn wait(&self) -> u64 {
        match self.tries {
            0 | 1 => 0,
            tries => fourfold(tries - 2, 6),
        }
    }
}

/// So many times four times as long, but no more than `most` times.
fn fourfold(times: u32, most: u32) -> u64 {
    WAIT_MS << (2 * times.min(most))
}
