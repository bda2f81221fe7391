//! Single flipped bits: the right data or a refusal, never less than was acknowledged.

use std::fs;

use plenary_core::store::StoreError;

use super::*;
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

#[test]
fn a_store_with_a_flipped_bit_serves_right_or_not_at_all() {
    block_on(async {
        let store = Temporary::new();
        fill(&*store).await;
        for n in 100..400 {
            let append = message(channel_id(1), 4, n, 1, &[n as u8; 200]);
            store.append(append).await.unwrap();
        }
        let expected = contents(&*store).await.unwrap();
        let killed = store.killed();
        let Temporary { store, dir } = store;
        drop(store);
        let closed = dir.path().join("store");

        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut served = [0, 0];
        for round in 0..90 {
            let copy = tempfile::tempdir().unwrap();
            let kill = round % 3 == 0;
            copy_dir(if kill { killed.path() } else { &closed }, copy.path());
            let file = match round % 9 {
                0 | 3 | 6 => segment(copy.path()),
                1 => copy.path().join("checkpoint"),
                2 => big_file(copy.path()),
                _ => copy.path().join("sled/db"),
            };
            let mut bytes = fs::read(&file).unwrap();
            let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
            let at = written[next(written.len())];
            bytes[at] ^= 1 << next(8);
            fs::write(&file, bytes).unwrap();

            let found = match open_unverified(copy.path()) {
                Ok(store) => contents(&store).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => {
                    served[0] += 1;
                    assert_eq!(found, expected, "{} at {at}", file.display());
                }
                Err(StoreError::Damaged(_)) => served[1] += 1,
                Err(error) => panic!("{} at {at}: {error}", file.display()),
            }
        }
        assert!(served[1] > 40, "{served:?}");
    });
}

/// As a server opens it: records are verified when they are read.
fn open_unverified(folder: &std::path::Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(folder, StoreOptions::default())
}

fn big_file(folder: &std::path::Path) -> std::path::PathBuf {
    let mut all: Vec<_> = fs::read_dir(folder.join("big"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all.swap_remove(0)
}
