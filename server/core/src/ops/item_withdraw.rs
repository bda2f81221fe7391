//! Takes an item back, complete or not: its sealed bytes are removed. By a device of the member who put it up.

use plenary_proto::{
    ids::{ChannelId, ItemId, UnixMillis},
    reply::Reply,
};

use super::{group_of, not_allowed};
use crate::{error::OpError, leases::Ended, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    item: ItemId,
    channel: ChannelId,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    group_of(network, channel, caller.device()).await?;
    let held = match network.lease(item).await? {
        Some(lease) if lease.takes_room() => lease,
        // Withdrawn before, or expired: what was asked for is so.
        _ => return Ok(Reply::Done),
    };
    if !held.channels.contains(&channel) {
        return not_allowed("the item was handed over in another channel");
    }
    if held.member != caller.member() {
        return not_allowed("an item is withdrawn by whoever put it up");
    }
    if held.held_by_operator {
        return not_allowed("the operator has the item held: it cannot be withdrawn now");
    }
    network.end_item(item, Ended::Withdrawn, now).await?;
    Ok(Reply::Done)
}
