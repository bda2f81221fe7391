//! A guest's request for admission, sealed for the Board: once an invitation. Or to be linked,
//! sealed for the device that made the link: once a link.

use bytes::Bytes;
use plenary_proto::{
    ids::UnixMillis,
    reply::{Push, Reply},
};

use super::{board, link, not_allowed, sealed_fits};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::Network,
    session::{GuestCaller, GuestKind},
    store::StoreError,
    stored::{Invitation, Request, Stored},
};

pub(crate) async fn run(
    network: &Network,
    caller: &GuestCaller,
    sealed: Bytes,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    sealed_fits(&sealed)?;
    let id = caller.invitation();
    if caller.kind() == GuestKind::Linking {
        return link::ask(network, id, sealed, now).await;
    }
    let held = network.store.get(&keys::invitation(id)).await?;
    let Some(held) = held else {
        return not_allowed("the founder asks nobody: submit ROOT 1");
    };
    let invitation = Invitation::decode(&held.value)?;
    let Some(member) = network.live(invitation.inviter, now) else {
        return not_allowed("who invited has no access any more");
    };
    let request = Request {
        inviter: invitation.inviter,
        member,
        time: now,
        sealed,
        answer: None,
    };
    let key = keys::request(id);
    let put = network
        .store
        .put_if(key.clone(), 0, Some(request.encode()?));
    match put.await {
        Ok(_) => {}
        Err(StoreError::WrongVersion { .. }) => {
            let held = network.store.get(&key).await?;
            let held = held.map(|held| Request::decode(&held.value)).transpose()?;
            if held.is_some_and(|held| held.sealed == request.sealed) {
                // The answer to the first one was lost on the way.
                return Ok(Reply::Done);
            }
            return Err(OpError::Exists("a request came by this invitation before"));
        }
        Err(error) => return Err(error.into()),
    }
    let mut told = board(network);
    told.push(member);
    for sharer in super::vouch_request::sharers(network, id, now).await? {
        if !told.contains(&sharer) {
            told.push(sharer);
        }
    }
    network
        .hub
        .push(To::Members(&told), push_frame(Push::AdmissionRequest));
    Ok(Reply::Done)
}
