//! What was acknowledged is there after a restart, after many, and after the disk failed.

use std::{fs, path::Path};

use plenary_core::store::StoreError;

use super::*;
use crate::store::journal::{segments, tests::Fail};

#[test]
fn everything_is_there_after_a_close_and_after_a_kill() {
    block_on(async {
        let store = Temporary::new();
        fill(&*store).await;
        let before = contents(&*store).await.unwrap();
        let killed = store.killed();
        store.close().unwrap();
        let refused = store.append(last_message()).await;
        assert_eq!(
            refused,
            Err(StoreError::Unavailable("the store is closed".into()))
        );
        let Temporary { store, dir } = store;
        drop(store);
        for folder in [killed.path(), &dir.path().join("store")] {
            for _ in 0..3 {
                let store = open(folder).unwrap();
                assert_eq!(contents(&store).await.unwrap(), before);
                assert_eq!(store.scrub(), Ok(5));
            }
            // Every start and stop left one segment, and it is empty.
            let left = segments(&folder.join("journal")).unwrap();
            assert_eq!(left.len(), 1);
            let store = open(folder).unwrap();
            let appended = store.append(last_message()).await.unwrap();
            assert_eq!(appended.head.seq, Seq(8));
        }
    });
}

#[test]
fn small_segments_are_checkpointed_away_and_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        segment_bytes: 2_000,
        ..StoreOptions::default()
    };
    block_on(async {
        let channel = channel_id(1);
        let store = EmbeddedStore::open(dir.path(), options.clone()).unwrap();
        store.found(channel, Epoch(0), group(1, 20)).await.unwrap();
        for n in 1..=60 {
            let append = message(channel, 1, n, 0, &[n as u8; 300]);
            store.append(append).await.unwrap();
        }
        // A kill at any of these moments: before, within and after checkpoints.
        let killed = tempfile::tempdir().unwrap();
        let _ = store.close();
        copy_dir(dir.path(), killed.path());
        let store = open(killed.path()).unwrap();
        let (records, _) = store.read(channel, Seq(0), 99, usize::MAX).await.unwrap();
        assert_eq!(records.len(), 60);
        let left = segments(&killed.path().join("journal")).unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].0 > 60, "{left:?}");
    });
}

#[test]
fn a_full_disk_fails_what_it_must_and_no_more() {
    let store = Temporary::new();
    block_on(async {
        fill(&*store).await;
        let before = contents(&*store).await.unwrap();
        let files = || {
            fs::read_dir(store.dir.path().join("store/big"))
                .unwrap()
                .count()
        };
        let kept = files();
        for part in [0, 100, usize::MAX] {
            *store.faults.lock().unwrap() = Some(Fail::Write(part));
            let mut append = last_message();
            append.bytes = vec![9; 40_000].into();
            let refused = store.append(append).await;
            assert!(matches!(refused, Err(StoreError::Unavailable(_))));
            assert_eq!(contents(&*store).await.unwrap(), before);
            assert_eq!(files(), kept, "content of the failed append stays");
            assert_eq!(store.health(), Ok(()));
        }
        *store.faults.lock().unwrap() = None;
        let appended = store.append(last_message()).await.unwrap();
        assert!(!appended.repeated);
        let after = contents(&*store).await.unwrap();
        let killed = store.killed();
        let again = open(killed.path()).unwrap();
        assert_eq!(contents(&again).await.unwrap(), after);
    });
}

#[test]
fn a_segment_that_cannot_be_started_leaves_the_old_one_in_use() {
    let store = Temporary::with(StoreOptions {
        segment_bytes: 1_000,
        ..StoreOptions::default()
    });
    block_on(async {
        *store.faults.lock().unwrap() = Some(Fail::Rotate);
        fill(&*store).await;
        let before = contents(&*store).await.unwrap();
        let killed = store.killed();
        let again = open(killed.path()).unwrap();
        assert_eq!(contents(&again).await.unwrap(), before);
        *store.faults.lock().unwrap() = None;
        store.append(last_message()).await.unwrap();
        assert_eq!(store.close(), Ok(()));
    });
}

#[test]
fn after_a_failed_sync_nothing_is_taken_until_a_restart() {
    let store = Temporary::new();
    block_on(async {
        fill(&*store).await;
        let before = contents(&*store).await.unwrap();
        *store.faults.lock().unwrap() = Some(Fail::Sync);
        let refused = store.append(last_message()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        *store.faults.lock().unwrap() = None;
        let still = store.push(bytes::Bytes::new(), bytes::Bytes::new()).await;
        assert_eq!(still, Err(refused.unwrap_err()));
        assert_eq!(store.health(), still);
        // Reading goes on, of what was acknowledged.
        assert_eq!(contents(&*store).await.unwrap(), before);
        let killed = store.killed();
        assert_eq!(store.close(), still);
        let again = open(killed.path()).unwrap();
        let repeated = again.append(last_message()).await.unwrap();
        assert_eq!(repeated.head.seq, Seq(8));
        let log = again.read(channel_id(1), Seq(7), 9, 999).await.unwrap();
        assert_eq!(log.0.len(), 1);
    });
}

#[test]
fn a_second_server_is_refused() {
    let store = Temporary::new();
    let error = open(&store.dir.path().join("store")).err().unwrap();
    assert!(
        error.to_string().contains("another server holds"),
        "{error}"
    );
}

#[test]
fn a_lost_part_is_damage_and_never_an_empty_start() {
    let store = Temporary::new();
    block_on(fill(&*store));
    let closed = {
        let Temporary { store, dir } = store;
        drop(store);
        dir
    };
    let lose: [fn(&Path); 6] = [
        |folder| fs::remove_dir_all(folder.join("sled")).unwrap(),
        |folder| fs::remove_dir_all(folder.join("journal")).unwrap(),
        |folder| fs::remove_dir_all(folder.join("big")).unwrap(),
        |folder| fs::remove_file(folder.join("checkpoint")).unwrap(),
        |folder| fs::remove_file(segment(folder)).unwrap(),
        |folder| {
            let big = fs::read_dir(folder.join("big")).unwrap().next();
            fs::remove_file(big.unwrap().unwrap().path()).unwrap();
        },
    ];
    for (n, lose) in lose.iter().enumerate() {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&closed.path().join("store"), copy.path());
        lose(copy.path());
        for _ in 0..2 {
            let error = open(copy.path()).err();
            assert!(
                matches!(error, Some(StoreError::Damaged(_))),
                "part {n}: {error:?}"
            );
        }
    }
    // Parts of another store are no parts.
    let other = Temporary::new();
    block_on(fill(&*other));
    let other = {
        let Temporary { store, dir } = other;
        drop(store);
        dir
    };
    for part in ["sled", "journal", "checkpoint"] {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&closed.path().join("store"), copy.path());
        let (from, to) = (
            other.path().join("store").join(part),
            copy.path().join(part),
        );
        if from.is_dir() {
            fs::remove_dir_all(&to).unwrap();
            copy_dir(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
        let error = open(copy.path()).err();
        assert!(
            matches!(error, Some(StoreError::Damaged(_))),
            "{part}: {error:?}"
        );
    }
}

#[test]
fn a_making_that_was_cut_off_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    {
        // As far as the identity, and some of the rest.
        let _folder = crate::store::folder::Folder::open(dir.path()).unwrap();
        fs::create_dir(dir.path().join("journal")).unwrap();
        fs::write(dir.path().join("journal/0000000000000001.journal"), "half").unwrap();
    }
    let store = open(dir.path()).unwrap();
    block_on(fill(&store));
}
