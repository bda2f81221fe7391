//! What of an item is durable: where an upload or a download resumes.

use plenary_proto::{ids::UnixMillis, reply::Reply};

use super::not_allowed;
use crate::{
    error::OpError,
    items::{ItemStatus, token::Claim},
    network::Network,
    session::BulkCaller,
};

pub(crate) async fn run(
    network: &Network,
    caller: &BulkCaller,
    token: &[u8],
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let claim = claim(network, caller, token, now)?;
    let status = network.items.status(claim.item).await?;
    let status = status.ok_or(OpError::NotFound("there is no such item"))?;
    Ok(reply(&status))
}

/// What a token says, if it is this device's.
pub(super) fn claim(
    network: &Network,
    caller: &BulkCaller,
    token: &[u8],
    now: UnixMillis,
) -> Result<Claim, OpError> {
    match network.tokens.read(token, caller.device(), now) {
        Some(claim) => Ok(claim),
        None => not_allowed("the token is not this device's, or has expired: ask for another"),
    }
}

pub(super) fn reply(status: &ItemStatus) -> Reply {
    Reply::ItemState {
        size: status.reservation.size,
        chunk: status.reservation.chunk,
        durable: status.durable.clone(),
        committed: status.committed,
    }
}
