//! Before a return: whether the log still goes on from where this device left it, and if not, where the
//! two part. Records are only hashed here, not opened.

use plenary_certs::chain::{entry, link};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, UnixMillis},
    limits,
    reply::{Failure, Record, Reply},
    request::Request,
};

use super::{AlarmKind, Engine, Waiting, entering::channel_row};
use crate::error::Error;

/// How far back the second look begins; each further one goes so many times as far.
const BACK: u64 = 16;

/// A look at the log, from a place that this device has read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace {
    /// Where it is now.
    at: ChannelHead,
    /// The last place that is as it was read here.
    same: ChannelHead,
    /// Where it began.
    from: ChannelHead,
    /// How far back to begin next.
    back: u64,
}

impl From<ChannelHead> for Trace {
    fn from(head: ChannelHead) -> Self {
        Self {
            at: head,
            same: head,
            from: head,
            back: BACK,
        }
    }
}

impl Engine {
    /// Asks for what comes next, if there is something to trace.
    pub(super) fn trace(&mut self, id: ChannelId) -> bool {
        let Some(trace) = self.channels.get(&id).and_then(|channel| channel.trace) else {
            return false;
        };
        let request = Request::Read {
            channel: id,
            after: trace.at.seq,
            limit: limits::READ_RECORDS,
        };
        self.ask(request, Waiting::Trace(id));
        true
    }

    /// What was asked for by [`Self::trace`].
    pub(super) fn traced(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.appending(id, false);
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let trace = channel.trace.take();
        // Whether this device may read at all, entering tells.
        if let (Some(trace), Ok(Reply::Records { records, head })) = (trace, reply)
            && let Some(head) = self.check_head(id, &head)?
        {
            let next = self.follow_on(id, trace, &records, head)?;
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.trace = next;
            }
        }
        self.advance(now, id)
    }

    /// What is to be looked at next, if anything.
    fn follow_on(
        &mut self,
        id: ChannelId,
        mut trace: Trace,
        records: &[Record],
        head: ChannelHead,
    ) -> Result<Option<Trace>, Error> {
        let before = trace.at;
        for record in records.iter().filter(|record| record.seq > before.seq) {
            if record.seq != trace.at.seq.next() {
                break;
            }
            trace.at = step(id, trace.at, record);
            if trace.same.seq.next() == trace.at.seq
                && self.store.hash_at(id, trace.at.seq)? == Some(trace.at.hash)
            {
                trace.same = trace.at;
            }
        }
        if trace.at == head {
            self.go_back(id, trace.same)?;
            return Ok(None);
        }
        if trace.at.seq > before.seq && trace.at.seq < head.seq {
            return Ok(Some(trace));
        }
        if trace.back == BACK {
            let what = "the server's log is not the one that was read here any more";
            self.alarm(Some(id), AlarmKind::LogForked, what);
        }
        Ok(
            match self.store.read_before(id, trace.from.seq, trace.back)? {
                Some(from) => Some(Trace {
                    back: trace.back.saturating_mul(BACK),
                    ..Trace::from(from)
                }),
                None => {
                    // Nothing in common at all.
                    self.go_back(id, trace.from)?;
                    None
                }
            },
        )
    }

    /// The log goes on from here, and not from what was read afterwards.
    fn go_back(&mut self, id: ChannelId, to: ChannelHead) -> Result<(), Error> {
        let mut row = channel_row(self, id)?;
        if row.head.seq <= to.seq {
            return Ok(());
        }
        self.step(id, |engine| {
            engine.store.set_aside(id, to.seq, engine.device())?;
            engine.store.open_gap(id, to.seq)?;
            row.head = to;
            engine.save_row(row)
        })?;
        self.load_gaps(id)
    }
}

/// Where a record leads.
pub(super) fn step(id: ChannelId, from: ChannelHead, record: &Record) -> ChannelHead {
    let entry = entry(record.device, record.client_id, record.time, &record.bytes);
    ChannelHead {
        seq: record.seq,
        hash: link(&from.hash, id, record.seq, &entry),
    }
}
