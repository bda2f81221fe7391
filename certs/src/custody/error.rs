//! Why a statement of custody does not count.

use plenary_proto::ids::{DeviceId, LedgerSeq, NetworkId};

use super::{Act, StampError};
use crate::{cbor::CborError, ledger::Standing};

/// Why a statement of custody does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum CustodyError {
    #[error("malformed: {0}")]
    Malformed(#[from] CborError),
    #[error("of another network, {0}")]
    OtherNetwork(NetworkId),
    #[error("about another item")]
    OtherItem,
    #[error("about the item in another channel")]
    OtherChannel,
    #[error("about another manifest of this item")]
    OtherManifest,
    #[error("about other sealed bytes: another root")]
    OtherRoot,
    #[error("about another file: another SHA-256 or size")]
    OtherFile,
    #[error("by another device than the one that sent it")]
    OtherDevice,
    #[error("by device {0}, which the ledger does not know")]
    UnknownDevice(DeviceId),
    #[error("by a device that was {0} then")]
    NotLive(Standing),
    #[error("names the ledger up to statement {}, which is not there", .0.0)]
    LedgerAhead(LedgerSeq),
    #[error("names another ledger at statement {}", .0.0)]
    OtherLedger(LedgerSeq),
    #[error("the signature is not by the device's custody key")]
    Signature,
    #[error("the countersignature is not the server's")]
    Countersignature,
    #[error("time stamp: {0}")]
    Stamp(#[from] StampError),
    #[error("statement {number} of its device was said before, otherwise")]
    Forked { number: u32 },
    #[error("statement {number} of its device does not follow the one before")]
    Unlinked { number: u32 },
    #[error("{0} by a device that had not {before} before", before = before(*.0))]
    Order(Act),
    #[error("{0} twice by one device")]
    Twice(Act),
    #[error("{0} by somebody else than who handed the item over")]
    NotTheirs(Act),
    #[error("more statements than a record holds")]
    TooMany,
}

fn before(act: Act) -> &'static str {
    match act {
        Act::Verified => "collected it",
        _ => "verified or deposited it",
    }
}
