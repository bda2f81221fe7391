//! What a client costs by the size of what it is in: its own work alone, the server's part left out.
//!
//! ```sh
//! cargo bench -p plenary-client --features simulation --bench engine -- message   # all, if none is named
//! ```
//!
//! | case | what | settings |
//! |---|---|---|
//! | `message` | sealed, acknowledged, opened, each stored and synced; entering; another's commit | `ENGINE_SIZES=10,100,300,1000` |
//! | `search` | 100,000 stored messages | `PLENARY_CORPUS=FILE`: real texts, JSON lines with `text`; else made ones |
//! | `start` | a client in many channels: time, resident memory | `START_DEVICES=300`, `START_CHANNELS=80`; `START_PROFILE=DIR` keeps the profile, which takes minutes to fill |
//! | `add` | devices added to a closed channel in the owner's batches | `ADD_DEVICES=1000`; `ADD_READERS=20` of them read |
//!
//! By the wall, and of the processor (all threads of the process, which does nothing else meanwhile).
//! Profiles lie in the system's folder for temporary files.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench prints what it measured, and one that does not work must stop"
)]

mod add;
mod message;
mod search;
mod start;

use std::time::Duration;

use plenary_client::simulation::Spent;

const CASES: [(&str, fn()); 4] = [
    ("message", message::run),
    ("search", search::run),
    ("start", start::run),
    ("add", add::run),
];

fn main() {
    let words: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    if words.first().is_some_and(|word| word == start::CHILD) {
        return start::child(&words[1..]);
    }
    for word in &words {
        assert!(
            CASES.iter().any(|(name, _)| name == word),
            "no case {word:?}: message, search, start, add"
        );
    }
    for (name, run) in CASES {
        if words.is_empty() || words.iter().any(|word| word == name) {
            run();
        }
    }
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Median and 95th percentile by the wall, and the mean of the processor's time, which its clock is too
/// coarse for otherwise.
fn told(all: &mut [Spent]) -> String {
    all.sort_unstable_by_key(|one| one.wall);
    let at = |part: usize| millis(all[(all.len() - 1) * part / 100].wall);
    let cpu = all.iter().map(|one| one.cpu).sum::<Duration>() / all.len() as u32;
    format!(
        "{:8.3} ms (p95 {:.3}); processor {:.3} ms",
        at(50),
        at(95),
        millis(cpu)
    )
}

/// Resident memory of this process in MiB: now, and at most.
fn memory() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}
