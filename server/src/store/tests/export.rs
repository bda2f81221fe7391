//! An export restores to the same store, also while others write; a broken one to none.

use plenary_core::{
    memory::MemoryStore,
    store::{ChannelState, StoreError, WaitingWelcome},
};

use super::*;

async fn full(store: &impl Store) {
    fill(store).await;
    let append = commit(
        channel_id(1),
        2,
        50,
        1,
        group(8, 30_000),
        vec![
            (device_id(9), vec![3; 30_000].into()),
            (device_id(8), vec![4; 10].into()),
        ],
    );
    store.append(append).await.unwrap();
    let key = || bytes::Bytes::from_static(b"large");
    store
        .put_if(key(), 0, Some(vec![5; 50].into()))
        .await
        .unwrap();
    store
        .put_if(key(), 1, Some(vec![5; 50_000].into()))
        .await
        .unwrap();
    store
        .found(channel_id(3), Epoch(5), group(3, 0))
        .await
        .unwrap();
}

#[test]
fn an_export_restores_to_the_same_store() {
    let store = Temporary::new();
    let mut export = Vec::new();
    let before = block_on(async {
        full(&*store).await;
        contents(&*store).await.unwrap()
    });
    store.export(&mut export).unwrap();
    let folder = store.dir.path().join("restored");
    EmbeddedStore::import(&folder, &mut &export[..]).unwrap();
    let restored = open(&folder).unwrap();
    block_on(async {
        assert_eq!(contents(&restored).await.unwrap(), before);
        let other = restored.welcomes(device_id(8)).await.unwrap();
        assert_eq!(other, store.welcomes(device_id(8)).await.unwrap());
        let empty = restored.channel(channel_id(3)).await.unwrap();
        assert_eq!(empty, store.channel(channel_id(3)).await.unwrap());
        // Both go on alike: marks, versions, queues, chain.
        for store in [&restored, &store.store] {
            let repeat = store.append(message(channel_id(1), 1, 5, 9, b"x")).await;
            assert!(repeat.unwrap().repeated);
            store
                .append(message(channel_id(1), 1, 1, 2, b"x"))
                .await
                .unwrap();
            let popped = store.pop_one(b"queue".as_slice().into()).await.unwrap();
            assert_eq!(popped.unwrap(), vec![1; 10]);
        }
        let (ours, theirs) = (contents(&restored).await, contents(&*store).await);
        assert_eq!(ours, theirs);
    });
    let twice = EmbeddedStore::import(&folder, &mut &export[..]);
    assert!(
        matches!(twice, Err(StoreError::Unavailable(_))),
        "{twice:?}"
    );
}

#[test]
fn an_export_moves_to_another_engine_and_back() {
    let store = Temporary::new();
    let before = block_on(async {
        full(&*store).await;
        // What was trimmed away leaves its hash only.
        store.trim(channel_id(1), Seq(3)).await.unwrap();
        everything(&*store).await
    });
    let mut there = Vec::new();
    store.export(&mut there).unwrap();
    let memory = MemoryStore::import(&mut &there[..]).unwrap();
    assert_eq!(block_on(everything(&memory)), before);
    // It goes on in the other engine, as it would have here.
    let next = || message(channel_id(1), 1, 99, 2, b"next");
    let repeat = || message(channel_id(1), 1, 5, 9, b"x");
    block_on(async {
        for (one, other) in [(next(), next()), (repeat(), repeat())] {
            assert_eq!(memory.append(one).await, store.append(other).await);
        }
    });
    let mut back = Vec::new();
    memory.export(&mut back).unwrap();
    let folder = store.dir.path().join("back");
    EmbeddedStore::import(&folder, &mut &back[..]).unwrap();
    let restored = open(&folder).unwrap();
    block_on(async {
        assert_eq!(everything(&restored).await, everything(&*store).await);
        let queue = || bytes::Bytes::from_static(b"queue");
        let popped = restored.pop_one(queue()).await;
        assert_eq!(popped, store.pop_one(queue()).await);
    });

    let mut flipped = there.clone();
    flipped[there.len() / 2] ^= 1;
    assert!(MemoryStore::import(&mut &flipped[..]).is_err());
    assert!(MemoryStore::import(&mut &there[..there.len() - 1]).is_err());
}

/// Contents, every channel's state, and who is welcome.
type Everything = (
    Contents,
    Vec<Option<ChannelState>>,
    Vec<Vec<WaitingWelcome>>,
);

async fn everything(store: &impl Store) -> Everything {
    let mut channels = Vec::new();
    for channel in store.channels().await.unwrap() {
        channels.push(store.channel(channel).await.unwrap());
    }
    let mut welcomes = Vec::new();
    for device in [8, 9] {
        let mut waiting = store.welcomes(device_id(device)).await.unwrap();
        waiting.sort_by_key(|welcome| welcome.channel);
        welcomes.push(waiting);
    }
    (contents(store).await.unwrap(), channels, welcomes)
}

#[test]
fn a_broken_export_restores_to_nothing() {
    let store = Temporary::new();
    block_on(fill(&*store));
    let mut export = Vec::new();
    store.export(&mut export).unwrap();
    let folder = store.dir.path().join("restored");
    let mut broken = vec![export[..export.len() - 1].to_vec(), export.clone(), vec![]];
    broken[1].push(0);
    for n in 0..9 {
        let mut flipped = export.clone();
        let at = n * (export.len() - 1) / 8;
        flipped[at] ^= 4;
        broken.push(flipped);
        broken.push(export[..at].to_vec());
    }
    for (n, bytes) in broken.iter().enumerate() {
        let refused = EmbeddedStore::import(&folder, &mut &bytes[..]);
        assert!(refused.is_err(), "{n}");
        assert!(!folder.exists(), "{n}");
    }
    EmbeddedStore::import(&folder, &mut &export[..]).unwrap();
}

#[test]
fn an_export_beside_writers_and_a_trim_is_one_that_restores() {
    let store = std::sync::Arc::new(Temporary::new());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let channel = channel_id(1);
    runtime.block_on(async {
        fill(&**store).await;
        let writer = std::sync::Arc::clone(&store);
        let writing = tokio::spawn(async move {
            for n in 100..400 {
                writer
                    .append(message(channel, 5, n, 1, &[1; 99]))
                    .await
                    .unwrap();
                writer.trim(channel, Seq((n - 90) / 4)).await.unwrap();
                writer
                    .push(b"queue".as_slice().into(), vec![1; 9].into())
                    .await
                    .unwrap();
                writer.pop_one(b"queue".as_slice().into()).await.unwrap();
            }
        });
        for n in 0..4 {
            let exporter = std::sync::Arc::clone(&store);
            let folder = store.dir.path().join(format!("restored {n}"));
            let export = tokio::task::spawn_blocking(move || {
                let mut export = Vec::new();
                exporter.export(&mut export).unwrap();
                EmbeddedStore::import(&folder, &mut &export[..]).unwrap();
                open(&folder).unwrap()
            });
            let restored = export.await.unwrap();
            let found = contents(&restored).await.unwrap();
            let (records, head) = &found.log;
            assert_eq!(records.last().unwrap().hash, head.hash);
            assert!(found.queue >= 3);
        }
        writing.await.unwrap();
    });
}

#[test]
fn the_bytes_of_an_export_stay_as_they_are() {
    let store = Temporary::new();
    let mut export = Vec::new();
    block_on(async {
        let key = || bytes::Bytes::from_static(b"key");
        store
            .put_if(key(), 0, Some(b"value".as_slice().into()))
            .await
            .unwrap();
        store.push(key(), b"entry".as_slice().into()).await.unwrap();
    });
    store.export(&mut export).unwrap();
    let body = b"plenary export\0\x01\
        \x04\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x03key\0\0\0\0\0\0\0\x05value\
        \x05\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0\x03key\0\0\0\0\0\0\0\x05entry";
    let end = [
        &[0, 0, 0, 0, 0, 0, 0, 0, 32],
        &blake3::hash(body).as_bytes()[..],
    ]
    .concat();
    assert_eq!(export, [&body[..], &end].concat());
}
