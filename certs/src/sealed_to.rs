//! What is sealed to one device: HPKE (RFC 9180) of the hybrid suite, base mode, bound to a context.
//!
//! It says nothing of who sealed: it travels inside what names its sender, such as an MLS message.

use mls_rs_core::crypto::{
    CipherSuiteProvider, CryptoProvider, HpkeCiphertext, HpkePublicKey, HpkeSecretKey,
};
use zeroize::Zeroizing;

use crate::{
    cbor::{self, Bytes, cbor_struct},
    ledger::SEALING_KEY,
    mls::suite::{HYBRID, crypto_provider},
    profile::SealingKey,
    seal::SealError,
};

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

/// Seals to a device's sealing key, as DEVICE states it.
///
/// # Errors
/// [`SealError::Open`]: `to` is no sealing key.
pub fn seal_to(to: &[u8], context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
    if to.len() > SEALING_KEY {
        return Err(SealError::Open);
    }
    let HpkeCiphertext {
        kem_output,
        ciphertext,
    } = suite()?
        .hpke_seal(&HpkePublicKey::from(to.to_vec()), context, None, plaintext)
        .map_err(|_| SealError::Open)?;
    Ok(cbor::encode(&Sealed {
        kem_output: Bytes(kem_output),
        ciphertext: Bytes(ciphertext),
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
    let ciphertext = HpkeCiphertext {
        kem_output: sealed.kem_output.0,
        ciphertext: sealed.ciphertext.0,
    };
    let opened = suite()?
        .hpke_open(
            &ciphertext,
            &HpkeSecretKey::from(key.secret().to_vec()),
            &HpkePublicKey::from(key.public().to_vec()),
            context,
            None,
        )
        .map_err(|_| SealError::Open)?;
    Ok(Zeroizing::new(opened.to_vec()))
}

fn suite() -> Result<impl CipherSuiteProvider, SealError> {
    crypto_provider()
        .cipher_suite_provider(HYBRID)
        .ok_or(SealError::Random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::sealing_keypair;

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
