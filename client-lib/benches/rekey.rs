//! What one revocation costs a client: every channel that holds a leaf of it is re-keyed.
//!
//! `cargo bench -p plenary-client --features simulation --bench rekey`. Building a group of 500 takes
//! 500 entries, so a few groups are built and the work is scaled to 80; `REKEY_DEVICES`,
//! `REKEY_GROUPS` and `REKEY_ROUNDS` change that. Timed by hand and not by criterion: a revocation
//! can be done once.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::time::{Duration, Instant};

use plenary_client::simulation::{Rekey, Rekeyed};

/// Channels that a client may be in.
const CHANNELS: u32 = 80;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name)
        .ok()
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn main() {
    let devices = setting("REKEY_DEVICES", 500);
    let groups = setting("REKEY_GROUPS", 2);
    let rounds = setting("REKEY_ROUNDS", 5);
    let start = Instant::now();
    let mut rekey = Rekey::new(devices, groups);
    println!(
        "{groups} groups of {devices} devices, trees filled, built in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let mut all = Vec::new();
    for round in 0..rounds {
        // Spread over the tree.
        let took = rekey.revoke(5 + round * (devices / (rounds + 2)));
        all.push(took);
    }
    let count = (groups * rounds) as u32;
    let sum = |part: fn(&Rekeyed) -> Duration| all.iter().map(part).sum::<Duration>();
    let statement = sum(|took| took.statement) / rounds as u32;
    let commit = sum(|took| took.commits) / count;
    let back = sum(|took| took.returns) / count;
    let bytes = all.iter().map(|took| took.bytes).sum::<usize>() / count as usize;
    println!(
        "statement verified and stored   {:8.2} ms",
        millis(statement)
    );
    println!(
        "commit made and stored          {:8.2} ms a channel, {bytes} bytes",
        millis(commit)
    );
    println!(
        "commit read back and stored     {:8.2} ms a channel",
        millis(back)
    );
    println!(
        "one revocation in {CHANNELS} channels    {:8.2} s (goal: under 10 s)",
        (statement + (commit + back) * CHANNELS).as_secs_f64()
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
