//! Damaged files: flipped bits, lost pages, cut and missing ones. The right data or a refusal, never
//! less than was acknowledged.
//!
//! ```sh
//! TMPDIR=/dev/shm cargo test --release -p plenary-server --lib store::tests::flips -- --ignored --nocapture
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use plenary_core::store::StoreError;

use super::{
    trial::{Dice, Trial},
    *,
};
use crate::store::journal::{Position, scan::scan, segments, tests::frames};

#[test]
fn any_bit_of_the_journal_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, _) = frames(dir.path(), &[20, 40]);
    let path = segments(dir.path()).unwrap().pop().unwrap().1;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let scanned = scan(
            dir.path(),
            [1; 16],
            Position::START,
            |_, _| Ok(()),
            |_| Ok(()),
        );
        let damaged = matches!(scanned, Err(StoreError::Damaged(_)));
        assert!(damaged, "bit {bit}: {scanned:?}");
    }
}

/// What befalls a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Bit,
    ZeroPage,
    Cut,
    Missing,
}

#[test]
fn a_damaged_store_serves_right_or_not_at_all() {
    run(&Trial::slice("damage", 90));
}

#[test]
#[ignore = "minutes: cargo test --release -p plenary-server --lib store::tests::flips -- --ignored"]
fn two_thousand_damaged_stores_serve_right_or_not_at_all() {
    run(&Trial::long("damage", 2_000, 1_800));
}

fn run(trial: &Trial) {
    let folders = block_on(folders());
    let mut dice = Dice::new(trial.seed);
    let (mut done, mut right, mut refused) = (0, 0, 0);
    while trial.goes_on(done) {
        let (folder, expected) = &folders[dice.below(folders.len() as u64) as usize];
        let copy = tempfile::tempdir().unwrap();
        copy_dir(folder.path(), copy.path());
        let mut files = files(copy.path());
        files.sort();
        // Each kind of file as often as another, however many there are of it.
        let kinds = ["sled/db", "sled/", "big/", "journal/", "base-", ""];
        let kind = kinds[dice.below(kinds.len() as u64) as usize];
        files.retain(|file| {
            let name = file.strip_prefix(copy.path()).unwrap().to_string_lossy();
            name.starts_with(kind) && name != "lock"
        });
        if files.is_empty() {
            continue;
        }
        let file = &files[dice.below(files.len() as u64) as usize];
        let damage = [Damage::Bit, Damage::ZeroPage, Damage::Cut, Damage::Missing];
        let damage = damage[dice.below(4) as usize];
        if !spoil(file, damage, &mut dice) {
            continue;
        }
        if dice.one_in(2) {
            // The machine started anew: everything is read at once.
            let _ = fs::remove_file(copy.path().join("boot"));
        }
        let what = format!(
            "{damage:?} of {}, round {done}, seed {}",
            file.display(),
            trial.seed
        );
        match block_on(opened(copy.path())) {
            Ok(found) => {
                assert_eq!(&found, expected, "{what}");
                right += 1;
            }
            Err(StoreError::Damaged(text)) => {
                assert!(
                    text.contains("restore a backup") || text.contains("made anew"),
                    "{text}"
                );
                refused += 1;
                // What refused once is not served the next time, or is right then.
                match block_on(opened(copy.path())) {
                    Ok(found) => assert_eq!(&found, expected, "at the second start: {what}"),
                    Err(StoreError::Damaged(_)) => {}
                    Err(error) => panic!("{what}: {error}"),
                }
            }
            // The file that says which store this is.
            Err(StoreError::Unavailable(text)) if text.contains("no Plenary store") => refused += 1,
            Err(error) => panic!("{what}: {error}"),
        }
        done += 1;
    }
    trial.report(&[
        ("folders", done),
        ("right", right),
        ("refused", refused),
        ("silent", 0),
    ]);
    assert!(right > 0 && refused > 0, "{right} right, {refused} refused");
}

/// As a server opens it: records are verified when they are read.
async fn opened(folder: &Path) -> Result<Contents, StoreError> {
    let store = EmbeddedStore::open(folder, StoreOptions::default())?;
    contents(&store).await
}

/// A store that was killed and the same closed, without a base and with one.
async fn folders() -> Vec<(tempfile::TempDir, Contents)> {
    let mut folders = Vec::new();
    for segment_bytes in [64 << 20, 8_000] {
        let options = StoreOptions {
            segment_bytes,
            ..StoreOptions::default()
        };
        let store = Temporary::with(options);
        fill(&*store).await;
        for n in 100..400 {
            let append = message(channel_id(1), 4, n, 1, &[n as u8; 200]);
            store.append(append).await.unwrap();
        }
        folders.push((store.killed(), contents(&*store).await.unwrap()));
        let expected = contents(&*store).await.unwrap();
        store.close().unwrap();
        folders.push((store.killed(), expected));
    }
    folders
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    files.collect()
}

/// Damages a file; `false` if it has nothing to damage in this way.
fn spoil(file: &Path, damage: Damage, dice: &mut Dice) -> bool {
    let mut bytes = fs::read(file).unwrap();
    let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    if let (Damage::Missing, _) = (damage, &written) {
        fs::remove_file(file).unwrap();
        return true;
    }
    if written.is_empty() {
        return false;
    }
    let at = written[dice.below(written.len() as u64) as usize];
    match damage {
        Damage::Bit => bytes[at] ^= 1 << dice.below(8),
        Damage::ZeroPage => {
            let page = at / 4_096 * 4_096;
            let end = (page + 4_096).min(bytes.len());
            bytes[page..end].fill(0);
        }
        Damage::Cut => bytes.truncate(at),
        Damage::Missing => {}
    }
    fs::write(file, bytes).unwrap();
    true
}
