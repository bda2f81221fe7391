//! HEARTBEAT: a short-lived word that a ledger head is the newest one.
//!
//! It lies beside the log and only the newest counts. It is signed by a heartbeat key of ROOT,
//! on a machine away from the server. What follows from it, or from its absence, says
//! [`super::Freshness`].

use std::time::Duration;

use plenary_proto::ids::{
    Digest, LedgerHead, LedgerSeq, NetworkId, PublicKey, Signature, UnixMillis,
};

use super::{CborError, Ledger};
use crate::{
    cbor::{self, cbor_struct},
    signing::{self, SigningKey},
    text::{self, TextError},
};

const TAG: &[u8] = b"plenary heartbeat v1\0";

/// How long a heartbeat says something.
pub const HEARTBEAT_LIFE: Duration = Duration::from_secs(72 * 3600);

/// A clock may be an hour off; what is dated later than that is refused.
const EARLY_MS: u64 = 3_600_000;

/// Bytes of a heartbeat: it has some 190.
pub const HEARTBEAT_BYTES: usize = 512;

const HEADER: &str = "plenary heartbeat v1";

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
    #[error(transparent)]
    Text(#[from] TextError),
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
    #[error("the heartbeat's time, {}, is yet to come: the clock here or there is wrong", time.0)]
    Early { time: UnixMillis },
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

    /// Reads a heartbeat and holds it against a ledger and the clock. One that is old is good all
    /// the same: what it vouched for then, it vouched for.
    ///
    /// # Errors
    /// Any [`HeartbeatError`].
    pub fn verify(bytes: &[u8], ledger: &Ledger, now: UnixMillis) -> Result<Self, HeartbeatError> {
        let heartbeat = Self::recall(bytes, ledger)?;
        if heartbeat.time > now.plus(EARLY_MS) {
            return Err(HeartbeatError::Early {
                time: heartbeat.time,
            });
        }
        Ok(heartbeat)
    }

    /// The same of one that was held against the clock before: from one's own store.
    ///
    /// # Errors
    /// Any [`HeartbeatError`] but [`HeartbeatError::Early`].
    pub fn recall(bytes: &[u8], ledger: &Ledger) -> Result<Self, HeartbeatError> {
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

    /// What a heartbeat of one's own says; nothing is verified.
    ///
    /// # Errors
    /// [`HeartbeatError::Malformed`].
    pub fn own(bytes: &[u8]) -> Result<Self, HeartbeatError> {
        let Sealed { said, .. } = cbor::decode(bytes)?;
        Ok(Self {
            network: said.network,
            head: LedgerHead {
                seq: said.seq,
                hash: said.hash,
            },
            time: said.time,
        })
    }

    /// Whether it takes the place of another one: a later word about at least as long a ledger.
    pub fn replaces(&self, other: &Self) -> bool {
        self.time > other.time && self.head.seq >= other.head.seq
    }

    /// Signed bytes as the text of a file, for who gets them by another way than the server.
    pub fn to_text(bytes: &[u8]) -> String {
        text::print(HEADER, bytes)
    }

    /// The signed bytes of such a file. Nothing is verified here.
    ///
    /// # Errors
    /// [`HeartbeatError::Text`].
    pub fn parse_text(file: &str) -> Result<Vec<u8>, HeartbeatError> {
        Ok(text::parse(HEADER, file)?)
    }
}

fn to_be_signed(said: &Said) -> Vec<u8> {
    [TAG, &cbor::encode(said)].concat()
}
