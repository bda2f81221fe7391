//! Welcomes that wait for the calling device.

use plenary_proto::reply::{Reply, WaitingWelcome};

use super::GATHERED;
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(network: &Network, caller: &DeviceCaller) -> Result<Reply, OpError> {
    let mut bytes = 0;
    let waiting = network
        .store
        .welcomes(caller.device())
        .await?
        .into_iter()
        // The rest comes when these are dropped; the first one goes in any case.
        .take_while(|welcome| {
            let first = bytes == 0;
            bytes += welcome.bytes.len() + welcome.tree.len() + 64;
            first || bytes <= GATHERED
        })
        .map(|welcome| WaitingWelcome {
            channel: welcome.channel,
            head: welcome.head,
            bytes: welcome.bytes,
            tree: welcome.tree,
        })
        .collect();
    Ok(Reply::WelcomeList(waiting))
}
