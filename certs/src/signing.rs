//! Ed25519 (RFC 8032) signing keys, held by whoever may use them.

use std::fmt;

use plenary_proto::ids::{PublicKey, Signature};
use ring::{
    rand::SecureRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey},
};
use zeroize::Zeroizing;

/// A private key. Its seed is erased when it is dropped.
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// What can go wrong with keys and signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
    /// Bytes that are no Ed25519 seed.
    #[error("not an Ed25519 private key")]
    Seed,
    /// The signature is not by this key over these bytes.
    #[error("the signature does not verify")]
    Signature,
}

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::Random`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(&mut *seed).map_err(|_| KeyError::Random)?;
        Self::from_seed(&seed)
    }

    /// The key of a seed kept elsewhere.
    ///
    /// # Errors
    /// [`KeyError::Seed`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        let public = PublicKey::try_from(pair.public_key().as_ref()).map_err(|_| KeyError::Seed)?;
        Ok(Self {
            seed: Zeroizing::new(*seed),
            pair,
            public,
        })
    }

    /// The seed, to be kept sealed.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The pair as ring has it, for the handshake.
    pub fn pair(&self) -> &Ed25519KeyPair {
        &self.pair
    }

    /// Signs. The caller heads the bytes with its domain tag.
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.pair.sign(bytes).as_ref());
        Signature(signature)
    }
}

/// Verifies a signature over bytes headed by the caller's domain tag.
///
/// # Errors
/// [`KeyError::Signature`].
pub fn verify(key: &PublicKey, bytes: &[u8], signature: &Signature) -> Result<(), KeyError> {
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(bytes, signature.as_bytes())
        .map_err(|_| KeyError::Signature)
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?}, private part hidden)", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_rfc_8032_does() {
        // RFC 8032 section 7.1, TEST 1.
        let seed: PublicKey = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
            .parse()
            .unwrap();
        let key = SigningKey::from_seed(seed.as_bytes()).unwrap();
        assert_eq!(
            key.public().to_string(),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        );
        let signature = key.sign(b"");
        assert!(
            signature
                .to_string()
                .starts_with("e5564300c360ac729086e2cc806e828a")
        );
        assert_eq!(verify(&key.public(), b"", &signature), Ok(()));
        assert_eq!(
            verify(&key.public(), b"x", &signature),
            Err(KeyError::Signature)
        );
        assert!(!format!("{key:?}").contains("9d61"));
    }
}
