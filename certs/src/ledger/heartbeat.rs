//! HEARTBEAT: a short-lived word that a ledger head is the newest one.
//!
//! It lies beside the log and only the newest counts. It is signed by a heartbeat key of ROOT,
//! on a machine away from the server.

use std::time::Duration;

use plenary_proto::ids::{
    Digest, LedgerHead, LedgerSeq, NetworkId, PublicKey, Signature, UnixMillis,
};

use super::{CborError, Ledger};
use crate::{
    cbor::{self, cbor_struct},
    signing::{self, SigningKey},
};

const TAG: &[u8] = b"plenary heartbeat v1\0";

/// How long a heartbeat says something.
pub const HEARTBEAT_LIFE: Duration = Duration::from_secs(72 * 3600);

/// A ledger head as the heartbeat's machine knew it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The network.
    pub network: NetworkId,
    /// The newest head there was.
    pub head: LedgerHead,
    /// When. It counts for [`HEARTBEAT_LIFE`].
    pub time: UnixMillis,
}

/// Why a heartbeat says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum HeartbeatError {
    #[error("malformed heartbeat: {0}")]
    Malformed(#[from] CborError),
    #[error("a heartbeat of another network, {0}")]
    OtherNetwork(NetworkId),
    #[error("not signed by a heartbeat key in force: {0}")]
    Foreign(PublicKey),
    #[error("the heartbeat's signature does not verify")]
    BadSignature,
    #[error("the heartbeat knows the ledger up to {}, this one ends at {}: fetch the rest", named.0, ours.0)]
    Behind { named: LedgerSeq, ours: LedgerSeq },
    #[error("the heartbeat names another ledger at {}: proof of a fork", at.0)]
    Fork { at: LedgerSeq },
    #[error("the heartbeat is from {}, more than 72 hours ago or yet to come", time.0)]
    Stale { time: UnixMillis },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    network: NetworkId,
    seq: LedgerSeq,
    hash: Digest,
    time: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sealed {
    said: Said,
    key: PublicKey,
    signature: Signature,
}

cbor_struct!(Said {
    network,
    seq,
    hash,
    time
});
cbor_struct!(Sealed {
    said,
    key,
    signature
});

impl Heartbeat {
    /// The signed bytes.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let said = Said {
            network: self.network,
            seq: self.head.seq,
            hash: self.head.hash,
            time: self.time,
        };
        let signature = key.sign(&to_be_signed(&said));
        cbor::encode(&Sealed {
            said,
            key: key.public(),
            signature,
        })
    }

    /// Reads a heartbeat and holds it against a ledger and the clock.
    ///
    /// # Errors
    /// Any [`HeartbeatError`].
    pub fn verify(bytes: &[u8], ledger: &Ledger, now: UnixMillis) -> Result<Self, HeartbeatError> {
        let Sealed {
            said,
            key,
            signature,
        } = cbor::decode(bytes)?;
        if said.network != ledger.network() {
            return Err(HeartbeatError::OtherNetwork(said.network));
        }
        if !ledger
            .root()
            .is_some_and(|root| root.heartbeat.contains(&key))
        {
            return Err(HeartbeatError::Foreign(key));
        }
        signing::verify(&key, &to_be_signed(&said), &signature)
            .map_err(|_| HeartbeatError::BadSignature)?;
        // A clock may be an hour off.
        let early = said.time > now.plus(3_600_000);
        if early || now > said.time.plus(HEARTBEAT_LIFE.as_millis() as u64) {
            return Err(HeartbeatError::Stale { time: said.time });
        }
        let head = LedgerHead {
            seq: said.seq,
            hash: said.hash,
        };
        match ledger.head_at(said.seq) {
            Some(ours) if ours == head => Ok(Self {
                network: said.network,
                head,
                time: said.time,
            }),
            Some(_) => Err(HeartbeatError::Fork { at: said.seq }),
            None => Err(HeartbeatError::Behind {
                named: said.seq,
                ours: ledger.head().seq,
            }),
        }
    }
}

fn to_be_signed(said: &Said) -> Vec<u8> {
    [TAG, &cbor::encode(said)].concat()
}
