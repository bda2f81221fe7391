//! Rates and the time of a start, by command; a million records unless `PLENARY_TRIAL_COUNT` says less:
//!
//! ```sh
//! cargo test --release -p plenary-server --lib store::tests::rate -- --ignored --nocapture
//! ```

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::{trial::Trial, *};

const WAITING: u64 = 256;
/// What the last start may take.
const START: Duration = Duration::from_secs(2);

#[test]
#[ignore = "a minute: cargo test --release -p plenary-server --lib store::tests::rate -- --ignored"]
fn a_start_with_a_million_records_takes_two_seconds() {
    let trial = Trial::long("start", 1_000_000, 1_800);
    let records = trial.count;
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions::default;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path(), options()).unwrap());
    let text = [7; 512];
    let next = Arc::new(AtomicU64::new(0));
    let appended = timed(|| {
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
                        if n >= records {
                            break;
                        }
                        let append = message(channel_id((n % 20) as u8), 1, n, 0, &text);
                        store.append(append).await.unwrap();
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
        });
    });
    // What a kill leaves, and what a power loss: then every record is read.
    let killed = super::copy_in_use(dir.path());
    drop(runtime);
    let closed = timed(|| drop(store));
    let start = |folder: &std::path::Path| {
        let mut store = None;
        let time = timed(|| store = Some(EmbeddedStore::open(folder, options()).unwrap()));
        (time, store.unwrap())
    };
    let before = cpu_ms();
    let (after_close, store) = start(dir.path());
    let start_cpu = cpu_ms() - before;
    let scrubbed = timed(|| assert_eq!(store.scrub(), Ok(records)));
    let on_disk = store.size_on_disk().unwrap();
    drop(store);
    fs::remove_file(dir.path().join("boot")).unwrap();
    let (after_boot, store) = start(dir.path());
    drop(store);
    fs::write(dir.path().join("sled.torn"), b"").unwrap();
    let (made_anew, store) = start(dir.path());
    drop(store);
    let before = cpu_ms();
    let (after_kill, store) = start(killed.path());
    let kill_cpu = cpu_ms() - before;
    drop(store);
    let millis = |time: Duration| time.as_millis() as u64;
    trial.report(&[
        ("records", records),
        (
            "appends_per_second",
            records * 1_000 / millis(appended).max(1),
        ),
        ("close_ms", millis(closed)),
        ("start_ms", millis(after_close)),
        ("start_cpu_ms", start_cpu),
        ("start_after_kill_ms", millis(after_kill)),
        ("start_after_kill_cpu_ms", kill_cpu),
        ("start_after_reboot_ms", millis(after_boot)),
        ("start_with_torn_sled_ms", millis(made_anew)),
        ("scrub_ms", millis(scrubbed)),
        ("sled_bytes", on_disk),
    ]);
    assert!(after_close < START, "{after_close:?}");
    assert!(after_kill < START, "{after_kill:?}");
}

fn timed(run: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}

/// Of all threads of this process, so far: on a busy machine the clock on the wall says less.
fn cpu_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // After the name in brackets: state, ten more, then user and system time in ticks of 10 ms.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks = rest.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}
