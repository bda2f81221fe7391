//! A statement: what is signed. It holds no position, so several can collect signatures offline
//! at once.

use minicbor::Decoder;
use plenary_proto::ids::{Digest, NetworkId, UnixMillis};
use ring::digest::{Context, SHA256};

use super::{Body, Kind, Subject};
use crate::cbor::{self, Cbor, CborError, Writer};

const ID_TAG: &[u8] = b"plenary statement id v1\0";
const ROOT1_TAG: &[u8] = b"plenary root 1 v1\0";

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The network; a statement of another one counts for nothing here.
    pub network: NetworkId,
    /// Version of the ROOT it is signed under: the one in force at its position. For ROOT itself
    /// the version before it, 0 for ROOT 1.
    pub root_version: u32,
    /// Last version of this kind and subject plus one; 0 for REVOKE, which has none.
    pub version: u32,
    /// Kind, subject and what is said.
    pub body: Body,
    /// When it was drafted, by its author's clock.
    pub time: UnixMillis,
}

impl Statement {
    /// The kind.
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        self.body.subject()
    }

    /// The bytes that are signed (after a domain tag): an array of network, root version, kind,
    /// subject, version, body, time.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads bytes that are exactly a statement's encoding.
    ///
    /// # Errors
    /// [`CborError`]: another shape, an unknown kind, or a second spelling.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::decode(bytes)
    }

    /// Names these bytes in requests, signature files and look-ups.
    pub fn id(&self) -> Digest {
        statement_id(&self.encode())
    }
}

/// Names a statement by its bytes.
pub fn statement_id(statement: &[u8]) -> Digest {
    hash(&[ID_TAG, statement])
}

/// What invitations carry and every participant pins: the hash of ROOT 1's statement bytes.
pub fn root1_hash(statement: &[u8]) -> Digest {
    hash(&[ROOT1_TAG, statement])
}

/// SHA-256 over parts; the caller sees to it that they cannot be shifted.
pub(crate) fn hash(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Digest(digest)
}

impl Cbor for Statement {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(7);
        self.network.put(w);
        self.root_version.put(w);
        self.kind().put(w);
        self.subject().put(w);
        self.version.put(w);
        self.body.put(w);
        self.time.put(w);
    }

    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 7)?;
        let network = Cbor::get(d)?;
        let root_version = Cbor::get(d)?;
        let kind = Cbor::get(d)?;
        let subject = Cbor::get(d)?;
        let version = Cbor::get(d)?;
        let body = Body::get(kind, subject, d)?;
        Ok(Self {
            network,
            root_version,
            version,
            body,
            time: Cbor::get(d)?,
        })
    }
}
