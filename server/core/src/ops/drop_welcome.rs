//! A welcome is used or useless: forget it.

use plenary_proto::{
    ids::{ChannelId, Seq},
    reply::Reply,
};

use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    seq: Seq,
) -> Result<Reply, OpError> {
    network
        .store
        .drop_welcome(caller.device(), channel, seq)
        .await?;
    Ok(Reply::Done)
}
