//! Deterministic CBOR (RFC 8949 section 4.2): fixed arrays, shortest integers, nothing else.
//!
//! There is one encoding for every value. [`decode`] encodes what it has read once more and
//! compares: trailing bytes, padded integers and indefinite lengths are refused in one place.

use minicbor::{Decoder, Encoder, data::Type};
use plenary_proto::{
    ids::{
        ChannelId, DeviceId, Digest, InvitationId, ItemId, LedgerSeq, MemberId, NetworkId,
        PublicKey, Signature, UnixMillis,
    },
    label::Label,
};
use zeroize::Zeroizing;

/// Where values are written. Writing to memory cannot fail, so the results are dropped.
pub(crate) type Writer = Encoder<Vec<u8>>;

/// Why bytes are not the one encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// Cut short, of another shape, or a number nobody has defined.
    #[error("not the expected shape: {0}")]
    Shape(String),
    /// Trailing bytes, a padded integer, an indefinite length: a second spelling.
    #[error("not the canonical encoding of what it says")]
    NotCanonical,
}

impl From<minicbor::decode::Error> for CborError {
    fn from(error: minicbor::decode::Error) -> Self {
        Self::Shape(error.to_string())
    }
}

/// A value with one encoding.
pub(crate) trait Cbor: Sized {
    fn put(&self, w: &mut Writer);
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError>;
}

/// The bytes of a value.
pub(crate) fn encode(value: &impl Cbor) -> Vec<u8> {
    let mut writer = Encoder::new(Vec::new());
    value.put(&mut writer);
    writer.into_writer()
}

/// The value of bytes that are exactly its encoding.
pub(crate) fn decode<T: Cbor>(bytes: &[u8]) -> Result<T, CborError> {
    let value = T::get(&mut Decoder::new(bytes))?;
    // Zeroizing: secrets pass here too.
    if *Zeroizing::new(encode(&value)) != *bytes {
        return Err(CborError::NotCanonical);
    }
    Ok(value)
}

/// Reads an array header that must say `len`.
pub(crate) fn array(d: &mut Decoder<'_>, len: u64) -> Result<(), CborError> {
    match d.array()? {
        Some(found) if found == len => Ok(()),
        found => Err(CborError::Shape(format!(
            "expected {len} fields, got {}",
            found.map_or("an indefinite number".to_owned(), |n| n.to_string())
        ))),
    }
}

/// A number that names nothing.
pub(crate) fn unknown(what: &str, number: u64) -> CborError {
    CborError::Shape(format!("{number} is no known {what}"))
}

macro_rules! cbor_bytes {
    ($($id:ident),*) => { $(
        impl Cbor for $id {
            fn put(&self, w: &mut Writer) {
                let _ = w.bytes(&self.0);
            }
            fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
                let bytes = d.bytes()?;
                Self::try_from(bytes).map_err(|_| {
                    CborError::Shape(format!(
                        "expected {} bytes, got {}", Self::LEN, bytes.len()
                    ))
                })
            }
        }
    )* };
}
cbor_bytes!(
    NetworkId,
    MemberId,
    DeviceId,
    ChannelId,
    InvitationId,
    ItemId,
    Digest,
    PublicKey,
    Signature
);

macro_rules! cbor_number {
    ($($kind:ident),*) => { $(
        impl Cbor for $kind {
            fn put(&self, w: &mut Writer) {
                let _ = w.$kind(*self);
            }
            fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
                Ok(d.$kind()?)
            }
        }
    )* };
}
cbor_number!(u8, u16, u32, u64, bool);

impl Cbor for UnixMillis {
    fn put(&self, w: &mut Writer) {
        self.0.put(w);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        u64::get(d).map(Self)
    }
}

impl Cbor for LedgerSeq {
    fn put(&self, w: &mut Writer) {
        self.0.put(w);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        u64::get(d).map(Self)
    }
}

impl Cbor for Label {
    fn put(&self, w: &mut Writer) {
        self.code().put(w);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        let code = u8::get(d)?;
        Self::from_code(code).ok_or_else(|| unknown("label", code.into()))
    }
}

impl Cbor for String {
    fn put(&self, w: &mut Writer) {
        let _ = w.str(self);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        Ok(d.str()?.to_owned())
    }
}

/// A byte string of any length; the owner of the field says how long it may be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Cbor for Bytes {
    fn put(&self, w: &mut Writer) {
        let _ = w.bytes(&self.0);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        Ok(Self(d.bytes()?.to_vec()))
    }
}

impl<T: Cbor> Cbor for Option<T> {
    fn put(&self, w: &mut Writer) {
        match self {
            Some(value) => value.put(w),
            None => {
                let _ = w.null();
            }
        }
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        if d.datatype()? == Type::Null {
            d.null()?;
            return Ok(None);
        }
        T::get(d).map(Some)
    }
}

impl<T: Cbor> Cbor for Vec<T> {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(self.len() as u64);
        for value in self {
            value.put(w);
        }
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        let len = d
            .array()?
            .ok_or_else(|| CborError::Shape("an array of indefinite length".to_owned()))?;
        // No capacity from the header: it is the sender's word.
        (0..len).map(|_| T::get(d)).collect()
    }
}

impl<A: Cbor, B: Cbor> Cbor for (A, B) {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(2);
        self.0.put(w);
        self.1.put(w);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        array(d, 2)?;
        Ok((A::get(d)?, B::get(d)?))
    }
}

/// A struct as the array of its fields, in the order given.
macro_rules! cbor_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::cbor::Cbor for $name {
            fn put(&self, w: &mut $crate::cbor::Writer) {
                let fields: &[&str] = &[$(stringify!($field)),*];
                let _ = w.array(fields.len() as u64);
                $( $crate::cbor::Cbor::put(&self.$field, w); )*
            }
            fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, $crate::cbor::CborError> {
                let fields: &[&str] = &[$(stringify!($field)),*];
                $crate::cbor::array(d, fields.len() as u64)?;
                Ok(Self { $( $field: $crate::cbor::Cbor::get(d)? ),* })
            }
        }
    };
}
pub(crate) use cbor_struct;

/// An enum of plain names as its number.
macro_rules! cbor_enum {
    ($name:ident { $($variant:ident = $number:literal),* $(,)? }) => {
        impl $crate::cbor::Cbor for $name {
            fn put(&self, w: &mut $crate::cbor::Writer) {
                let number: u8 = match self { $( Self::$variant => $number ),* };
                $crate::cbor::Cbor::put(&number, w);
            }
            fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, $crate::cbor::CborError> {
                match <u8 as $crate::cbor::Cbor>::get(d)? {
                    $( $number => Ok(Self::$variant), )*
                    other => Err($crate::cbor::unknown(stringify!($name), other.into())),
                }
            }
        }
    };
}
pub(crate) use cbor_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_spelling_is_refused() {
        assert_eq!(
            decode::<Vec<u8>>(&[0x82, 0x05, 0x18, 0x20]),
            Ok(vec![5, 32])
        );
        for bytes in [
            &[0x82, 0x05, 0x18, 0x05][..], // 5 in two bytes
            &[0x98, 0x02, 0x05, 0x05],     // length 2 in two bytes
            &[0x82, 0x05, 0x05, 0x00],     // trailing
        ] {
            assert_eq!(decode::<Vec<u8>>(bytes), Err(CborError::NotCanonical));
        }
        for bytes in [
            &[0x9f, 0x05, 0x05, 0xff][..], // indefinite
            &[0x82, 0x05],                 // cut
            &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 5], // a lie about length
            &[],
        ] {
            assert!(matches!(decode::<Vec<u8>>(bytes), Err(CborError::Shape(_))));
        }
    }
}
