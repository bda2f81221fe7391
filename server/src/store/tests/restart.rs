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
            // A start that found nothing to do left no segment of its own: all but the last have frames.
            let left = segments(&folder.join("journal")).unwrap();
            assert!(left.len() <= 3, "{left:?}");
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
        // What no base needs is gone.
        let left = segments(&killed.path().join("journal")).unwrap();
        assert!(left[0].0 > 20, "{left:?}");
        let kept = left
            .iter()
            .map(|(_, path)| fs::metadata(path).unwrap().len());
        assert!(kept.sum::<u64>() < 40_000, "{left:?}");
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
fn that_its_size_cannot_be_told_does_not_end_a_store() {
    block_on(async {
        let store = Temporary::new();
        fill(&*store).await;
        let blobs = store.dir.path().join("store/sled/blobs");
        fs::remove_dir(&blobs).unwrap();
        let refused = store.size_on_disk();
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        assert_eq!(store.health(), Ok(()));
        fs::create_dir(&blobs).unwrap();
        store.append(last_message()).await.unwrap();
        store.size_on_disk().unwrap();
        store.close().unwrap();
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
    let lose: [fn(&Path); 5] = [
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
    for part in ["journal", "checkpoint"] {
        let copy = tempfile::tempdir().unwrap();
        copy_dir(&closed.path().join("store"), copy.path());
        put_part(&other.path().join("store"), part, copy.path());
        let error = open(copy.path()).err();
        assert!(
            matches!(error, Some(StoreError::Damaged(_))),
            "{part}: {error:?}"
        );
    }
}

fn put_part(from: &Path, part: &str, to: &Path) {
    let (from, to) = (from.join(part), to.join(part));
    if from.is_dir() {
        fs::remove_dir_all(&to).unwrap();
        copy_dir(&from, &to);
    } else {
        fs::copy(from, to).unwrap();
    }
}

#[test]
fn sled_is_made_anew_from_the_journal_and_never_without_it() {
    block_on(async {
        // So small that a base was made and the journal before it dropped.
        let options = StoreOptions {
            segment_bytes: 2_000,
            ..StoreOptions::default()
        };
        let store = Temporary::with(options);
        fill(&*store).await;
        for n in 100..200 {
            let append = message(channel_id(1), 4, n, 1, &[n as u8; 200]);
            store.append(append).await.unwrap();
        }
        let expected = contents(&*store).await.unwrap();
        store.close().unwrap();
        let folder = store.dir.path().join("store");
        let base = |folder: &Path| {
            let bases = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
            bases
                .filter(|entry| entry.file_name().to_string_lossy().starts_with("base-"))
                .map(|entry| entry.path())
                .collect::<Vec<_>>()
        };
        assert_eq!(base(&folder).len(), 1);
        assert!(segments(&folder.join("journal")).unwrap()[0].0 > 1);
        let other = Temporary::new();
        fill(&*other).await;
        other.close().unwrap();
        let other = other.dir.path().join("store");

        let lose: [&dyn Fn(&Path); 4] = [
            &|copy| fs::remove_dir_all(copy.join("sled")).unwrap(),
            &|copy| fs::remove_file(copy.join("sled/db")).unwrap(),
            &|copy| fs::write(copy.join("sled.torn"), b"").unwrap(),
            &|copy| put_part(&other, "sled", copy),
        ];
        for (n, lose) in lose.iter().enumerate() {
            let copy = tempfile::tempdir().unwrap();
            copy_dir(&folder, copy.path());
            lose(copy.path());
            for _ in 0..2 {
                let store = open(copy.path()).unwrap();
                assert_eq!(contents(&store).await.unwrap(), expected, "part {n}");
            }
            assert!(!copy.path().join("sled.torn").exists());

            // Without what it is made from, it is refused as before, and nothing is touched.
            let spoil: [&dyn Fn(&Path); 4] = [
                &|copy| fs::remove_file(copy.join("base")).unwrap(),
                &|copy| fs::remove_dir_all(&base(copy)[0]).unwrap(),
                &|copy| {
                    let segment = segments(&base(copy)[0]).unwrap().remove(0).1;
                    let mut bytes = fs::read(&segment).unwrap();
                    bytes[300] ^= 4;
                    fs::write(segment, bytes).unwrap();
                },
                &|copy| {
                    let first = segments(&copy.join("journal")).unwrap().remove(0).1;
                    fs::remove_file(first).unwrap();
                },
            ];
            for (spoilt, spoil) in spoil.iter().enumerate() {
                let copy = tempfile::tempdir().unwrap();
                copy_dir(&folder, copy.path());
                lose(copy.path());
                spoil(copy.path());
                for _ in 0..2 {
                    let error = open(copy.path()).err();
                    let refused = matches!(
                        error,
                        Some(StoreError::Damaged(_) | StoreError::Unavailable(_))
                    );
                    assert!(refused, "part {n}, spoilt {spoilt}: {error:?}");
                }
            }
        }
    });
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
