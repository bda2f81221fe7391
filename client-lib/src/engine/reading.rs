//! Reading on in a channel's log: what is asked for, what is pushed, and whether it adds up.
//!
//! ```text
//! push, read reply --> [reading] --> take_batch ([super::taking]) --> take_one ([super::record])
//!                         ^ stop: ledger first, in doubt ([super::healing]), left out
//! ```

use std::cmp::Ordering;

use plenary_proto::{
    ids::{ChannelHead, ChannelId, UnixMillis},
    limits,
    reply::{Code, Failure, Record, Reply},
    request::Request,
};

use super::{AlarmKind, Engine, Event, In, Wait, Waiting, entering::channel_row, tracing::step};
use crate::error::Error;

const UNSIGNED: &str = "the records do not add up to the head that the server signed";
const TRIMMED: &str = "the server says that it no longer keeps the records after those read here";

impl Engine {
    /// Asks for what comes after the last record processed.
    pub(super) fn read_on(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.reading
            || channel.stuck.is_some()
            || channel.needs_ledger.is_some()
            || channel.row.standing != In::In
        {
            return;
        }
        channel.reading = true;
        let after = channel.row.head.seq;
        self.ask(
            Request::Read {
                channel: id,
                after,
                limit: limits::READ_RECORDS,
            },
            Waiting::Read(id),
        );
    }

    /// A record was pushed: it is processed with what else is pushed by then, if it is the next.
    pub(super) fn moved(&mut self, id: ChannelId, record: Record) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.row.standing != In::In {
            return;
        }
        channel.server = channel.server.max(record.seq);
        let last = channel
            .pushed
            .last()
            .map_or(channel.row.head.seq, |record| record.seq);
        // A record too large to be pushed comes without its bytes.
        if !channel.reading
            && channel.stuck.is_none()
            && !record.bytes.is_empty()
            && record.seq == last.next()
        {
            channel.pushed.push(record);
        }
    }

    pub(super) fn take_pushed(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let pushed = std::mem::take(&mut channel.pushed);
        let behind = channel.row.head.seq < channel.server;
        if !pushed.is_empty() {
            self.take(now, id, pushed, true)?;
        }
        if behind {
            self.advance(now, id)
        } else {
            Ok(())
        }
    }

    pub(super) fn records(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        channel.reading = false;
        // Entering again meanwhile.
        if channel.row.standing != In::In {
            return Ok(());
        }
        match reply {
            Ok(Reply::Records { records, head }) => {
                let Some(head) = self.check_head(id, &head)? else {
                    self.put_off(now, id, 2_000);
                    return Ok(());
                };
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.server = channel.server.max(head.seq);
                }
                let last = records.last().map(|record| record.seq);
                if last.is_none() && self.nothing_came(now, id, head) {
                    return Ok(());
                }
                if self.contradicts(id, head)? {
                    return self.other_log(now, id);
                }
                if self.does_not_add_up(id, &records, head)? {
                    let next = channel_row(self, id)?.head.seq.next();
                    return self.read_in_vain(now, id, (next, AlarmKind::LogForked), UNSIGNED);
                }
                self.take(now, id, records, false)?;
                if last.is_none() {
                    self.check_acknowledged(id, head)?;
                }
                let end = self.channels.get(&id);
                if end.is_some_and(|channel| channel.row.head.seq >= head.seq) {
                    self.welcome_is_due(id);
                }
                self.advance(now, id)
            }
            Err(failure) if failure.code == Code::Trimmed => {
                let next = channel_row(self, id)?.head.seq.next();
                self.read_in_vain(now, id, (next, AlarmKind::RecordsTrimmed), TRIMMED)
            }
            Err(failure) if failure.code == Code::NotAllowed => {
                // Removed meanwhile: the removal itself may no longer be handed out.
                self.leave(now, id, failure.message)
            }
            Err(failure) => {
                tracing::warn!(%failure, "reading");
                let wait = failure.retry_after_ms.unwrap_or(2_000);
                self.put_off(now, id, wait);
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Nothing more is handed out. What was signed or acknowledged beyond that is gone.
    fn check_acknowledged(&mut self, id: ChannelId, head: ChannelHead) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let (read, heard) = (channel.row.head.seq, channel.server);
        if head.seq > read || heard <= read {
            return Ok(());
        }
        channel.server = read;
        let store = self.store.clone();
        let again = store.relaxed(|| store.deny_acknowledged_after(id, read))?;
        let again = match again {
            0 => "",
            _ => "; what this device sent there is sent again",
        };
        self.alarm(
            Some(id),
            AlarmKind::LogRolledBack,
            format!(
                "the server told of record {} and its log ends at {}{again}",
                heard.0, read.0
            ),
        );
        Ok(())
    }

    /// The signed head has more, and nothing was handed out. It is not asked for again at once, or a
    /// server that lies about its log keeps this device busy.
    fn nothing_came(&mut self, now: UnixMillis, id: ChannelId, head: ChannelHead) -> bool {
        let Some(channel) = self.channels.get_mut(&id) else {
            return false;
        };
        let own = channel.row.head.seq;
        if own >= head.seq {
            return false;
        }
        channel.not_before = Wait::of(2_000, now);
        let what = format!(
            "the server signed for record {} and hands out none after {}",
            head.seq.0, own.0
        );
        self.alarm(Some(id), AlarmKind::MissingRecord, what);
        true
    }

    /// The server signed the head beside what it handed out: records that lead elsewhere are not
    /// taken, whoever altered them.
    fn does_not_add_up(
        &self,
        id: ChannelId,
        records: &[Record],
        head: ChannelHead,
    ) -> Result<bool, Error> {
        let own = channel_row(self, id)?.head;
        let mut end = own;
        for record in records.iter().filter(|record| record.seq > own.seq) {
            if record.seq != end.seq.next() {
                // Told when it is come to.
                return Ok(false);
            }
            end = step(id, end, record);
        }
        Ok(end.seq > own.seq && end.seq == head.seq && end.hash != head.hash)
    }

    /// The signed head is not that of the log as read here.
    fn contradicts(&self, id: ChannelId, head: ChannelHead) -> Result<bool, Error> {
        let own = channel_row(self, id)?.head;
        let known = match head.seq.cmp(&own.seq) {
            Ordering::Greater => None,
            Ordering::Equal => Some(own.hash),
            Ordering::Less => self.store.hash_at(id, head.seq)?,
        };
        Ok(known.is_some_and(|hash| hash != head.hash))
    }

    /// Out of a channel, without having read why.
    fn leave(&mut self, now: UnixMillis, id: ChannelId, why: String) -> Result<(), Error> {
        let silent = self.returns_from_silence(id, self.clocks.earlier(now));
        let parted = self.was_out_since(id, now) || silent.unwrap_or(false);
        self.step(id, |engine| {
            engine.mls.forget(id)?;
            let mut row = channel_row(engine, id)?;
            // What was said before the removal was for this device, too.
            engine.store.open_gap(id, row.head.seq)?;
            row.standing = if parted { In::Parted } else { In::Out };
            row.basis = row.basis.or(Some(engine.basis_now(now)));
            row.note = Some(why);
            engine.save_row(row)
        })?;
        self.drop_group(id);
        self.event(Event::Left(id));
        self.welcome_is_due(id);
        Ok(())
    }
}
