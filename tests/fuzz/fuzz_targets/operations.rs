//! Lists of operations on both engines of the store: the same answers, across restarts.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use plenary_core::{
    memory::MemoryStore,
    store::Store,
    store_suite::{channel_id, client_id, commit, device_id, group, message},
};
use plenary_proto::ids::{Epoch, Seq};
use plenary_server::store::{EmbeddedStore, StoreOptions};

/// Operations in one list: a start costs more than all of them.
const MOST: usize = 60;

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let open = || EmbeddedStore::open(folder.path(), StoreOptions::default()).unwrap();
        let mut store = open();
        let memory = MemoryStore::new();
        for step in data.chunks_exact(4).take(MOST) {
            if step[0] % 64 == 63 {
                drop(store);
                store = open();
                continue;
            }
            assert_eq!(
                run(&store, step).await,
                run(&memory, step).await,
                "{step:?}"
            );
        }
        drop(store);
        assert_eq!(all(&open()).await, all(&memory).await);
    });
});

async fn run(store: &impl Store, step: &[u8]) -> String {
    let [kind, a, b, c] = *step else {
        return String::new();
    };
    let channel = channel_id(a % 3);
    let (device, epoch) = (a / 3 % 3, u64::from(a >> 5));
    let bytes = Bytes::from(vec![c; if c == 255 { 17_000 } else { c.into() }]);
    match kind % 8 {
        0 => format!(
            "{:?}",
            store.found(channel, Epoch(epoch), group(c, 9)).await
        ),
        1 | 2 => {
            let append = message(channel, device, b.into(), epoch, &bytes);
            format!("{:?}", store.append(append).await)
        }
        3 => {
            let size = if c % 16 == 15 { 17_000 } else { 9 };
            let welcomes = (0..c % 3).map(|to| (device_id(to), Bytes::from(vec![b; 5])));
            let state = group(b, size);
            let append = commit(channel, device, b.into(), epoch, state, welcomes.collect());
            format!("{:?}", store.append(append).await)
        }
        4 => format!("{:?}", store.trim(channel, Seq(b.into())).await),
        5 => {
            let value = (c % 4 != 0).then_some(bytes);
            let put = store.put_if(Bytes::from(vec![a % 4]), u64::from(b % 8), value);
            format!("{:?}", put.await)
        }
        6 => {
            let queue = Bytes::from(vec![a % 2]);
            match b % 2 {
                0 => format!("{:?}", store.push(queue, bytes).await),
                _ => format!("{:?}", store.pop_one(queue).await),
            }
        }
        _ => {
            let dropped = store.drop_welcome(device_id(device), channel, Seq(b.into()));
            format!("{:?}", dropped.await)
        }
    }
}

async fn all(store: &impl Store) -> String {
    let mut out = format!("{:?}", store.channels().await);
    for n in 0..3 {
        let channel = channel_id(n);
        let state = store.channel(channel).await;
        let trimmed = state.as_ref().ok().and_then(Option::as_ref);
        let after = trimmed.map_or(Seq(0), |state| state.trimmed);
        out += &format!(
            "{state:?}{:?}",
            store.read(channel, after, 999, usize::MAX).await
        );
        for mark in 0..8 {
            out += &format!(
                "{:?}",
                store.find(channel, device_id(0), client_id(mark)).await
            );
        }
        let mut waiting = store.welcomes(device_id(n)).await.unwrap();
        waiting.sort_by_key(|welcome| welcome.channel);
        out += &format!("{waiting:?}{:?}", store.queue_len(&[n]).await);
    }
    out + &format!("{:?}", store.list(b"", None, 999).await)
}
