//! Verifies once more everything that a profile holds: the ledger from ROOT 1, what the server signed
//! of each channel, the chains, and every message's signature. Pure: rows in, a report out.

use std::collections::{HashMap, HashSet};

use plenary_certs::{
    ledger::Ledger,
    proof::{ChannelView, TwoLogs},
    signed_head::check_head,
};
use plenary_proto::ids::{
    ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, LedgerSeq, NetworkId, Seq,
};

use crate::{
    content::{Carries, Content, Envelope, SignedContext},
    store::messages::MessageRow,
};

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Statements verified again, from ROOT 1 on.
    pub ledger: LedgerSeq,
    /// What is wrong with the ledger first.
    pub ledger_wrong: Option<String>,
    /// By channel.
    pub channels: Vec<AuditedChannel>,
}

/// What an audit found in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditedChannel {
    /// Which.
    pub channel: ChannelId,
    /// Records of the log whose chain was followed again.
    pub records: u64,
    /// Stretches of the log that were read; between two of them this device was away.
    pub stretches: u64,
    /// Heads signed by the server that were verified again.
    pub heads: u64,
    /// The server's signatures vouch for the log up to here.
    pub vouched: Seq,
    /// Messages whose device's signature was verified again.
    pub messages: u64,
    /// What is wrong first.
    pub wrong: Option<Wrong>,
    /// Where the server lied: a proof file for third parties.
    pub proof: Option<Vec<u8>>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// At which record.
    pub at: Seq,
    /// What, in words.
    pub what: String,
}

/// How far an audit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditProgress {
    /// Statements and messages verified.
    pub done: u64,
    /// Of so many.
    pub total: u64,
}

impl Audit {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.ledger_wrong.is_none() && self.channels.iter().all(|one| one.wrong.is_none())
    }
}

/// Goes through a profile: statements first, then channel by channel its view and its messages.
pub(crate) struct Auditor {
    ledger: Ledger,
    wrong: Option<String>,
    done: Vec<AuditedChannel>,
    current: Option<Current>,
}

struct Current {
    found: AuditedChannel,
    marks: HashSet<(DeviceId, ClientId)>,
    last: Option<(Seq, Epoch)>,
    seen: HashMap<DeviceId, Seq>,
    end: Seq,
}

impl Auditor {
    pub(crate) fn new(network: NetworkId, root1: Digest) -> Self {
        Self {
            ledger: Ledger::new(network, root1),
            wrong: None,
            done: Vec::new(),
            current: None,
        }
    }

    pub(crate) fn statement(&mut self, signed: &[u8]) {
        if self.wrong.is_some() {
            return;
        }
        if let Err(error) = self.ledger.append(signed) {
            let at = self.ledger.head().seq.0 + 1;
            self.wrong = Some(format!("statement {at}: {error}"));
        }
    }

    /// A channel begins: as seen here, up to `head`.
    pub(crate) fn channel(
        &mut self,
        channel: ChannelId,
        view: Result<ChannelView, Seq>,
        head: ChannelHead,
    ) {
        self.end_channel();
        let mut found = AuditedChannel {
            channel,
            records: 0,
            stretches: 0,
            heads: 0,
            vouched: Seq(0),
            messages: 0,
            wrong: None,
            proof: None,
        };
        match view {
            Err(at) => found.note(at, "the stored chain does not hold together"),
            Ok(view) => {
                found.records = view.pieces.iter().map(|one| one.entries.len() as u64).sum();
                found.stretches = view.pieces.len() as u64;
                self.check_view(&view, head, &mut found);
            }
        }
        self.current = Some(Current {
            found,
            marks: HashSet::new(),
            last: None,
            seen: HashMap::new(),
            end: head.seq,
        });
    }

    fn check_view(&self, view: &ChannelView, head: ChannelHead, found: &mut AuditedChannel) {
        let channel = view.channel;
        if let Some(last) = view.pieces.last()
            && last.hashes(channel).last() != Some(&head)
        {
            found.note(last.end(), "the chain ends elsewhere than the log as read");
        }
        let network = self.ledger.network();
        let mut signed = view.clone();
        signed.heads.retain(|one| {
            let holds = self
                .ledger
                .server_keys()
                .any(|(_, key)| check_head(&key, network, one).is_ok());
            if !holds {
                found.note(
                    one.head.seq,
                    "a head that no server key of the ledger signed",
                );
            }
            holds
        });
        found.heads = signed.heads.len() as u64;
        let hashes: HashMap<Seq, Digest> = signed
            .pieces
            .iter()
            .flat_map(|piece| piece.hashes(channel))
            .map(|head| (head.seq, head.hash))
            .collect();
        for one in &signed.heads {
            match hashes.get(&one.head.seq) {
                Some(hash) if *hash != one.head.hash => {
                    found.note(
                        one.head.seq,
                        "the server signed another record than it showed",
                    );
                }
                Some(_) => found.vouched = found.vouched.max(one.head.seq),
                None => {}
            }
        }
        if let Some(two) = signed.contradiction(&signed) {
            found.note(two.first.head.seq, "the server signed two different logs");
            found.proof = Some(TwoLogs::file(&self.ledger, channel, &two));
        }
    }

    /// The next message of the channel, in its order.
    pub(crate) fn message(&mut self, row: &MessageRow) {
        let Some(current) = &mut self.current else {
            return;
        };
        current.found.messages += 1;
        if let Err(what) = current.check(&self.ledger, row) {
            current.found.note(row.seq, what);
        }
        current.last = Some((row.seq, row.epoch));
    }

    fn end_channel(&mut self) {
        self.done.extend(self.current.take().map(|one| one.found));
    }

    pub(crate) fn finish(mut self) -> Audit {
        self.end_channel();
        Audit {
            ledger: self.ledger.head().seq,
            ledger_wrong: self.wrong,
            channels: self.done,
        }
    }
}

impl Current {
    fn check(&mut self, ledger: &Ledger, row: &MessageRow) -> Result<(), &'static str> {
        let device = ledger
            .device(row.device)
            .ok_or("a message of a device that the ledger lacks")?;
        let envelope = Envelope {
            carries: Carries::Content,
            content: row.content.clone(),
            signature: row.signature,
        };
        let context = SignedContext {
            network: ledger.network(),
            channel: row.channel,
            epoch: row.epoch,
            client_id: row.client_id,
        };
        envelope
            .verify(&context, &device.keys.mls)
            .map_err(|_| "a message whose device's signature does not hold")?;
        Content::decode(&row.content).map_err(|_| "a message that cannot be read")?;
        if !self.marks.insert((row.device, row.client_id)) {
            return Err("one message twice");
        }
        if row.seq > self.end {
            return Err("a message beyond the log as read");
        }
        if self
            .last
            .is_some_and(|(seq, epoch)| row.seq <= seq || row.epoch < epoch)
        {
            return Err("messages out of the order of the group's epochs");
        }
        if let Some(seen) = row.seen {
            let before = self.seen.insert(row.device, seen);
            if seen >= row.seq {
                return Err("a message by who had seen what comes after it");
            }
            if before.is_some_and(|before| seen < before) {
                return Err("a sender went back in what it had seen");
            }
        }
        Ok(())
    }
}

impl AuditedChannel {
    /// The lowest position counts as the first.
    fn note(&mut self, at: Seq, what: &str) {
        if self.wrong.as_ref().is_none_or(|wrong| at < wrong.at) {
            let what = what.to_owned();
            self.wrong = Some(Wrong { at, what });
        }
    }
}

/// What comparing with another member's heads found in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compared {
    /// Which.
    pub channel: ChannelId,
    /// Positions that both have read.
    pub shared: u64,
    /// The first of them at which the two logs differ.
    pub differs: Option<Seq>,
    /// What the server signed convicts it: a proof file for third parties.
    pub proof: Option<Vec<u8>>,
}

/// Compares two views of a channel. Heads that no server key of the ledger signed count for nothing.
pub(crate) fn compare(ledger: &Ledger, own: &ChannelView, theirs: &ChannelView) -> Compared {
    let signed = |view: &ChannelView| {
        let mut view = view.clone();
        view.heads.retain(|one| {
            ledger
                .server_keys()
                .any(|(_, key)| check_head(&key, ledger.network(), one).is_ok())
        });
        view
    };
    let (own, theirs) = (signed(own), signed(theirs));
    let places = |view: &ChannelView| -> HashSet<Seq> {
        let pieces = view.pieces.iter();
        pieces
            .flat_map(|piece| (piece.before.seq.0..=piece.end().0).map(Seq))
            .collect()
    };
    let found = own.contradiction(&theirs);
    Compared {
        channel: own.channel,
        shared: places(&own).intersection(&places(&theirs)).count() as u64,
        differs: own.differs(&theirs),
        proof: found.map(|found| TwoLogs::file(ledger, own.channel, &found)),
    }
}
