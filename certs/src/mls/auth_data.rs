//! What each commit and message carries in MLS authenticated data (RFC 9420 section 6): in clear
//! for the server, and under the sender's signature for everybody.

use plenary_proto::ids::{ChannelHead, Digest, LedgerHead, LedgerSeq, Seq, UnixMillis};

use crate::cbor::{self, CborError, cbor_struct};

/// Version of this shape.
const VERSION: u8 = 1;

/// The sender's knowledge. A later one of the same sender never says less than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthData {
    /// The ledger as the sender had verified it.
    pub ledger: LedgerHead,
    /// The sender's clock. A commit is judged at this moment.
    pub time: UnixMillis,
    /// The channel's log as the sender had read it.
    pub seen: ChannelHead,
    /// First eight bytes of the epoch authenticator (RFC 9420 section 8.7) the message was made in.
    pub epoch_authenticator: [u8; 8],
}

struct Wire {
    version: u8,
    ledger_seq: LedgerSeq,
    ledger_hash: Digest,
    time: UnixMillis,
    seen_seq: u64,
    seen_hash: Digest,
    epoch_authenticator: u64,
}

cbor_struct!(Wire {
    version,
    ledger_seq,
    ledger_hash,
    time,
    seen_seq,
    seen_hash,
    epoch_authenticator,
});

impl AuthData {
    /// As authenticated data.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&Wire {
            version: VERSION,
            ledger_seq: self.ledger.seq,
            ledger_hash: self.ledger.hash,
            time: self.time,
            seen_seq: self.seen.seq.0,
            seen_hash: self.seen.hash,
            epoch_authenticator: u64::from_be_bytes(self.epoch_authenticator),
        })
    }

    /// From authenticated data: the one encoding of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let wire: Wire = cbor::decode(bytes)?;
        if wire.version != VERSION {
            return Err(CborError::Shape(format!(
                "authenticated data of version {}; this program knows {VERSION}",
                wire.version
            )));
        }
        Ok(Self {
            ledger: LedgerHead {
                seq: wire.ledger_seq,
                hash: wire.ledger_hash,
            },
            time: wire.time,
            seen: ChannelHead {
                seq: Seq(wire.seen_seq),
                hash: wire.seen_hash,
            },
            epoch_authenticator: wire.epoch_authenticator.to_be_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: AuthData = AuthData {
        ledger: LedgerHead {
            seq: LedgerSeq(7),
            hash: Digest([1; 32]),
        },
        time: UnixMillis(1_700_000_000_000),
        seen: ChannelHead {
            seq: Seq(300),
            hash: Digest([2; 32]),
        },
        epoch_authenticator: [3; 8],
    };

    #[test]
    fn bytes_are_pinned_and_round_trip() {
        let bytes = SAMPLE.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            format!(
                "8701075820{}1b0000018bcfe5680019012c5820{}1b0303030303030303",
                "01".repeat(32),
                "02".repeat(32)
            )
        );
        assert_eq!(AuthData::decode(&bytes), Ok(SAMPLE));
    }

    #[test]
    fn refuses_anything_else() {
        let bytes = SAMPLE.encode();
        for cut in 0..bytes.len() {
            assert!(AuthData::decode(&bytes[..cut]).is_err());
        }
        let mut other = bytes.clone();
        other[1] = 2;
        assert!(
            AuthData::decode(&other)
                .unwrap_err()
                .to_string()
                .contains("version 2")
        );
        assert!(AuthData::decode(&[bytes, vec![0]].concat()).is_err());
    }
}
