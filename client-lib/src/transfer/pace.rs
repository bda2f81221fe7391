//! How many transfers run at once: two to begin with, from one to four by what the line shows.
//!
//! While others wait, one more or one fewer is tried for a while. More stay if they carry a tenth
//! more together; fewer stay if they carry as much. Pure: bytes and time come from outside.

use std::time::Duration;

/// To begin with.
const FIRST: usize = 2;
/// At most.
pub(super) const MOST: usize = 4;
/// Between two looks. Long enough for a slow start and a few syncs of a disk.
pub(super) const WINDOW: Duration = Duration::from_secs(5);
/// Windows without a trial after one that changed nothing.
const REST: u32 = 12;

/// How many may run.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    /// What ran before the trial under way, and how many bytes a window it carried.
    trial: Option<(usize, u64)>,
    rest: u32,
    /// Which way the next trial goes.
    up: bool,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            limit: FIRST,
            trial: None,
            rest: 0,
            up: true,
        }
    }
}

impl Pace {
    /// How many may run now.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A window is over: so many bytes were carried by all that ran, and whether as many ran all the
    /// time as may, with others waiting.
    pub(super) fn window(&mut self, bytes: u64, full: bool) {
        if !full {
            // It says nothing of the line. A trial that nobody used is no trial.
            if let Some((before, _)) = self.trial.take() {
                self.limit = before;
            }
            return;
        }
        match self.trial.take() {
            Some((before, carried)) => {
                let more = self.limit > before;
                let worth = if more {
                    bytes > carried.saturating_add(carried / 10)
                } else {
                    bytes >= carried.saturating_sub(carried / 20)
                };
                if !worth {
                    self.limit = before;
                    self.up = !more;
                    self.rest = REST;
                }
            }
            None if self.rest > 0 => self.rest -= 1,
            None => {
                let next = match self.up {
                    true if self.limit < MOST => self.limit + 1,
                    _ if self.limit > 1 => self.limit - 1,
                    _ => self.limit + 1,
                };
                self.trial = Some((self.limit, bytes));
                self.limit = next;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a line for so many windows; where it stands most of the time.
    fn settles(windows: u32, line: impl Fn(usize) -> u64) -> usize {
        let mut pace = Pace::default();
        let mut stood = [0u32; MOST + 1];
        for _ in 0..windows {
            stood[pace.limit()] += 1;
            pace.window(line(pace.limit()), true);
            assert!((1..=MOST).contains(&pace.limit()));
        }
        let most = stood.iter().enumerate().max_by_key(|(_, count)| **count);
        most.unwrap().0
    }

    #[test]
    fn finds_what_the_line_carries() {
        // Each transfer is slow by itself: a long way.
        assert_eq!(settles(200, |n| n as u64 * 1_000), 4);
        // One fills the line.
        assert_eq!(settles(200, |_| 1_000), 1);
        // Two fill it.
        assert_eq!(settles(400, |n| 500 * n.min(2) as u64), 2);
        // A disk that suffers from more than one.
        assert_eq!(settles(200, |n| 1_000 / n as u64), 1);
        assert_eq!(settles(400, |n| [0, 300, 600, 900, 880][n]), 3);
    }

    #[test]
    fn changes_nothing_without_demand() {
        let mut pace = Pace::default();
        for n in 0..100 {
            pace.window(n * 1_000, false);
            assert_eq!(pace.limit(), FIRST);
        }
        pace.window(1_000, true);
        assert_eq!(pace.limit(), 3);
        pace.window(1_000, false);
        assert_eq!(pace.limit(), 2, "the trial showed nothing");
    }
}
