//! An invitation: what somebody not yet admitted needs to find the right network and to knock.
//!
//! One line of text, handed over by a way the inviter trusts. The server knows only a key derived
//! from its secret.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use minicbor::Decoder;
use plenary_proto::ids::{Digest, InvitationId, MemberId, NetworkId, UnixMillis};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, Cbor, CborError, Writer, cbor_struct},
    ledger::hash,
    link,
    seal::{self, SealError},
};

const SCHEME: &str = "plenary:";
const CHECKSUM_TAG: &[u8] = b"plenary invitation v1\0";
const KNOCK_TAG: &[u8] = b"plenary invitation knock v1\0";
const SEAL_TAG: &[u8] = b"plenary invitation seal v1\0";

/// Bytes of an address: a DNS name, a colon, a port.
const ADDRESS: usize = 260;

/// Bytes of the checksum: a typo slips through once in four thousand million.
const CHECKSUM: usize = 4;

/// What an invitation holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Host and port of the server.
    pub address: String,
    /// SHA-256 of the server's CA certificate (DER).
    pub ca: Digest,
    /// The network.
    pub network: NetworkId,
    /// Hash of the network's ROOT 1.
    pub root1: Digest,
    /// Names it to the server. Single use.
    pub id: InvitationId,
    /// After this it opens nothing.
    pub expires: UnixMillis,
    /// Between the inviter and the invited.
    pub secret: Secret,
    /// Who is to countersign the request that comes by it; none when a network is founded.
    pub contact: Option<MemberId>,
}

/// An invitation's secret; erased when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<[u8; 32]>);

/// What travels both ways under an invitation's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealed {
    /// From the invited to the Board: a request for admission.
    Request,
    /// A contact point's word on the request.
    Countersignature,
    /// The Board's answer.
    Answer,
    /// From a new device to the one that made the linking code.
    LinkRequest,
    /// Its answer.
    LinkAnswer,
}

/// Why a text is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum InvitationError {
    #[error("an invitation begins with \"{SCHEME}\"")]
    Scheme,
    #[error("this is a linking code, not an invitation: use it with `plenary link`")]
    Link,
    #[error("the invitation is mistyped or cut short: copy it again, whole")]
    Mistyped,
    #[error("malformed invitation: {0}")]
    Malformed(#[from] CborError),
    #[error("{0:?} is no address: use HOST:PORT, with an IPv6 host in brackets")]
    Address(String),
    #[error("no randomness from the operating system")]
    Random,
}

impl Invitation {
    /// A fresh one, with its own id and secret.
    ///
    /// # Errors
    /// [`InvitationError::Address`], [`InvitationError::Random`].
    pub fn new(
        address: &str,
        ca: Digest,
        network: NetworkId,
        root1: Digest,
        expires: UnixMillis,
        random: &dyn SecureRandom,
    ) -> Result<Self, InvitationError> {
        check_address(address)?;
        let mut id = InvitationId([0; 16]);
        let mut secret = Secret(Zeroizing::new([0; 32]));
        random
            .fill(&mut id.0)
            .and_then(|()| random.fill(&mut *secret.0))
            .map_err(|_| InvitationError::Random)?;
        Ok(Self {
            address: address.to_owned(),
            ca,
            network,
            root1,
            id,
            expires,
            secret,
            contact: None,
        })
    }

    /// The line to hand over: `plenary:` and base64url of the fields and a checksum. Holds the
    /// secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(cbor::encode(self));
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let body = Zeroizing::new(BASE64URL_NOPAD.encode(&bytes));
        Zeroizing::new([SCHEME, &body].concat())
    }

    /// Reads [`Invitation::to_text`]; spaces around it do not matter.
    ///
    /// # Errors
    /// [`InvitationError`]: a typo is told from a malformed text by the checksum.
    pub fn parse(text: &str) -> Result<Self, InvitationError> {
        let text = text.trim();
        if text.starts_with(link::SCHEME) {
            return Err(InvitationError::Link);
        }
        let body = text.strip_prefix(SCHEME).ok_or(InvitationError::Scheme)?;
        let bytes = BASE64URL_NOPAD.decode(body.as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| InvitationError::Mistyped)?);
        let (fields, sum) = bytes
            .split_last_chunk::<CHECKSUM>()
            .ok_or(InvitationError::Mistyped)?;
        if checksum(fields) != *sum {
            return Err(InvitationError::Mistyped);
        }
        let invitation: Self = cbor::decode(fields)?;
        check_address(&invitation.address)?;
        Ok(invitation)
    }

    /// What the server keeps of it, to check a knock by: it cannot find the secret from this.
    ///
    /// # Errors
    /// None in practice: HKDF of 32 bytes.
    pub fn knock_key(&self) -> Result<Digest, SealError> {
        knock_key(&self.secret, self.id)
    }
}

impl Secret {
    /// The secret of bytes kept in the client's sealed store.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the client's sealed store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals for the other holder of the secret, past the server.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(
        &self,
        what: Sealed,
        invitation: InvitationId,
        bytes: &[u8],
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, SealError> {
        let key = self.sealing(what, invitation)?;
        seal::seal_padded(&key, SEAL_TAG, bytes, random)
    }

    /// Opens what [`Secret::seal`] made.
    ///
    /// # Errors
    /// [`SealError::Open`].
    pub fn open(
        &self,
        what: Sealed,
        invitation: InvitationId,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let key = self.sealing(what, invitation)?;
        seal::open_padded(&key, SEAL_TAG, sealed)
    }

    fn sealing(
        &self,
        what: Sealed,
        invitation: InvitationId,
    ) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let what: &[u8] = match what {
            Sealed::Request => b"request\0",
            Sealed::Countersignature => b"countersignature\0",
            Sealed::Answer => b"answer\0",
            Sealed::LinkRequest => b"link request\0",
            Sealed::LinkAnswer => b"link answer\0",
        };
        seal::derive(&self.0, &[SEAL_TAG, what, invitation.as_bytes()])
    }
}

/// The key a knock is made and checked with: HKDF-SHA-256 of the secret.
///
/// # Errors
/// None in practice: HKDF of 32 bytes.
pub fn knock_key(secret: &Secret, invitation: InvitationId) -> Result<Digest, SealError> {
    let key = seal::derive(&secret.0, &[KNOCK_TAG, invitation.as_bytes()])?;
    Ok(Digest(*key))
}

fn checksum(fields: &[u8]) -> [u8; CHECKSUM] {
    let digest = hash(&[CHECKSUM_TAG, fields]);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest.0[..CHECKSUM]);
    sum
}

pub(crate) fn check_address(address: &str) -> Result<(), InvitationError> {
    let wrong = || InvitationError::Address(address.chars().take(80).collect());
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host_fits = match bracketed {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
        }
    };
    // As printed: no sign, no leading zero.
    let port_fits = port
        .parse::<u16>()
        .is_ok_and(|number| number != 0 && number.to_string() == port);
    if address.len() > ADDRESS || !host_fits || !port_fits {
        return Err(wrong());
    }
    Ok(())
}

cbor_struct!(Invitation {
    address,
    ca,
    network,
    root1,
    id,
    expires,
    secret,
    contact,
});

impl Cbor for Secret {
    fn put(&self, w: &mut Writer) {
        let _ = w.bytes(self.as_bytes());
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        Ok(Self(Zeroizing::new(Digest::get(d)?.0)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("address", &self.address)
            .field("network", &self.network)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    fn invitation() -> Invitation {
        Invitation {
            address: "plenary.example:7443".into(),
            ca: Digest([1; 32]),
            network: NetworkId([2; 16]),
            root1: Digest([3; 32]),
            id: InvitationId([4; 16]),
            expires: UnixMillis(1_800_000_000_000),
            secret: Secret::from_bytes([5; 32]),
            contact: Some(MemberId([6; 16])),
        }
    }

    #[test]
    fn text_and_knock_key_are_as_pinned() {
        assert_eq!(
            invitation().to_text().as_str(),
            "plenary:iHRwbGVuYXJ5LmV4YW1wbGU6NzQ0M1ggAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQFQAgICAgICAgICAgICAgICAlggAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwNQBAQEBAQEBAQEBAQEBAQEBBsAAAGjGFxQAFggBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQVQBgYGBgYGBgYGBgYGBgYGBgrIxPo"
        );
        assert_eq!(
            invitation().knock_key().unwrap().to_string(),
            "8cff0a8fe60dffe83d4348217007ed73837dd5963b9cc768df907fb84aaaeb4b"
        );
    }

    #[test]
    fn every_typo_and_cut_is_named() {
        let text = invitation().to_text();
        assert_eq!(
            Invitation::parse(&format!("  {}\n", *text)),
            Ok(invitation())
        );
        let start = SCHEME.len();
        for at in start..text.len() {
            let mut typo = text.to_string();
            let other = if &typo[at..=at] == "x" { "y" } else { "x" };
            typo.replace_range(at..=at, other);
            assert_eq!(Invitation::parse(&typo), Err(InvitationError::Mistyped));
            assert_eq!(
                Invitation::parse(&text[..at]),
                Err(InvitationError::Mistyped)
            );
        }
        assert_eq!(
            Invitation::parse(&text[start..]),
            Err(InvitationError::Scheme)
        );
    }

    #[test]
    fn addresses() {
        for good in ["a:1", "10.0.0.1:443", "[::1]:7443", "x-y.example:65535"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        let long = format!("{}:1", "a".repeat(300));
        for bad in [
            "", "a", ":1", "a:", "a:0", "a:65536", "a:+1", "a:01", "::1:7443", "[x]:1", "a b:1",
            "a/b:1", "user@a:1", &long,
        ] {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let random = SystemRandom::new();
        let one = Invitation::new(
            "a:1",
            Digest([0; 32]),
            NetworkId([0; 16]),
            Digest([0; 32]),
            UnixMillis(0),
            &random,
        )
        .unwrap();
        assert!(!format!("{one:?}").contains("secret"));
        assert_ne!(one.knock_key().unwrap().as_bytes(), one.secret.as_bytes());
        // Request and answer, and other invitations, have keys of their own.
        let sealed = one
            .secret
            .seal(Sealed::Request, one.id, b"hello", &random)
            .unwrap();
        let open = |what, id| one.secret.open(what, id, &sealed);
        assert_eq!(*open(Sealed::Request, one.id).unwrap(), b"hello");
        assert_eq!(open(Sealed::Answer, one.id), Err(SealError::Open));
        assert_eq!(
            open(Sealed::Request, InvitationId([9; 16])),
            Err(SealError::Open)
        );
    }

    proptest! {
        #[test]
        fn noise_is_refused(text in "\\PC{0,80}") {
            prop_assert!(Invitation::parse(&text).is_err());
            let scheme = format!("{SCHEME}{text}");
            prop_assert!(Invitation::parse(&scheme).is_err());
        }
    }
}
