//! One sealed chunk; answered when durable.

use bytes::Bytes;
use plenary_proto::{ids::ItemId, reply::Reply};

use crate::{error::OpError, network::Network, session::BulkCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &BulkCaller,
    item: ItemId,
    index: u32,
    bytes: Bytes,
) -> Result<Reply, OpError> {
    caller.check_put(item)?;
    network.items.put(item, index, bytes).await?;
    Ok(Reply::Done)
}
