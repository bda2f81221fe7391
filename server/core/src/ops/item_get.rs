//! Bytes of a committed item.

use plenary_proto::{ids::UnixMillis, limits, reply::Reply, request::Right};

use super::{item_status, not_allowed};
use crate::{error::OpError, network::Network, session::BulkCaller};

/// Which bytes.
pub(crate) struct Range {
    pub offset: u64,
    pub length: u32,
}

pub(crate) async fn run(
    network: &Network,
    caller: &BulkCaller,
    token: &[u8],
    range: Range,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let claim = item_status::claim(network, caller, token, now)?;
    if claim.right != Right::Get {
        return not_allowed("the token is for something else");
    }
    let largest = limits::BULK_MESSAGE - 1024;
    if range.length == 0 || range.length as usize > largest {
        return Err(OpError::Malformed("a range has 1 byte to one chunk"));
    }
    let bytes = network
        .items
        .range(claim.item, range.offset, range.length)
        .await?;
    Ok(Reply::ItemRange {
        offset: range.offset,
        bytes,
    })
}
