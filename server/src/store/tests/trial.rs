//! Long runs by command: how much of them, from which seed, and the line that says how they went.
//!
//! | variable | |
//! |---|---|
//! | `PLENARY_TRIAL_SEED` | where the dice begin; the clock's by default |
//! | `PLENARY_TRIAL_COUNT` | how many states, cycles or folders |
//! | `PLENARY_TRIAL_SECONDS` | after which time to stop, done or not |

use std::{
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Seed, count and time of one run.
pub(super) struct Trial {
    name: &'static str,
    pub seed: u64,
    pub count: u64,
    begun: Instant,
    limit: Duration,
}

impl Trial {
    /// The everyday slice: always the same.
    pub fn slice(name: &'static str, count: u64) -> Self {
        Self {
            name,
            seed: 1,
            count,
            begun: Instant::now(),
            limit: Duration::MAX,
        }
    }

    /// By command; `count` and `seconds` unless the environment says otherwise.
    pub fn long(name: &'static str, count: u64, seconds: u64) -> Self {
        let told = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} is no number")),
            )
        };
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = told("PLENARY_TRIAL_SECONDS").unwrap_or(seconds);
        Self {
            seed: told("PLENARY_TRIAL_SEED").unwrap_or(clock.as_secs()),
            count: told("PLENARY_TRIAL_COUNT").unwrap_or(count),
            limit: Duration::from_secs(seconds),
            ..Self::slice(name, 0)
        }
    }

    /// Whether there is time left for one more after `done`.
    pub fn goes_on(&self, done: u64) -> bool {
        done < self.count && self.begun.elapsed() < self.limit
    }

    /// One line of JSON: how it went.
    pub fn report(&self, counts: &[(&str, u64)]) {
        let mut line = serde_json::json!({
            "run": self.name,
            "seed": self.seed,
            "seconds": self.begun.elapsed().as_secs(),
            "revision": revision(),
        });
        for (name, count) in counts {
            line[name] = (*count).into();
        }
        println!("{line}");
    }
}

fn revision() -> Option<String> {
    let args = ["describe", "--always", "--dirty", "--abbrev=12"];
    let told = Command::new("git").args(args).output().ok()?;
    Some(String::from_utf8(told.stdout).ok()?.trim().to_owned())
}

/// Numbers that depend on the seed alone (splitmix64).
#[derive(Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
