//! The server's word on a statement of custody: when it saw the statement's id, and which root it
//! holds for the item. It learns nothing of what the statement says.

use plenary_proto::ids::{Digest, ItemId, NetworkId, PublicKey, Signature, UnixMillis};
use ring::signature::Ed25519KeyPair;

use crate::{
    cbor::cbor_struct,
    handshake::sign,
    signing::{self, KeyError},
};

const TAG: &[u8] = b"plenary custody countersignature v1\0";

/// When, and the server's signature. Network, item, statement and root are the statement's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Countersignature {
    /// By the server's clock.
    pub time: UnixMillis,
    /// By the server's identity key.
    pub signature: Signature,
}

/// Signs for a statement known by its id only. `root`: of the sealed chunks that the server holds
/// for the item, checked by itself.
pub fn countersign(
    key: &Ed25519KeyPair,
    network: NetworkId,
    item: ItemId,
    statement: &Digest,
    root: &Digest,
    time: UnixMillis,
) -> Countersignature {
    let signature = sign(key, &to_sign(network, item, statement, root, time));
    Countersignature { time, signature }
}

/// Whether this server key signed for that statement.
///
/// # Errors
/// [`KeyError::Signature`].
pub fn check_countersignature(
    key: &PublicKey,
    network: NetworkId,
    item: ItemId,
    statement: &Digest,
    root: &Digest,
    countersignature: &Countersignature,
) -> Result<(), KeyError> {
    let signed = to_sign(network, item, statement, root, countersignature.time);
    signing::verify(key, &signed, &countersignature.signature)
}

/// Tag, network (16), item (16), statement's id (32), root (32), time (8, big-endian).
fn to_sign(
    network: NetworkId,
    item: ItemId,
    statement: &Digest,
    root: &Digest,
    time: UnixMillis,
) -> Vec<u8> {
    [
        TAG,
        network.as_bytes(),
        item.as_bytes(),
        statement.as_bytes(),
        root.as_bytes(),
        &time.0.to_be_bytes(),
    ]
    .concat()
}

cbor_struct!(Countersignature { time, signature });
