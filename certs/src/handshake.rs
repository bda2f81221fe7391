//! What both sides sign at the opening of a connection (design.md section 4).
//!
//! The transcript binds the signature to this TLS session (RFC 9266 exporter), to what the server
//! said (SHA-256 of the HELLO frame's bytes as received) and to what the client asks for, so a
//! relay, a replay or another network gains nothing.

use plenary_proto::{
    ids::{DeviceId, Digest, InvitationId, PublicKey, Signature},
    request::Purpose,
};
use ring::{
    digest::{SHA256, digest},
    hmac,
    signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey},
};

const AUTH: &[u8] = b"plenary auth v1\0";
const OK: &[u8] = b"plenary ok v1\0";
const KNOCK: &[u8] = b"plenary knock v1\0";

/// The signature or MAC does not fit key and transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other side could not prove its key on this connection")]
pub struct HandshakeError;

/// Who opens the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opener {
    /// An admitted device.
    Device(DeviceId, Purpose),
    /// Somebody with an invitation.
    Guest(InvitationId),
}

/// Everything an opening is bound to.
#[derive(Debug, Clone)]
pub struct Transcript {
    bytes: Vec<u8>,
}

impl Transcript {
    /// `hello`: the HELLO frame as sent and received; `exporter`: RFC 9266, 32 bytes; `nonce`: the
    /// opener's.
    pub fn new(hello: &[u8], exporter: &[u8; 32], opener: Opener, nonce: &Digest) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(digest(&SHA256, hello).as_ref());
        bytes.extend_from_slice(exporter);
        match opener {
            Opener::Device(device, purpose) => {
                bytes.push(match purpose {
                    Purpose::Chat => 1,
                    Purpose::Bulk => 2,
                });
                bytes.extend_from_slice(device.as_bytes());
            }
            Opener::Guest(invitation) => {
                bytes.push(0);
                bytes.extend_from_slice(invitation.as_bytes());
            }
        }
        bytes.extend_from_slice(nonce.as_bytes());
        Self { bytes }
    }

    fn tagged(&self, tag: &[u8]) -> Vec<u8> {
        [tag, &self.bytes].concat()
    }

    /// AUTH's signature, by the device's authentication key.
    pub fn sign_auth(&self, key: &Ed25519KeyPair) -> Signature {
        sign(key, &self.tagged(AUTH))
    }

    /// Checks AUTH's signature.
    pub fn check_auth(&self, key: &PublicKey, signature: &Signature) -> Result<(), HandshakeError> {
        verify(key, &self.tagged(AUTH), signature)
    }

    /// OK's signature, by the server's identity key.
    pub fn sign_ok(&self, key: &Ed25519KeyPair) -> Signature {
        sign(key, &self.tagged(OK))
    }

    /// Checks OK's signature.
    pub fn check_ok(&self, key: &PublicKey, signature: &Signature) -> Result<(), HandshakeError> {
        verify(key, &self.tagged(OK), signature)
    }

    /// KNOCK's MAC (HMAC-SHA-256), by the key derived from the invitation's secret.
    pub fn knock_mac(&self, verifier: &Digest) -> Digest {
        let key = hmac::Key::new(hmac::HMAC_SHA256, verifier.as_bytes());
        let tag = hmac::sign(&key, &self.tagged(KNOCK));
        let mut mac = [0; 32];
        mac.copy_from_slice(tag.as_ref());
        Digest(mac)
    }

    /// Checks KNOCK's MAC in constant time.
    pub fn check_knock(&self, verifier: &Digest, mac: &Digest) -> Result<(), HandshakeError> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, verifier.as_bytes());
        hmac::verify(&key, &self.tagged(KNOCK), mac.as_bytes()).map_err(|_| HandshakeError)
    }
}

pub(crate) fn sign(key: &Ed25519KeyPair, message: &[u8]) -> Signature {
    let mut signature = [0; 64];
    signature.copy_from_slice(key.sign(message).as_ref());
    Signature(signature)
}

fn verify(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), HandshakeError> {
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(message, signature.as_bytes())
        .map_err(|_| HandshakeError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::KeyPair;

    fn key(seed: u8) -> (Ed25519KeyPair, PublicKey) {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = PublicKey::try_from(key.public_key().as_ref()).unwrap();
        (key, public)
    }

    #[test]
    fn every_part_of_the_transcript_is_bound() {
        let (key, public) = key(1);
        let opener = Opener::Device(DeviceId([3; 16]), Purpose::Chat);
        let nonce = Digest([4; 32]);
        let base = Transcript::new(b"hello", &[2; 32], opener, &nonce);
        let signature = base.sign_auth(&key);
        assert_eq!(base.check_auth(&public, &signature), Ok(()));
        let others = [
            Transcript::new(b"hellp", &[2; 32], opener, &nonce),
            Transcript::new(b"hello", &[9; 32], opener, &nonce),
            Transcript::new(b"hello", &[2; 32], opener, &Digest([5; 32])),
            Transcript::new(
                b"hello",
                &[2; 32],
                Opener::Device(DeviceId([3; 16]), Purpose::Bulk),
                &nonce,
            ),
            Transcript::new(
                b"hello",
                &[2; 32],
                Opener::Device(DeviceId([7; 16]), Purpose::Chat),
                &nonce,
            ),
            Transcript::new(
                b"hello",
                &[2; 32],
                Opener::Guest(InvitationId([3; 16])),
                &nonce,
            ),
        ];
        for other in others {
            assert_eq!(other.check_auth(&public, &signature), Err(HandshakeError));
        }
        assert_eq!(
            base.check_ok(&public, &signature),
            Err(HandshakeError),
            "AUTH is no OK"
        );
    }

    #[test]
    fn transcript_and_mac_are_pinned() {
        let transcript = Transcript::new(
            b"hello",
            &[2; 32],
            Opener::Guest(InvitationId([3; 16])),
            &Digest([4; 32]),
        );
        let mac = transcript.knock_mac(&Digest([5; 32]));
        assert_eq!(transcript.check_knock(&Digest([5; 32]), &mac), Ok(()));
        assert_eq!(
            transcript.check_knock(&Digest([6; 32]), &mac),
            Err(HandshakeError)
        );
        assert_eq!(
            mac.to_string(),
            "e8fa1cdb34917a601475ca4639b816fd7205e22083fe0f213891e97ddb612574"
        );
    }
}
