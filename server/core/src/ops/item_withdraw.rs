//! Takes an item back: its sealed bytes are removed. By a device of the member who put it up.

use plenary_proto::{
    ids::{ChannelId, ItemId},
    reply::Reply,
};

use super::{held_in, not_allowed};
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    item: ItemId,
    channel: ChannelId,
) -> Result<Reply, OpError> {
    let held = match held_in(network, caller, item, channel).await {
        // Withdrawn before, or expired: what was asked for is so.
        Err(OpError::NotFound(_)) => return Ok(Reply::Done),
        other => other?,
    };
    let owner = network.read_ledger(|ledger| {
        ledger
            .device(held.device)
            .is_some_and(|device| device.member == caller.member())
    });
    if owner != Some(true) {
        return not_allowed("an item is withdrawn by whoever put it up");
    }
    network.items.remove(item).await?;
    Ok(Reply::Done)
}
