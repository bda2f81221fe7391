//! Many at once: dense positions, one record a mark, one commit an epoch, ordered hints.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use plenary_core::store::{Moved, StoreError};

use super::*;

const TASKS: u64 = 256;
const EACH: u64 = 8;

#[test]
fn two_hundred_and_fifty_six_append_at_once() {
    // Small segments: checkpoints all the time beside everything else.
    let store = Arc::new(Temporary::with(StoreOptions {
        segment_bytes: 100_000,
        ..StoreOptions::default()
    }));
    let heard: Arc<Mutex<Vec<Moved>>> = Arc::default();
    let listener = Arc::clone(&heard);
    store.watch(Box::new(move |moved| {
        listener.lock().unwrap().extend_from_slice(moved)
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        for n in 0..4 {
            let state = group(1, 20);
            store.found(channel_id(n), Epoch(0), state).await.unwrap();
        }
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                let channel = channel_id((task % 4) as u8);
                for n in 0..EACH {
                    let mark = task * 100 + n;
                    let append = message(channel, 1, mark, 0, &mark.to_be_bytes());
                    // A sender in a hurry: the same twice at once.
                    let (one, two) =
                        tokio::join!(store.append(append.clone()), store.append(append));
                    let (one, two) = (one.unwrap(), two.unwrap());
                    assert_eq!(one.head, two.head);
                    assert!(one.repeated != two.repeated);
                    // What is answered can be read, up to a contiguous head.
                    let after = Seq(one.head.seq.0 - 1);
                    let (records, head) = store.read(channel, after, 9, 9_999).await.unwrap();
                    assert_eq!(records[0].hash, one.head.hash);
                    assert!(head.seq >= one.head.seq);
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
    });
    store.close().unwrap();
    let mut hinted: HashMap<_, Vec<Record>> = HashMap::new();
    for moved in heard.lock().unwrap().drain(..) {
        let record = Record::clone(&moved.record);
        hinted.entry(moved.channel).or_default().push(record);
    }
    for n in 0..4 {
        let read = runtime.block_on(store.read(channel_id(n), Seq(0), 10_000, usize::MAX));
        let (records, head) = read.unwrap();
        assert_eq!(head.seq.0, TASKS * EACH / 4);
        assert_eq!(records.len() as u64, head.seq.0);
        assert_eq!(hinted[&channel_id(n)], records);
    }
    let Some(Temporary { store, dir }) = Arc::into_inner(store) else {
        panic!("somebody still holds the store");
    };
    drop(store);
    let folder = dir.path().join("store");
    let again = open(&folder).unwrap();
    for n in 0..4 {
        let read = runtime.block_on(again.read(channel_id(n), Seq(0), 10_000, usize::MAX));
        assert_eq!(read.unwrap().0, hinted[&channel_id(n)]);
        // The marks are rebuilt: a repeat is still one.
        let mark = u64::from(n) * 100;
        let append = message(channel_id(n), 1, mark, 0, &mark.to_be_bytes());
        assert!(runtime.block_on(again.append(append)).unwrap().repeated);
    }
}

#[test]
fn of_many_commits_one_wins_each_epoch() {
    let store = Arc::new(Temporary::new());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let channel = channel_id(1);
        store.found(channel, Epoch(0), group(0, 20)).await.unwrap();
        for epoch in 0..5 {
            let mut tasks = tokio::task::JoinSet::new();
            for task in 0..32u8 {
                let store = Arc::clone(&store);
                let welcomes = vec![(device_id(99), vec![task; 8].into())];
                let append = commit(channel, task, epoch, epoch, group(task, 20), welcomes);
                tasks.spawn(async move { (task, store.append(append).await) });
            }
            let mut winner = None;
            while let Some(ended) = tasks.join_next().await {
                match ended.unwrap() {
                    (task, Ok(appended)) => {
                        assert_eq!(appended.head.seq, Seq(epoch + 1));
                        assert_eq!(winner.replace(task), None);
                    }
                    (_, Err(error)) => {
                        let current = Epoch(epoch + 1);
                        assert_eq!(error, StoreError::WrongEpoch { current });
                    }
                }
            }
            let winner = winner.unwrap();
            let state = store.channel(channel).await.unwrap().unwrap();
            assert_eq!(state.group, group(winner, 20));
            let waiting = store.welcomes(device_id(99)).await.unwrap();
            assert_eq!(waiting[0].bytes, vec![winner; 8]);
        }
    });
}

#[test]
fn readers_never_see_a_torn_state_while_commits_go_on() {
    let store = Arc::new(Temporary::new());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let channel = channel_id(1);
        let size = 20_000;
        store
            .found(channel, Epoch(0), group(0, size))
            .await
            .unwrap();
        let writer = Arc::clone(&store);
        let writer = tokio::spawn(async move {
            for epoch in 0..60 {
                let state = group(epoch as u8 + 1, size);
                let append = commit(channel, 1, epoch, epoch, state, vec![]);
                writer.append(append).await.unwrap();
                writer.trim(channel, Seq(epoch / 2)).await.unwrap();
            }
        });
        while !writer.is_finished() {
            let state = store.channel(channel).await.unwrap().unwrap();
            assert_eq!(state.group, group(state.epoch.0 as u8, size));
            assert_eq!(state.head.seq.0, state.epoch.0);
            match store.read(channel, state.trimmed, 99, usize::MAX).await {
                Ok((records, head)) => {
                    let last = records.last().map(|record| record.seq);
                    assert!(last.is_none() || last == Some(head.seq));
                }
                Err(error) => assert!(matches!(error, StoreError::Trimmed { .. }), "{error}"),
            }
        }
        writer.await.unwrap();
    });
}
