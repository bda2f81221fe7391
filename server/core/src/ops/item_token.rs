//! A right to one item, for this device and a short time. Asked for on chat, used on bulk.

use plenary_proto::{
    ids::{ChannelId, ItemId, UnixMillis},
    reply::Reply,
    request::Right,
};

use super::{group_of, not_allowed};
use crate::{error::OpError, items::token::Claim, network::Network, session::DeviceCaller};

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
    let status = network.items.status(item).await?;
    match right {
        Right::Put { size } => {
            if size == 0 || size > network.config.item_size {
                return Err(OpError::TooLarge {
                    what: "sealed bytes of an item",
                    limit: network.config.item_size,
                    got: size,
                });
            }
            let taken = status.is_some_and(|status| {
                let held = status.reservation;
                (held.device, held.channel, held.size) != (caller.device(), channel, size)
            });
            if taken {
                return Err(OpError::Exists("there is another item of this name"));
            }
        }
        Right::Get => {
            let there = status.ok_or(OpError::NotFound("there is no such item"))?;
            if there.reservation.channel != channel {
                return not_allowed("the item was handed over in another channel");
            }
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
