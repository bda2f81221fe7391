//! Identifiers: one newtype per thing, so that no two can be confused.
//!
//! `Display` and `FromStr` are full lower-case hex, for people and scripts to copy.
//! `Debug`, which is what logs use, shows the first four bytes only.

use std::{fmt, str::FromStr};

/// A text that is no identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits for a {kind}, got {got:?}")]
pub struct ParseIdError {
    kind: &'static str,
    expected: usize,
    got: String,
}

fn from_hex(text: &str, out: &mut [u8]) -> bool {
    let digits = text.as_bytes();
    if digits.len() != out.len() * 2 {
        return false;
    }
    for (pair, byte) in digits.chunks_exact(2).zip(out) {
        let (Some(high), Some(low)) = (
            (pair[0] as char).to_digit(16),
            (pair[1] as char).to_digit(16),
        ) else {
            return false;
        };
        *byte = (high * 16 + low) as u8;
    }
    true
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The bytes as they travel.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "("))?;
                write_hex(f, &self.0[..4])?;
                f.write_str("..)")
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $len];
                if from_hex(text, &mut bytes) {
                    Ok(Self(bytes))
                } else {
                    Err(ParseIdError {
                        kind: stringify!($name),
                        expected: $len * 2,
                        got: text.chars().take(80).collect(),
                    })
                }
            }
        }
    };
}

id!(
    /// One closed network; random, chosen at its founding.
    NetworkId, 16);
id!(
    /// A vetted person. A pseudonym: the name behind it never reaches the server in clear.
    MemberId, 16);
id!(
    /// One device of one member.
    DeviceId, 16);
id!(
    /// One channel: an MLS group and its log.
    ChannelId, 16);
id!(
    /// A file as exchanged: one upload, one key.
    ItemId, 16);
id!(
    /// One invitation: single use.
    InvitationId, 16);
id!(
    /// Chosen by the sending device for one append; a repeat is recognised by it.
    ClientId, 16);
id!(
    /// SHA-256 or a chain head of it.
    Digest, 32);
id!(
    /// An Ed25519 public key (RFC 8032).
    PublicKey, 32);
id!(
    /// An Ed25519 signature (RFC 8032).
    Signature, 64);

/// Position of a record in a channel's log: 1 for the first, dense.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// Epoch of an MLS group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Position of a statement in the ledger: 1 for ROOT 1, dense.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerSeq(pub u64);

/// Correlates a reply with its request, within one connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The later moment, `millis` after this one; stops at the end of time.
    pub fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl Seq {
    /// The next position.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The ledger as somebody knew it: everything up to and including `seq`.
/// An empty ledger has `seq` 0 and a hash of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LedgerHead {
    /// The last statement included.
    pub seq: LedgerSeq,
    /// Hash over the whole prefix.
    pub hash: Digest,
}

impl LedgerHead {
    /// The head of the empty ledger.
    pub const EMPTY: Self = Self {
        seq: LedgerSeq(0),
        hash: Digest([0; 32]),
    };
}

/// A channel's log as somebody knew it: everything up to and including `seq`.
/// An empty log has `seq` 0 and a hash of zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelHead {
    /// The last record included.
    pub seq: Seq,
    /// Chain hash over all records up to there.
    pub hash: Digest,
}

impl ChannelHead {
    /// The head of the empty log.
    pub const EMPTY: Self = Self {
        seq: Seq(0),
        hash: Digest([0; 32]),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_debug_is_short() {
        let id = MemberId(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("{id:?}"), "MemberId(30313233..)");
    }

    #[test]
    fn refuses_what_is_no_identifier() {
        for text in [
            "",
            "00",
            "zz",
            "é0",
            &"0".repeat(31),
            &"+".repeat(32),
            &"é".repeat(16),
        ] {
            let refused = text.parse::<MemberId>().unwrap_err();
            assert!(
                refused.to_string().contains("32 hexadecimal digits"),
                "{refused}"
            );
        }
    }
}
