//! Requests for admission that wait: all of them for the Board, for others those of their own
//! guests and those shared with them.

use bytes::Bytes;
use plenary_proto::{
    ids::InvitationId,
    reply::{PendingRequest, Reply},
};

use super::{GATHERED, is_board, vouch_request};
use crate::{
    error::OpError,
    keys,
    network::Network,
    pages::Pages,
    session::DeviceCaller,
    stored::{Request, Stored},
};

pub(crate) async fn run(network: &Network, caller: &DeviceCaller) -> Result<Reply, OpError> {
    let board = is_board(network, caller.member());
    let mut waiting = Vec::new();
    let mut bytes = 0;
    let mut pages = Pages::of(&*network.store, keys::REQUESTS);
    while let Some(page) = pages.next().await? {
        for (key, held) in page {
            let request = Request::decode(&held.value)?;
            let name = key.strip_prefix(keys::REQUESTS);
            let Some(invitation) = name.and_then(|name| InvitationId::try_from(name).ok()) else {
                continue;
            };
            if request.answer.is_some() {
                continue;
            }
            let (share, countersignatures) =
                vouch_request::beside(network, invitation, caller.device()).await?;
            if !(board || request.member == caller.member() || share.is_some()) {
                continue;
            }
            bytes += request.sealed.len() + 64;
            bytes += share.as_ref().map_or(0, Bytes::len);
            bytes += countersignatures.iter().map(Bytes::len).sum::<usize>();
            if bytes > GATHERED {
                // The rest comes when these are answered.
                return Ok(Reply::RequestList(waiting));
            }
            waiting.push(PendingRequest {
                invitation,
                inviter: request.inviter,
                time: request.time,
                sealed: request.sealed,
                share,
                countersignatures,
            });
        }
    }
    Ok(Reply::RequestList(waiting))
}
