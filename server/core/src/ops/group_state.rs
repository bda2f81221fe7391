//! What an external joiner needs: for any live device in an open channel; elsewhere for a device
//! that returns, or whose member has a grant.

use plenary_certs::mls::context::Rule;
use plenary_proto::{
    ids::{ChannelId, UnixMillis},
    reply::Reply,
};

use super::not_allowed;
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let ledger = network.ledger()?;
    let slot = network.channels.slot(channel);
    let group = match slot.group(&*network.store, ledger).await {
        // A channel on the ledger is known to all; whether others exist is not told.
        Err(OpError::NotFound(why)) if ledger.read(|ledger| ledger.channel(channel).is_some()) => {
            return Err(OpError::NotFound(why));
        }
        Err(OpError::NotFound(_)) => return not_allowed(CLOSED),
        other => other?,
    };
    let inside = group.contains(caller.device());
    let owner = ledger.read(|ledger| {
        let channel = ledger.channel(channel).and_then(|one| one.current());
        channel.map(|channel| channel.owner)
    });
    let granted = ledger.read(|ledger| ledger.granted(channel, caller.member(), ledger.head().seq));
    let enters = match group.observed.rule() {
        Rule::Open => true,
        Rule::Granted => granted || owner == Some(caller.member()),
        Rule::Direct { owner } => owner == caller.member(),
    };
    if !inside && !enters {
        return not_allowed(CLOSED);
    }
    // Nobody can open that fence but who founds the group anew, and for that it must be seen.
    let deserted = group.observed.is_deserted(caller.device(), now);
    if !inside && !deserted && group.fenced(network.ledger_head().seq, now) {
        return Err(OpError::Fenced);
    }
    let state = network
        .store
        .channel(channel)
        .await?
        .ok_or(OpError::NotFound("there is no such channel"))?;
    Ok(Reply::GroupState {
        epoch: state.epoch,
        head: network.sign_head(channel, state.head, now).await?,
        group_info: state.group.group_info,
        tree: state.group.tree,
    })
}

const CLOSED: &str = "this device may not enter the channel";
