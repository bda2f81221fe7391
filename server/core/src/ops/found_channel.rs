//! Opens a channel's log with its group at epoch 0: by a device of the owner, whom CHANNEL names,
//! or, in a direct channel, the group itself.

use bytes::Bytes;
use plenary_certs::mls::observer::ObservedGroup;
use plenary_proto::{
    ids::{ChannelId, UnixMillis},
    reply::Reply,
};

use crate::{error::OpError, network::Network, session::DeviceCaller, store::GroupState};

/// The group as founded.
pub(crate) struct Group {
    pub group_info: Bytes,
    pub tree: Bytes,
}

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    group: Group,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let slot = network.channels.slot(channel);
    let _turn = slot.commits().await;
    let Group { group_info, tree } = group;
    let ledger = network.ledger()?;
    let observed = ObservedGroup::found(ledger, channel, caller.device(), &group_info, &tree, now)?;
    let state = GroupState {
        snapshot: observed.snapshot()?.into(),
        group_info,
        tree,
    };
    network
        .store
        .found(channel, observed.epoch(), state)
        .await?;
    slot.swap(observed);
    Ok(Reply::Done)
}
