//! Contact points: who may read a request for admission beside the inviter, and their word on it.
//!
//! The server relays sealed bytes. It keeps strangers from filling the shelf: shares come from the
//! inviting device or one that has a share, countersignatures from members with either.

use bytes::Bytes;
use plenary_certs::ledger::Capacity;
use plenary_proto::{
    ids::{DeviceId, InvitationId, MemberId, UnixMillis},
    reply::{Push, Reply},
};

use super::{board, not_allowed, sealed_fits, within};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::Network,
    session::DeviceCaller,
    store::StoreError,
    stored::{Invitation, Stored},
};

/// Devices that an invitation is shared with: a Board of a dozen people, each with a few.
const SHARES: usize = 64;

/// Countersignatures of one request.
const COUNTERSIGNATURES: usize = 8;

/// Hands shares of an invitation to devices.
pub(crate) async fn share(
    network: &Network,
    caller: &DeviceCaller,
    invitation: InvitationId,
    shares: Vec<(DeviceId, Bytes)>,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    holds(network, caller.device(), invitation).await?;
    within("devices to share with", SHARES, shares.len())?;
    let prefix = keys::shares(invitation);
    let held = network.store.list(&prefix, None, SHARES as u32).await?;
    let mut count = held.len();
    for (device, sealed) in shares {
        sealed_fits(&sealed)?;
        if network.live(device, now).is_none() {
            return not_allowed("an invitation is shared with live devices only");
        }
        let key = keys::share(invitation, device);
        if !held.iter().any(|(known, _)| *known == key) {
            count += 1;
        }
        within("devices an invitation is shared with", SHARES, count)?;
        put(network, key, sealed).await?;
    }
    Ok(Reply::Done)
}

/// Keeps a contact point's word with the request, and tells the Board.
pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    invitation: InvitationId,
    sealed: Bytes,
) -> Result<Reply, OpError> {
    sealed_fits(&sealed)?;
    let capacity = network
        .read_ledger(|ledger| Some(ledger.member(caller.member())?.admission()?.capacity))
        .flatten();
    if capacity != Some(Capacity::Member) {
        return not_allowed("only members countersign, not experts and observers");
    }
    holds(network, caller.device(), invitation).await?;
    if network
        .store
        .get(&keys::request(invitation))
        .await?
        .is_none()
    {
        return Err(OpError::NotFound("no request came by this invitation"));
    }
    let prefix = keys::countersignatures(invitation);
    let most = COUNTERSIGNATURES as u32;
    let held = network.store.list(&prefix, None, most).await?;
    let key = keys::countersignature(invitation, caller.device());
    let known = held.iter().any(|(known, _)| *known == key);
    within(
        "countersignatures of a request",
        COUNTERSIGNATURES,
        held.len() + usize::from(!known),
    )?;
    put(network, key, sealed).await?;
    network.hub.push(
        To::Members(&board(network)),
        push_frame(Push::AdmissionRequest),
    );
    Ok(Reply::Done)
}

/// The share of a device, and all countersignatures.
pub(super) async fn beside(
    network: &Network,
    invitation: InvitationId,
    device: DeviceId,
) -> Result<(Option<Bytes>, Vec<Bytes>), OpError> {
    let share = network.store.get(&keys::share(invitation, device)).await?;
    let prefix = keys::countersignatures(invitation);
    let most = COUNTERSIGNATURES as u32;
    let said = network.store.list(&prefix, None, most).await?;
    Ok((
        share.map(|held| held.value),
        said.into_iter().map(|(_, held)| held.value).collect(),
    ))
}

/// The members whose devices an invitation is shared with.
pub(super) async fn sharers(
    network: &Network,
    invitation: InvitationId,
    now: UnixMillis,
) -> Result<Vec<MemberId>, OpError> {
    let prefix = keys::shares(invitation);
    let held = network.store.list(&prefix, None, SHARES as u32).await?;
    let devices = held
        .iter()
        .filter_map(|(key, _)| DeviceId::try_from(key.strip_prefix(&prefix[..])?).ok());
    Ok(devices
        .filter_map(|device| network.live(device, now))
        .collect())
}

/// Forgets what lies beside an invitation.
pub(super) async fn sweep(network: &Network, invitation: InvitationId) -> Result<(), OpError> {
    for prefix in [
        keys::shares(invitation),
        keys::countersignatures(invitation),
    ] {
        for (key, held) in network.store.list(&prefix, None, SHARES as u32).await? {
            // If it changed meanwhile, the next sweep sees it.
            let _ = network.store.put_if(key, held.version, None).await;
        }
    }
    Ok(())
}

/// The device made the invitation, or was given it.
async fn holds(
    network: &Network,
    device: DeviceId,
    invitation: InvitationId,
) -> Result<(), OpError> {
    let held = network.store.get(&keys::invitation(invitation)).await?;
    let held = held.ok_or(OpError::NotFound("there is no such invitation"))?;
    let made = Invitation::decode(&held.value)?.inviter == device;
    if made
        || network
            .store
            .get(&keys::share(invitation, device))
            .await?
            .is_some()
    {
        return Ok(());
    }
    not_allowed("the invitation was not shared with this device")
}

/// Sets a value, whatever was there.
async fn put(network: &Network, key: Bytes, value: Bytes) -> Result<(), OpError> {
    let version = network.store.get(&key).await?;
    let version = version.map_or(0, |held| held.version);
    match network.store.put_if(key, version, Some(value)).await {
        // Another of the same name was as good.
        Ok(_) | Err(StoreError::WrongVersion { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
