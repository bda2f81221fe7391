//! What one revocation costs a client: every channel that holds a leaf of it is re-keyed.
//!
//! `cargo bench -p plenary-client --features simulation --bench rekey`. Building a group of 500 takes
//! 500 entries, so a few groups are built and the work is scaled to 80; `REKEY_DEVICES`,
//! `REKEY_GROUPS` and `REKEY_ROUNDS` change that. Timed by hand and not by criterion: a revocation
//! can be done once.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::time::{Duration, Instant};

use plenary_client::simulation::{Rekey, Rekeyed, Spent};

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
    let per = |part: fn(&Rekeyed) -> Spent, count: usize| {
        let sum = |time: fn(&Spent) -> Duration| {
            all.iter()
                .map(part)
                .map(|spent| time(&spent))
                .sum::<Duration>()
                / count as u32
        };
        (sum(|spent| spent.cpu), sum(|spent| spent.wall))
    };
    let count = groups * rounds;
    let statement = per(|took| took.statement, rounds);
    let commit = per(|took| took.commits, count);
    let back = per(|took| took.returns, count);
    let bytes = all.iter().map(|took| took.bytes).sum::<usize>() / count;
    println!("                                    CPU ms   wall ms");
    for (what, spent) in [
        ("statement verified and stored", statement),
        ("commit made and stored, a channel", commit),
        ("commit read back and stored", back),
    ] {
        println!(
            "{what:<33} {:8.2}  {:8.2}",
            millis(spent.0),
            millis(spent.1)
        );
    }
    let whole = |pick: fn((Duration, Duration)) -> Duration| {
        (pick(statement) + (pick(commit) + pick(back)) * CHANNELS).as_secs_f64()
    };
    println!(
        "one revocation in {CHANNELS} channels: {:.2} s of the processor, {:.2} s by the wall, commits of \
         {bytes} bytes (goal: under 10 s)",
        whole(|spent| spent.0),
        whole(|spent| spent.1)
    );
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
