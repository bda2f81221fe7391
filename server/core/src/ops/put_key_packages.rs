//! Adds key packages of the calling device, each used once; the one of last resort stays.
//!
//! Queued with the time of their arrival, so that a claim can pass over those past their life.

use bytes::{BufMut, Bytes, BytesMut};
use plenary_certs::mls::key_package::check_key_package;
use plenary_proto::{ids::UnixMillis, limits, reply::Reply};

use super::within;
use crate::{error::OpError, keys, network::Network, session::DeviceCaller, store::StoreError};

/// Bytes of a key package: a hybrid one has 2.7 KiB.
const KEY_PACKAGE: usize = 8 * 1024;

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    packages: Vec<Bytes>,
    last_resort: Option<Bytes>,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let queue = keys::key_packages(caller.device());
    let kept = network.store.queue_len(&queue).await? as usize;
    within(
        "key packages of a device",
        limits::KEY_PACKAGES,
        kept.saturating_add(packages.len()),
    )?;
    // Before the work that it pays for; asking with none is asking, too.
    let count = packages.len() + last_resort.iter().len();
    let cost = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    network
        .packages
        .take(caller.device(), cost, now)
        .map_err(|retry_after_ms| OpError::RateLimited {
            what: "key packages put up",
            retry_after_ms,
        })?;
    let ledger = network.ledger()?;
    for package in packages.iter().chain(&last_resort) {
        within("bytes of a key package", KEY_PACKAGE, package.len())?;
        check_key_package(ledger, caller.device(), package, now)
            .map_err(|error| OpError::Invalid(error.to_string()))?;
    }
    for package in packages {
        network
            .store
            .push(queue.clone(), stamped(now, &package))
            .await?;
    }
    if let Some(package) = last_resort {
        replace(network, keys::last_resort(caller.device()), package).await?;
    }
    let count = network.store.queue_len(&queue).await?;
    Ok(Reply::Count(u32::try_from(count).unwrap_or(u32::MAX)))
}

/// A queued package: when it came, and it.
fn stamped(now: UnixMillis, package: &Bytes) -> Bytes {
    let mut value = BytesMut::with_capacity(8 + package.len());
    value.put_u64(now.0);
    value.put_slice(package);
    value.freeze()
}

/// A queued package that is still within its life.
pub(super) fn unstamped(value: &Bytes, now: UnixMillis) -> Option<Bytes> {
    let (time, _) = value.split_first_chunk::<8>()?;
    let life = limits::KEY_PACKAGE_LIFE.as_millis() as u64;
    let ends = UnixMillis(u64::from_be_bytes(*time)).plus(life);
    (now < ends).then(|| value.slice(8..))
}

async fn replace(network: &Network, key: Bytes, value: Bytes) -> Result<(), OpError> {
    loop {
        let version = network
            .store
            .get(&key)
            .await?
            .map_or(0, |held| held.version);
        let put = network
            .store
            .put_if(key.clone(), version, Some(value.clone()));
        match put.await {
            Err(StoreError::WrongVersion { .. }) => {}
            other => return Ok(other.map(|_| ())?),
        }
    }
}
