//! Records after a position, for a device in the channel.

use plenary_proto::{
    ids::{ChannelId, Seq, UnixMillis},
    limits,
    reply::Reply,
};

use super::group_of;
use crate::{error::OpError, hub::wire_record, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    after: Seq,
    limit: u32,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    group_of(network, channel, caller.device()).await?;
    let limit = limit.clamp(1, network.config().limits.read_records);
    let (records, head) = network
        .store
        .read(channel, after, limit, limits::PAGE_BYTES)
        .await?;
    let head = network.sign_head(channel, head, now).await?;
    Ok(Reply::Records {
        records: records.iter().map(wire_record).collect(),
        head,
    })
}
