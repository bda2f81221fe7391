//! How long an item is kept, and who has collected it.

use plenary_proto::{
    ids::{ChannelId, ItemId},
    reply::{ItemLease, Reply},
};

use super::held_in;
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    item: ItemId,
    channel: ChannelId,
) -> Result<Reply, OpError> {
    let lease = held_in(network, caller, item, channel).await?;
    Ok(Reply::ItemLease(ItemLease {
        keep_until: lease.keep_until,
        held: lease.is_held(),
        wanted: lease.wanted.len() as u32,
        collectors: lease.collectors,
        collected: lease.collected,
    }))
}
