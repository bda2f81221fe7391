//! Time stamps (RFC 3161): what is asked of a time-stamping service, and what its answer proves.
//!
//! ```text
//! Entry::to_stamp --stamp_request--> service --stamp_reply--> token --Entry::stamped--> kept, told
//! token, digest --check_stamp--> Stamp: time, by whom; backed if a path leads to an authority given
//! ```
//!
//! The service learns a digest that tells nothing, and when it was asked. Its word is worth what its
//! authority is worth, so the authority's certificate is the reader's own: without one, a token
//! shows who signed it and no more. Whether a certificate was revoked is not looked up: offline.

mod token;

use std::fmt;

use der::{
    Decode, Encode,
    asn1::{Int, ObjectIdentifier, OctetString},
};
use plenary_proto::ids::{Digest, UnixMillis};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion};

/// Bytes of a token with the certificates in it: with a chain of three they are some 6 KiB.
pub const MAX_STAMP: usize = 16 * 1024;

/// Certificates that one file of authorities may hold.
const MAX_AUTHORITIES: usize = 64;

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// Why a time stamp does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StampError {
    #[error("malformed: {0}")]
    Malformed(String),
    #[error("larger than {MAX_STAMP} bytes")]
    TooLarge,
    #[error("the service refused: {0}")]
    Refused(String),
    #[error("it is about something else than was to be stamped")]
    OtherDigest,
    #[error("it answers another request: another nonce")]
    Nonce,
    #[error("its signer's certificate is not in it")]
    Certificate,
    #[error("it is signed in a way that this program does not check: {0}")]
    Algorithm(String),
    #[error("what its signer signed is not what is in it")]
    Attributes,
    #[error("the signature is not its signer's")]
    Signature,
    #[error("no path leads from its signer to the authority given: {0}")]
    Authority(String),
}

impl From<der::Error> for StampError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// What a token says, its signature checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stamp {
    /// By the service's clock.
    pub time: UnixMillis,
    /// The signer's name, as its certificate has it (RFC 4514). Anybody's words unless `backed`.
    pub signer: String,
    /// SHA-256 of the signer's certificate.
    pub certificate: Digest,
    /// The service's number for it, in hex.
    pub serial: String,
    /// A path leads from the signer to an authority that the reader gave.
    pub backed: bool,
}

/// Certificates of authorities that a reader trusts to tell the time.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}

impl Authorities {
    /// Every certificate of a PEM file. Each is trusted as it stands: one in the middle of a chain,
    /// too.
    ///
    /// # Errors
    /// [`StampError::Malformed`] if there is none, or something is no certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, StampError> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = all.map_err(|error| StampError::Malformed(error.to_string()))?;
        if all.is_empty() || all.len() > MAX_AUTHORITIES {
            let what = format!("a file of authorities holds 1 to {MAX_AUTHORITIES} certificates");
            return Err(StampError::Malformed(what));
        }
        for certificate in &all {
            webpki::anchor_from_trusted_cert(certificate)
                .map_err(|error| StampError::Malformed(error.to_string()))?;
        }
        Ok(Self(all))
    }

    fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

/// What to send to a service as `application/timestamp-query` (RFC 3161, section 3.4). `nonce`:
/// random; its answer must name it.
///
/// # Errors
/// [`StampError::Malformed`]: never seen.
pub fn stamp_request(digest: &Digest, nonce: u64) -> Result<Vec<u8>, StampError> {
    let request = TimeStampReq {
        version: TspVersion::V1,
        message_imprint: MessageImprint {
            hash_algorithm: AlgorithmIdentifierOwned {
                oid: SHA256,
                parameters: Some(der::asn1::Null.into()),
            },
            hashed_message: OctetString::new(digest.0)?,
        },
        req_policy: None,
        nonce: Some(number(nonce)?),
        // The token must be checkable by somebody who never saw the service.
        cert_req: true,
        extensions: None,
    };
    Ok(request.to_der()?)
}

/// The token in a service's answer (`application/timestamp-reply`), checked against what was asked
/// and, if given, the authorities.
///
/// # Errors
/// [`StampError`].
pub fn stamp_reply(
    reply: &[u8],
    digest: &Digest,
    nonce: u64,
    authorities: Option<&Authorities>,
) -> Result<(Vec<u8>, Stamp), StampError> {
    if reply.len() > 2 * MAX_STAMP {
        return Err(StampError::TooLarge);
    }
    let reply = TimeStampResp::from_der(reply)?;
    let Some(token) = reply.time_stamp_token else {
        let status = format!("status {:?}", reply.status.status);
        return Err(StampError::Refused(status));
    };
    let token = token.to_der()?;
    let (stamp, answered) = token::check(&token, digest, authorities)?;
    match answered == Some(number(nonce)?) {
        true => Ok((token, stamp)),
        false => Err(StampError::Nonce),
    }
}

/// Whether a token is over this digest, signed by who it says, and, if authorities are given, by
/// somebody whom one of them vouches for to tell the time (RFC 3161, section 2.4.2; RFC 5816).
///
/// # Errors
/// [`StampError`], by name what is wrong.
pub fn check_stamp(
    token: &[u8],
    digest: &Digest,
    authorities: Option<&Authorities>,
) -> Result<Stamp, StampError> {
    token::check(token, digest, authorities).map(|(stamp, _)| stamp)
}

/// A positive number of eight bytes, so that it has one encoding.
fn number(nonce: u64) -> Result<Int, StampError> {
    let positive = (nonce >> 2) | (1 << 62);
    Ok(Int::new(&positive.to_be_bytes())?)
}
