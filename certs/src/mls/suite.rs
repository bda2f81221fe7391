//! The hybrid suite: X-Wing (ML-KEM-768 with X25519), ChaCha20-Poly1305, SHA-256, Ed25519.
//!
//! X-Wing follows draft-connolly-cfrg-xwing-kem; the suite has a private code point, since the
//! network is closed and ReInit is the way off it. Signatures stay Ed25519: only confidentiality
//! is harvested today.

use mls_rs_core::crypto::{CipherSuite, CryptoProvider};
use mls_rs_crypto_awslc::{
    AwsLcCipherSuite, AwsLcCipherSuiteBuilder, AwsLcCryptoProvider, AwsLcHash, MlKem, Sha3,
};
use mls_rs_crypto_traits::{AeadId, KdfId};

/// The default suite of a network.
pub const HYBRID: CipherSuite = CipherSuite::new(0xF04D);

/// The classical suite, for networks that must: X25519, ChaCha20-Poly1305, SHA-256, Ed25519.
pub const CLASSICAL: CipherSuite = CipherSuite::CURVE25519_CHACHA;

/// AWS-LC, with [`HYBRID`] and [`CLASSICAL`] and nothing else.
#[derive(Debug, Clone)]
pub struct PlenaryCrypto {
    classical: AwsLcCryptoProvider,
}

/// The provider everybody passes to MLS.
pub fn crypto_provider() -> PlenaryCrypto {
    PlenaryCrypto {
        classical: AwsLcCryptoProvider::with_enabled_cipher_suites(vec![CLASSICAL]),
    }
}

impl CryptoProvider for PlenaryCrypto {
    type CipherSuiteProvider = AwsLcCipherSuite;

    fn supported_cipher_suites(&self) -> Vec<CipherSuite> {
        vec![HYBRID, CLASSICAL]
    }

    fn cipher_suite_provider(&self, suite: CipherSuite) -> Option<AwsLcCipherSuite> {
        match suite {
            HYBRID => AwsLcCipherSuiteBuilder::new()
                .fallback_cipher_suite(CLASSICAL)
                .combined_hpke(
                    CLASSICAL,
                    MlKem::MlKem768,
                    KdfId::HkdfSha256,
                    AeadId::Chacha20Poly1305,
                    AwsLcHash::new_sha3(Sha3::SHA3_256)?,
                )
                .build(HYBRID),
            CLASSICAL => self.classical.cipher_suite_provider(CLASSICAL),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mls_rs_core::crypto::CipherSuiteProvider;

    #[test]
    fn the_hybrid_suite_seals_with_both_kems() {
        let suite = crypto_provider().cipher_suite_provider(HYBRID).unwrap();
        assert_eq!(suite.cipher_suite(), HYBRID);
        let (_, public) = suite.kem_generate().unwrap();
        // ML-KEM-768 encapsulation key and X25519 public key.
        assert_eq!(public.len(), 1184 + 32);
        let sealed = suite.hpke_seal(&public, b"info", None, b"").unwrap();
        assert_eq!(sealed.kem_output.len(), 1088 + 32);
    }

    #[test]
    fn offers_nothing_else() {
        let crypto = crypto_provider();
        assert_eq!(crypto.supported_cipher_suites(), [HYBRID, CLASSICAL]);
        assert!(
            crypto
                .cipher_suite_provider(CipherSuite::P256_AES128)
                .is_none()
        );
    }
}
