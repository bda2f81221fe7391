//! The backup drill: what an operator should be able to do on a bad day, done and compared.
//!
//! ```text
//! members send without pause --> server --backup 1 (under load)--> verified, restored: a prefix of all
//!          then they go away --> server --backup 2 (at rest)-----> restored: equal, entry by entry
//! the server is gone; the restored one takes its place: members come back, read all, go on
//! ```
//! Every command is the server's own, by its binary; entries are compared in the stores, not by what
//! the commands say.

mod compare;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use plenary_client::content::Draft;
use plenary_client::ids::{ChannelId, Seq};
use plenary_client::{Client, SendFile};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::harness::{Member, Network, Newcomer, PATIENCE, SERVE, Server, enter, person};
use compare::{Compared, compare};

/// Sent while the first backup is made, at the least.
pub const MESSAGES: usize = 200;
/// Bytes of the item that is handed over.
const ITEM: usize = 9 << 20;
/// Members who send.
const SENDERS: usize = 3;

/// What a drill did; it failed if there is none.
#[derive(Debug, Clone, Serialize)]
pub struct Drilled {
    /// Acknowledged before the first backup began.
    pub acknowledged_before: u64,
    /// Acknowledged while it was made.
    pub acknowledged_meanwhile: u64,
    /// Compared in the backup made under load.
    pub under_load: Compared,
    /// Compared in the backup made at rest.
    pub at_rest: Compared,
    /// Items of it that the first had copied already.
    pub reused: u64,
    /// Messages that each member read from the restored server's log.
    pub read_after: u64,
    /// Seconds that the backup under load took.
    pub backup_seconds: f64,
    /// Seconds that the restore took.
    pub restore_seconds: f64,
}

impl fmt::Display for Drilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "backup under load: {:.1} s, {} messages acknowledged before, {} meanwhile",
            self.backup_seconds, self.acknowledged_before, self.acknowledged_meanwhile
        )?;
        writeln!(f, "  restored: {}, each as it was", self.under_load)?;
        writeln!(
            f,
            "backup at rest: {} items there already; restored in {:.1} s",
            self.reused, self.restore_seconds
        )?;
        writeln!(f, "  restored: {}, and nothing else", self.at_rest)?;
        write!(
            f,
            "the restored server took over: every member came back, read all {} messages, and went on",
            self.read_after
        )
    }
}

/// Runs the drill; `program` is the demo, which brings the server along.
///
/// # Errors
/// Anything that is not as it must be.
pub async fn drill(program: &Path, log: &str, messages: usize) -> Result<Drilled> {
    let home = tempfile::Builder::new()
        .prefix("plenary-drill-")
        .tempdir()?;
    let mut server = Server::start(program, &home.path().join("server"), log)?;
    let (mut members, channel) = people(&server, home.path()).await?;
    let desk = Desk {
        program: program.to_owned(),
        home: home.path().to_owned(),
    };
    desk.run(&["backup-key", "--out", &desk.at("backup.key")])?;

    let first = members[0].client()?;
    let file = home.path().join("image.bin");
    std::fs::write(&file, vec![7; ITEM])?;
    let sending = first.send_file(channel, SendFile::new(&file)).await?;
    sending.finish().await?.delivered().await?;

    let load = Load::start(&members, channel)?;
    load.reached(messages as u64).await?;
    let acknowledged_before = load.acknowledged();
    let began = Instant::now();
    let backup = {
        let (desk, data) = (desk.clone(), server.data());
        tokio::task::spawn_blocking(move || desk.backup(&data)).await??
    };
    let backup_seconds = began.elapsed().as_secs_f64();
    let acknowledged_meanwhile = load.acknowledged() - acknowledged_before;
    ensure!(
        acknowledged_meanwhile > 0,
        "nothing was sent while the backup was made"
    );
    load.reached(load.acknowledged() + 20).await?;
    let last = load.stop().await?;
    ensure!(backup["items"] == 1, "{backup}");
    for member in &mut members {
        member.leave().await?;
    }
    let again = desk.backup(&server.data())?;
    let reused = again["reused"].as_u64().unwrap_or(0);
    ensure!(reused == 1, "the item was copied twice: {again}");
    server.stop()?;

    let snapshot = backup["name"].as_str().context("no name")?;
    let restored = home.path().join("under-load");
    desk.restore(&restored, &["--snapshot", snapshot])?;
    let under_load = compare(&server.data(), &restored, false).await?;
    ensure!(
        under_load.records >= acknowledged_before,
        "{under_load}, but {acknowledged_before} messages were acknowledged"
    );
    let successor = home.path().join("successor");
    let began = Instant::now();
    desk.restore(&successor.join("data"), &[])?;
    let restore_seconds = began.elapsed().as_secs_f64();
    let at_rest = compare(&server.data(), &successor.join("data"), true).await?;

    let port = server.port();
    drop(server);
    let mut successor = Server::start_at(program, &successor, log, port)?;
    let read_after = go_on(&mut members, channel, last).await?;
    successor.stop()?;
    Ok(Drilled {
        acknowledged_before,
        acknowledged_meanwhile,
        under_load,
        at_rest,
        reused,
        read_after,
        backup_seconds,
        restore_seconds,
    })
}

async fn people(server: &Server, home: &Path) -> Result<(Vec<Member>, ChannelId)> {
    let founder = person("Founder", "Norway");
    let channels = [("encryption", "for the drill")];
    let mut network = Network::found(server, home, founder, &channels).await?;
    let newcomers =
        (1..SENDERS).map(|number| Newcomer::member(person(format!("Member {number}"), "Portugal")));
    let mut members = network.admit(newcomers.collect(), &|| {}).await?;
    members.insert(0, network.founder.clone());
    let channel = members[0].client()?.channel("encryption").await?.id;
    enter(&members, &[channel], || {}).await?;
    Ok((members, channel))
}

/// Everybody comes back to the restored server, reads the whole log alike, and goes on.
async fn go_on(members: &mut [Member], channel: ChannelId, last: Seq) -> Result<u64> {
    let mut logs = Vec::new();
    for member in &mut *members {
        let client = member.come_back().await?.clone();
        client.online(PATIENCE).await?;
        client.caught_up(PATIENCE).await?;
        let alarms = client.alarms().await?;
        ensure!(alarms.is_empty(), "alarms after the restore: {alarms:?}");
        let mut log = Vec::new();
        let mut after = Seq(0);
        loop {
            let page = client.messages(channel, after, 256).await?;
            let Some(end) = page.last() else { break };
            after = end.seq;
            log.extend(page);
        }
        ensure!(after >= last, "{client:?} read up to {after:?} of {last:?}");
        logs.push(log);
    }
    // Who entered later has less before its entry: the ends are compared.
    let shortest = logs.iter().map(Vec::len).min().unwrap_or(0);
    for log in &logs {
        let same = log[log.len() - shortest..] == logs[0][logs[0].len() - shortest..];
        ensure!(same, "members read different logs");
    }
    let client = members[0].client()?;
    let sent = client
        .send(channel, Draft::text("after the restore"))
        .await?;
    tokio::time::timeout(PATIENCE, sent.delivered())
        .await
        .context("the restored server takes no message")??;
    for member in members {
        member.leave().await?;
    }
    Ok(shortest as u64)
}

/// Members who send without pause.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    senders: JoinSet<Result<Seq>>,
}

impl Load {
    fn start(members: &[Member], channel: ChannelId) -> Result<Self> {
        let mut load = Self {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            senders: JoinSet::new(),
        };
        for member in members {
            let client = member.client()?.clone();
            let (stop, count) = (load.stop.clone(), load.acknowledged.clone());
            load.senders.spawn(send(client, channel, stop, count));
        }
        Ok(load)
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Waits for so many acknowledgements.
    async fn reached(&self, wanted: u64) -> Result<()> {
        let wait = async {
            while self.acknowledged() < wanted {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE * 5, wait)
            .await
            .with_context(|| format!("{} of {wanted} acknowledged", self.acknowledged()))
    }

    /// The last that was acknowledged.
    async fn stop(mut self) -> Result<Seq> {
        self.stop.store(true, Ordering::Release);
        let mut last = Seq(0);
        while let Some(sent) = self.senders.join_next().await {
            last = last.max(sent??);
        }
        Ok(last)
    }
}

async fn send(
    client: Client,
    channel: ChannelId,
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
) -> Result<Seq> {
    let mut last = Seq(0);
    let mut number = 0;
    while !stop.load(Ordering::Acquire) {
        number += 1;
        let text = format!("{} says {number}", client.member());
        last = client
            .send(channel, Draft::text(text))
            .await?
            .delivered()
            .await?;
        count.fetch_add(1, Ordering::AcqRel);
    }
    Ok(last)
}

/// The operator's hands.
#[derive(Clone)]
struct Desk {
    program: PathBuf,
    home: PathBuf,
}

impl Desk {
    fn at(&self, name: &str) -> String {
        self.home.join(name).display().to_string()
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        let out = Command::new(&self.program)
            .arg(SERVE)
            .args(words)
            .current_dir(&self.home)
            .output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{words:?} failed: {said}");
        Ok(String::from_utf8(out.stdout)?)
    }

    /// A backup, verified with the key.
    fn backup(&self, data: &Path) -> Result<Value> {
        let (to, key) = (self.at("backups"), self.at("backup.key.pub"));
        let data = data.display().to_string();
        let words = [
            "backup", "--json", "--to", &to, "--key", &key, "--data", &data,
        ];
        let made = serde_json::from_str(&self.run(&words)?)?;
        self.run(&["verify-backup", &to, "--key", &self.at("backup.key")])?;
        Ok(made)
    }

    fn restore(&self, data: &Path, more: &[&str]) -> Result<()> {
        if let Some(parent) = data.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let (from, key) = (self.at("backups"), self.at("backup.key"));
        let data = data.display().to_string();
        let words = ["restore", &from, "--key", &key, "--data", &data];
        self.run(&[&words, more].concat()).map(drop)
    }
}
