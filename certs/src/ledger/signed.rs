//! A statement with its signatures, as it travels and is stored.

use minicbor::Decoder;
use plenary_proto::{
    ids::{DeviceId, PublicKey, Signature},
    limits,
};

use super::{LedgerError, Statement};
use crate::{
    cbor::{self, Bytes, Cbor, CborError, Writer, cbor_struct, unknown},
    signing::{self, SigningKey},
};

const SIGN_TAG: &[u8] = b"plenary statement v1\0";

/// Who signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signer {
    /// A person of the Board, by their key.
    Board(PublicKey),
    /// The device that vouches or puts out, with its authentication key.
    Device(DeviceId),
    /// A key of the recovery role.
    Recovery(PublicKey),
}

/// One signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// Whose.
    pub signer: Signer,
    /// Over the domain tag and the statement's bytes.
    pub signature: Signature,
}

/// A statement's bytes as its signers saw them, and their signatures in the signers' order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    bytes: Bytes,
    signatures: Vec<Signed>,
}

impl SignedStatement {
    /// Puts signatures to a statement; their order does not matter. Nothing is verified here.
    pub fn new(statement: Vec<u8>, mut signatures: Vec<Signed>) -> Self {
        signatures.sort_by_key(|signed| signed.signer);
        Self {
            bytes: Bytes(statement),
            signatures,
        }
    }

    /// The statement's bytes.
    pub fn statement(&self) -> &[u8] {
        &self.bytes.0
    }

    /// The signatures, ascending by signer.
    pub fn signatures(&self) -> &[Signed] {
        &self.signatures
    }

    /// The bytes that are stored and sent.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads both layers. Signatures are not verified here.
    ///
    /// # Errors
    /// [`LedgerError::TooLong`], [`LedgerError::Malformed`], [`LedgerError::DoubledSignature`].
    pub fn decode(bytes: &[u8]) -> Result<(Self, Statement), LedgerError> {
        if bytes.len() > limits::STATEMENT {
            return Err(LedgerError::TooLong(bytes.len()));
        }
        let signed: Self = cbor::decode(bytes)?;
        for pair in signed.signatures.windows(2) {
            match pair[0].signer.cmp(&pair[1].signer) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => {
                    return Err(LedgerError::DoubledSignature(pair[0].signer));
                }
                std::cmp::Ordering::Greater => return Err(CborError::NotCanonical.into()),
            }
        }
        let statement = Statement::decode(signed.statement())?;
        Ok((signed, statement))
    }
}

/// Signs a statement's bytes with a Board key.
pub fn sign_as_board(statement: &[u8], key: &SigningKey) -> Signed {
    sign(statement, Signer::Board(key.public()), key)
}

/// Signs a DEVICE statement's bytes with the authentication key of the device that vouches, or
/// those of a REVOKE with that of the device that puts out.
pub fn sign_as_device(statement: &[u8], device: DeviceId, key: &SigningKey) -> Signed {
    sign(statement, Signer::Device(device), key)
}

/// Signs a RECOVER statement's bytes with a recovery key.
pub fn sign_as_recovery(statement: &[u8], key: &SigningKey) -> Signed {
    sign(statement, Signer::Recovery(key.public()), key)
}

/// Verifies one signature by a key; whether that key counts is the ledger's question.
pub(crate) fn verify(
    statement: &[u8],
    key: &PublicKey,
    signed: &Signed,
) -> Result<(), LedgerError> {
    signing::verify(key, &to_be_signed(statement), &signed.signature)
        .map_err(|_| LedgerError::BadSignature(signed.signer))
}

fn sign(statement: &[u8], signer: Signer, key: &SigningKey) -> Signed {
    Signed {
        signer,
        signature: key.sign(&to_be_signed(statement)),
    }
}

fn to_be_signed(statement: &[u8]) -> Vec<u8> {
    [SIGN_TAG, statement].concat()
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Board(key) => write!(f, "Board key {key}"),
            Self::Device(device) => write!(f, "device {device}"),
            Self::Recovery(key) => write!(f, "recovery key {key}"),
        }
    }
}

impl Cbor for Signer {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(2);
        match self {
            Self::Board(key) => {
                1u8.put(w);
                key.put(w);
            }
            Self::Device(device) => {
                2u8.put(w);
                device.put(w);
            }
            Self::Recovery(key) => {
                3u8.put(w);
                key.put(w);
            }
        }
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 2)?;
        match u8::get(d)? {
            1 => Ok(Self::Board(Cbor::get(d)?)),
            2 => Ok(Self::Device(Cbor::get(d)?)),
            3 => Ok(Self::Recovery(Cbor::get(d)?)),
            other => Err(unknown("kind of signer", other.into())),
        }
    }
}

cbor_struct!(Signed { signer, signature });
cbor_struct!(SignedStatement { bytes, signatures });
