//! Fields common to requests and replies.

use bytes::Bytes;

use super::WireError;
use crate::{
    ids::{ChannelHead, Digest, LedgerHead, LedgerSeq, Seq},
    reply::{Part, Record, SignedHead},
    request::SealedName,
    wire,
};

/// A field of fixed length.
pub(super) fn fixed<T>(field: &'static str, bytes: &Bytes) -> Result<T, WireError>
where
    T: for<'a> TryFrom<&'a [u8]>,
{
    T::try_from(bytes.as_ref()).map_err(|_| WireError::Length {
        field,
        // Every identifier is a newtype over an array of its length.
        expected: size_of::<T>(),
        got: bytes.len(),
    })
}

/// A message field that must be there.
pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing(field))
}

pub(super) fn bytes(value: &impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(value.as_ref())
}

macro_rules! as_ref {
    ($($name:ident),*) => {$(
        impl AsRef<[u8]> for crate::ids::$name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    )*};
}
as_ref!(
    NetworkId,
    MemberId,
    DeviceId,
    ChannelId,
    ItemId,
    InvitationId,
    ClientId,
    Digest,
    PublicKey,
    Signature
);

/// Empty bytes stand for an absent value.
pub(super) fn optional(bytes: Bytes) -> Option<Bytes> {
    (!bytes.is_empty()).then_some(bytes)
}

impl From<LedgerHead> for wire::Head {
    fn from(head: LedgerHead) -> Self {
        Self {
            seq: head.seq.0,
            hash: bytes(&head.hash),
        }
    }
}

pub(super) fn ledger_head(
    field: &'static str,
    head: Option<wire::Head>,
) -> Result<LedgerHead, WireError> {
    let head = required(field, head)?;
    Ok(LedgerHead {
        seq: LedgerSeq(head.seq),
        hash: fixed(field, &head.hash)?,
    })
}

impl From<ChannelHead> for wire::Head {
    fn from(head: ChannelHead) -> Self {
        Self {
            seq: head.seq.0,
            hash: bytes(&head.hash),
        }
    }
}

pub(super) fn channel_head(
    field: &'static str,
    head: Option<wire::Head>,
) -> Result<ChannelHead, WireError> {
    let head = required(field, head)?;
    Ok(ChannelHead {
        seq: Seq(head.seq),
        hash: fixed(field, &head.hash)?,
    })
}

impl From<SignedHead> for wire::SignedHead {
    fn from(signed: SignedHead) -> Self {
        Self {
            channel: bytes(&signed.channel),
            head: Some(signed.head.into()),
            time: signed.time.0,
            signature: bytes(&signed.signature),
            index: signed.index,
            path: signed.path.iter().map(bytes).collect(),
        }
    }
}

pub(super) fn signed_head(
    field: &'static str,
    signed: Option<wire::SignedHead>,
) -> Result<SignedHead, WireError> {
    let signed = required(field, signed)?;
    Ok(SignedHead {
        channel: fixed("channel", &signed.channel)?,
        head: channel_head("head", signed.head)?,
        time: crate::ids::UnixMillis(signed.time),
        signature: fixed("signature", &signed.signature)?,
        index: signed.index,
        path: signed
            .path
            .iter()
            .map(|sibling| fixed::<Digest>("path", sibling))
            .collect::<Result<_, _>>()?,
    })
}

impl From<Record> for wire::Record {
    fn from(record: Record) -> Self {
        Self {
            seq: record.seq.0,
            device: bytes(&record.device),
            client_id: bytes(&record.client_id),
            time: record.time.0,
            bytes: record.bytes,
        }
    }
}

impl TryFrom<wire::Record> for Record {
    type Error = WireError;

    fn try_from(record: wire::Record) -> Result<Self, WireError> {
        Ok(Self {
            seq: Seq(record.seq),
            device: fixed("device", &record.device)?,
            client_id: fixed("client_id", &record.client_id)?,
            time: crate::ids::UnixMillis(record.time),
            bytes: record.bytes,
        })
    }
}

impl From<Part> for wire::Part {
    fn from(part: Part) -> Self {
        Self {
            index: part.index,
            last: part.last,
            bytes: part.bytes,
        }
    }
}

impl From<wire::Part> for Part {
    fn from(part: wire::Part) -> Self {
        Self {
            index: part.index,
            last: part.last,
            bytes: part.bytes,
        }
    }
}

impl From<SealedName> for wire::SealedName {
    fn from(name: SealedName) -> Self {
        use wire::sealed_name::Name;
        Self {
            name: Some(match name {
                SealedName::Profile(hash) => Name::Profile(bytes(&hash)),
                SealedName::RosterKey { generation, device } => {
                    Name::RosterKey(wire::RosterKeyName {
                        generation,
                        device: bytes(&device),
                    })
                }
            }),
        }
    }
}

impl TryFrom<wire::SealedName> for SealedName {
    type Error = WireError;

    fn try_from(name: wire::SealedName) -> Result<Self, WireError> {
        use wire::sealed_name::Name;
        Ok(match required("name", name.name)? {
            Name::Profile(hash) => Self::Profile(fixed("profile", &hash)?),
            Name::RosterKey(key) => Self::RosterKey {
                generation: key.generation,
                device: fixed("device", &key.device)?,
            },
        })
    }
}
