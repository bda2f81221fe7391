//! Records after a position, for a device in the channel; for one that was taken out while it was away,
//! those up to the record that did it: they were sealed to it, too, and perhaps nobody else is left who
//! could hand them on.

use plenary_proto::{
    ids::{ChannelHead, ChannelId, Seq, UnixMillis},
    limits,
    reply::Reply,
};

use super::{departures, group_of, head_at, not_allowed};
use crate::{
    error::OpError, hub::wire_record, network::Network, session::DeviceCaller, store::Record,
};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    after: Seq,
    limit: u32,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let limit = limit.clamp(1, network.config().limits.read_records);
    let (records, head) = match group_of(network, channel, caller.device()).await {
        Ok(_) => {
            network
                .store
                .read(channel, after, limit, limits::PAGE_BYTES)
                .await?
        }
        Err(OpError::NotAllowed(why)) => {
            let left = departures::of(network, channel, caller.device()).await?;
            match left.filter(|left| *left > after) {
                Some(left) => until(network, channel, (after, left), limit).await?,
                None => return not_allowed(&why),
            }
        }
        Err(error) => return Err(error),
    };
    let head = network.sign_head(channel, head, now).await?;
    Ok(Reply::Records {
        records: records.iter().map(wire_record).collect(),
        head,
    })
}

/// The records in between, the last one included, as if the log ended there.
async fn until(
    network: &Network,
    channel: ChannelId,
    (after, last): (Seq, Seq),
    limit: u32,
) -> Result<(Vec<Record>, ChannelHead), OpError> {
    let head = head_at::at(network, channel, last).await?;
    let (mut records, _) = network
        .store
        .read(channel, after, limit, limits::PAGE_BYTES)
        .await?;
    records.retain(|record| record.seq <= last);
    Ok((records, head))
}
