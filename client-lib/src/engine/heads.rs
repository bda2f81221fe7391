//! Signed heads: kept, held against the log as read here and against what others say they have seen.
//!
//! ```text
//! acknowledgement, read reply --> keep_head --> signed_head (store)
//!                                     |            ^
//! records ------> chain --------------+-> differs: alarm, both kept
//! what senders have seen (authenticated data) --+
//! ```
//!
//! Pushed records carry no signature. Once some of them have none for a while, the head is asked for.

use std::collections::{BTreeMap, BTreeSet};

use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Digest, Seq, UnixMillis},
    reply::{Failure, Reply, SignedHead},
    request::Request,
};

use super::{AlarmKind, Engine, In, Wait, Waiting};
use crate::{error::Error, store::Store};

/// So many records, or so long (and up to as long again, by chance), may stay without a signature.
const UNSIGNED: u64 = 64;
const UNSIGNED_MS: u64 = 60_000;

/// What is known of a channel's signed heads.
#[derive(Default)]
pub(super) struct Heads {
    /// Signed positions that the log as read here has not come to.
    ahead: BTreeMap<Seq, Digest>,
    /// A kept signature vouches for everything up to here.
    vouched: Seq,
    /// When to ask for a signature on what was pushed.
    ask_at: Option<Wait>,
    asked: bool,
    /// Whose differing view was told already.
    told: BTreeSet<DeviceId>,
}

impl Heads {
    pub(super) fn load(store: &Store, channel: ChannelId, read: Seq) -> Result<Self, Error> {
        let ahead = store.heads_after(channel, read)?;
        Ok(Self {
            ahead: ahead.iter().map(|head| (head.seq, head.hash)).collect(),
            vouched: store.vouched(channel)?,
            ..Self::default()
        })
    }

    /// The connection is gone.
    pub(super) fn forget_asked(&mut self) {
        self.asked = false;
    }

    /// Once is enough for each sender: every later message of theirs names the same.
    pub(super) fn has_told(&mut self, senders: &[DeviceId]) {
        self.told.extend(senders);
    }
}

impl Engine {
    /// Verified and kept; `None`, with an alarm, if the signature does not hold.
    pub(super) fn check_head(
        &mut self,
        id: ChannelId,
        signed: &SignedHead,
    ) -> Result<Option<ChannelHead>, Error> {
        let store = self.store.clone();
        store.relaxed(|| self.check_head_within(id, signed))
    }

    /// The same, within a transaction of the caller's.
    pub(super) fn check_head_within(
        &mut self,
        id: ChannelId,
        signed: &SignedHead,
    ) -> Result<Option<ChannelHead>, Error> {
        if !self.is_signed(id, signed) {
            let what = "the server's signature on the channel's head does not hold";
            self.alarm(Some(id), AlarmKind::HeadSignature, what);
            return Ok(None);
        }
        self.keep_head(id, signed)?;
        Ok(Some(signed.head))
    }

    fn is_signed(&self, id: ChannelId, signed: &SignedHead) -> bool {
        signed.channel == id
            && self.server_key().is_some_and(|key| {
                let network = self.identity.network();
                plenary_certs::signed_head::check_head(&key, network, signed).is_ok()
            })
    }

    fn keep_head(&mut self, id: ChannelId, signed: &SignedHead) -> Result<(), Error> {
        let head = signed.head;
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let read = channel.row.head;
        if channel.row.standing != In::In {
            return self.store.put_head(signed, false).map(drop);
        }
        let heads = &mut channel.heads;
        let known = if head.seq > read.seq {
            heads.ahead.get(&head.seq).copied()
        } else if head.seq == read.seq {
            Some(read.hash)
        } else {
            self.store.hash_at(id, head.seq)?
        };
        match known {
            Some(hash) if hash != head.hash => {
                if self.store.put_head(signed, false)? {
                    self.alarm(
                        Some(id),
                        AlarmKind::LogForked,
                        format!(
                            "the server signed two logs: record {} is not the one that it showed \
                             or signed before; `plenary audit` has the proof",
                            head.seq.0
                        ),
                    );
                }
                Ok(())
            }
            // Position and hash are not new.
            Some(_) if head.seq > read.seq => Ok(()),
            Some(_) => {
                if head.seq > heads.vouched {
                    heads.vouched = head.seq;
                    heads.ask_at = None;
                    self.store.put_head(signed, true)?;
                }
                Ok(())
            }
            None => {
                if head.seq > read.seq {
                    heads.ahead.insert(head.seq, head.hash);
                }
                self.store.put_head(signed, false).map(drop)
            }
        }
    }

    /// The log was read on, within the transaction that does it: `hashes` of the records right after
    /// `before`. Returns where they are not what the server signed.
    pub(super) fn reached(
        &self,
        id: ChannelId,
        before: Seq,
        hashes: &[Digest],
    ) -> Result<Vec<Seq>, Error> {
        let Some(channel) = self.channels.get(&id).filter(|_| !hashes.is_empty()) else {
            return Ok(Vec::new());
        };
        let end = Seq(before.0 + hashes.len() as u64);
        let mut differ = Vec::new();
        for (seq, expected) in channel.heads.ahead.range(before.next()..=end) {
            let index = (seq.0 - before.0 - 1) as usize;
            if hashes.get(index) == Some(expected) {
                let head = ChannelHead {
                    seq: *seq,
                    hash: *expected,
                };
                self.store.head_agrees(id, head)?;
            } else {
                differ.push(*seq);
            }
        }
        Ok(differ)
    }

    /// The same, once it is done.
    pub(super) fn has_reached(&mut self, id: ChannelId, differ: &[Seq]) {
        let wait = UNSIGNED_MS + self.jitter(UNSIGNED_MS).unwrap_or_default();
        let at = Wait::of(wait, self.clock);
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let read = channel.row.head.seq;
        let heads = &mut channel.heads;
        while let Some(first) = heads
            .ahead
            .first_entry()
            .filter(|first| *first.key() <= read)
        {
            if !differ.contains(first.key()) {
                heads.vouched = heads.vouched.max(*first.key());
            }
            first.remove();
        }
        if heads.vouched >= read {
            heads.ask_at = None;
        } else if heads.ask_at.is_none() {
            heads.ask_at = Some(at);
        }
    }

    /// What a sender says of the log must be what was read here; else there are two logs.
    ///
    /// `hash`: of the position it names, as read here. `at`: of the record that says so.
    pub(super) fn differs(
        &self,
        id: ChannelId,
        (sender, at): (DeviceId, Seq),
        seen: ChannelHead,
        hash: Option<Digest>,
    ) -> Option<String> {
        let what = if seen.seq >= at {
            format!(
                "record {} was sent by who had read up to {}, which the server does not show here",
                at.0, seen.seq.0
            )
        } else if seen.seq.0 > 0 && hash.is_some_and(|hash| hash != seen.hash) {
            format!(
                "the sender of record {} was shown another log up to {} than this device: \
                 compare with them by `plenary audit --compare`",
                at.0, seen.seq.0
            )
        } else {
            return None;
        };
        let channel = self.channels.get(&id)?;
        (!channel.heads.told.contains(&sender)).then_some(what)
    }

    /// Asks for a signature on what was pushed, once it is time.
    pub(super) fn head_step(&mut self, now: UnixMillis, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        let caught_up = channel.caught_up();
        let (read, heads) = (channel.row.head.seq, &mut channel.heads);
        let many = read.0.saturating_sub(heads.vouched.0) >= UNSIGNED;
        let due = heads.ask_at.is_some_and(|at| many || at.is_over(now));
        if !due || heads.asked || !caught_up {
            return;
        }
        heads.asked = true;
        let request = Request::Read {
            channel: id,
            after: read,
            limit: 1,
        };
        self.ask(request, Waiting::Head(id));
    }

    /// The head that was asked for.
    pub(super) fn head_answered(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.heads.asked = false;
            channel.heads.ask_at = Some(Wait::of(UNSIGNED_MS, now));
        }
        if let Ok(Reply::Records { head, .. }) = reply
            && let Some(head) = self.check_head(id, &head)?
            && let Some(channel) = self.channels.get_mut(&id)
        {
            channel.server = channel.server.max(head.seq);
        }
        Ok(())
    }
}
