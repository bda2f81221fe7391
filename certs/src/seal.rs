//! Sealing of small things at rest: ChaCha20-Poly1305 (RFC 8439) with a random nonce before the
//! ciphertext, and padding that hides how long a name is.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand::SecureRandom,
};
use zeroize::Zeroizing;

/// Padded length is a multiple of this many bytes.
const PAD: usize = 256;

/// Why a seal was not made or does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
    /// Another key, another place, or altered bytes: these look alike.
    #[error("sealed under another key, or altered")]
    Open,
}

/// Seals under a key, bound to `aad`.
pub(crate) fn seal(
    key: &[u8; 32],
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    random.fill(&mut nonce).map_err(|_| SealError::Random)?;
    let mut sealed = plaintext.to_vec();
    let tag = cipher(key)?
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut sealed,
        )
        .map_err(|_| SealError::Open)?;
    Ok([&nonce[..], &sealed, tag.as_ref()].concat())
}

/// Opens what [`seal`] made.
pub(crate) fn open(
    key: &[u8; 32],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let (nonce, sealed) = sealed
        .split_first_chunk::<NONCE_LEN>()
        .ok_or(SealError::Open)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let len = cipher(key)?
        .open_in_place(nonce, Aad::from(aad), &mut buffer)
        .map_err(|_| SealError::Open)?
        .len();
    buffer.truncate(len);
    Ok(buffer)
}

/// [`seal`] with the plaintext padded: a one bit and zeros up to a multiple of 256 bytes.
pub(crate) fn seal_padded(
    key: &[u8; 32],
    aad: &[u8],
    plaintext: &[u8],
    random: &dyn SecureRandom,
) -> Result<Vec<u8>, SealError> {
    let mut padded = Zeroizing::new(Vec::with_capacity(plaintext.len() + PAD));
    padded.extend_from_slice(plaintext);
    padded.push(0x80);
    let len = padded.len().next_multiple_of(PAD);
    padded.resize(len, 0);
    seal(key, aad, &padded, random)
}

/// Opens what [`seal_padded`] made.
pub(crate) fn open_padded(
    key: &[u8; 32],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let mut padded = open(key, aad, sealed)?;
    let end = padded.iter().rposition(|byte| *byte != 0);
    match end {
        Some(end) if padded[end] == 0x80 => {
            padded.truncate(end);
            Ok(padded)
        }
        _ => Err(SealError::Open),
    }
}

/// HKDF-SHA-256 (RFC 5869) without salt: a key for one purpose from a secret.
pub(crate) fn derive(secret: &[u8; 32], info: &[&[u8]]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    struct Len;
    impl KeyType for Len {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, &[])
        .extract(secret)
        .expand(info, Len)
        .and_then(|okm| okm.fill(&mut *key))
        .map_err(|_| SealError::Open)?;
    Ok(key)
}

fn cipher(key: &[u8; 32]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| SealError::Open)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    const KEY: [u8; 32] = [7; 32];

    proptest! {
        #[test]
        fn padded_opens_to_what_was_sealed(text in prop::collection::vec(any::<u8>(), 0..600)) {
            let sealed = seal_padded(&KEY, b"aad", &text, &SystemRandom::new()).unwrap();
            prop_assert_eq!((sealed.len() - 12 - 16) % PAD, 0);
            prop_assert_eq!(&*open_padded(&KEY, b"aad", &sealed).unwrap(), &text);
        }
    }

    #[test]
    fn another_key_place_or_byte_does_not_open() {
        let sealed = seal(&KEY, b"aad", b"text", &SystemRandom::new()).unwrap();
        assert_eq!(open(&[8; 32], b"aad", &sealed), Err(SealError::Open));
        assert_eq!(open(&KEY, b"bad", &sealed), Err(SealError::Open));
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(open(&KEY, b"aad", &flipped), Err(SealError::Open), "{at}");
            assert_eq!(open(&KEY, b"aad", &sealed[..at]), Err(SealError::Open));
        }
        // Sealed without padding, or of nothing but padding.
        assert_eq!(open_padded(&KEY, b"aad", &sealed), Err(SealError::Open));
        let zeros = seal(&KEY, b"aad", &[0; 256], &SystemRandom::new()).unwrap();
        assert_eq!(open_padded(&KEY, b"aad", &zeros), Err(SealError::Open));
    }
}
