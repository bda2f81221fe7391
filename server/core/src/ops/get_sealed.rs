//! Reads sealed profiles, and roster keys sealed to the caller.

use plenary_proto::{reply::Reply, request::SealedName};

use super::{GATHERED, not_allowed, within};
use crate::{error::OpError, keys, network::Network, session::DeviceCaller};

/// Names of one request.
const NAMES: usize = 1_024;

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    names: Vec<SealedName>,
) -> Result<Reply, OpError> {
    within("names in one request", NAMES, names.len())?;
    let mut values = Vec::with_capacity(names.len());
    let mut bytes = 0;
    for name in names {
        if let SealedName::RosterKey { device, .. } = name
            && device != caller.device()
        {
            return not_allowed("a roster key is read by its own device");
        }
        let name = super::rotate_roster::newest(network, name).await?;
        let held = network.store.get(&keys::sealed(&name)).await?;
        let value = held.map(|held| held.value);
        bytes += value.as_ref().map_or(0, bytes::Bytes::len) + 64;
        within("bytes of one answer: ask for fewer; it", GATHERED, bytes)?;
        values.push((name, value));
    }
    Ok(Reply::SealedList(values))
}
