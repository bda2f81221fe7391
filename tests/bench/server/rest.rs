//! What is not a stream of messages: connections that stand idle, coming back, the store, the start.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use plenary_core::store::{Append, GroupState, Store};
use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, Epoch, Seq},
    limits::READ_RECORDS,
    reply::Reply,
    request::Request,
};
use plenary_server::{
    clock::now,
    store::{EmbeddedStore, StoreOptions},
};
use plenary_tests::harness::cpu_of;
use tokio::{sync::oneshot, task::JoinSet};

use super::{
    line::{Line, Target, Who},
    world::{Channel, World},
};

/// Connections opened at once: below what one address may have in progress.
pub const AT_ONCE: usize = 32;
/// Until a process has given back what opening took.
const REST: Duration = Duration::from_secs(2);
/// Who waits for the store at once.
const WAITING: usize = 256;

/// Opens connections, and notes what each thousand took of the server.
pub struct Idle {
    process: String,
    target: Target,
    base: f64,
    standing: JoinSet<Result<()>>,
    /// CPU-milliseconds of the server a connection, one a step.
    pub opening: Vec<f64>,
}

impl Idle {
    pub fn new(process: u32, target: &Target) -> Result<Self> {
        let process = process.to_string();
        Ok(Self {
            base: resident(&process)?,
            target: target.clone(),
            process,
            standing: JoinSet::new(),
            opening: Vec::new(),
        })
    }

    /// So many in all; `who` is the n-th. Returns KiB a connection.
    pub async fn grow<'a>(&mut self, to: usize, who: impl Fn(usize) -> Who<'a>) -> Result<f64> {
        let before = self.standing.len();
        let cpu = cpu_of(&self.process)?;
        let mut n = before;
        while n < to {
            let page = n..to.min(n + AT_ONCE);
            let opened = page.clone().map(|n| self.target.open(who(n)));
            for line in futures_util::future::try_join_all(opened).await? {
                self.standing.spawn(stand(line));
            }
            n = page.end;
        }
        let each = (cpu_of(&self.process)? - cpu) * 1e3 / (to - before) as f64;
        self.opening.push(each);
        tokio::time::sleep(REST).await;
        ensure!(
            self.standing.try_join_next().is_none(),
            "a connection that stood idle ended"
        );
        Ok((resident(&self.process)? - self.base) / 1024.0 / to as f64)
    }
}

/// Answers pings, as any client does.
async fn stand(mut line: Line) -> Result<()> {
    loop {
        line.stream.any().await?;
    }
}

/// Bytes that a process holds.
pub fn resident(process: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kib.context("the system does not tell")?.parse::<f64>()? * 1024.0)
}

/// Reads the last so many records of a channel as a device that missed them; records a second.
pub async fn catch_up(world: &World, channel: &Channel, records: u64) -> Result<f64> {
    let reader = *channel.devices.last().context("nobody is in")?;
    let mut line = world.open(reader).await?;
    let heads = match line.ask(Request::Watch(vec![channel.id])).await? {
        Reply::Heads(heads) => heads,
        other => anyhow::bail!("{other:?}"),
    };
    let head = heads.first().context("not in the channel")?.1.seq.0;
    let first = head.checked_sub(records).context("too few records")?;
    let (mut at, begun) = (first, Instant::now());
    while at < head {
        let read = Request::Read {
            channel: channel.id,
            after: Seq(at),
            limit: READ_RECORDS,
        };
        match line.ask(read).await? {
            Reply::Records { records, .. } => {
                let last = records.last().context("nothing came")?.seq.0;
                ensure!(last == at + records.len() as u64, "a record is missing");
                at = last;
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    Ok(records as f64 / begun.elapsed().as_secs_f64())
}

/// Appends of so many bytes by 256 that each wait for theirs, on 16 channels; a second.
pub async fn appends(folder: &Path, records: usize, bytes: usize) -> Result<f64> {
    let store = Arc::new(EmbeddedStore::open(folder, StoreOptions::default())?);
    for n in 0..16 {
        let nothing = GroupState {
            snapshot: Bytes::from_static(b"s"),
            group_info: Bytes::from_static(b"g"),
            tree: Bytes::from_static(b"t"),
        };
        store.found(ChannelId([n; 16]), Epoch(0), nothing).await?;
    }
    let message = Bytes::from(vec![0x5A; bytes]);
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..WAITING {
        let (store, message) = (store.clone(), message.clone());
        tasks.spawn(async move {
            let channel = ChannelId([(n % 16) as u8; 16]);
            for turn in 0..records / WAITING {
                let (n, turn) = (n as u64, turn as u64);
                store.append(one(channel, n, turn, message.clone())).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let took = begun.elapsed().as_secs_f64();
    let closing = store.clone();
    tokio::task::spawn_blocking(move || closing.close()).await??;
    Ok((records / WAITING * WAITING) as f64 / took)
}

fn one(channel: ChannelId, device: u64, number: u64, bytes: Bytes) -> Append {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&device.to_be_bytes());
    let device = DeviceId(id);
    id[..8].copy_from_slice(&number.to_be_bytes());
    Append {
        channel,
        device,
        client_id: ClientId(id),
        time: now(),
        epoch: Some(Epoch(0)),
        bytes,
        transition: None,
    }
}

/// The same into a bare file: what waits is written at once, then synced, then answered.
pub async fn raw_file(path: &Path, records: usize, bytes: usize) -> Result<f64> {
    let (jobs, waiting) = mpsc::channel::<oneshot::Sender<()>>();
    let mut file = File::create(path)?;
    let writer = std::thread::spawn(move || -> std::io::Result<()> {
        let (message, mut out) = (vec![0x5A; bytes], Vec::new());
        while let Ok(first) = waiting.recv() {
            let mut answers = vec![first];
            answers.extend(waiting.try_iter());
            out.clear();
            for _ in &answers {
                out.extend_from_slice(&message);
            }
            file.write_all(&out)?;
            file.sync_data()?;
            for answer in answers {
                let _ = answer.send(());
            }
        }
        Ok(())
    });
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..WAITING {
        let jobs = jobs.clone();
        tasks.spawn(async move {
            for _ in 0..records / WAITING {
                let (done, answer) = oneshot::channel();
                jobs.send(done).ok().context("the writer is gone")?;
                answer.await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let took = begun.elapsed().as_secs_f64();
    drop(jobs);
    tokio::task::spawn_blocking(move || writer.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    Ok((records / WAITING * WAITING) as f64 / took)
}

/// Puts records into a stopped server's channel, past the server: what it would have after years.
/// `records`: which of them, the first being 0.
pub async fn fill(
    store: &Path,
    channel: &Channel,
    epoch: Epoch,
    records: std::ops::Range<u64>,
) -> Result<()> {
    let store = Arc::new(EmbeddedStore::open(store, StoreOptions::default())?);
    let message = Bytes::from(vec![0x5A; 200]);
    let mut tasks = JoinSet::new();
    for n in 0..WAITING as u64 {
        let (store, message, channel) = (store.clone(), message.clone(), channel.id);
        let turns = records.start / WAITING as u64..records.end / WAITING as u64;
        tasks.spawn(async move {
            for turn in turns {
                let mut append = one(channel, n, turn, message.clone());
                append.epoch = Some(epoch);
                store.append(append).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    tokio::task::spawn_blocking(move || store.close()).await??;
    Ok(())
}
