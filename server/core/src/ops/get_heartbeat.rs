//! The newest heartbeat. Like the ledger it is for anybody who got in.

use plenary_proto::reply::Reply;

use crate::{error::OpError, keys, network::Network};

pub(crate) async fn run(network: &Network) -> Result<Reply, OpError> {
    let held = network.store.get(&keys::heartbeat()).await?;
    Ok(Reply::Heartbeat(held.map(|held| held.value)))
}
