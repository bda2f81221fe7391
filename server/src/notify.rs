//! What systemd is told: ready, alive, ending. Nothing, where it did not ask.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, warn};

use crate::admin::Office;

/// The server accepts connections.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says that the server is alive as long as it is: with a store that takes no more writes it is not,
/// and a restart, which systemd then does, is what helps.
pub async fn watchdog(office: Arc<Office>) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut tick = interval(patience / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match office.alive() {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(why) => error!(%why, "not alive: the watchdog will restart the server"),
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "cannot tell systemd");
    }
}
