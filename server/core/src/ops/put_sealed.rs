//! Stores sealed profiles and roster keys.
//!
//! The Board's devices put what they like: readers check a profile by its hash, a roster key by
//! opening it. Any other device may hand a roster key to a device of its own member that has none:
//! that is how a second device comes to it. Or replace it, if it vouches for that device and the
//! Board does not: what a revoked device has sealed opens no more.

use bytes::Bytes;
use plenary_certs::ledger::Voucher;
use plenary_proto::{reply::Reply, request::SealedName};

use super::{is_board, not_allowed, sealed_fits, within};
use crate::{error::OpError, keys, network::Network, session::Caller, store::StoreError};

/// Values of one request.
pub(super) const VALUES: usize = 4_096;

pub(crate) async fn run(
    network: &Network,
    caller: &Caller,
    values: Vec<(SealedName, Bytes)>,
) -> Result<Reply, OpError> {
    within("values in one request", VALUES, values.len())?;
    let all = match caller {
        Caller::Guest(guest) => guest.is_founder(),
        Caller::Chat(_) | Caller::Bulk(_) => is_board(network, caller.device()?.member()),
    };
    for (name, value) in &values {
        sealed_fits(value)?;
        if !all && !own_device(network, caller, name)? {
            return not_allowed("only the Board stores this");
        }
    }
    for (name, value) in values {
        let replace = all || vouches(network, caller, &name)?;
        put(network, &name, value, replace).await?;
    }
    Ok(Reply::Done)
}

/// Whether a name is the roster key of a device of the caller's own member.
fn own_device(network: &Network, caller: &Caller, name: &SealedName) -> Result<bool, OpError> {
    let member = caller.device()?.member();
    let SealedName::RosterKey { device, .. } = name else {
        return Ok(false);
    };
    let owner = network
        .read_ledger(|ledger| ledger.device(*device).map(|device| device.member))
        .flatten();
    Ok(owner == Some(member))
}

/// Whether a name is the roster key of a device that the caller vouches for, and the Board does not.
fn vouches(network: &Network, caller: &Caller, name: &SealedName) -> Result<bool, OpError> {
    let by = Voucher::Device(caller.device()?.device());
    let SealedName::RosterKey { device, .. } = name else {
        return Ok(false);
    };
    let vouched = network.read_ledger(|ledger| {
        let says = |one: Voucher| {
            let mut vouchers = ledger.device(*device)?.vouchers.iter();
            Some(vouchers.any(|(_, voucher)| *voucher == one))
        };
        says(by) == Some(true) && says(Voucher::Board) == Some(false)
    });
    Ok(vouched.unwrap_or(false))
}

pub(super) async fn put(
    network: &Network,
    name: &SealedName,
    value: Bytes,
    replace: bool,
) -> Result<(), OpError> {
    let key = keys::sealed(name);
    loop {
        let held = network.store.get(&key).await?;
        let version = match held {
            Some(held) if held.value == value => return Ok(()),
            Some(_) if !replace => {
                return Err(OpError::Exists("the device has this roster key already"));
            }
            Some(held) => held.version,
            None => 0,
        };
        let put = network
            .store
            .put_if(key.clone(), version, Some(value.clone()));
        match put.await {
            Ok(_) => return Ok(()),
            Err(StoreError::WrongVersion { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
