//! A real process, really killed: everything it acknowledged is there, once.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use plenary_core::store_suite::client_id;

use super::*;

const FOLDER: &str = "PLENARY_STORE_KILL_TEST";
const CHANNELS: u64 = 3;

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<u64, u64> = HashMap::new();
    for round in 0..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("store::tests::kill::appends_until_it_is_killed")
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut news = 0;
        while news < 150 + 100 * round {
            let line = lines.next().unwrap().unwrap();
            let Some(line) = line.strip_prefix("ok ") else {
                continue;
            };
            let (mark, seq) = line.split_once(' ').unwrap();
            acknowledged.insert(mark.parse().unwrap(), seq.parse().unwrap());
            news += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let store = open(dir.path()).unwrap();
        block_on(async {
            let mut records = 0;
            for n in 0..CHANNELS {
                let channel = channel_id(n as u8);
                let (log, head) = store.read(channel, Seq(0), 99_999, 1 << 30).await.unwrap();
                assert_eq!(log.len() as u64, head.seq.0);
                let mut marks: Vec<_> = log.iter().map(|record| record.client_id).collect();
                marks.sort();
                marks.dedup();
                assert_eq!(marks.len(), log.len(), "a mark twice");
                records += log.len();
            }
            for (mark, seq) in &acknowledged {
                let channel = channel_id((mark % CHANNELS) as u8);
                let found = store.find(channel, device_id(1), client_id(*mark)).await;
                assert_eq!(found.unwrap().unwrap().seq, Seq(*seq));
            }
            assert!(records >= acknowledged.len());
        });
    }
}

#[test]
#[ignore = "the child of the test above"]
fn appends_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    // Small segments: the kill falls into checkpoints too.
    let options = StoreOptions {
        segment_bytes: 20_000,
        ..StoreOptions::default()
    };
    let store = Arc::new(EmbeddedStore::open(folder.as_ref(), options).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for n in 0..CHANNELS {
            let _ = store
                .found(channel_id(n as u8), Epoch(0), group(1, 20))
                .await;
        }
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..16 {
            let store = Arc::clone(&store);
            tasks.spawn(async move {
                for n in 0.. {
                    let mark = n * 16 + task;
                    let channel = channel_id((mark % CHANNELS) as u8);
                    let size = if mark % 50 == 0 { 20_000 } else { 200 };
                    let text = vec![mark as u8; size];
                    let append = message(channel, 1, mark, 0, &text);
                    let appended = store.append(append).await.unwrap();
                    if !appended.repeated {
                        let line = format!("ok {mark} {}\n", appended.head.seq.0);
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    });
}
