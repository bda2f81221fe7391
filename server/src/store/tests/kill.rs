//! A real process, really killed at any moment of its work: what it acknowledged is there, once, in
//! order.
//!
//! ```sh
//! TMPDIR=/dev/shm cargo test --release -p plenary-server --lib store::tests::kill -- --ignored --nocapture
//! ```

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use super::{
    trial::{Dice, Trial},
    work::{Acks, Work, check},
};

/// Kills that one folder goes through.
const KILLS: u64 = 25;

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    run(&Trial::slice("kill", 6));
}

#[test]
#[ignore = "minutes: cargo test --release -p plenary-server --lib store::tests::kill -- --ignored"]
fn what_a_thousand_killed_processes_acknowledged_is_there() {
    run(&Trial::long("kill", 1_000, 1_800));
}

fn run(trial: &Trial) {
    let mut dice = Dice::new(trial.seed);
    let (mut cycles, mut acknowledged) = (0, 0);
    while trial.goes_on(cycles) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let mut acks = Acks::default();
        for _ in 0..KILLS {
            if !trial.goes_on(cycles) {
                break;
            }
            let segment = [20_000, 400_000][dice.below(2) as usize];
            let work = Work {
                steps: u64::MAX,
                segment,
            };
            // From before the store is open to far into the work.
            kill_after(&work, &root, dice.below(400));
            acks = Acks::read(&root);
            match check(&root, &acks) {
                Ok(None) => {}
                Ok(Some(error)) => panic!("cycle {cycles}, seed {}: {error}", trial.seed),
                Err(lost) => panic!("cycle {cycles}, seed {}: {lost}", trial.seed),
            }
            cycles += 1;
        }
        acknowledged += acks.appended() as u64;
    }
    trial.report(&[
        ("cycles", cycles),
        ("acknowledged", acknowledged),
        ("lost", 0),
        ("refused", 0),
    ]);
    assert!(acknowledged > 0);
}

/// Starts a process and kills it once it has said so many things.
pub(super) fn kill_after(work: &Work, root: &std::path::Path, lines: u64) {
    let mut child = work.command(root).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..lines {
        let line = said.next().unwrap().unwrap();
        assert!(!line.starts_with("err"), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
