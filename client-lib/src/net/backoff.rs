//! When to try again: soon after a good connection, ever later while nothing helps, and not before
//! the server said.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

use crate::error::{Error, ErrorKind};

/// Between tries: doubled from the first up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LAST_WAIT: Duration = Duration::from_secs(30);
/// A connection that lasted as long was a good one.
const SETTLED: Duration = Duration::from_secs(10);
/// Before another try where trying soon cannot help: refused, or not who it must be.
const HOPELESS_WAIT: Duration = Duration::from_secs(60);

/// The time to wait, before jitter.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST_WAIT)
    }

    /// No connection came about.
    pub(super) fn after_failure(&mut self, error: &Error) -> Duration {
        self.later();
        self.unless_hopeless(error)
    }

    /// A connection lasted so long, then broke. A server that takes every connection and drops it
    /// is no better than one that takes none.
    pub(super) fn after_end(&mut self, lasted: Duration, error: &Error) -> Duration {
        match lasted >= SETTLED {
            true => self.0 = FIRST_WAIT,
            false => self.later(),
        }
        self.unless_hopeless(error)
    }

    /// The server said goodbye, and when to come back.
    pub(super) fn after_bye(&mut self, lasted: Duration, after: Duration) -> Duration {
        match lasted >= SETTLED {
            true => self.0 = FIRST_WAIT,
            false => self.later(),
        }
        after.min(HOPELESS_WAIT) + self.0
    }

    fn later(&mut self) {
        self.0 = (self.0 * 2).min(LAST_WAIT);
    }

    fn unless_hopeless(&self, error: &Error) -> Duration {
        match error.kind() {
            ErrorKind::Trust | ErrorKind::Unauthenticated => HOPELESS_WAIT,
            _ => error.retry_after().unwrap_or_default().max(self.0),
        }
    }
}

/// All of it to half more: devices that lost a server together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    let mut byte = [128];
    let _ = SystemRandom::new().fill(&mut byte);
    wait + wait * u32::from(byte[0]) / 512
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "")
    }

    #[test]
    fn waits_double_up_to_half_a_minute_and_start_anew_after_a_good_connection() {
        let mut backoff = Backoff::new();
        let offline = error(ErrorKind::Offline);
        let waits: Vec<_> = (0..9)
            .map(|_| backoff.after_failure(&offline).as_millis())
            .collect();
        assert_eq!(
            waits,
            [400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]
        );
        let short = Duration::from_millis(50);
        assert_eq!(backoff.after_end(short, &offline), LAST_WAIT);
        assert_eq!(backoff.after_end(SETTLED, &offline), FIRST_WAIT);
        assert_eq!(backoff.after_end(short, &offline), FIRST_WAIT * 2);
    }

    #[test]
    fn what_cannot_help_is_tried_once_a_minute() {
        let mut backoff = Backoff::new();
        for kind in [ErrorKind::Trust, ErrorKind::Unauthenticated] {
            assert_eq!(backoff.after_failure(&error(kind)), HOPELESS_WAIT);
            assert_eq!(backoff.after_end(SETTLED, &error(kind)), HOPELESS_WAIT);
        }
    }

    #[test]
    fn a_goodbye_is_respected_but_not_for_ever() {
        let mut backoff = Backoff::new();
        let after = Duration::from_secs(5);
        assert!(backoff.after_bye(SETTLED, after) >= after);
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(backoff.after_bye(SETTLED, year) < HOPELESS_WAIT * 2);
    }

    #[test]
    fn jitter_adds_at_most_half() {
        let wait = Duration::from_secs(10);
        for _ in 0..100 {
            let jittered = jittered(wait);
            assert!(jittered >= wait && jittered < wait + wait / 2);
        }
    }
}
