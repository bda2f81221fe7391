//! How long an item is kept, changed by its sender.

use plenary_proto::{
    ids::{ChannelId, ItemId, UnixMillis},
    reply::Reply,
};

use super::{held_in, not_allowed};
use crate::{error::OpError, network::Network, session::DeviceCaller};

/// What is asked for.
pub(crate) struct Wanted {
    pub item: ItemId,
    pub channel: ChannelId,
    pub keep_until: Option<UnixMillis>,
    pub hold: Option<bool>,
}

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    wanted: Wanted,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let lease = held_in(network, caller, wanted.item, wanted.channel).await?;
    if lease.member != caller.member() {
        return not_allowed("how long an item is kept is for its sender to say");
    }
    network
        .change_lease(wanted.item, |lease| {
            if let Some(until) = wanted.keep_until {
                lease.keep_until = network.keep_until(Some(until), now);
            }
            if let Some(hold) = wanted.hold {
                lease.held_by_sender = hold;
            }
            Ok(())
        })
        .await?;
    Ok(Reply::Done)
}
