//! Why a statement is refused: every variant names what is wrong and where.

use plenary_proto::{
    ids::{ChannelId, DeviceId, LedgerSeq, MemberId, NetworkId, PublicKey},
    limits,
};

use super::{Kind, LIVE_DEVICES, RootError, Signer, Standing, Subject, Target};
use crate::cbor::CborError;

/// Why the ledger refuses a statement. Nothing changes when it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LedgerError {
    #[error("{0} bytes; a signed statement has at most {max}", max = limits::STATEMENT)]
    TooLong(usize),
    #[error("malformed statement: {0}")]
    Malformed(#[from] CborError),
    #[error("a statement of another network, {0}")]
    OtherNetwork(NetworkId),
    /// Not a failure for who submits again: the ledger says this already.
    #[error("already in the ledger at {}", seq.0)]
    Known { seq: LedgerSeq },

    #[error("the ledger begins with ROOT 1, and this is none")]
    NoRoot,
    #[error("another ROOT 1 than the one pinned: another network, or a forgery")]
    OtherRoot1,
    #[error(transparent)]
    Root(#[from] RootError),
    #[error("signed under ROOT {got}, but ROOT {current} is in force: it must be signed again")]
    StaleRoot { got: u32, current: u32 },

    #[error("signed twice by {0}")]
    DoubledSignature(Signer),
    #[error("{0} has no say in this")]
    ForeignSignature(Signer),
    #[error("the signature of {0} does not verify")]
    BadSignature(Signer),
    #[error("{kind} needs {needed} people, {got} signed")]
    TooFew { kind: Kind, needed: u8, got: usize },

    #[error("version {got} of {kind} about {subject} comes next as {expected}")]
    Version {
        kind: Kind,
        subject: Subject,
        expected: u32,
        got: u32,
    },
    /// Proof of misuse: enough people signed both.
    #[error("two different {kind} about {subject}, version {version}; the other is at {}", seq.0)]
    Conflicting {
        kind: Kind,
        subject: Subject,
        version: u32,
        seq: LedgerSeq,
    },

    #[error("member {0} is not admitted")]
    UnknownMember(MemberId),
    #[error("device {0} is not known")]
    UnknownDevice(DeviceId),
    #[error("channel {0} is not known")]
    UnknownChannel(ChannelId),
    #[error("{0} is revoked, which is for ever")]
    Revoked(Target),
    #[error("{0} is not suspended")]
    NotSuspended(Target),
    #[error("device {device} has no say for its member: {standing}")]
    VoucherNotLive {
        device: DeviceId,
        standing: Standing,
    },
    #[error("device {by} vouches for device {device} already")]
    VouchesAlready { device: DeviceId, by: DeviceId },
    #[error(
        "device {by} cannot put out device {device}: neither hangs on the other. The Board can"
    )]
    NotInItsHands { device: DeviceId, by: DeviceId },
    #[error("device {0} belongs to another member")]
    OtherMember(DeviceId),
    #[error("device {0} has other keys: new keys are a new device")]
    KeysChanged(DeviceId),
    #[error("the key {0} is in use already: every device and purpose has its own")]
    KeyReused(PublicKey),
    #[error(
        "member {0} has {LIVE_DEVICES} live devices, as many as one may have: revoke one first"
    )]
    TooManyDevices(MemberId),
    #[error("channel {0} keeps the entry rule it was opened with")]
    RuleChanged(ChannelId),
    #[error("{0} is no suite this network may use")]
    UnknownSuite(u16),

    #[error("a {0} has no place in an extract of the ledger")]
    NotInExtracts(Kind),
    #[error("an expert is admitted for a time: the admission of member {0} names no end")]
    NoEnd(MemberId),

    #[error("no recovery is announced for this ROOT")]
    NotAnnounced,
    #[error("announced {days} days ago; a recovery takes 7", days = .waited_ms / 86_400_000)]
    TooSoon { waited_ms: u64 },
}
