//! What MLS seals: the content and its device's signature, padded.
//!
//! MLS proves who sent a message only to those who hold the epoch's keys, and only until they are
//! erased. The signature stays with the content: a history handed on later is still verifiable.
//! It is by the MLS leaf key under its own domain tag, over where and as what the content was sent:
//!
//! ```text
//! signed   tag, kind (1), network (16), channel (16), epoch (8, big-endian), client id (16),
//!          SHA-256 of content
//! envelope version 1 (1), kind (1), signature (64), content
//! ```
//!
//! Members see contents. The other kinds are what their devices tell one another: who missed something
//! asks, and one of the others hands it on.

use plenary_proto::ids::{ChannelId, ClientId, Epoch, NetworkId, PublicKey, Signature};
use ring::{
    digest::{SHA256, digest},
    signature::{ED25519, UnparsedPublicKey},
};

use super::padding::{PaddingError, pad, unpad};

/// Domain tag of a content's signature.
pub const SIGNATURE_TAG: &[u8] = b"plenary content v1\0";

const VERSION: u8 = 1;
const HEADER: usize = 2 + Signature::LEN;

/// Bytes of what devices tell one another: what fits beside header and mark of the padding.
pub(crate) const TOLD: usize = plenary_proto::limits::PADDED_CONTENT - HEADER - 1;

// The largest content, signed, fits the largest padded size.
const _: () =
    assert!(plenary_proto::limits::CONTENT + HEADER < plenary_proto::limits::PADDED_CONTENT);

/// Where and as what a content is sent. Each part is known to the reader from MLS and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedContext {
    /// The network.
    pub network: NetworkId,
    /// The channel.
    pub channel: ChannelId,
    /// The epoch of the channel's group.
    pub epoch: Epoch,
    /// The sender's mark for this append: one content cannot be sent twice as two.
    pub client_id: ClientId,
}

/// What is in an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Carries {
    /// A [`Content`](super::Content), for members.
    Content,
    /// A device asks for records that it missed.
    Ask,
    /// A device hands on what another asked for.
    HandOn,
}

impl Carries {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Content => 0,
            Self::Ask => 1,
            Self::HandOn => 2,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::Content, Self::Ask, Self::HandOn]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// A content with its device's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What it is.
    pub carries: Carries,
    /// Bytes of a [`Content`](super::Content).
    pub content: Vec<u8>,
    /// By the sending device.
    pub signature: Signature,
}

/// Why bytes are no envelope, or one that must not be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Too large, or not padded.
    #[error(transparent)]
    Padding(#[from] PaddingError),
    /// Cut short.
    #[error("the envelope is cut short")]
    Cut,
    /// From a newer client.
    #[error("the envelope has version {0}, this client knows 1: update it")]
    Version(u8),
    /// From a newer client, too.
    #[error(
        "the envelope carries something of kind {0}, which this client does not know: update it"
    )]
    Kind(u8),
    /// Not by that device, or not for this place.
    #[error("the signature in the message is not its sender's")]
    Signature,
}

impl Envelope {
    /// Signs a content. `sign` is Ed25519 with the device's MLS leaf key, which stays where it is.
    ///
    /// # Errors
    /// Whatever `sign` says.
    pub fn sign<E>(
        carries: Carries,
        content: Vec<u8>,
        context: &SignedContext,
        sign: impl FnOnce(&[u8]) -> Result<Signature, E>,
    ) -> Result<Self, E> {
        let signature = sign(&context.to_sign(carries, &content))?;
        Ok(Self {
            carries,
            content,
            signature,
        })
    }

    /// Whether the device with this key signed this content for this place.
    ///
    /// # Errors
    /// When not.
    pub fn verify(&self, context: &SignedContext, key: &PublicKey) -> Result<(), EnvelopeError> {
        UnparsedPublicKey::new(&ED25519, key.as_bytes())
            .verify(
                &context.to_sign(self.carries, &self.content),
                self.signature.as_bytes(),
            )
            .map_err(|_| EnvelopeError::Signature)
    }

    /// The bytes MLS seals: padded.
    ///
    /// # Errors
    /// When they do not fit a message.
    pub fn seal_form(&self) -> Result<Vec<u8>, EnvelopeError> {
        let mut bytes = Vec::with_capacity(HEADER + self.content.len());
        bytes.push(VERSION);
        bytes.push(self.carries.code());
        bytes.extend_from_slice(self.signature.as_bytes());
        bytes.extend_from_slice(&self.content);
        Ok(pad(bytes)?)
    }

    /// Reads what MLS opened. Nothing is believed before [`Envelope::verify`].
    ///
    /// # Errors
    /// When the bytes are no envelope of this version.
    pub fn open(padded: &[u8]) -> Result<Self, EnvelopeError> {
        let bytes = unpad(padded)?;
        let (version, rest) = bytes.split_first().ok_or(EnvelopeError::Cut)?;
        if *version != VERSION {
            return Err(EnvelopeError::Version(*version));
        }
        let (kind, rest) = rest.split_first().ok_or(EnvelopeError::Cut)?;
        let carries = Carries::from_code(*kind).ok_or(EnvelopeError::Kind(*kind))?;
        let (signature, content) = rest
            .split_first_chunk::<{ Signature::LEN }>()
            .ok_or(EnvelopeError::Cut)?;
        Ok(Self {
            carries,
            content: content.to_vec(),
            signature: Signature(*signature),
        })
    }
}

impl SignedContext {
    fn to_sign(self, carries: Carries, content: &[u8]) -> Vec<u8> {
        [
            SIGNATURE_TAG,
            &[carries.code()],
            self.network.as_bytes(),
            self.channel.as_bytes(),
            &self.epoch.0.to_be_bytes(),
            self.client_id.as_bytes(),
            digest(&SHA256, content).as_ref(),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    const CONTEXT: SignedContext = SignedContext {
        network: NetworkId([1; 16]),
        channel: ChannelId([2; 16]),
        epoch: Epoch(3),
        client_id: ClientId([4; 16]),
    };

    fn signed(content: &[u8]) -> (Envelope, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = PublicKey::try_from(pair.public_key().as_ref()).unwrap();
        let sign = |bytes: &[u8]| {
            Ok::<_, Infallible>(Signature::try_from(pair.sign(bytes).as_ref()).unwrap())
        };
        (
            Envelope::sign(Carries::Content, content.to_vec(), &CONTEXT, sign).unwrap(),
            key,
        )
    }

    #[test]
    fn pinned() {
        let (envelope, _) = signed(b"content");
        let bytes = envelope.seal_form().unwrap();
        let shown: String = bytes[..81]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            shown,
            "0100e8e5bba576bac3a364312810057347a670137af21380c2a757b3bbcf19eaab32eefed74bdbcce61b\
            a59835fe77a0afbc24e07321e7d6e8a0ba8609069a18290e636f6e74656e748000000000000000"
        );
        assert_eq!(bytes.len(), 256);
    }

    #[test]
    fn verifies_only_here_and_only_this() {
        let (envelope, key) = signed(b"content");
        let read = Envelope::open(&envelope.seal_form().unwrap()).unwrap();
        assert_eq!(read, envelope);
        assert_eq!(read.verify(&CONTEXT, &key), Ok(()));

        let refused = Err(EnvelopeError::Signature);
        for elsewhere in [
            SignedContext {
                network: NetworkId([9; 16]),
                ..CONTEXT
            },
            SignedContext {
                channel: ChannelId([9; 16]),
                ..CONTEXT
            },
            SignedContext {
                epoch: Epoch(9),
                ..CONTEXT
            },
            SignedContext {
                client_id: ClientId([9; 16]),
                ..CONTEXT
            },
        ] {
            assert_eq!(envelope.verify(&elsewhere, &key), refused);
        }
        assert_eq!(envelope.verify(&CONTEXT, &PublicKey([9; 32])), refused);
        let other = Envelope {
            carries: Carries::Ask,
            ..envelope.clone()
        };
        assert_eq!(other.verify(&CONTEXT, &key), refused);
        let other = Envelope {
            content: b"contenT".to_vec(),
            ..envelope
        };
        assert_eq!(other.verify(&CONTEXT, &key), refused);
    }

    #[test]
    fn empty_and_largest_content_fit() {
        for size in [0, plenary_proto::limits::CONTENT] {
            let (envelope, _) = signed(&vec![5; size]);
            let bytes = envelope.seal_form().unwrap();
            assert!(bytes.len() <= plenary_proto::limits::PADDED_CONTENT);
            assert_eq!(Envelope::open(&bytes), Ok(envelope));
        }
    }

    #[test]
    fn refuses_cut_and_newer() {
        assert_eq!(
            Envelope::open(&pad(Vec::new()).unwrap()),
            Err(EnvelopeError::Cut)
        );
        assert_eq!(
            Envelope::open(&pad(vec![1; 65]).unwrap()),
            Err(EnvelopeError::Cut)
        );
        assert_eq!(
            Envelope::open(&pad([vec![1, 9], vec![1; 64]].concat()).unwrap()),
            Err(EnvelopeError::Kind(9))
        );
        assert_eq!(
            Envelope::open(&pad(vec![2; 100]).unwrap()),
            Err(EnvelopeError::Version(2))
        );
        assert_eq!(
            Envelope::open(b"short"),
            Err(EnvelopeError::Padding(PaddingError::NotPadded))
        );
    }
}
