//! Ends a group in which nobody live is left and begins the channel's next one in the same log:
//! record, group and epoch change in one append, so there is never a moment without either.
//!
//! Whether somebody live is left is judged by the record's own ledger position and time, as every
//! member will judge it, and by this server's newest ledger and clock.

use bytes::Bytes;
use plenary_proto::{
    ids::{ChannelId, ClientId, Epoch, UnixMillis},
    reply::Reply,
};

use super::{
    append::{COMMIT_COST, Doubt, charge, conflict},
    departures,
    found_channel::Group,
    not_allowed,
};
use crate::{
    error::OpError,
    network::Network,
    session::DeviceCaller,
    store::{Append, GroupState, Transition},
};

/// What is asked, the new group aside.
pub(crate) struct Anew {
    pub channel: ChannelId,
    pub client_id: ClientId,
    pub epoch: Epoch,
    pub record: Bytes,
}

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    anew: Anew,
    group: Group,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let Anew {
        channel,
        client_id,
        epoch,
        record,
    } = anew;
    let Group { group_info, tree } = group;
    let slot = network.channels.slot(channel);
    let _turn = slot.commits().await;
    let ledger = network.ledger()?;
    let device = caller.device();
    // Whether a channel that is not on the ledger exists is not told.
    let old = match slot.group_at(epoch, &*network.store, ledger).await {
        Ok(old) if old.observed.may_be_founded_anew_by(device) => old,
        Ok(_) | Err(OpError::NotFound(_)) => {
            return not_allowed("this device may not found the channel's group anew");
        }
        Err(error) => return Err(error),
    };
    // The sender may have missed our answer.
    if let Some(head) = network.store.find(channel, device, client_id).await? {
        let head = network.sign_head(channel, head, now).await?;
        return Ok(Reply::Appended {
            head,
            repeated: true,
        });
    }
    if old.observed.epoch() != epoch {
        return Err(OpError::Conflict {
            current: old.observed.epoch(),
        });
    }
    charge(network, device, COMMIT_COST, now)?;
    let next = old
        .observed
        .anew(device, &record, &group_info, &tree, now)
        .map_err(conflict)?;
    let append = Append {
        channel,
        device,
        client_id,
        time: now,
        epoch: None,
        bytes: record,
        transition: Some(Transition {
            from: epoch,
            to: next.epoch(),
            state: GroupState {
                snapshot: next.snapshot()?.into(),
                group_info,
                tree,
            },
            welcomes: Vec::new(),
        }),
    };
    let doubt = Doubt(&slot);
    let appended = network.store.append(append).await.map_err(conflict)?;
    let gone = old.gone_in(&next);
    slot.swap(next);
    std::mem::forget(doubt);
    network.hub.unwatch(channel, &gone);
    departures::note(network, channel, appended.head.seq, &gone).await;
    let head = network.sign_head(channel, appended.head, now).await?;
    Ok(Reply::Appended {
        head,
        repeated: appended.repeated,
    })
}
