//! The calling member has fetched and verified an item: for its sender to see, and for the lease that
//! ends when all for whom it is have it.

use plenary_proto::{
    ids::{ChannelId, ItemId},
    reply::Reply,
};

use super::held_in;
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    item: ItemId,
    channel: ChannelId,
) -> Result<Reply, OpError> {
    held_in(network, caller, item, channel).await?;
    network
        .change_lease(item, |lease| {
            lease.collect(caller.member());
            Ok(())
        })
        .await?;
    Ok(Reply::Done)
}
