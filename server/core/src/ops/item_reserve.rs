//! Makes room for an item, or finds what is there of it.

use plenary_proto::{
    ids::UnixMillis,
    limits,
    reply::Reply,
    request::{ItemTerms, Right},
};

use super::{item_status, not_allowed, within};
use crate::{
    error::OpError, items::Reservation, leases::Asked, network::Network, session::BulkCaller,
};

/// What for.
pub(crate) struct Room {
    pub size: u64,
    pub chunk: u32,
    pub terms: ItemTerms,
}

pub(crate) async fn run(
    network: &Network,
    caller: &BulkCaller,
    token: &[u8],
    room: Room,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let claim = item_status::claim(network, caller, token, now)?;
    if claim.right != (Right::Put { size: room.size }) {
        return not_allowed("the token is for something else");
    }
    let reservation = Reservation {
        item: claim.item,
        channel: claim.channel,
        device: caller.device(),
        size: room.size,
        chunk: room.chunk,
        time: now,
    };
    let largest = limits::BULK_MESSAGE - 1024;
    if room.chunk == 0
        || room.chunk as usize > largest
        || reservation.chunks() > limits::ITEM_CHUNKS.into()
    {
        return Err(OpError::Malformed(
            "an item has at most 65,536 chunks, each of them fits a bulk message",
        ));
    }
    within(
        "members whom an item's terms name",
        limits::COLLECTORS,
        room.terms.wanted.len(),
    )?;
    let asked = Asked {
        reservation,
        member: caller.member(),
        terms: room.terms,
    };
    let status = network.reserve_item(asked).await?;
    caller.may_put(claim.item);
    Ok(item_status::reply(&status))
}
