//! Lets somebody knock. Any member may invite; who is admitted the Board decides.

use plenary_certs::ledger::Capacity;
use plenary_proto::{
    ids::{DeviceId, Digest, InvitationId, UnixMillis},
    limits,
    reply::Reply,
};

use super::{REQUEST_KEPT_MS, is_board, not_allowed};
use crate::{
    error::OpError,
    keys,
    network::Network,
    pages::Pages,
    session::DeviceCaller,
    store::StoreError,
    stored::{Invitation, Stored},
};

/// How far a client's clock may be ahead of ours.
const CLOCK_MS: u64 = 5 * 60 * 1000;

/// What the inviter asks for.
pub(crate) struct Terms {
    pub invitation: InvitationId,
    pub verifier: Digest,
    pub expires: UnixMillis,
}

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    terms: Terms,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let capacity = network
        .read_ledger(|ledger| Some(ledger.member(caller.member())?.admission()?.capacity))
        .flatten();
    if capacity != Some(Capacity::Member) {
        return not_allowed("only members may invite, not experts and observers");
    }
    let longest = limits::INVITATION_LIFE.as_millis() as u64 + CLOCK_MS;
    if terms.expires <= now || terms.expires > now.plus(longest) {
        return Err(OpError::Malformed(
            "an invitation lasts from now for at most 72 hours",
        ));
    }
    let open = count_open(network, caller.device(), now).await?;
    let limit = if is_board(network, caller.member()) {
        network.config().board_invitations
    } else {
        network.config().invitations
    };
    if open >= limit {
        return Err(OpError::Quota(format!(
            "this device has {open} open invitations: wait until some are used or expire"
        )));
    }
    let invitation = Invitation {
        verifier: terms.verifier,
        inviter: caller.device(),
        expires: terms.expires,
    };
    let key = keys::invitation(terms.invitation);
    let put = network
        .store
        .put_if(key.clone(), 0, Some(invitation.encode()?));
    match put.await {
        Ok(_) => Ok(Reply::Done),
        Err(StoreError::WrongVersion { .. }) => {
            let held = network.store.get(&key).await?;
            let held = held.map(|held| Invitation::decode(&held.value));
            if held.transpose()?.as_ref() == Some(&invitation) {
                // The answer to the first one was lost on the way.
                return Ok(Reply::Done);
            }
            Err(OpError::Exists("there is an invitation of this name"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Invitations of a device that still open something. Sweeps away what opens nothing any more.
async fn count_open(
    network: &Network,
    inviter: DeviceId,
    now: UnixMillis,
) -> Result<usize, OpError> {
    let mut open = 0;
    let mut pages = Pages::of(&*network.store, keys::INVITATIONS);
    while let Some(page) = pages.next().await? {
        for (key, held) in page {
            let invitation = Invitation::decode(&held.value)?;
            if now >= invitation.expires.plus(REQUEST_KEPT_MS) {
                // If it changed meanwhile, the next sweep sees it.
                let name = key.strip_prefix(keys::INVITATIONS);
                if let Some(id) = name.and_then(|name| InvitationId::try_from(name).ok()) {
                    super::vouch_request::sweep(network, id).await?;
                }
                let _ = network.store.put_if(key, held.version, None).await;
            } else if invitation.inviter == inviter && now < invitation.expires {
                open += 1;
            }
        }
    }
    Ok(open)
}
