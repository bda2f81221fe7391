//! When a transfer that stopped is taken up by itself.

use std::time::Duration;

use tokio::time::sleep;

use super::Meter;
use crate::{
    error::{Error, ErrorKind},
    net::jittered,
};

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(30);
/// Tries without a byte moved while the server says that it cannot now.
const PATIENCE: u32 = 5;

/// Counts tries, and waits between them. A lost line is tried for ever; a server that says "not
/// now" a few times; everything else ends the transfer.
#[derive(Debug)]
pub(super) struct Retry {
    wait: Duration,
    tries: u32,
    done: u64,
}

impl Retry {
    pub(super) fn new() -> Self {
        Self {
            wait: FIRST_WAIT,
            tries: 0,
            done: 0,
        }
    }

    /// Waits before the next try, or gives the error back.
    pub(super) async fn after(&mut self, error: Error, meter: &Meter) -> Result<(), Error> {
        if meter.done() > self.done {
            *self = Self {
                done: meter.done(),
                ..Self::new()
            };
        }
        self.tries += 1;
        let go_on = match error.kind() {
            ErrorKind::Offline => true,
            // In use: the thread of a try just before may not have ended.
            ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::InUse => {
                self.tries < PATIENCE
            }
            _ => false,
        };
        if !go_on {
            return Err(error);
        }
        let wait = error.retry_after().unwrap_or(self.wait).max(self.wait);
        self.wait = (self.wait * 2).min(LAST_WAIT);
        tracing::debug!(%error, ?wait, "the transfer waits");
        sleep(jittered(wait)).await;
        Ok(())
    }
}
