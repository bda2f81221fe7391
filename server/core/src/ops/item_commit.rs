//! All chunks are there: checks the root and makes the item readable.

use plenary_proto::{
    ids::{Digest, ItemId},
    reply::Reply,
};

use crate::{error::OpError, network::Network, session::BulkCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &BulkCaller,
    item: ItemId,
    root: Digest,
) -> Result<Reply, OpError> {
    caller.check_put(item)?;
    network.commit_item(item, root).await?;
    Ok(Reply::Done)
}
