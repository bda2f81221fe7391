//! Rates, by hand: `cargo test --release -p plenary-server store::tests::rate -- --ignored --nocapture`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use super::*;

const WAITING: u64 = 256;
const RECORDS: u64 = 300_000;

#[test]
#[ignore = "measures, does not check"]
fn durable_appends_with_256_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::default;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path(), options()).unwrap());
    let text = [7; 512];
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    runtime.block_on(async {
        for n in 0..20 {
            let state = group(1, 20);
            store.found(channel_id(n), Epoch(0), state).await.unwrap();
        }
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..WAITING {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tasks.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= RECORDS {
                        break;
                    }
                    let append = message(channel_id((n % 20) as u8), 1, n, 0, &text);
                    store.append(append).await.unwrap();
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
    let report = |what: &str, begun: Instant| {
        let seconds = begun.elapsed().as_secs_f64();
        println!(
            "{what}: {seconds:.2} s, {:.0} records/s",
            RECORDS as f64 / seconds
        );
    };
    report("append", begun);
    let begun = Instant::now();
    drop(runtime);
    drop(store);
    report("close", begun);
    let begun = Instant::now();
    let store = EmbeddedStore::open(dir.path(), options()).unwrap();
    report("open", begun);
    let begun = Instant::now();
    assert_eq!(store.scrub(), Ok(RECORDS));
    report("scrub", begun);
    let begun = Instant::now();
    assert_eq!(store.scrub(), Ok(RECORDS));
    report("scrub again", begun);
    println!("sled: {} bytes", store.size_on_disk().unwrap());
}
