//! The hash chain of a channel's log: what makes dropping, swapping and reordering visible.

use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Digest, Seq, UnixMillis};
use ring::digest::{Context, SHA256};

const TAG: &[u8] = b"plenary channel record v1\0";

/// Chain hash of one record: SHA-256 over a domain tag, the previous chain hash, channel, position,
/// device, client id, time and the record's bytes.
///
/// Integers are big-endian; every field but the last has a fixed length, so nothing is ambiguous.
pub fn chain(
    previous: &Digest,
    channel: ChannelId,
    seq: Seq,
    device: DeviceId,
    client_id: ClientId,
    time: UnixMillis,
    bytes: &[u8],
) -> Digest {
    let mut context = Context::new(&SHA256);
    context.update(TAG);
    context.update(previous.as_bytes());
    context.update(channel.as_bytes());
    context.update(&seq.0.to_be_bytes());
    context.update(device.as_bytes());
    context.update(client_id.as_bytes());
    context.update(&time.0.to_be_bytes());
    context.update(bytes);
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Digest(hash)
}
