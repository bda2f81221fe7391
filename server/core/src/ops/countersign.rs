//! The server's word on when it saw statements of custody, and on the root it holds for the item.
//!
//! For items that it holds only: of what is gone it knows nothing any more, and keeps nothing.

use std::collections::BTreeSet;

use plenary_certs::custody::countersign;
use plenary_proto::{
    ids::{ChannelId, Digest, ItemId, UnixMillis},
    limits,
    reply::Reply,
};

use super::{held_in, within};
use crate::{error::OpError, network::Network, session::DeviceCaller};

/// What is asked for.
pub(crate) struct Asked {
    pub item: ItemId,
    pub channel: ChannelId,
    pub statements: Vec<Digest>,
}

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    asked: Asked,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let Asked {
        item,
        channel,
        statements,
    } = asked;
    within(
        "statements in one request",
        limits::COUNTERSIGN,
        statements.len(),
    )?;
    let distinct: BTreeSet<_> = statements.iter().collect();
    if statements.is_empty() || distinct.len() != statements.len() {
        return Err(OpError::Malformed("name statements, each once"));
    }
    held_in(network, caller, item, channel).await?;
    let cost = u32::try_from(statements.len()).unwrap_or(u32::MAX);
    network
        .countersignatures
        .take(caller.device(), cost, now)
        .map_err(|retry_after_ms| OpError::RateLimited {
            what: "countersignatures",
            retry_after_ms,
        })?;
    let root = network.items.root(item).await?;
    let signatures = statements
        .iter()
        .map(|id| countersign(&network.key, network.id(), item, id, &root, now).signature)
        .collect();
    Ok(Reply::Countersigned {
        root,
        time: now,
        signatures,
    })
}
