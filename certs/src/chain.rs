//! The hash chain of a channel's log: what makes dropping, swapping and reordering visible.
//!
//! ```text
//! entry = SHA-256(tag, device, client id, time, the record's bytes)
//! hash  = SHA-256(tag, hash before, channel, position, entry)
//! ```
//!
//! In two steps, so that whoever keeps the entries (32 bytes a record) can show later how one hash
//! follows from another, without the records themselves.

use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Digest, Seq, UnixMillis};
use ring::digest::{Context, SHA256};

const ENTRY: &[u8] = b"plenary channel entry v1\0";
const LINK: &[u8] = b"plenary channel record v1\0";

/// Chain hash of one record: [`link`] over its [`entry`].
pub fn chain(
    previous: &Digest,
    channel: ChannelId,
    seq: Seq,
    device: DeviceId,
    client_id: ClientId,
    time: UnixMillis,
    bytes: &[u8],
) -> Digest {
    link(
        previous,
        channel,
        seq,
        &entry(device, client_id, time, bytes),
    )
}

/// What a record is, wherever it stands.
///
/// Integers are big-endian; every field but the last has a fixed length, so nothing is ambiguous.
pub fn entry(device: DeviceId, client_id: ClientId, time: UnixMillis, bytes: &[u8]) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(ENTRY);
    context.update(device.as_bytes());
    context.update(client_id.as_bytes());
    context.update(&time.0.to_be_bytes());
    context.update(bytes);
    finish(context)
}

/// The chain hash after a record at position `seq`.
pub fn link(previous: &Digest, channel: ChannelId, seq: Seq, entry: &Digest) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(LINK);
    context.update(previous.as_bytes());
    context.update(channel.as_bytes());
    context.update(&seq.0.to_be_bytes());
    context.update(entry.as_bytes());
    finish(context)
}

fn finish(context: Context) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Digest(hash)
}
