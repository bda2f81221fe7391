//! Linking a further device of a member: PutLink, the guest's request, ListLinks, AnswerLink.
//!
//! The server relays. It knows whose device made the link and when it ends; keys, fingerprints and
//! what is handed over are sealed past it. Links lie apart from invitations, so that none can be
//! used for the other, and only the device that made a link sees and answers its request.

use bytes::Bytes;
use plenary_proto::{
    ids::{InvitationId, UnixMillis},
    limits,
    reply::{PendingRequest, Push, Reply},
};

use super::{not_allowed, put_invitation::Terms, sealed_fits};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::Network,
    pages::Pages,
    session::DeviceCaller,
    store::StoreError,
    stored::{Invitation, Request, Stored},
};

/// How long a request to be linked and its answer are kept: both people are at their machines.
pub(crate) const ANSWER_KEPT_MS: u64 = 60 * 60 * 1000;

/// How far a client's clock may be ahead of ours.
const CLOCK_MS: u64 = 5 * 60 * 1000;

const USED: OpError =
    OpError::Exists("this linking code was used already: make a new one on the other device");

const ANSWERED: OpError = OpError::Exists("the request to be linked is answered already");

/// Lets one device knock. Any live device may, whatever its member's capacity.
pub(crate) async fn put(
    network: &Network,
    caller: &DeviceCaller,
    terms: Terms,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let longest = limits::LINK_LIFE.as_millis() as u64 + CLOCK_MS;
    if terms.expires <= now || terms.expires > now.plus(longest) {
        return Err(OpError::Malformed(
            "a linking code lasts from now for at most a quarter of an hour",
        ));
    }
    let open = sweep(network, caller, now).await?;
    if open >= network.config().links {
        return Err(OpError::Quota(format!(
            "this device has {open} open linking codes: wait until some are used or expire"
        )));
    }
    let link = Invitation {
        verifier: terms.verifier,
        inviter: caller.device(),
        expires: terms.expires,
    };
    let key = keys::link(terms.invitation);
    match network
        .store
        .put_if(key.clone(), 0, Some(link.encode()?))
        .await
    {
        Ok(_) => Ok(Reply::Done),
        Err(StoreError::WrongVersion { .. }) => {
            let held = network.store.get(&key).await?;
            let held = held.map(|held| Invitation::decode(&held.value));
            if held.transpose()?.as_ref() == Some(&link) {
                // The answer to the first one was lost on the way.
                return Ok(Reply::Done);
            }
            Err(OpError::Exists("there is a linking code of this name"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The guest's request: once a link.
pub(crate) async fn ask(
    network: &Network,
    id: InvitationId,
    sealed: Bytes,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let held = network.store.get(&keys::link(id)).await?;
    let Some(held) = held else {
        return not_allowed("the linking code is not valid any more: make a new one");
    };
    let link = Invitation::decode(&held.value)?;
    let Some(member) = network.live(link.inviter, now) else {
        return not_allowed("the device that made the linking code has no access any more");
    };
    let request = Request {
        inviter: link.inviter,
        member,
        time: now,
        sealed,
        answer: None,
    };
    let key = keys::link_request(id);
    let put = network
        .store
        .put_if(key.clone(), 0, Some(request.encode()?));
    let news = match put.await {
        Ok(_) => Push::LinkRequest(id),
        Err(StoreError::WrongVersion { .. }) => {
            let held = network.store.get(&key).await?;
            let held = held.map(|held| Request::decode(&held.value)).transpose()?;
            if held.is_some_and(|held| held.sealed == request.sealed) {
                // The answer to the first one was lost on the way.
                return Ok(Reply::Done);
            }
            Push::LinkAgain(id)
        }
        Err(error) => return Err(error.into()),
    };
    // Two machines with one code: one of them is not the member's.
    let again = news == Push::LinkAgain(id);
    network.hub.push(To::Members(&[member]), push_frame(news));
    if again { Err(USED) } else { Ok(Reply::Done) }
}

/// What waits for the calling device.
pub(crate) async fn list(
    network: &Network,
    caller: &DeviceCaller,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let mut waiting = Vec::new();
    let mut pages = Pages::of(&*network.store, keys::LINK_REQUESTS);
    while let Some(page) = pages.next().await? {
        for (key, held) in page {
            let request = Request::decode(&held.value)?;
            let name = key.strip_prefix(keys::LINK_REQUESTS);
            let Some(invitation) = name.and_then(|name| InvitationId::try_from(name).ok()) else {
                continue;
            };
            let over = now >= request.time.plus(ANSWER_KEPT_MS);
            if over || request.answer.is_some() || request.inviter != caller.device() {
                continue;
            }
            waiting.push(PendingRequest {
                invitation,
                inviter: request.inviter,
                time: request.time,
                sealed: request.sealed,
                share: None,
                countersignatures: Vec::new(),
            });
        }
    }
    Ok(Reply::RequestList(waiting))
}

/// Closes a request; the answer is handed to the guest.
pub(crate) async fn answer(
    network: &Network,
    caller: &DeviceCaller,
    id: InvitationId,
    answer: Bytes,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    sealed_fits(&answer)?;
    let key = keys::link_request(id);
    let held = network.store.get(&key).await?;
    let held = held.ok_or(OpError::NotFound("no request came by this linking code"))?;
    let mut request = Request::decode(&held.value)?;
    if request.inviter != caller.device() {
        return not_allowed("only the device that made the linking code answers");
    }
    if now >= request.time.plus(ANSWER_KEPT_MS) {
        return Err(OpError::NotFound(
            "the request is over: make a new linking code",
        ));
    }
    match &request.answer {
        Some(given) if *given == answer => return Ok(Reply::Done),
        Some(_) => return Err(ANSWERED),
        None => request.answer = Some(answer),
    }
    let put = network
        .store
        .put_if(key, held.version, Some(request.encode()?));
    match put.await {
        Ok(_) => Ok(Reply::Done),
        Err(StoreError::WrongVersion { .. }) => Err(ANSWERED),
        Err(error) => Err(error.into()),
    }
}

/// Links of the device that are still open. Sweeps away what opens nothing any more.
async fn sweep(
    network: &Network,
    caller: &DeviceCaller,
    now: UnixMillis,
) -> Result<usize, OpError> {
    let mut open = 0;
    let mut pages = Pages::of(&*network.store, keys::LINKS);
    while let Some(page) = pages.next().await? {
        for (key, held) in page {
            let link = Invitation::decode(&held.value)?;
            let name = key.strip_prefix(keys::LINKS);
            let Some(id) = name.and_then(|name| InvitationId::try_from(name).ok()) else {
                continue;
            };
            if now >= link.expires.plus(ANSWER_KEPT_MS) {
                // The request first: without its link nobody finds it. If one changed meanwhile, the
                // next sweep sees it.
                let asked = keys::link_request(id);
                if let Some(held) = network.store.get(&asked).await? {
                    let _ = network.store.put_if(asked, held.version, None).await;
                }
                let _ = network.store.put_if(key, held.version, None).await;
            } else if link.inviter == caller.device() && now < link.expires {
                open += 1;
            }
        }
    }
    Ok(open)
}
