//! How much room the calling member's items take, and how much they may.

use plenary_proto::reply::Reply;

use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(network: &Network, caller: &DeviceCaller) -> Result<Reply, OpError> {
    Ok(Reply::ItemUsage {
        used: network.leases.lock().await.of(caller.member()),
        quota: network.config().member_bytes,
        largest: network.config().item_size,
    })
}
