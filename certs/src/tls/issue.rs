//! A network's own CA, and server certificates under it.
//!
//! The CA lies in two files of the data folder. Server certificates are short-lived and never
//! stored: the server issues one at each start and a new one every [`RENEW_AFTER`]. Nobody has to
//! remember a renewal, and no second private key is on the disk.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plenary_proto::ids::{Digest, UnixMillis};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::pin::pin_of;
use super::{Identity, IdentityError};

/// The CA's certificate in its folder (PEM).
const CA_FILE: &str = "ca.pem";
/// The CA's private key (PKCS #8 in PEM, mode 0600).
const CA_KEY_FILE: &str = "ca.key";

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Life of a CA. Clients pin it, so replacing one means telling every member.
const CA_LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Life of a server certificate.
pub const LEAF_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Age at which a server certificate is replaced: two more attempts fit before it lapses.
pub const RENEW_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);
/// Certificates are valid from a day before they are made: clocks differ.
const CLOCK_SKEW: Duration = DAY;
/// Latest moment a certificate may name: 9000-01-01, well inside what X.509 can write.
const LATEST: u64 = 221_845_392_000;

/// Why a CA or a certificate could not be made or read.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IssueError {
    /// The clock shows a time that no certificate can carry.
    #[error("the clock is wrong: {0:?} is no time for a certificate")]
    Clock(UnixMillis),
    /// A name is neither an IP address nor a DNS name, or none was given.
    #[error("{0:?} is neither a DNS name nor an IP address: name the address clients connect to")]
    Name(String),
    /// Making the key or signing failed.
    #[error("cannot issue the certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The issued certificate cannot be served.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file of the CA cannot be read or written.
    #[error(
        "{path}: {reason}; restore the CA's two files together, or members must be told a new pin"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A network's CA with its private key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("pin", &self.pin())
            .finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes a new CA (ECDSA P-256, which every TLS tool can check) and writes it to `folder`.
    ///
    /// # Errors
    /// Files that cannot be written, or that exist already: a CA is never overwritten.
    pub fn create(folder: &Path, now: UnixMillis) -> Result<Self, IssueError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = ca_params();
        set_life(&mut params, now, CA_LIFE)?;
        let certificate = params.self_signed(&key)?;
        let pem = Zeroizing::new(key.serialize_pem());
        // The key first: a certificate without a key would be pinned by somebody and be useless.
        write_new(&folder.join(CA_KEY_FILE), pem.as_bytes(), 0o600)?;
        write_new(&folder.join(CA_FILE), certificate.pem().as_bytes(), 0o644)?;
        sync_folder(folder)?;
        Ok(Self {
            certificate: certificate.into(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads the CA that [`create`](Self::create) wrote. `Ok(None)` when `folder` holds none yet.
    ///
    /// # Errors
    /// One file without the other, files that are not a CA's.
    pub fn open(folder: &Path) -> Result<Option<Self>, IssueError> {
        let (certificate, key) = (folder.join(CA_FILE), folder.join(CA_KEY_FILE));
        if !certificate.exists() && !key.exists() {
            return Ok(None);
        }
        let pem = Zeroizing::new(fs::read_to_string(&key).map_err(at(&key))?);
        let authority = Self {
            certificate: CertificateDer::from_pem_file(&certificate).map_err(at(&certificate))?,
            issuer: Issuer::new(ca_params(), KeyPair::from_pem(&pem).map_err(at(&key))?),
        };
        authority.check_pair(&key)?;
        Ok(Some(authority))
    }

    /// SHA-256 of the CA's certificate: what invitations carry.
    pub fn pin(&self) -> Digest {
        pin_of(&self.certificate)
    }

    /// Issues a server certificate for `names` (DNS names and IP addresses), valid for
    /// [`LEAF_LIFE`], with a new key.
    ///
    /// # Errors
    /// A name that is none, a clock that is off.
    pub fn issue(&self, names: &[String], now: UnixMillis) -> Result<Identity, IssueError> {
        let params = leaf_params(names, now)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = vec![leaf.into(), self.certificate.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Identity::new(chain, key)?)
    }

    /// Refuses a certificate and a key that are not of one CA: rustls compares the public keys.
    fn check_pair(&self, path: &Path) -> Result<(), IssueError> {
        let key = PrivateKeyDer::try_from(self.issuer.key().serialize_der()).map_err(at(path))?;
        let own_chain = vec![self.certificate.clone(), self.certificate.clone()];
        Identity::new(own_chain, key).map_err(at(path))?;
        Ok(())
    }
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Plenary network CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(names: &[String], now: UnixMillis) -> Result<CertificateParams, IssueError> {
    let bad_name = |name: &String| rustls::pki_types::ServerName::try_from(name.as_str()).is_err();
    if let Some(name) = names.iter().find(|name| bad_name(name)) {
        return Err(IssueError::Name(name.clone()));
    }
    if names.is_empty() {
        return Err(IssueError::Name(String::new()));
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "Plenary server");
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    set_life(&mut params, now, LEAF_LIFE)?;
    Ok(params)
}

fn set_life(
    params: &mut CertificateParams,
    now: UnixMillis,
    life: Duration,
) -> Result<(), IssueError> {
    let now_seconds = Duration::from_millis(now.0);
    let from = now_seconds.saturating_sub(CLOCK_SKEW);
    let until = now_seconds.saturating_add(life);
    if until.as_secs() > LATEST {
        return Err(IssueError::Clock(now));
    }
    params.not_before = date_time_ymd(1970, 1, 1) + from;
    params.not_after = date_time_ymd(1970, 1, 1) + until;
    Ok(())
}

fn at<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> IssueError {
    let path = path.to_owned();
    move |error| IssueError::File {
        path,
        reason: error.to_string(),
    }
}

/// Creates a file that must not exist, with its mode from the first moment, and makes it durable.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), IssueError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let write = || -> io::Result<()> {
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(at(path))
}

fn sync_folder(folder: &Path) -> Result<(), IssueError> {
    let sync = || fs::File::open(folder)?.sync_all();
    sync().map_err(at(folder))
}
