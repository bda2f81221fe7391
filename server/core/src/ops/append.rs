//! Appends an MLS message to a channel's log.
//!
//! An application message needs no lock: it is checked against the group in memory, and the store
//! refuses it if a commit came between. Commits of a channel go one at a time: observed, stored
//! together with the new group and its welcomes, then swapped in; whoever lost gets the conflict.

use std::sync::Arc;

use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, UnixMillis},
    reply::{Push, Reply},
    request::{Append, CommitExtras},
};

use super::{departures, not_allowed, within};
use crate::{
    channels::Slot,
    error::OpError,
    hub::{To, moved_frame, push_frame},
    network::Network,
    session::DeviceCaller,
    store::{self, Appended, GroupState, Moved, Record, StoreError, Transition},
};

/// Welcomes of one commit.
const WELCOMES: usize = 128;

/// What a commit takes of the rate of messages: everybody processes it, and what others sealed for the
/// epoch before is to be sealed again. So many are what a burst of 200, and 20 a minute, leave.
pub(super) const COMMIT_COST: u32 = 10;

/// Bytes of a GroupInfo without its tree.
const GROUP_INFO: usize = 64 * 1024;

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    append: Append,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let Append {
        channel,
        client_id,
        epoch,
        bytes,
        commit,
    } = append;
    let slot = network.channels.slot(channel);
    let append = store::Append {
        channel,
        device: caller.device(),
        client_id,
        time: now,
        epoch: Some(epoch),
        bytes,
        transition: None,
    };
    let appended = match commit {
        None => message(network, &slot, append).await,
        Some(extras) => Box::pin(self::commit(network, &slot, append, extras)).await,
    };
    let appended = match appended {
        Ok(appended) => appended,
        // The sender may have missed our answer, and what it asks for is done.
        Err(refused) => match repeated(network, caller.device(), channel, client_id).await? {
            Some(head) => Appended {
                head,
                repeated: true,
            },
            None => return Err(refused),
        },
    };
    let head = network.sign_head(channel, appended.head, now).await?;
    Ok(Reply::Appended {
        head,
        repeated: appended.repeated,
    })
}

/// Has the group at hand that a message is checked against.
pub(crate) async fn prepare(network: &Network, append: &Append) -> Result<(), OpError> {
    let slot = network.channels.slot(append.channel);
    let ledger = network.ledger()?;
    slot.group(&*network.store, ledger).await?;
    Ok(())
}

async fn repeated(
    network: &Network,
    device: DeviceId,
    channel: ChannelId,
    client_id: ClientId,
) -> Result<Option<ChannelHead>, OpError> {
    match network.store.find(channel, device, client_id).await {
        Err(StoreError::NoChannel) => Ok(None),
        other => Ok(other?),
    }
}

async fn message(
    network: &Network,
    slot: &Arc<Slot>,
    append: store::Append,
) -> Result<Appended, OpError> {
    let ledger = network.ledger()?;
    let epoch = append.epoch.unwrap_or_default();
    let group = slot.group_at(epoch, &*network.store, ledger).await?;
    group.observed.check_message(&append.bytes)?;
    if !group.contains(append.device) {
        return not_allowed("the sender is not in this channel");
    }
    if group.observed.epoch() != epoch {
        return Err(OpError::Malformed(
            "the message was made in another epoch than the request says",
        ));
    }
    if group.fenced(network.ledger_head().seq, append.time) {
        return Err(OpError::Fenced);
    }
    charge(network, append.device, 1, append.time)?;
    #[cfg(plenary_seeded_bugs)]
    let appended = crate::seeded::append(&network.late, &*network.store, append).await;
    #[cfg(not(plenary_seeded_bugs))]
    let appended = network.store.append(append).await;
    if let Err(StoreError::WrongEpoch { .. }) = appended {
        slot.forget();
    }
    Ok(appended?)
}

async fn commit(
    network: &Network,
    slot: &Arc<Slot>,
    mut append: store::Append,
    extras: CommitExtras,
) -> Result<Appended, OpError> {
    let CommitExtras {
        group_info,
        welcomes,
    } = extras;
    within("welcomes of a commit", WELCOMES, welcomes.len())?;
    within("bytes of a GroupInfo", GROUP_INFO, group_info.len())?;
    let _turn = slot.commits().await;
    let ledger = network.ledger()?;
    let from = append.epoch.take().unwrap_or_default();
    let group = slot.group_at(from, &*network.store, ledger).await?;
    if group.observed.epoch() != from {
        return Err(OpError::Conflict {
            current: group.observed.epoch(),
        });
    }
    charge(network, append.device, COMMIT_COST, append.time)?;
    let welcomed: Vec<DeviceId> = welcomes.iter().map(|(device, _)| *device).collect();
    let next = group
        .observed
        .commit(
            append.device,
            &append.bytes,
            &group_info,
            &welcomed,
            append.time,
        )
        .map_err(conflict)?;
    append.transition = Some(Transition {
        from,
        to: next.epoch(),
        state: GroupState {
            snapshot: next.snapshot()?.into(),
            group_info,
            tree: next.tree()?.into(),
        },
        welcomes,
    });
    let channel = append.channel;
    let (device, client_id, time) = (append.device, append.client_id, append.time);
    let bytes = append.bytes.clone();
    let doubt = Doubt(slot);
    let appended = network.store.append(append).await.map_err(conflict)?;
    if appended.repeated {
        return Ok(appended);
    }
    let gone = group.gone_in(&next);
    slot.swap(next);
    std::mem::forget(doubt);
    // Those removed learn it from the record: what tells the others may come when they are out.
    let record = Record {
        seq: appended.head.seq,
        device,
        client_id,
        time,
        bytes,
        hash: appended.head.hash,
    };
    let removal = moved_frame(&Moved {
        channel,
        record: Arc::new(record),
    });
    for device in &gone {
        network.hub.push(To::Device(*device), removal.clone());
    }
    network.hub.unwatch(channel, &gone);
    departures::note(network, channel, appended.head.seq, &gone).await;
    for device in welcomed {
        let push = push_frame(Push::Welcome(channel));
        network.hub.push(To::Device(device), push);
    }
    Ok(appended)
}

/// For what changes the group, a stale epoch means that another one came first.
pub(super) fn conflict(error: impl Into<OpError>) -> OpError {
    match error.into() {
        OpError::StaleEpoch { current } => OpError::Conflict { current },
        other => other,
    }
}

pub(super) fn charge(
    network: &Network,
    device: DeviceId,
    cost: u32,
    now: UnixMillis,
) -> Result<(), OpError> {
    network
        .messages
        .take(device, cost, now)
        .map_err(|retry_after_ms| OpError::RateLimited {
            what: "messages",
            retry_after_ms,
        })
}

/// Whether a commit was stored is in doubt, unless forgotten: the group is then loaded again.
pub(super) struct Doubt<'a>(pub(super) &'a Arc<Slot>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}
