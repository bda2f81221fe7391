//! Short runs every day; long ones by command:
//!
//! ```sh
//! cargo test --release -p plenary-tests --test simulation -- --ignored --nocapture long
//! cargo test --release -p plenary-tests --test simulation -- --ignored --nocapture hundred
//! tests/seeded-bugs.sh
//! ```
//!
//! `PLENARY_SEED=17` plays one seed, `PLENARY_SEEDS=50` so many; `PLENARY_TRIAL_SECONDS` ends a long
//! run early; `PLENARY_TRACE=FILE` keeps the whole trace and writes it there when a seed fails.

use std::{
    panic::catch_unwind,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::run::{Outcome, Plan, play};

/// Seeds of one long run, unless said: one for each core.
const LONG_SEEDS: u64 = 2;

fn small(seed: u64) -> Plan {
    Plan {
        seed,
        clients: 8,
        channels: 4,
        operations: 300,
        faults: 60,
        // Every fourth has a server that lies now and then.
        hostile: seed % 4 == 3,
        keep: true,
        until: None,
    }
}

fn run(plan: Plan) -> Result<Outcome, String> {
    match catch_unwind(|| play(plan)) {
        Ok(outcome) => outcome,
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|&what| what.to_owned()))
            .unwrap_or_else(|| "a panic".to_owned())),
    }
}

/// The outcome; a failure says how to have it again.
fn sound(test: &str, plan: Plan) -> Outcome {
    run(plan).unwrap_or_else(|violation| {
        panic!(
            "seed {}: again with\n  PLENARY_SEED={} cargo test --release -p plenary-tests --test \
             simulation -- --include-ignored --nocapture {test}\n{violation}",
            plan.seed, plan.seed
        )
    })
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    match number("PLENARY_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("PLENARY_SEEDS").unwrap_or(default),
    }
}

/// Both runs of a seed, line by line.
fn twice(test: &str, plan: Plan) -> Outcome {
    let (one, other) = (sound(test, plan), sound(test, plan));
    for (line, again) in one.trace.lines.iter().zip(&other.trace.lines) {
        assert_eq!(line, again, "two runs of seed {}", plan.seed);
    }
    assert_eq!(one.trace.digest(), other.trace.digest());
    one
}

/// On as many threads as there are cores, in no order.
fn spread<T: Send>(seeds: std::ops::Range<u64>, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = std::sync::atomic::AtomicU64::new(seeds.start);
    let one_core = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if seed >= seeds.end {
                return done;
            }
            done.push(work(seed));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(one_core)).collect();
        let done = threads.into_iter().flat_map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        done.collect()
    })
}

fn revision() -> String {
    let git = std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    git.ok()
        .map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    spread(seeds(2), |seed| {
        let one = twice("same_trace", small(seed));
        assert!(one.trace.count > 500, "{}", one.trace.count);
    });
}

#[test]
fn some_seeds_break_nothing() {
    spread(seeds(4), |seed| {
        let outcome = sound("some_seeds", small(seed));
        assert!(outcome.operations >= 300 && outcome.faults >= 60);
        println!(
            "{seed}: {} lines, {:?}, {} shown, {} s simulated, {:?}",
            outcome.trace.count,
            outcome.messages,
            outcome.shown,
            outcome.simulated_ms / 1000,
            outcome.counts
        );
    });
}

#[test]
#[ignore = "minutes: cargo test --release -p plenary-tests --test simulation -- --ignored hundred"]
fn a_hundred_seeds_twice_give_the_same_traces() {
    let start = Instant::now();
    let seeds = seeds(100);
    let lines: u64 = spread(seeds.clone(), |seed| {
        twice("hundred", small(seed)).trace.count
    })
    .into_iter()
    .sum();
    let line = json!({
        "trial": "simulation traces",
        "seeds": seeds.end - seeds.start,
        "lines": lines,
        "differing": 0,
        "seconds": start.elapsed().as_secs(),
        "revision": revision(),
    });
    println!("{line}");
}

#[test]
#[ignore = "20 minutes: cargo test --release -p plenary-tests --test simulation -- --ignored long"]
fn a_long_run_breaks_nothing() {
    let start = Instant::now();
    let seeds = match number("PLENARY_SEED") {
        Some(one) => one..one + 1,
        None => 0..LONG_SEEDS,
    };
    let each = |all: u64| all / LONG_SEEDS;
    let until = number("PLENARY_TRIAL_SECONDS").map(|all| start + Duration::from_secs(all));
    let outcomes = spread(seeds.clone(), |seed| {
        let plan = Plan {
            seed,
            clients: 50,
            channels: 24,
            operations: each(number("PLENARY_OPERATIONS").unwrap_or(200_000)),
            faults: each(number("PLENARY_FAULTS").unwrap_or(10_000)),
            hostile: false,
            keep: false,
            until,
        };
        sound("long", plan)
    });
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let mut counts = std::collections::BTreeMap::new();
    for (what, count) in outcomes.iter().flat_map(|one| &one.counts) {
        *counts.entry(what).or_insert(0) += count;
    }
    let line = json!({
        "trial": "simulation",
        "seeds": seeds.collect::<Vec<_>>(),
        "operations": sum(|one| one.operations),
        "faults": sum(|one| one.faults),
        "violations": 0,
        "said": sum(|one| one.messages[0] as u64),
        "in_logs": sum(|one| one.messages[1] as u64),
        "shown": sum(|one| one.shown),
        "simulated_hours": sum(|one| one.simulated_ms) as f64 / 3_600_000.0,
        "seconds": start.elapsed().as_secs(),
        "by_kind": counts,
        "traces": outcomes.iter().map(|one| one.trace.digest()).collect::<Vec<_>>(),
        "revision": revision(),
    });
    println!("{line}");
}

/// Each bug is caught within some seeds; without one, the same seeds are sound.
#[cfg(plenary_seeded_bugs)]
#[test]
fn seeded_bugs_are_caught() {
    use plenary_core::seeded::{BUGS, plant};
    const SEEDS: u64 = 12;
    for bug in BUGS {
        plant(Some(bug));
        let caught = (0..SEEDS).find_map(|seed| Some((seed, run(small(seed)).err()?)));
        plant(None);
        let (seed, violation) = caught.unwrap_or_else(|| panic!("{bug:?} is not caught"));
        sound("seeded", small(seed));
        let first = violation.lines().next().unwrap_or_default();
        let line = json!({ "seeded": format!("{bug:?}"), "seed": seed, "caught_by": first });
        println!("{line}");
    }
}
