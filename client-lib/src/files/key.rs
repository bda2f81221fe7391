//! The item's key and what is derived from it; the nonce of a chunk.

use std::fmt;

use plenary_proto::ids::{Digest, ItemId};
use ring::{
    aead::{self, LessSafeKey, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

use super::ItemError;

const SALT_TAG: &[u8] = b"plenary item v1\0";
const PAYLOAD_TAG: &[u8] = b"payload\0";
const COMMITMENT_TAG: &[u8] = b"commitment\0";
const JOURNAL_SEAL_TAG: &[u8] = b"journal seal\0";

/// The AEAD an item is sealed with. Both have 32-byte keys, 12-byte nonces and 16-byte tags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cipher {
    /// AES-256-GCM: the faster one wherever processors have instructions for it.
    #[default]
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

impl Cipher {
    /// The number that travels.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::ChaCha20Poly1305 => 2,
        }
    }

    pub(super) fn from_code(code: u8) -> Option<Self> {
        [Self::Aes256Gcm, Self::ChaCha20Poly1305]
            .into_iter()
            .find(|cipher| cipher.code() == code)
    }

    fn algorithm(self) -> &'static aead::Algorithm {
        match self {
            Self::Aes256Gcm => &aead::AES_256_GCM,
            Self::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
        }
    }
}

/// The key of one item. Whoever has it and the sealed bytes has the file.
#[derive(Clone, PartialEq, Eq)]
pub struct ItemKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ItemKey(..)")
    }
}

impl ItemKey {
    /// A new key: for one item, once.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, ItemError> {
        random().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// A key read back from a store or a manifest.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn payload(&self, item: ItemId, cipher: Cipher) -> Result<LessSafeKey, ItemError> {
        let key = self.derive(item, &[PAYLOAD_TAG, &[cipher.code()]])?;
        aead_key(cipher, &key)
    }

    /// Says nothing of the key, and belongs to no other.
    pub(super) fn commitment(&self, item: ItemId, cipher: Cipher) -> Result<Digest, ItemError> {
        let bytes = self.derive(item, &[COMMITMENT_TAG, &[cipher.code()]])?;
        Ok(Digest(*bytes))
    }

    /// Seals the journal's records: they tell what the file is.
    pub(super) fn journal_seal(&self, item: ItemId) -> Result<LessSafeKey, ItemError> {
        aead_key(Cipher::Aes256Gcm, &*self.derive(item, &[JOURNAL_SEAL_TAG])?)
    }

    fn derive(&self, item: ItemId, info: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, ItemError> {
        let salt = [SALT_TAG, item.as_bytes()].concat();
        let mut out = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, &salt)
            .extract(&*self.0)
            .expand(info, hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *out))
            .map_err(|_| ItemError::WrongKey)?;
        Ok(out)
    }
}

fn aead_key(cipher: Cipher, key: &[u8; 32]) -> Result<LessSafeKey, ItemError> {
    UnboundKey::new(cipher.algorithm(), key)
        .map(LessSafeKey::new)
        .map_err(|_| ItemError::WrongKey)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], ItemError> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ItemError::NoRandomness)?;
    Ok(bytes)
}

/// The nonce of one chunk: its index in 11 bytes, big-endian, and whether it is the last one.
/// A file cut at a chunk's end therefore does not open, nor does one with a chunk behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkNonce([u8; 12]);

impl ChunkNonce {
    pub(super) fn new(index: u32, last: bool) -> Self {
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(last);
        Self(nonce)
    }
}

impl From<ChunkNonce> for Nonce {
    fn from(nonce: ChunkNonce) -> Self {
        Self::assume_unique_for_key(nonce.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_pinned() {
        assert_eq!(ChunkNonce::new(0, false).0, [0; 12]);
        assert_eq!(
            ChunkNonce::new(0x0102_0304, true).0,
            [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 1]
        );
    }

    #[test]
    fn everything_derived_differs_by_purpose_item_and_cipher() {
        let key = ItemKey::from_bytes([1; 32]);
        let (a, b) = (ItemId([2; 16]), ItemId([3; 16]));
        let all = [
            key.commitment(a, Cipher::Aes256Gcm).unwrap().0,
            key.commitment(a, Cipher::ChaCha20Poly1305).unwrap().0,
            key.commitment(b, Cipher::Aes256Gcm).unwrap().0,
            *key.derive(a, &[PAYLOAD_TAG, &[1]]).unwrap(),
            *key.derive(a, &[JOURNAL_SEAL_TAG]).unwrap(),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one), "{i}");
        }
        assert_eq!(format!("{key:?}"), "ItemKey(..)");
    }
}
