//! The operations, one a file: checks, effect, answer.
//!
//! Each takes proof of who calls ([`crate::session::DeviceCaller`] and its like) and what the
//! request holds, and returns the reply or an [`OpError`]. What others must hear goes to the hub
//! after the store has it.

pub(crate) mod answer_request;
pub(crate) mod append;
pub(crate) mod claim_key_packages;
pub(crate) mod countersign;
mod departures;
pub(crate) mod drop_welcome;
pub(crate) mod found_anew;
pub(crate) mod found_channel;
pub(crate) mod get_heartbeat;
pub(crate) mod get_sealed;
pub(crate) mod group_state;
pub(crate) mod head_at;
pub(crate) mod item_collected;
pub(crate) mod item_commit;
pub(crate) mod item_get;
pub(crate) mod item_keep;
pub(crate) mod item_lease;
pub(crate) mod item_put;
pub(crate) mod item_reserve;
pub(crate) mod item_share;
pub(crate) mod item_status;
pub(crate) mod item_token;
pub(crate) mod item_usage;
pub(crate) mod item_withdraw;
pub(crate) mod ledger_read;
pub(crate) mod ledger_submit;
pub(crate) mod link;
pub(crate) mod list_requests;
pub(crate) mod put_heartbeat;
pub(crate) mod put_invitation;
pub(crate) mod put_key_packages;
pub(crate) mod put_request;
pub(crate) mod put_sealed;
pub(crate) mod read;
pub(crate) mod request_state;
pub(crate) mod rotate_roster;
pub(crate) mod vouch_request;
pub(crate) mod watch;
pub(crate) mod welcomes;

use std::sync::Arc;

use bytes::Bytes;
use plenary_proto::{
    ids::{ChannelId, DeviceId, ItemId, MemberId},
    limits,
};

use crate::{
    channels::Group, error::OpError, leases::Lease, network::Network, session::DeviceCaller,
};

/// How long a request for admission and its answer are kept: a Board meets once a month.
pub(crate) const REQUEST_KEPT_MS: u64 = 60 * 24 * 3600 * 1000;

/// Bytes of a sealed value: a profile, a roster key, a request, an answer.
const SEALED: usize = limits::STATEMENT;

/// Bytes of a reply that gathers many values: half a frame in parts.
const GATHERED: usize = limits::FRAME_IN_PARTS / 2;

fn sealed_fits(bytes: &Bytes) -> Result<(), OpError> {
    within("bytes of a sealed value", SEALED, bytes.len())
}

fn within(what: &'static str, limit: usize, got: usize) -> Result<(), OpError> {
    if got <= limit {
        return Ok(());
    }
    Err(OpError::TooLarge {
        what,
        limit: limit as u64,
        got: got as u64,
    })
}

fn not_allowed<T>(why: &str) -> Result<T, OpError> {
    Err(OpError::NotAllowed(why.to_owned()))
}

fn is_board(network: &Network, member: MemberId) -> bool {
    network
        .read_ledger(|ledger| ledger.is_board(member))
        .unwrap_or(false)
}

/// The members of the Board.
fn board(network: &Network) -> Vec<MemberId> {
    let members = network.read_ledger(|ledger| {
        let board = ledger.root().map(|root| &root.board);
        let people = board.into_iter().flatten();
        people.map(|person| person.member).collect()
    });
    members.unwrap_or_default()
}

/// The channel's group, if the device is in it. Who is not learns nothing of the channel, not even
/// that it exists.
async fn group_of(
    network: &Network,
    channel: ChannelId,
    device: DeviceId,
) -> Result<Arc<Group>, OpError> {
    let slot = network.channels.slot(channel);
    let group = slot.group(&*network.store, network.ledger()?).await;
    match group {
        Ok(group) if group.contains(device) => Ok(group),
        Ok(_) | Err(OpError::NotFound(_)) => not_allowed("this device is not in the channel"),
        Err(error) => Err(error),
    }
}

/// What is known of an item, for a device in the channel that it was handed over in.
async fn held_in(
    network: &Network,
    caller: &DeviceCaller,
    item: ItemId,
    channel: ChannelId,
) -> Result<Lease, OpError> {
    group_of(network, channel, caller.device()).await?;
    network.kept_in(item, channel).await
}
