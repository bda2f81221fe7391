//! The server's certificate and key, replaceable while connections stand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use plenary_proto::ids::Digest;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pin::pin_of;

/// Why a certificate and its key cannot be served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// A PEM file is missing, unreadable or holds something else.
    #[error("cannot read {what} from {path}: {reason}")]
    Unreadable {
        /// Certificate chain or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// The chain holds no CA beside the leaf: clients could not find their pin in it.
    #[error("the chain must hold the server's certificate followed by its CA's, got {0}")]
    NoCa(usize),
    /// The key is of an unknown kind or does not belong to the certificate.
    #[error("the key does not fit the certificate: {0}")]
    Mismatch(rustls::Error),
}

/// A server certificate, the chain up to and with its CA, and the leaf's private key.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    pin: Digest,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// `chain` is the leaf first and the CA last.
    ///
    /// # Errors
    /// A chain without its CA, a key that is not the leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let (Some(ca), true) = (chain.last(), chain.len() > 1) else {
            return Err(IdentityError::NoCa(chain.len()));
        };
        let pin = pin_of(ca);
        let provider = aws_lc_rs::default_provider();
        let certified =
            CertifiedKey::from_der(chain, key, &provider).map_err(IdentityError::Mismatch)?;
        Ok(Self {
            certified: Arc::new(certified),
            pin,
        })
    }

    /// Reads a chain and a key from PEM files: an identity issued elsewhere.
    ///
    /// # Errors
    /// As [`new`](Self::new), and files that cannot be read.
    pub fn read(chain: &Path, key: &Path) -> Result<Self, IdentityError> {
        let unreadable = |what, path: &Path| {
            let path = path.to_owned();
            move |error: pem::Error| IdentityError::Unreadable {
                what,
                path,
                reason: error.to_string(),
            }
        };
        let certificates = CertificateDer::pem_file_iter(chain)
            .and_then(Iterator::collect)
            .map_err(unreadable("a certificate chain", chain))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(unreadable("a private key", key))?;
        Self::new(certificates, key)
    }

    /// The chain, leaf first and CA last.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// Pin of the CA at the end of the chain.
    pub fn pin(&self) -> Digest {
        self.pin
    }
}

/// Hands the current [`Identity`] to every new handshake. Connections that stand keep theirs.
#[derive(Debug)]
pub struct Reloadable(RwLock<Identity>);

impl Reloadable {
    /// Starts with this identity.
    pub fn new(identity: Identity) -> Arc<Self> {
        Arc::new(Self(RwLock::new(identity)))
    }

    /// Serves `identity` from the next handshake on.
    pub fn replace(&self, identity: Identity) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Pin of the CA served now.
    pub fn pin(&self) -> Digest {
        self.0.read().unwrap_or_else(PoisonError::into_inner).pin
    }
}

impl ResolvesServerCert for Reloadable {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let identity = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(identity.certified.clone())
    }
}
