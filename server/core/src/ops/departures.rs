//! Who was taken out of a channel, and by which record.
//!
//! Noted after the commit that did it: a crash in between costs a device that comes back nothing but
//! the shorter way to what it missed. What is noted of a device that is in again is stale; whether it is
//! in is asked first.

use plenary_proto::ids::{ChannelId, DeviceId, Seq};

use crate::{error::OpError, keys, network::Network};

/// Notes that this record took these devices out.
pub(super) async fn note(network: &Network, channel: ChannelId, seq: Seq, gone: &[DeviceId]) {
    for device in gone {
        if let Err(error) = put(network, channel, *device, seq).await {
            tracing::warn!(%error, "a departure is not noted");
        }
    }
}

/// The record that took a device out of a channel last.
pub(super) async fn of(
    network: &Network,
    channel: ChannelId,
    device: DeviceId,
) -> Result<Option<Seq>, OpError> {
    let noted = network.store.get(&keys::departure(channel, device)).await?;
    let seq = noted.and_then(|noted| noted.value[..].try_into().ok());
    Ok(seq.map(|seq| Seq(u64::from_be_bytes(seq))))
}

async fn put(
    network: &Network,
    channel: ChannelId,
    device: DeviceId,
    seq: Seq,
) -> Result<(), OpError> {
    let key = keys::departure(channel, device);
    let noted = network.store.get(&key).await?;
    let version = noted.map_or(0, |noted| noted.version);
    let value = seq.0.to_be_bytes().to_vec().into();
    network.store.put_if(key, version, Some(value)).await?;
    Ok(())
}
