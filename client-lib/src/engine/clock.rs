//! Whether this machine's clock can be right. Heartbeats and ends of admissions are judged by it.
//!
//! The server says its time at every connection, and could lie. Colleagues' clocks are in their
//! messages, held against the time at which the server took each: so a message read years later
//! still tells how far apart the two were.

use std::collections::BTreeMap;

use plenary_proto::ids::{DeviceId, UnixMillis};

use super::{Engine, Event};

/// Clocks this far apart are no trouble.
const BEARABLE_MS: i64 = 5 * 60 * 1000;
/// Colleagues whose clocks are kept in mind.
const COLLEAGUES: usize = 64;

/// What was heard of other clocks.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// The server's minus this machine's.
    server: i64,
    /// A colleague's minus the server's.
    colleagues: BTreeMap<DeviceId, i64>,
}

/// This machine's clock and the server's are far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockTrouble {
    /// The server's clock minus this machine's, in milliseconds.
    pub server_ahead_ms: i64,
    /// Colleagues whose clocks, by their messages, go with the server's.
    pub with_server: usize,
    /// Colleagues whose clocks go with this machine's.
    pub with_us: usize,
}

impl ClockTrouble {
    /// Whose clock it likely is.
    pub fn is_ours(&self) -> bool {
        self.with_server >= self.with_us
    }
}

impl std::fmt::Display for ClockTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = self.server_ahead_ms.unsigned_abs() / 60_000;
        let apart = match minutes {
            0..120 => format!("{minutes} minutes"),
            120..2_880 => format!("{} hours", minutes / 60),
            _ => format!("{} days", minutes / 1_440),
        };
        let way = match self.server_ahead_ms > 0 {
            true => "behind",
            false => "ahead of",
        };
        write!(f, "this machine's clock is {apart} {way} the server's; ")?;
        let (with, against) = (self.with_server, self.with_us);
        match self.is_ours() {
            true => write!(
                f,
                "{with} colleagues' clocks go with the server's, {against} with this one: set it, or \
                 heartbeats and ends of admissions are judged wrongly"
            ),
            false => write!(
                f,
                "{against} colleagues' clocks go with this one, {with} with the server's: tell its \
                 operator"
            ),
        }
    }
}

impl Clocks {
    /// The server said its time.
    pub(super) fn server(&mut self, theirs: UnixMillis, now: UnixMillis) {
        self.server = difference(theirs, now);
    }

    /// The earlier one of this machine's time and the server's.
    pub(super) fn earlier(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.saturating_add_signed(self.server.min(0)))
    }

    /// A message was made at `theirs` by its sender's clock, and taken at `taken` by the server's.
    pub(super) fn colleague(&mut self, device: DeviceId, theirs: UnixMillis, taken: UnixMillis) {
        if self.colleagues.len() < COLLEAGUES || self.colleagues.contains_key(&device) {
            self.colleagues.insert(device, difference(theirs, taken));
        }
    }

    fn trouble(&self) -> Option<ClockTrouble> {
        if self.server.saturating_abs() <= BEARABLE_MS {
            return None;
        }
        let near = |offset: i64| offset.saturating_abs() <= BEARABLE_MS;
        let colleagues = self.colleagues.values();
        let with_us = |offset: &&i64| near(offset.saturating_add(self.server));
        Some(ClockTrouble {
            server_ahead_ms: self.server,
            with_server: colleagues.clone().filter(|offset| near(**offset)).count(),
            with_us: colleagues.filter(with_us).count(),
        })
    }
}

impl Engine {
    /// What is wrong with the clocks, if something is.
    pub(crate) fn clock_trouble(&self) -> Option<ClockTrouble> {
        self.clocks.trouble()
    }

    /// Tells it, once a connection.
    pub(super) fn tell_clock(&mut self) {
        if let Some(trouble) = self.clocks.trouble() {
            self.event(Event::Clock(trouble));
        }
    }
}

/// `a - b`.
fn difference(a: UnixMillis, b: UnixMillis) -> i64 {
    let whole = i128::from(a.0) - i128::from(b.0);
    i64::try_from(whole).unwrap_or(if whole > 0 { i64::MAX } else { i64::MIN })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn device(n: u8) -> DeviceId {
        DeviceId([n; 16])
    }

    #[test]
    fn colleagues_tell_whose_clock_is_wrong() {
        let mut clocks = Clocks::default();
        clocks.server(NOW.plus(HOUR / 60), NOW);
        assert_eq!(clocks.trouble(), None);
        clocks.server(NOW.plus(3 * HOUR), NOW);
        let alone = clocks.trouble().unwrap();
        assert!(alone.is_ours(), "nobody else was heard");
        assert!(alone.to_string().contains("3 hours behind the server's"));
        // Their messages were made when the server took them: its clock goes with theirs.
        clocks.colleague(device(1), NOW.plus(50), NOW);
        clocks.colleague(device(2), NOW, NOW.plus(900));
        assert_eq!(clocks.trouble().unwrap().with_server, 2);
        // The server is ahead of everybody.
        let mut lying = Clocks::default();
        lying.server(NOW.plus(48 * HOUR), NOW);
        lying.colleague(device(1), NOW, NOW.plus(48 * HOUR));
        let trouble = lying.trouble().unwrap();
        assert_eq!((trouble.with_server, trouble.with_us), (0, 1));
        assert!(trouble.to_string().ends_with("tell its operator"));
    }

    #[test]
    fn no_time_that_a_server_says_overflows() {
        let mut clocks = Clocks::default();
        for (theirs, now) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, NOW.0)] {
            clocks.server(UnixMillis(theirs), UnixMillis(now));
            clocks.colleague(device(1), UnixMillis(theirs), UnixMillis(now));
            assert!(!clocks.trouble().unwrap().to_string().is_empty());
        }
    }
}
