//! A process that works on a store and says what was acknowledged; and the check that all of it is
//! there, once, in order.
//!
//! Ten tasks: appenders with marks of their own, one that commits, one that counts versions, one at
//! each end of a queue, one that trims. Each does one thing after the other, so at most its last is
//! in doubt, and what the next process finds of it is said anew. What is acknowledged goes to
//! the file `acks` beside the store, one line each:
//!
//! ```text
//! a MARK SEQ   c EPOCH SEQ   v KEY VERSION   + PUSHED   - POPPED   t CHANNEL SEQ
//! ```

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::Bytes;
use plenary_core::{
    store::StoreError,
    store_suite::{channel_id, client_id, commit, device_id, group, message},
};
use plenary_proto::ids::{Epoch, Seq};

use super::{
    super::{EmbeddedStore, StoreOptions},
    Store, block_on,
    disk::ACKS,
};

const ROOT: &str = "PLENARY_STORE_WORK_ROOT";
const STEPS: &str = "PLENARY_STORE_WORK_STEPS";
const SEGMENT: &str = "PLENARY_STORE_WORK_SEGMENT";

const TALKERS: u64 = 6;
const CHANNELS: u64 = 3;
const COMMITS: u8 = 200;
const QUEUE: &[u8] = b"queue";
const KEYS: u64 = 8;
/// Records of a channel that a trim leaves.
const KEPT: u64 = 150;

/// How a process is to work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Work {
    /// Things that each task does; for ever if `u64::MAX`.
    pub steps: u64,
    /// Bytes of a journal segment: small ones mean checkpoints all the time.
    pub segment: u64,
}

impl Work {
    /// A process to be started that works below `root`.
    pub fn command(&self, root: &Path) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--ignored", "--nocapture"])
            .arg("store::tests::work::works")
            .env(ROOT, root)
            .env(STEPS, self.steps.to_string())
            .env(SEGMENT, self.segment.to_string())
            .stdin(Stdio::null());
        command
    }
}

/// What was acknowledged.
#[derive(Debug, Default, Clone)]
pub(super) struct Acks {
    /// Where a mark was said to be, last.
    appended: HashMap<u64, u64>,
    /// Where else it was said to be before: only what was trimmed in between may come again.
    moved: HashMap<u64, Vec<u64>>,
    epoch: u64,
    versions: HashMap<u64, u64>,
    pushed: u64,
    popped: u64,
    trimmed: HashMap<u64, u64>,
}

impl Acks {
    /// Reads the lines below `root`; half a line at the end was never said.
    pub fn read(root: &Path) -> Self {
        let bytes = std::fs::read(root.join(ACKS)).unwrap_or_default();
        let mut acks = Self::default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n');
        for line in bytes[..whole.unwrap_or(0)].split(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(line).unwrap();
            let mut words = line.split(' ');
            let kind = words.next().unwrap_or_default();
            let mut number = || words.next().unwrap().parse::<u64>().unwrap();
            match kind {
                "a" => {
                    let (mark, seq) = (number(), number());
                    if let Some(before) = acks.appended.insert(mark, seq)
                        && before != seq
                    {
                        acks.moved.entry(mark).or_default().push(before);
                    }
                }
                "c" => acks.epoch = acks.epoch.max(number()),
                "v" => {
                    acks.versions.insert(number(), number());
                }
                "+" => acks.pushed = acks.pushed.max(number()),
                "-" => acks.popped = acks.popped.max(number()),
                "t" => {
                    acks.trimmed.insert(number(), number());
                }
                "" => {}
                other => panic!("{other} in what was acknowledged"),
            }
        }
        acks
    }

    /// How many appends.
    pub fn appended(&self) -> usize {
        self.appended.len()
    }
}

/// The text under a mark: now and then large, never the same for two.
fn text(mark: u64) -> Vec<u8> {
    let size = if mark.is_multiple_of(41) {
        20_000
    } else {
        100 + mark % 700
    };
    let mut bytes = vec![mark as u8; size as usize];
    bytes[..8].copy_from_slice(&mark.to_be_bytes());
    bytes
}

fn value(key: u64, version: u64) -> Bytes {
    let size = if version.is_multiple_of(13) {
        18_000
    } else {
        60
    };
    vec![(key * 31 + version) as u8; size].into()
}

#[test]
#[ignore = "no test: the process that others start"]
fn works() {
    let Some(root) = std::env::var_os(ROOT).map(PathBuf::from) else {
        return;
    };
    let told = |name| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let steps = told(STEPS);
    let options = StoreOptions {
        segment_bytes: told(SEGMENT),
        cache_bytes: 8 << 20,
        ..StoreOptions::default()
    };
    println!("ok begun");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let store = match EmbeddedStore::open(&root.join("store"), options) {
        Ok(store) => store,
        Err(error) => {
            println!("err open {error}");
            return;
        }
    };
    println!("ok open");
    let acked = Acks::read(&root);
    let acks = std::fs::File::options()
        .create(true)
        .append(true)
        .open(root.join(ACKS));
    let worker = Worker {
        store: Arc::new(store),
        acks: Arc::new(acks.unwrap()),
    };
    runtime.block_on(worker.clone().work(steps, acked));
    let Some(store) = Arc::into_inner(worker.store) else {
        panic!("a task still holds the store");
    };
    match store.close() {
        Ok(()) => println!("ok closed"),
        Err(error) => println!("err close {error}"),
    }
}

#[derive(Clone)]
struct Worker {
    store: Arc<EmbeddedStore>,
    acks: Arc<std::fs::File>,
}

impl Worker {
    async fn work(self, steps: u64, acked: Acks) {
        for n in (0..CHANNELS).map(|n| n as u8).chain([COMMITS]) {
            match self
                .store
                .found(channel_id(n), Epoch(0), group(0, 60))
                .await
            {
                Ok(()) | Err(StoreError::ChannelExists) => {}
                Err(error) => return println!("err found {error}"),
            }
        }
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TALKERS {
            // Some that were acknowledged come again: they must be told for repeats.
            let last = acked
                .appended
                .keys()
                .filter(|mark| *mark % TALKERS == task)
                .max();
            let first = last.map_or(0, |mark| (mark / TALKERS).saturating_sub(3));
            tasks.spawn(self.clone().talk(task, first, steps));
        }
        tasks.spawn(self.clone().commits(steps));
        tasks.spawn(self.clone().versions(steps));
        tasks.spawn(self.clone().queue(steps, acked.pushed));
        tasks.spawn(self.clone().trims(steps));
        while let Some(ended) = tasks.join_next().await {
            if let Ok(Err((what, error))) = ended.map_err(|error| panic!("{error}")) {
                println!("err {what} {error}");
            }
        }
    }

    fn ack(&self, line: &str) {
        // One call, so that no two lines mix.
        (&*self.acks)
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
        println!("ok {line}");
    }

    async fn talk(
        self,
        task: u64,
        first: u64,
        steps: u64,
    ) -> Result<(), (&'static str, StoreError)> {
        for n in (first..).take(usize::try_from(steps).unwrap_or(usize::MAX)) {
            let mark = n * TALKERS + task;
            let channel = channel_id((mark % CHANNELS) as u8);
            let append = message(channel, 1, mark, 0, &text(mark));
            let appended = self.store.append(append).await.map_err(|e| ("append", e))?;
            self.ack(&format!("a {mark} {}", appended.head.seq.0));
        }
        Ok(())
    }

    async fn commits(self, steps: u64) -> Result<(), (&'static str, StoreError)> {
        let channel = channel_id(COMMITS);
        let failed = |error| ("commit", error);
        let found = self.store.channel(channel).await.map_err(failed)?;
        let mut epoch = found.unwrap().epoch.0;
        self.ack(&format!("c {epoch} {epoch}"));
        for _ in 0..steps {
            let state = group((epoch + 1) as u8, if epoch % 3 == 0 { 20_000 } else { 60 });
            let welcomes = vec![(device_id(9), vec![epoch as u8; 90].into())];
            let append = commit(channel, 2, epoch, epoch, state, welcomes);
            let appended = self.store.append(append).await.map_err(failed)?;
            epoch += 1;
            self.ack(&format!("c {epoch} {}", appended.head.seq.0));
            if epoch % 2 == 0 {
                let dropped = self
                    .store
                    .drop_welcome(device_id(9), channel, appended.head.seq);
                dropped.await.map_err(failed)?;
            }
        }
        Ok(())
    }

    async fn versions(self, steps: u64) -> Result<(), (&'static str, StoreError)> {
        for n in 0..steps {
            let key = n % KEYS;
            let name = Bytes::from(vec![b'k', key as u8]);
            let failed = |error| ("put", error);
            let found = self.store.get(&name).await.map_err(failed)?;
            let version = found.map_or(0, |found| found.version);
            self.ack(&format!("v {key} {version}"));
            let put = self
                .store
                .put_if(name, version, Some(value(key, version + 1)));
            let version = put.await.map_err(failed)?;
            self.ack(&format!("v {key} {version}"));
        }
        Ok(())
    }

    async fn queue(self, steps: u64, pushed: u64) -> Result<(), (&'static str, StoreError)> {
        let failed = |error| ("queue", error);
        let waiting = entries(&self.store).map_err(failed)?;
        if let (Some(first), Some(last)) = (waiting.first(), waiting.last()) {
            self.ack(&format!("- {}", first - 1));
            self.ack(&format!("+ {last}"));
        }
        let next = waiting.last().copied().unwrap_or(0).max(pushed) + 1;
        for n in (next..).take(usize::try_from(steps).unwrap_or(usize::MAX)) {
            let entry = Bytes::copy_from_slice(&n.to_be_bytes());
            let pushed = self.store.push(QUEUE.into(), entry).await;
            pushed.map_err(failed)?;
            self.ack(&format!("+ {n}"));
            if n % 5 != 0 {
                let popped = self.store.pop_one(QUEUE.into()).await.map_err(failed)?;
                let popped = popped.unwrap();
                let n = u64::from_be_bytes(popped[..].try_into().unwrap());
                self.ack(&format!("- {n}"));
            }
        }
        Ok(())
    }

    async fn trims(self, steps: u64) -> Result<(), (&'static str, StoreError)> {
        for n in 0..steps {
            let number = n % CHANNELS;
            let channel = channel_id(number as u8);
            let failed = |error| ("trim", error);
            let (_, head) = self
                .store
                .read(channel, Seq(u64::MAX), 0, 0)
                .await
                .map_err(failed)?;
            let through = Seq(head.seq.0.saturating_sub(KEPT));
            self.store.trim(channel, through).await.map_err(failed)?;
            self.ack(&format!("t {number} {}", through.0));
        }
        Ok(())
    }
}

fn entries(store: &EmbeddedStore) -> Result<Vec<u64>, StoreError> {
    let found = store.shared.queue(QUEUE)?;
    Ok(found
        .iter()
        .map(|entry| u64::from_be_bytes(entry[..].try_into().unwrap()))
        .collect())
}

/// Opens the store below `root` and compares it with what was acknowledged.
///
/// `Ok(None)`: all of it is there, once, in order. `Ok(Some)`: the store refuses, and says so.
/// `Err`: something acknowledged is lost, doubled, changed or out of order.
pub(super) fn check(root: &Path, acks: &Acks) -> Result<Option<StoreError>, String> {
    let options = StoreOptions {
        verify_records: true,
        cache_bytes: 8 << 20,
        ..StoreOptions::default()
    };
    let store = match EmbeddedStore::open(&root.join("store"), options) {
        Ok(store) => store,
        Err(error) => return Ok(Some(error)),
    };
    block_on(compare(&store, acks)).map(|()| None)
}

macro_rules! must {
    ($held:expr, $($what:tt)+) => {
        if !$held {
            return Err(format!($($what)+));
        }
    };
}

async fn compare(store: &EmbeddedStore, acks: &Acks) -> Result<(), String> {
    let said = |error: StoreError| error.to_string();
    for number in 0..CHANNELS {
        let channel = channel_id(number as u8);
        let Some(state) = store.channel(channel).await.map_err(said)? else {
            let any = acks.appended.keys().any(|mark| mark % CHANNELS == number);
            must!(!any, "channel {number} is gone");
            continue;
        };
        let trimmed = state.trimmed;
        let acked_trim = acks.trimmed.get(&number).copied().unwrap_or(0);
        must!(
            trimmed.0 >= acked_trim,
            "a trim of channel {number} is undone"
        );
        let (log, head) = store
            .read(channel, trimmed, 999_999, 1 << 30)
            .await
            .map_err(said)?;
        must!(
            log.len() as u64 == head.seq.0 - trimmed.0,
            "channel {number} has holes"
        );
        let mut seen = HashSet::new();
        let mut last: HashMap<u64, u64> = HashMap::new();
        let mut at = HashMap::new();
        for record in &log {
            let mark = u64::from_be_bytes(record.bytes[..8].try_into().unwrap());
            must!(
                record.client_id == client_id(mark),
                "mark {mark} is under another's"
            );
            must!(
                record.bytes == text(mark),
                "the text under mark {mark} changed"
            );
            must!(seen.insert(mark), "mark {mark} is there twice");
            at.insert(mark, record.seq.0);
            // A sender that was held up may repeat what has been trimmed: then nobody knows it any
            // more, and it is there anew, behind what came after it.
            let again = acks.appended.get(&mark).filter(|seq| **seq <= trimmed.0);
            if again.is_some() || acks.moved.contains_key(&mark) {
                continue;
            }
            let before = last.insert(mark % TALKERS, mark);
            must!(
                before.is_none_or(|before| before < mark),
                "mark {mark} is out of order"
            );
        }
        for (mark, before) in &acks.moved {
            must!(
                mark % CHANNELS != number || before.iter().all(|seq| *seq <= trimmed.0),
                "mark {mark} was at {before:?}, was not trimmed, and came again"
            );
        }
        for (mark, seq) in &acks.appended {
            if mark % CHANNELS != number || *seq <= trimmed.0 {
                continue;
            }
            must!(
                at.get(mark) == Some(seq),
                "mark {mark} was at {seq} and is at {:?}",
                at.get(mark)
            );
            let found = store
                .find(channel, device_id(1), client_id(*mark))
                .await
                .map_err(said)?;
            must!(
                found.is_some_and(|found| found.seq.0 == *seq),
                "mark {mark} is not found"
            );
        }
    }
    let commits = store.channel(channel_id(COMMITS)).await.map_err(said)?;
    let epoch = commits.as_ref().map_or(0, |state| state.epoch.0);
    must!(
        (acks.epoch..=acks.epoch + 1).contains(&epoch),
        "epoch {epoch}, acknowledged {}",
        acks.epoch
    );
    if let Some(state) = commits {
        must!(
            state.head.seq.0 == epoch,
            "{} commits for epoch {epoch}",
            state.head.seq.0
        );
        let size = match epoch {
            0 => 60,
            epoch if (epoch - 1).is_multiple_of(3) => 20_000,
            _ => 60,
        };
        must!(
            state.group == group(epoch as u8, size),
            "the group of epoch {epoch} is another's"
        );
        for waiting in store.welcomes(device_id(9)).await.map_err(said)? {
            must!(
                waiting.head.seq.0 <= epoch,
                "a welcome to a commit that is not there"
            );
        }
    }
    for key in 0..KEYS {
        let found = store.get(&[b'k', key as u8]).await.map_err(said)?;
        let version = found.as_ref().map_or(0, |found| found.version);
        let acked = acks.versions.get(&key).copied().unwrap_or(0);
        must!(
            (acked..=acked + 1).contains(&version),
            "key {key} is at {version}, acknowledged {acked}"
        );
        must!(
            found.is_none_or(|found| found.value == value(key, version)),
            "key {key} has another value"
        );
    }
    let waiting = entries(store).map_err(said)?;
    let first = waiting.first().copied().unwrap_or(acks.popped + 1);
    must!(
        (acks.popped + 1..=acks.popped + 2).contains(&first),
        "popped {}, and {first} is next",
        acks.popped
    );
    must!(
        waiting
            .iter()
            .copied()
            .eq(first..first + waiting.len() as u64),
        "the queue has holes"
    );
    let pushed = waiting.last().copied().unwrap_or(acks.popped + 1);
    must!(
        pushed >= acks.pushed,
        "pushed {}, and {pushed} is last",
        acks.pushed
    );
    must!(pushed <= acks.pushed + 1, "{pushed} was never pushed");
    Ok(())
}
