//! A right to one item, for this device and a short time. Asked for on chat, used on bulk.

use plenary_proto::{
    ids::{ChannelId, ItemId, UnixMillis},
    reply::Reply,
    request::Right,
};

use super::group_of;
use crate::{
    error::OpError, items::token::Claim, leases::State, network::Network, session::DeviceCaller,
};

/// Life of a token: a client asks again during long transfers.
const LIFE_MS: u64 = 60 * 60 * 1000;

/// What is asked for.
pub(crate) struct Wanted {
    pub item: ItemId,
    pub channel: ChannelId,
    pub right: Right,
}

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    wanted: Wanted,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let Wanted {
        item,
        channel,
        right,
    } = wanted;
    group_of(network, channel, caller.device()).await?;
    match right {
        Right::Put { size } => {
            if size == 0 || size > network.config().item_size {
                return Err(OpError::TooLarge {
                    what: "sealed bytes of an item",
                    limit: network.config().item_size,
                    got: size,
                });
            }
            if let Some(lease) = network.lease(item).await? {
                let ours = (lease.device, lease.size) == (caller.device(), size)
                    && lease.channels.first() == Some(&channel);
                if !ours {
                    return Err(OpError::Exists("there is another item of this name"));
                }
                if let State::Ended { why, .. } = lease.state {
                    return Err(OpError::NotFound(why.why()));
                }
            }
        }
        Right::Get => {
            network.kept_in(item, channel).await?;
        }
    }
    Ok(Reply::Token(network.tokens.issue(&Claim {
        device: caller.device(),
        item,
        channel,
        right,
        expires: now.plus(LIFE_MS),
    })))
}
