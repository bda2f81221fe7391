//! Lets another channel fetch an item: a forward needs no second upload. By whoever may fetch it, as
//! they could as well have put it up again.

use plenary_proto::{
    ids::{ChannelId, ItemId},
    limits,
    reply::Reply,
};

use super::{group_of, held_in};
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    item: ItemId,
    channel: ChannelId,
    to: ChannelId,
) -> Result<Reply, OpError> {
    held_in(network, caller, item, channel).await?;
    group_of(network, to, caller.device()).await?;
    network
        .change_lease(item, |lease| {
            if lease.channels.contains(&to) {
                return Ok(());
            }
            if lease.channels.len() >= limits::ITEM_CHANNELS {
                return Err(OpError::Quota(format!(
                    "an item may be handed over in {} channels: put it up again",
                    limits::ITEM_CHANNELS
                )));
            }
            lease.channels.push(to);
            Ok(())
        })
        .await?;
    Ok(Reply::Done)
}
