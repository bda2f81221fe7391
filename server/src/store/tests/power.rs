//! Power losses: a real process works, everything that reaches the disk is written down, and the
//! store is opened on what a loss at any moment could have left.
//!
//! ```sh
//! TMPDIR=/dev/shm cargo test --release -p plenary-server --lib store::tests::power -- --ignored --nocapture
//! ```

use std::{path::Path, process::Stdio};

use super::{
    disk::{LOSSES, Moment, Recorded, watch},
    trial::{Dice, Trial},
    work::{Acks, Work, check},
};

/// Moments looked at in one recording, all in the order in which they came.
const MOMENTS: u64 = 40;

#[derive(Default)]
struct Counts {
    states: u64,
    recordings: u64,
    refused: u64,
    /// Had sled made anew.
    mended: u64,
    acknowledged: u64,
}

#[test]
fn what_was_acknowledged_outlives_a_power_loss() {
    run(&Trial::slice("power", 30));
}

#[test]
#[ignore = "minutes: cargo test --release -p plenary-server --lib store::tests::power -- --ignored"]
fn what_was_acknowledged_outlives_two_thousand_power_losses() {
    run(&Trial::long("power", 2_000, 1_800));
}

fn run(trial: &Trial) {
    let mut dice = Dice::new(trial.seed);
    let mut counts = Counts::default();
    // Where the next process begins: nothing, or what an earlier loss left.
    let mut base = tempfile::tempdir().unwrap();
    while trial.goes_on(counts.states) {
        let left = trial.count - counts.states;
        let Some(next) = record(base.path(), &mut dice, left.min(MOMENTS), &mut counts) else {
            return;
        };
        base = if dice.one_in(3) {
            tempfile::tempdir().unwrap()
        } else {
            next
        };
    }
    trial.report(&[
        ("states", counts.states),
        ("recordings", counts.recordings),
        ("acknowledged", counts.acknowledged),
        ("lost", 0),
        ("mended", counts.mended),
        ("refused", counts.refused),
    ]);
    assert_eq!(counts.refused, 0, "refused what a power loss left");
}

/// One process, and `moments` losses of it. Returns what one of them left.
fn record(
    base: &Path,
    dice: &mut Dice,
    moments: u64,
    counts: &mut Counts,
) -> Option<tempfile::TempDir> {
    let root = base.canonicalize().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    // Checkpoints all the time, or so few that sled reuses its space between two.
    let (segment, steps) = [(40_000, 80), (400_000, 250), (8 << 20, 700)][dice.below(3) as usize];
    let mut command = Work { steps, segment }.command(&root);
    if !watch(&mut command, &root, log.path(), None) {
        return None;
    }
    let mut moment = Moment::before(&root);
    let ended = command.stdout(Stdio::null()).status().unwrap();
    assert!(ended.success(), "the process that works failed");
    let recorded = Recorded::read(log.path());
    let mut cuts: Vec<_> = (0..moments)
        .map(|_| dice.below(recorded.len() as u64 + 1) as usize)
        .collect();
    cuts.sort_unstable();
    let chained = dice.below(moments) as usize;
    let (mut at, mut next) = (0, tempfile::tempdir().unwrap());
    for (n, cut) in cuts.into_iter().enumerate() {
        moment.follow(&recorded, at..cut);
        at = cut;
        let loss = LOSSES[dice.below(LOSSES.len() as u64) as usize];
        let left = tempfile::tempdir().unwrap();
        let mut dice = Dice::new(dice.next());
        moment.lose(loss, &mut dice, left.path());
        if n == chained {
            next = tempfile::tempdir().unwrap();
            super::copy_dir(left.path(), next.path());
        }
        let acks = Acks::read(left.path());
        counts.acknowledged += acks.appended() as u64;
        let what = format!(
            "{loss:?} after change {cut} of {}, segments of {segment}",
            recorded.len()
        );
        match check(left.path(), &acks) {
            Ok(None) => {
                counts.mended += u64::from(left.path().join("store/sled.old").exists());
                twice(left.path(), &acks, &what);
            }
            Ok(Some(error)) => {
                println!("refused: {error} ({what})");
                counts.refused += 1;
            }
            Err(lost) => panic!("{lost}: {what}"),
        }
        counts.states += 1;
    }
    counts.recordings += 1;
    Some(next)
}

/// A start that succeeded changed nothing that the next one needs.
fn twice(root: &Path, acks: &Acks, what: &str) {
    match check(root, acks) {
        Ok(None) => {}
        Ok(Some(error)) => panic!("{error}: at the second start, {what}"),
        Err(lost) => panic!("{lost}: at the second start, {what}"),
    }
}
