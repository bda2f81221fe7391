//! What is sealed to one device: HPKE (RFC 9180) of the hybrid suite, base mode, bound to a context.
//!
//! It says nothing of who sealed: it travels inside what names its sender, such as an MLS message,
//! or between other fields that the sender signs (`seal_parts`, `framed`).

use std::fmt;

use mls_rs_core::crypto::{
    CipherSuiteProvider, CryptoProvider, HpkeCiphertext, HpkePublicKey, HpkeSecretKey,
};
use zeroize::Zeroizing;

use crate::{
    cbor::{self, Bytes, cbor_struct},
    ledger::SEALING_KEY,
    mls::suite::{HYBRID, crypto_provider},
    seal::SealError,
};

/// A device's private key for what is sealed to it, with its public half.
#[derive(Clone)]
pub struct SealingKey {
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

/// What HPKE makes: the KEM's output and the ciphertext.
pub(crate) type Parts = (Bytes, Bytes);

struct Sealed {
    kem_output: Bytes,
    ciphertext: Bytes,
}

cbor_struct!(Sealed {
    kem_output,
    ciphertext
});

/// Bytes that a seal adds, at most: X-Wing's output of 1,120, a tag of 16, and their heads.
pub const OVERHEAD: usize = 1_152;

impl SealingKey {
    /// From the parts kept in the client's sealed store.
    pub fn from_parts(secret: Vec<u8>, public: Vec<u8>) -> Self {
        Self {
            secret: Zeroizing::new(secret),
            public,
        }
    }

    /// The secret bytes, for the client's sealed store.
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// What DEVICE carries.
    pub fn public(&self) -> &[u8] {
        &self.public
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(hidden)")
    }
}

/// A fresh key pair for what is sealed to a device (X-Wing; AWS-LC's own randomness).
///
/// # Errors
/// [`SealError::Random`].
pub fn sealing_keypair() -> Result<SealingKey, SealError> {
    let (secret, public) = suite()?.kem_generate().map_err(|_| SealError::Random)?;
    Ok(SealingKey::from_parts(
        secret.as_ref().to_vec(),
        public.as_ref().to_vec(),
    ))
}

/// Seals to a device's sealing key, as DEVICE states it.
///
/// # Errors
/// [`SealError::Open`]: `to` is no sealing key.
pub fn seal_to(to: &[u8], context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    let (kem_output, ciphertext) = seal_parts(to, context, plaintext)?;
    Ok(cbor::encode(&Sealed {
        kem_output,
        ciphertext,
    }))
}

/// Opens what [`seal_to`] made for this device in this context.
///
/// # Errors
/// [`SealError::Open`].
pub fn open_sealed(
    key: &SealingKey,
    context: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let sealed: Sealed = cbor::decode(sealed).map_err(|_| SealError::Open)?;
    open_parts(key, context, (sealed.kem_output, sealed.ciphertext))
}

/// As [`seal_to`], in parts: for formats with fields of their own beside them.
pub(crate) fn seal_parts(to: &[u8], context: &[u8], plaintext: &[u8]) -> Result<Parts, SealError> {
    if to.len() > SEALING_KEY {
        return Err(SealError::Open);
    }
    let HpkeCiphertext {
        kem_output,
        ciphertext,
    } = suite()?
        .hpke_seal(&HpkePublicKey::from(to.to_vec()), context, None, plaintext)
        .map_err(|_| SealError::Open)?;
    Ok((Bytes(kem_output), Bytes(ciphertext)))
}

/// Opens what [`seal_parts`] made.
pub(crate) fn open_parts(
    key: &SealingKey,
    context: &[u8],
    (kem_output, ciphertext): Parts,
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let ciphertext = HpkeCiphertext {
        kem_output: kem_output.0,
        ciphertext: ciphertext.0,
    };
    let opened = suite()?
        .hpke_open(
            &ciphertext,
            &HpkeSecretKey::from(key.secret.to_vec()),
            &HpkePublicKey::from(key.public.clone()),
            context,
            None,
        )
        .map_err(|_| SealError::Open)?;
    Ok(Zeroizing::new(opened.to_vec()))
}

/// The parts after what heads them, as a sender signs them. Lengths first: the two could be shifted
/// otherwise.
pub(crate) fn framed(head: &[u8], kem_output: &Bytes, ciphertext: &Bytes) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for part in [&kem_output.0, &ciphertext.0] {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn suite() -> Result<impl CipherSuiteProvider, SealError> {
    crypto_provider()
        .cipher_suite_provider(HYBRID)
        .ok_or(SealError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_for_its_device_in_its_context_only() {
        let (own, other) = (sealing_keypair().unwrap(), sealing_keypair().unwrap());
        let text = vec![7; 10_000];
        let sealed = seal_to(own.public(), b"here", &text).unwrap();
        assert!(sealed.len() <= text.len() + OVERHEAD, "{}", sealed.len());
        assert_eq!(*open_sealed(&own, b"here", &sealed).unwrap(), text);
        assert!(open_sealed(&own, b"there", &sealed).is_err());
        assert!(open_sealed(&other, b"here", &sealed).is_err());
        for at in [0, 5, 1_000, sealed.len() - 1] {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(open_sealed(&own, b"here", &flipped).is_err(), "{at}");
        }
        assert!(seal_to(b"short", b"here", &text).is_err());
    }
}
