//! What the statements add up to, each fact with the position at which it became so.

use std::{collections::BTreeMap, fmt};

use plenary_proto::ids::{ChannelId, DeviceId, LedgerSeq, MemberId, PublicKey, UnixMillis};

use super::{Admit, ChannelBody, DeviceKeys, Policy, Root, Target, Voucher};

/// Whether a device counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Backed by a live DEVICE statement of a live member.
    Live,
    /// The ledger says nothing of it up to there.
    Unknown,
    /// It, its member, or all that vouched for it are revoked.
    Revoked {
        /// Since when.
        seq: LedgerSeq,
    },
    /// It, its member, or all that vouched for it are suspended.
    Suspended {
        /// Since when.
        seq: LedgerSeq,
    },
    /// The member's admission has ended.
    Lapsed,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Unknown => f.write_str("unknown"),
            Self::Revoked { seq } => write!(f, "revoked at {}", seq.0),
            Self::Suspended { seq } => write!(f, "suspended at {}", seq.0),
            Self::Lapsed => f.write_str("lapsed"),
        }
    }
}

/// A value over the ledger's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History<T>(Vec<(LedgerSeq, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> History<T> {
    /// The value after everything up to and including `at`.
    pub fn at(&self, at: LedgerSeq) -> Option<&T> {
        self.entry_at(at).map(|(_, value)| value)
    }

    /// The value now.
    pub fn latest(&self) -> Option<&T> {
        self.0.last().map(|(_, value)| value)
    }

    /// The value with the position that set it.
    pub fn entry_at(&self, at: LedgerSeq) -> Option<&(LedgerSeq, T)> {
        let after = self.0.partition_point(|(seq, _)| *seq <= at);
        self.0[..after].last()
    }

    /// All values, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &(LedgerSeq, T)> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, seq: LedgerSeq, value: T) {
        self.0.push((seq, value));
    }
}

/// A member of the network, past or present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The pseudonym.
    pub id: MemberId,
    /// What the Board said of them, newest last.
    pub admissions: History<Admit>,
    /// Revoked, and where.
    pub revoked: Option<LedgerSeq>,
}

impl Member {
    /// The admission in force at the end of the ledger.
    pub fn admission(&self) -> Option<&Admit> {
        self.admissions.latest()
    }
}

/// A device, past or present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// Whose.
    pub member: MemberId,
    /// Its keys, for life.
    pub keys: DeviceKeys,
    /// Who has answered for it, newest last.
    pub vouchers: History<Voucher>,
    /// How it stood, the ends of admissions left aside.
    pub(super) standing: History<Standing>,
}

/// A channel on the ledger. Direct channels are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Which.
    pub id: ChannelId,
    /// What the Board said of it, newest last.
    pub versions: History<ChannelBody>,
}

impl Channel {
    /// As it is at the end of the ledger.
    pub fn current(&self) -> Option<&ChannelBody> {
        self.versions.latest()
    }
}

/// A recovery between its two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Where it was announced.
    pub seq: LedgerSeq,
    /// When, by its authors' clock.
    pub time: UnixMillis,
    /// Under which ROOT. A newer one by the Board ends the recovery.
    pub root_version: u32,
    /// What it would put in force.
    pub root: Root,
}

/// Everything the statements say.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) roots: History<Root>,
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) devices: BTreeMap<DeviceId, Device>,
    pub(super) by_member: BTreeMap<MemberId, Vec<DeviceId>>,
    pub(super) keys: BTreeMap<PublicKey, DeviceId>,
    pub(super) channels: BTreeMap<ChannelId, Channel>,
    pub(super) grants: BTreeMap<(ChannelId, MemberId), History<bool>>,
    pub(super) revoked: BTreeMap<Target, LedgerSeq>,
    pub(super) suspended: BTreeMap<Target, History<bool>>,
    pub(super) policy: History<Policy>,
    pub(super) server: History<PublicKey>,
    pub(super) announced: Option<Announced>,
}
