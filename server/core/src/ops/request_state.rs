//! What became of the guest's request.

use bytes::Bytes;
use plenary_proto::reply::Reply;

use crate::{
    error::OpError,
    keys,
    network::Network,
    session::{GuestCaller, GuestKind},
    stored::{Request, Stored},
};

pub(crate) async fn run(network: &Network, caller: &GuestCaller) -> Result<Reply, OpError> {
    let id = caller.invitation();
    let key = match caller.kind() {
        GuestKind::Linking => keys::link_request(id),
        GuestKind::Founder | GuestKind::Invited => keys::request(id),
    };
    let held = network.store.get(&key).await?;
    let held = held.ok_or(OpError::NotFound("no request came by this invitation yet"))?;
    let answer = Request::decode(&held.value)?.answer;
    Ok(Reply::RequestState {
        waiting: answer.is_none(),
        answer: answer.unwrap_or(Bytes::new()),
    })
}
