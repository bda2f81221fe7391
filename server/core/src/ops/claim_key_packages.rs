//! One key package of each device, for whoever may add them to a channel.

use std::collections::BTreeSet;

use bytes::Bytes;
use plenary_certs::{
    ledger::Ledger,
    mls::{context::Rule, judge::may_add},
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, MemberId, UnixMillis},
    reply::{Push, Reply},
};

use super::{group_of, not_allowed, put_key_packages::unstamped, within};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::{Network, live},
    session::DeviceCaller,
};

/// Devices of one request: members are added in batches of 50 to 100.
const DEVICES: usize = 128;

/// Below so many the owner is told to refill.
const LOW: u64 = 8;

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    devices: Vec<DeviceId>,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    within("devices in one request", DEVICES, devices.len())?;
    let distinct: BTreeSet<_> = devices.iter().collect();
    if distinct.len() != devices.len() {
        return Err(OpError::Malformed("a device is named twice"));
    }
    let group = group_of(network, channel, caller.device()).await?;
    let rule = group.observed.rule();
    let all = network.read_ledger(|ledger| {
        devices.iter().all(|device| {
            live(ledger, *device, now)
                .is_some_and(|member| allowed(ledger, channel, rule, caller.member(), member))
        })
    });
    if all != Some(true) {
        return not_allowed(
            "devices of live members are added by the channel's owner, or with a grant",
        );
    }
    let cost = u32::try_from(devices.len()).unwrap_or(u32::MAX);
    network
        .claims
        .take(caller.device(), cost, now)
        .map_err(|retry_after_ms| OpError::RateLimited {
            what: "key packages",
            retry_after_ms,
        })?;
    let mut packages = Vec::with_capacity(devices.len());
    for device in devices {
        packages.push((device, claim(network, device, now).await?));
    }
    Ok(Reply::KeyPackageList(packages))
}

fn allowed(
    ledger: &Ledger,
    channel: ChannelId,
    rule: Rule,
    adder: MemberId,
    added: MemberId,
) -> bool {
    let owner = match rule {
        Rule::Direct { owner } => Some(owner),
        Rule::Open | Rule::Granted => ledger
            .channel(channel)
            .and_then(|channel| channel.current())
            .map(|channel| channel.owner),
    };
    let at = ledger.head().seq;
    owner.is_some_and(|owner| may_add(ledger, at, channel, (owner, rule), adder, added))
}

async fn claim(
    network: &Network,
    device: DeviceId,
    now: UnixMillis,
) -> Result<Option<Bytes>, OpError> {
    let queue = keys::key_packages(device);
    let package = loop {
        match network.store.pop_one(queue.clone()).await? {
            Some(value) => match unstamped(&value, now) {
                Some(package) => break Some(package),
                None => continue,
            },
            None => {
                let held = network.store.get(&keys::last_resort(device)).await?;
                break held.map(|held| held.value);
            }
        }
    };
    let left = network.store.queue_len(&queue).await?;
    if left < LOW {
        let push = push_frame(Push::KeyPackages(left as u32));
        network.hub.push(To::Device(device), push);
    }
    Ok(package)
}
