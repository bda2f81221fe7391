//! Closes a request: the answer is handed to the guest. By the Board's devices only.

use bytes::Bytes;
use plenary_proto::{ids::InvitationId, reply::Reply};

use super::{is_board, not_allowed, sealed_fits};
use crate::{
    error::OpError,
    keys,
    network::Network,
    session::DeviceCaller,
    store::StoreError,
    stored::{Request, Stored},
};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    invitation: InvitationId,
    answer: Bytes,
) -> Result<Reply, OpError> {
    if !is_board(network, caller.member()) {
        return not_allowed("only the Board answers requests");
    }
    sealed_fits(&answer)?;
    let key = keys::request(invitation);
    let held = network.store.get(&key).await?;
    let held = held.ok_or(OpError::NotFound("no request came by this invitation"))?;
    let mut request = Request::decode(&held.value)?;
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

const ANSWERED: OpError = OpError::Exists("another one of the Board has answered it");
