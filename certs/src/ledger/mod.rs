//! The Board's ledger (design.md section 3): one append-only, hash-linked list of statements,
//! held and verified whole by every client and by the server.
//!
//! ```text
//! bytes -> SignedStatement -> Statement -> rules: network, version, ROOT, signatures, sense
//!                                            |
//!                                  entry hash, State (facts stamped with their position)
//! ```
//!
//! Pure: no clock, no randomness, no I/O. [`Ledger::append`] changes everything or nothing.
//! Every fact carries the position at which it became so; an old commit is judged by the prefix
//! it names, with however new a ledger.

mod apply;
mod body;
mod draft;
mod error;
mod extract;
mod freshness;
mod heartbeat;
mod kind;
mod root;
mod rules;
pub(crate) mod signed;
mod state;
mod statement;
mod vouching;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use plenary_proto::ids::{
    ChannelId, DeviceId, Digest, LedgerHead, LedgerSeq, MemberId, NetworkId, PublicKey, UnixMillis,
};

pub use body::{
    Admit, Body, Capacity, ChannelBody, DeviceBody, DeviceKeys, EntryRule, Grant, Policy, Reason,
    Recover, RecoverStep, Resume, Revoke, SEALING_KEY, Server, Suspend, Voucher,
};
pub use draft::found;
pub use error::LedgerError;
pub use extract::Extract;
pub use freshness::Freshness;
pub use heartbeat::{HEARTBEAT_BYTES, HEARTBEAT_LIFE, Heartbeat, HeartbeatError};
pub use kind::{Kind, Subject, Target};
pub use root::{BOARD, Person, Recovery, Root, RootError, Thresholds};
pub use rules::RECOVERY_WAIT_MS;
pub use signed::{
    Signed, SignedStatement, Signer, sign_as_board, sign_as_device, sign_as_recovery,
};
pub use state::{Announced, Channel, Device, History, Member, Standing};
pub(crate) use statement::hash;
pub use statement::{Statement, root1_hash, statement_id};
pub use vouching::LIVE_DEVICES;

pub use crate::cbor::CborError;

use state::State;

const ENTRY_TAG: &[u8] = b"plenary ledger entry v1\0";

/// The ledger of one network, in memory, with all its entries. Cloning shares the entries' bytes.
#[derive(Debug, Clone)]
pub struct Ledger {
    network: NetworkId,
    root1: Digest,
    entries: Vec<Entry>,
    by_id: BTreeMap<Digest, LedgerSeq>,
    /// Where version n of a kind and subject lies, at n - 1.
    versions: BTreeMap<(Kind, Subject), Vec<LedgerSeq>>,
    state: State,
}

#[derive(Debug, Clone)]
struct Entry {
    signed: Arc<[u8]>,
    hash: Digest,
}

impl Ledger {
    /// An empty ledger that will accept one ROOT 1 only: the one whose [`root1_hash`] is given.
    pub fn new(network: NetworkId, root1: Digest) -> Self {
        Self {
            network,
            root1,
            entries: Vec::new(),
            by_id: BTreeMap::new(),
            versions: BTreeMap::new(),
            state: State::default(),
        }
    }

    /// Verifies a signed statement and puts it at the end.
    ///
    /// # Errors
    /// Any [`LedgerError`]; nothing changes then. [`LedgerError::Known`] means that the ledger
    /// says so already.
    pub fn append(&mut self, signed: &[u8]) -> Result<LedgerHead, LedgerError> {
        let statement = self.check(signed)?;
        let seq = LedgerSeq(self.head().seq.0 + 1);
        let hash = entry_hash(self.network, seq, &self.head().hash, signed);
        self.by_id.insert(statement.id(), seq);
        self.entries.push(Entry {
            signed: signed.into(),
            hash,
        });
        self.apply(seq, statement);
        Ok(LedgerHead { seq, hash })
    }

    /// Verifies a signed statement as [`Ledger::append`] would, and changes nothing.
    ///
    /// # Errors
    /// Any [`LedgerError`].
    pub fn check(&self, signed: &[u8]) -> Result<Statement, LedgerError> {
        rules::check(self, signed)
    }

    /// Reads a signed statement that enough people signed under the ROOT that it names, whether or
    /// not it has a place in this ledger.
    ///
    /// # Errors
    /// Any [`LedgerError`] about shape, network and signatures.
    pub(crate) fn attribute(&self, signed: &[u8]) -> Result<Statement, LedgerError> {
        let (signed, statement) = SignedStatement::decode(signed)?;
        if statement.network != self.network {
            return Err(LedgerError::OtherNetwork(statement.network));
        }
        rules::attributed(self, &signed, &statement)?;
        Ok(statement)
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The hash of ROOT 1 that this ledger is pinned to.
    pub fn root1(&self) -> Digest {
        self.root1
    }

    /// How many statements there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether not even ROOT 1 is there.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The end of the ledger.
    pub fn head(&self) -> LedgerHead {
        match self.entries.last() {
            Some(entry) => LedgerHead {
                seq: LedgerSeq(self.entries.len() as u64),
                hash: entry.hash,
            },
            None => LedgerHead::EMPTY,
        }
    }

    /// The head as it was at a position; `None` beyond the end.
    pub fn head_at(&self, seq: LedgerSeq) -> Option<LedgerHead> {
        if seq.0 == 0 {
            return Some(LedgerHead::EMPTY);
        }
        let hash = self.entry_of(seq)?.hash;
        Some(LedgerHead { seq, hash })
    }

    /// The signed bytes at a position.
    pub fn entry(&self, seq: LedgerSeq) -> Option<&[u8]> {
        Some(&self.entry_of(seq)?.signed)
    }

    /// All entries after a position, in order, with theirs.
    pub fn entries_after(&self, seq: LedgerSeq) -> impl Iterator<Item = (LedgerSeq, &[u8])> {
        let skip = usize::try_from(seq.0).unwrap_or(usize::MAX);
        (1..)
            .map(LedgerSeq)
            .zip(self.entries.iter().map(|entry| &*entry.signed))
            .skip(skip)
    }

    /// Where the same statement lies, whoever signed it: a submission repeated is no failure.
    pub fn find(&self, signed: &[u8]) -> Option<LedgerSeq> {
        let (signed, _) = SignedStatement::decode(signed).ok()?;
        self.find_statement(signed.statement())
    }

    /// Where a statement lies, by its own bytes.
    pub fn find_statement(&self, statement: &[u8]) -> Option<LedgerSeq> {
        self.by_id.get(&statement_id(statement)).copied()
    }

    /// The statement at a position, read again from its bytes.
    pub fn statement(&self, seq: LedgerSeq) -> Option<Statement> {
        let (_, statement) = SignedStatement::decode(self.entry(seq)?).ok()?;
        Some(statement)
    }

    /// The version that the next statement of a kind and subject carries.
    pub fn next_version(&self, kind: Kind, subject: Subject) -> u32 {
        if kind == Kind::Revoke {
            return 0;
        }
        let known = self.versions.get(&(kind, subject)).map_or(0, Vec::len);
        u32::try_from(known).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The version before a statement's own, if it has one.
    pub fn before(&self, statement: &Statement) -> Option<LedgerSeq> {
        let versions = self
            .versions
            .get(&(statement.kind(), statement.subject()))?;
        let before = statement.version.checked_sub(2)?;
        versions.get(before as usize).copied()
    }

    /// A ROOT by its version, from 1.
    pub fn root_of(&self, version: u32) -> Option<&Root> {
        let index = (version as usize).checked_sub(1)?;
        self.state.roots.iter().nth(index).map(|(_, root)| root)
    }

    /// The ROOT in force; `None` in an empty ledger.
    pub fn root(&self) -> Option<&Root> {
        self.state.roots.latest()
    }

    /// Every ROOT there was, oldest first, with the position that put it in force.
    pub fn roots(&self) -> impl DoubleEndedIterator<Item = &(LedgerSeq, Root)> {
        self.state.roots.iter()
    }

    /// The version of the ROOT in force; 0 in an empty ledger.
    pub fn root_version(&self) -> u32 {
        self.next_version(Kind::Root, Subject::Network) - 1
    }

    /// Whether somebody is on the Board now.
    pub fn is_board(&self, member: MemberId) -> bool {
        self.root()
            .is_some_and(|root| root.board.iter().any(|person| person.member == member))
    }

    /// A recovery that is announced and not yet in force: every client shows it.
    pub fn announced_recovery(&self) -> Option<&Announced> {
        let announced = self.state.announced.as_ref()?;
        (announced.root_version == self.root_version()).then_some(announced)
    }

    /// A device, past or present.
    pub fn device(&self, device: DeviceId) -> Option<&Device> {
        self.state.devices.get(&device)
    }

    /// A member, past or present.
    pub fn member(&self, member: MemberId) -> Option<&Member> {
        self.state.members.get(&member)
    }

    /// A channel on the ledger.
    pub fn channel(&self, channel: ChannelId) -> Option<&Channel> {
        self.state.channels.get(&channel)
    }

    /// A channel as it was at a position.
    pub fn channel_at(&self, channel: ChannelId, at: LedgerSeq) -> Option<&ChannelBody> {
        self.channel(channel)?.versions.at(at)
    }

    /// All members, past and present.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.state.members.values()
    }

    /// All devices, past and present.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.state.devices.values()
    }

    /// All channels on the ledger.
    pub fn channels(&self) -> impl Iterator<Item = &Channel> {
        self.state.channels.values()
    }

    /// The devices of a member, past and present, the first one first.
    pub fn devices_of(&self, member: MemberId) -> impl Iterator<Item = &Device> {
        let ids = self.state.by_member.get(&member).into_iter().flatten();
        ids.filter_map(|id| self.device(*id))
    }

    /// Whether a member has a GRANT for a channel at a position. Says nothing of their standing.
    pub fn granted(&self, channel: ChannelId, member: MemberId, at: LedgerSeq) -> bool {
        self.grant(channel, member, at)
            .is_some_and(|(_, granted)| granted)
    }

    /// Whether a member's GRANT for a channel was taken back, as of a position: then they are not
    /// added, and whoever is inside may remove them.
    pub fn withdrawn(&self, channel: ChannelId, member: MemberId, at: LedgerSeq) -> bool {
        self.grant(channel, member, at)
            .is_some_and(|(_, granted)| !granted)
    }

    /// The newest GRANT about a member and a channel as of a position: where it stands, and whether
    /// it lets in.
    pub fn grant(
        &self,
        channel: ChannelId,
        member: MemberId,
        at: LedgerSeq,
    ) -> Option<(LedgerSeq, bool)> {
        let grants = self.state.grants.get(&(channel, member))?;
        grants.entry_at(at).copied()
    }

    /// The POLICY in force, or the defaults before there is one.
    pub fn policy(&self) -> Policy {
        self.state.policy.latest().copied().unwrap_or_default()
    }

    /// By when a member's admission is to be looked at again, as POLICY has it: so many days after
    /// the newest ADMIT was drafted. Nothing lapses by it. `None`: never, or no such member.
    pub fn revalidate_by(&self, member: MemberId) -> Option<UnixMillis> {
        let days = u64::from(self.policy().revalidation_days);
        let (seq, _) = self.member(member)?.admissions.iter().next_back()?;
        let time = self.statement(*seq)?.time;
        (days > 0).then(|| time.plus(days * 24 * 3600 * 1000))
    }

    /// The server's identity key, once stated.
    pub fn server_key(&self) -> Option<PublicKey> {
        self.state.server.latest().copied()
    }

    /// Every server key ever stated, with the statement that did, oldest first.
    pub fn server_keys(&self) -> impl Iterator<Item = (LedgerSeq, PublicKey)> {
        self.state.server.iter().copied()
    }

    /// Where somebody, or a device, was revoked last.
    pub fn last_revocation(&self) -> Option<LedgerSeq> {
        self.state.revoked.values().copied().max()
    }

    /// How a device stood at a position: judged by the prefix up to there. `now` is for the ends
    /// of admissions: the time that the thing to be judged names.
    pub fn standing(&self, device: DeviceId, at: LedgerSeq, now: UnixMillis) -> Standing {
        let Some(found) = self.device(device) else {
            return Standing::Unknown;
        };
        match found.standing.at(at) {
            Some(Standing::Live) if self.lapsed(found.member, at, now) => Standing::Lapsed,
            Some(standing) => *standing,
            None => Standing::Unknown,
        }
    }

    /// How a member stood at a position, as [`Ledger::standing`].
    pub fn member_standing(&self, member: MemberId, at: LedgerSeq, now: UnixMillis) -> Standing {
        let Some(found) = self.member(member) else {
            return Standing::Unknown;
        };
        if found.admissions.at(at).is_none() {
            return Standing::Unknown;
        }
        if let Some(seq) = found.revoked.filter(|seq| *seq <= at) {
            return Standing::Revoked { seq };
        }
        let suspended = self.state.suspended.get(&Target::Member(member));
        if let Some((seq, true)) = suspended.and_then(|history| history.entry_at(at)) {
            return Standing::Suspended { seq: *seq };
        }
        if self.lapsed(member, at, now) {
            return Standing::Lapsed;
        }
        Standing::Live
    }

    /// When the admission of a device's member ends, as stated at a position; `None`: never, or not
    /// admitted.
    pub fn admission_ends(&self, device: DeviceId, at: LedgerSeq) -> Option<UnixMillis> {
        let member = self.member(self.device(device)?.member)?;
        member.admissions.at(at)?.ends
    }

    fn lapsed(&self, member: MemberId, at: LedgerSeq, now: UnixMillis) -> bool {
        let admission = self.member(member).and_then(|m| m.admissions.at(at));
        admission.is_none_or(|admit| admit.ends.is_some_and(|end| end <= now))
    }

    fn entry_of(&self, seq: LedgerSeq) -> Option<&Entry> {
        let index = usize::try_from(seq.0).ok()?.checked_sub(1)?;
        self.entries.get(index)
    }
}

/// Hash of an entry: SHA-256 over a domain tag, the network, the position (8 bytes, big-endian),
/// the previous entry's hash (zeros for the first) and SHA-256 of the signed bytes.
pub fn entry_hash(network: NetworkId, seq: LedgerSeq, previous: &Digest, signed: &[u8]) -> Digest {
    hash(&[
        ENTRY_TAG,
        network.as_bytes(),
        &seq.0.to_be_bytes(),
        previous.as_bytes(),
        hash(&[signed]).as_bytes(),
    ])
}
