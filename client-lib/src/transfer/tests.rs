//! Whole transfers over real TLS against an item server that fails where it is told to.

use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use futures_util::StreamExt;
use plenary_proto::{limits::CREDIT_CHUNKS, reply::Reply};

use super::{
    State,
    testing::{Faults, World},
};
use crate::error::ErrorKind;

/// Twelve chunks of a mebibyte.
const LARGE: usize = 11_700_000;
/// Sixteen small chunks.
const SMALL: usize = 1_000_000;

#[tokio::test]
async fn files_of_many_sizes_arrive_whole() {
    for size in [0, 1, 65_504, 65_505, SMALL, LARGE] {
        World::new(Faults::default()).await.both_ways(size).await;
    }
}

#[tokio::test]
async fn a_lost_line_is_taken_up_from_what_is_durable() {
    // Over upload and download: at the reservation, amid the chunks, at the commit, amid the ranges.
    let faults = Faults {
        cut: vec![0, 5, 6, 20, 22, 30, 31],
        ..Faults::default()
    };
    let world = World::new(faults).await;
    world.both_ways(SMALL).await;
    assert!(world.requests.load(SeqCst) > 40);
    let chunks = 16;
    let puts = world.puts.load(SeqCst);
    assert_eq!(puts, chunks, "a durable chunk is not put again");
}

#[tokio::test]
async fn answers_may_come_in_any_order_and_eight_are_in_flight() {
    let world = World::new(Faults {
        // The last of 16 chunks come alone: the count must divide them.
        shuffle: CREDIT_CHUNKS - 1,
        ..Faults::default()
    })
    .await;
    world.both_ways(SMALL).await;
    assert_eq!(world.most.load(SeqCst), CREDIT_CHUNKS);
}

#[tokio::test]
async fn a_refusal_ends_it_and_the_same_call_goes_on() {
    for refused in [0, 7] {
        let world = World::new(Faults {
            refuse: vec![refused],
            ..Faults::default()
        })
        .await;
        let source = world.file(SMALL);
        let mut upload = world.upload(&source);
        let error = world.put(&upload).finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Quota);
        assert!(error.to_string().contains("over the quota"), "{error}");
        upload.again = upload.journal.exists();
        assert_eq!(upload.again, refused > 0);
        let manifest = world.put(&upload).finish().await.unwrap();
        world.get(&manifest).finish().await.unwrap();
    }
}

#[tokio::test]
async fn no_right_no_connection() {
    let world = World::new(Faults::default()).await;
    world.door.shut.store(true, SeqCst);
    let source = world.file(SMALL);
    let upload = world.upload(&source);
    let error = world.put(&upload).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAllowed);
    assert!(!upload.journal.exists(), "nothing was sealed");
}

#[tokio::test]
async fn a_stopped_transfer_leaves_no_name_and_is_taken_up() {
    let world = World::new(Faults::default()).await;
    let source = world.file(LARGE);
    let mut upload = world.upload(&source);
    let mut transfer = world.put(&upload);
    while transfer.moved().await.unwrap().done < 3 << 20 {}
    drop(transfer);
    upload.again = true;
    let manifest = world.put(&upload).finish().await.unwrap();
    let puts = world.puts.load(SeqCst);
    assert!(puts < 12 + CREDIT_CHUNKS + 4, "{puts}: not from the start");

    let mut transfer = world.get(&manifest);
    while transfer.moved().await.unwrap().done < 3 << 20 {}
    drop(transfer);
    assert!(!world.folder.path().join("in/evidence.bin").exists());
    let mut transfer = world.get(&manifest);
    let begun = transfer.moved().await.unwrap();
    assert!(begun.done >= 2 << 20, "{begun:?}: not from the start");
    let target = transfer.finish().await.unwrap();
    assert!(std::fs::read(target).unwrap() == std::fs::read(source).unwrap());
}

#[tokio::test]
async fn a_file_changed_between_tries_is_refused() {
    let world = World::new(Faults {
        refuse: vec![9],
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let mut upload = world.upload(&source);
    world.put(&upload).finish().await.unwrap_err();
    let mut bytes = std::fs::read(&source).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
    std::fs::write(&source, bytes).unwrap();
    upload.again = true;
    let error = world.put(&upload).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}

#[tokio::test]
async fn without_its_journal_an_upload_is_not_taken_up() {
    let world = World::new(Faults {
        refuse: vec![9],
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let mut upload = world.upload(&source);
    world.put(&upload).finish().await.unwrap_err();
    std::fs::remove_file(&upload.journal).unwrap();
    for again in [true, false] {
        upload.again = again;
        world.put(&upload).finish().await.unwrap_err();
        assert!(!upload.journal.exists(), "nothing was sealed anew");
    }
}

#[tokio::test]
async fn altered_chunks_are_refused_and_no_file_appears() {
    let world = World::new(Faults {
        corrupt: true,
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let manifest = world.put(&world.upload(&source)).finish().await.unwrap();
    let error = world.get(&manifest).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(!world.folder.path().join("in/evidence.bin").exists());
}

#[tokio::test]
async fn progress_ends_at_the_total() {
    let world = World::new(Faults::default()).await;
    let source = world.file(LARGE);
    let mut transfer = world.put(&world.upload(&source));
    let mut before = transfer.progress();
    assert_eq!((before.done, before.total), (0, LARGE as u64));
    while let Some(now) = transfer.moved().await {
        assert!(now.done >= before.done && now.done <= now.total);
        before = now;
    }
    assert_eq!(before.done, before.total);
    assert!(before.speed > 0);
}

#[tokio::test]
async fn a_server_that_lies_about_an_item_is_not_believed() {
    let uploads: [fn(Reply) -> Reply; 4] = [
        |_| Reply::Done,
        |reply| match reply {
            Reply::ItemState {
                size,
                durable,
                committed,
                ..
            } => Reply::ItemState {
                size,
                chunk: 1 << 20,
                durable,
                committed,
            },
            other => other,
        },
        |reply| match reply {
            Reply::ItemState {
                size,
                chunk,
                committed,
                ..
            } => Reply::ItemState {
                size,
                chunk,
                durable: Bytes::new(),
                committed,
            },
            other => other,
        },
        // Of an item whose id nobody else can know.
        |reply| match reply {
            Reply::ItemState {
                size,
                chunk,
                durable,
                committed,
            } => Reply::ItemState {
                size,
                chunk,
                durable: vec![255; durable.len()].into(),
                committed,
            },
            other => other,
        },
    ];
    for lie in uploads {
        let world = World::new(Faults {
            lie: Some(lie),
            ..Faults::default()
        })
        .await;
        let source = world.file(SMALL);
        let upload = world.upload(&source);
        let error = world.put(&upload).finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
        assert!(!upload.journal.exists(), "nothing was sealed");
    }
    let downloads: [fn(Reply) -> Reply; 3] = [
        |reply| match reply {
            Reply::ItemRange { offset, bytes } => Reply::ItemRange {
                offset: offset + 1,
                bytes,
            },
            other => other,
        },
        |reply| match reply {
            Reply::ItemRange { offset, bytes } => Reply::ItemRange {
                offset,
                bytes: bytes.slice(1..),
            },
            other => other,
        },
        |reply| match reply {
            Reply::ItemRange { .. } => Reply::Done,
            other => other,
        },
    ];
    for lie in downloads {
        let world = World::new(Faults {
            lie: Some(lie),
            ..Faults::default()
        })
        .await;
        let source = world.file(SMALL);
        let manifest = world.put(&world.upload(&source)).finish().await.unwrap();
        let error = world.get(&manifest).finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    }
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_transfer() {
    let world = World::new(Faults {
        twice: true,
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let error = world
        .put(&world.upload(&source))
        .finish()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}

#[tokio::test]
async fn a_paused_transfer_gives_up_its_line_and_goes_on_later() {
    let world = World::new(Faults::default()).await;
    world.desk.set_rate(Some(6 << 20));
    let source = world.file(LARGE);
    let upload = world.upload(&source);
    let mut up = world.put(&upload);
    while up.moved().await.unwrap().done < 2 << 20 {}
    up.pause();
    while up.progress().state != State::Paused {
        up.moved().await.unwrap();
    }
    let stood = world.puts.load(SeqCst);
    up.resume();
    world.desk.set_rate(None);
    let updates: Vec<_> = up.updates().collect().await;
    let manifest = up.finish().await.unwrap();
    assert!(updates.iter().all(|progress| progress.done >= 1 << 20));
    assert_eq!(updates.last().unwrap().done, manifest.size());
    assert!(stood < 12, "{stood}: the rate is kept");
    let again = world.puts.load(SeqCst);
    assert!(again <= 12 + CREDIT_CHUNKS, "{again}: not from the start");

    let mut down = world.get(&manifest);
    down.pause();
    while down.progress().state != State::Paused {
        down.moved().await.unwrap();
    }
    down.resume();
    let target = down.finish().await.unwrap();
    assert!(std::fs::read(target).unwrap() == std::fs::read(source).unwrap());
}
