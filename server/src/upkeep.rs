//! What a running server does by itself, beside serving.

use std::sync::Arc;
use std::time::Duration;

use plenary_core::network::Network;
use plenary_core::store::Store;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};
use tracing::{error, info, warn};

use crate::admin::Office;
use crate::clock::now;
use crate::net::Registry;
use crate::operations::Operations;
use crate::scrub::scrub;

/// How often it is looked whether something is due.
const HOUR: Duration = Duration::from_secs(3600);
/// How often connections are looked over for devices whose admission ended by the clock.
const SWEEP: Duration = Duration::from_secs(1);
const DAY_MS: u64 = 24 * 3_600_000;

/// Tasks that end when this is dropped.
#[derive(Debug, Default)]
pub struct Tasks(Vec<tokio::task::JoinHandle<()>>);

impl Tasks {
    /// Starts one more.
    pub fn start(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.push(tokio::spawn(task));
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// Renews our own certificate in time; warns of the end of another's.
pub async fn certificates(office: Arc<Office>) {
    let mut tick = interval(HOUR);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        office.certificates().look(&office.config(), now());
    }
}

/// Cuts whoever may not be here any more.
pub async fn sweep(network: Arc<Network>, registry: Arc<Registry>) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let here = registry.devices();
        let gone = network.not_live(&here, now());
        if !gone.is_empty() {
            let cut = registry.cut(&gone);
            info!(
                cut,
                "ended connections of devices that are no longer admitted"
            );
        }
    }
}

/// Removes items that are due, and records past the retention of POLICY.
pub async fn tidy(network: Arc<Network>) {
    let mut tick = interval(HOUR);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match network.sweep_items(now()).await {
            Ok(swept) if swept.is_nothing() => {}
            Ok(swept) => {
                let (abandoned, expired) = (swept.abandoned, swept.expired);
                let (collected, orphans) = (swept.collected, swept.orphans);
                info!(abandoned, expired, collected, orphans, "removed items");
                for item in swept.missing {
                    error!(%item, "an item is missing: restore it from a backup");
                }
            }
            Err(error) => warn!(%error, "cannot remove items that are due"),
        }
        let usage = network.item_usage().await;
        info!(
            kept = usage.kept,
            coming = usage.coming,
            held = usage.held,
            bytes = usage.bytes,
            members = usage.members,
            most = usage.most,
            "items"
        );
        match network.trim(now()).await {
            Ok(0) => {}
            Ok(channels) => info!(channels, "dropped records past their retention"),
            Err(error) => warn!(%error, "cannot drop records past their retention"),
        }
    }
}

/// Reads everything back, slowly, when the last time is long enough ago: across restarts, or a
/// server that is restarted every week would never come to it.
pub async fn scrubs(office: Arc<Office>, network: Arc<Network>, store: Arc<dyn Store>) {
    let operations = Operations::open(&office.config().data);
    let mut tick = interval_at(Instant::now() + HOUR, HOUR);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let config = office.config().scrub;
        let every = u64::from(config.every_days) * DAY_MS;
        let last = operations.read().scrub.unwrap_or(0);
        if now().0.saturating_sub(last) < every {
            continue;
        }
        let found = scrub(&network, &*store, Some(config.bytes_per_second)).await;
        let (records, items) = (found.records, found.items);
        for what in &found.damaged {
            error!(%what, "damaged: restore it from a backup");
        }
        info!(
            records,
            items,
            damaged = found.damaged.len(),
            "read everything back"
        );
        if let Err(error) = operations.note_scrub(now(), found.damaged.len() as u64) {
            warn!(%error, "cannot note the scrub");
        }
    }
}
