//! Pushes what moves in channels from now on. Channels the device is not in are left out of the
//! answer: it learns so that it was removed, and watches the others all the same.

use plenary_proto::{
    ids::{ChannelId, Seq},
    reply::Reply,
};

use super::{group_of, within};
use crate::{error::OpError, network::Network, session::DeviceCaller};

/// Channels of one request.
const CHANNELS: usize = 1_024;

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channels: Vec<ChannelId>,
) -> Result<Reply, OpError> {
    within("channels in one request", CHANNELS, channels.len())?;
    let mut watched = Vec::with_capacity(channels.len());
    for channel in channels {
        match group_of(network, channel, caller.device()).await {
            Ok(_) => watched.push(channel),
            Err(OpError::NotAllowed(_)) => {}
            Err(error) => return Err(error),
        }
    }
    // Before the heads are read: nothing falls between.
    network.hub.watch(caller.connection(), &watched);
    let mut heads = Vec::with_capacity(watched.len());
    for channel in watched {
        // Beyond the end: the head alone.
        let (_, head) = network.store.read(channel, Seq(u64::MAX), 1, 1).await?;
        heads.push((channel, head));
    }
    Ok(Reply::Heads(heads))
}
