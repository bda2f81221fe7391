//! What the end-to-end tests share: a server, a network on it, members in a channel.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use plenary_client::{
    Act, Client, Message, SendFile,
    ids::{ChannelId, Seq},
};
use plenary_tests::harness::{Member, Network, Newcomer, PATIENCE, SERVE, Server, enter, person};
use serde_json::Value;
use tempfile::TempDir;

/// Runs the server.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_plenary-demo");

/// A network with everybody in one channel.
#[allow(dead_code, reason = "no test file uses all of it")]
pub struct Room {
    pub server: Server,
    pub network: Network,
    /// The founder is the first.
    pub members: Vec<Member>,
    pub channel: ChannelId,
    pub home: TempDir,
}

#[allow(dead_code, reason = "no test file uses all of it")]
impl Room {
    /// With so many members, the founder included.
    pub async fn of(members: usize) -> Result<Self> {
        let names: Vec<_> = (1..members).map(|n| format!("Member {n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        Self::with(&names, ("encryption", "for the test"), "info").await
    }

    /// With these members beside the founder.
    pub async fn with(names: &[&str], channel: (&str, &str), log: &str) -> Result<Self> {
        Self::under(tempfile::tempdir()?, names, channel, log).await
    }

    /// With these members beside the founder, everything below a folder; the server's is `server`.
    pub async fn under(
        home: TempDir,
        names: &[&str],
        channel: (&str, &str),
        log: &str,
    ) -> Result<Self> {
        let server = Server::start(Path::new(PROGRAM), &home.path().join("server"), log)?;
        let founder = person("Founder", "Norway");
        let mut network = Network::found(&server, home.path(), founder, &[channel]).await?;
        let newcomers = names
            .iter()
            .map(|name| Newcomer::member(person(*name, "Portugal")));
        let mut members = network.admit(newcomers.collect(), &|| {}).await?;
        members.insert(0, network.founder.clone());
        let channel = network.founder.client()?.channel(channel.0).await?.id;
        enter(&members, &[channel], || {}).await?;
        Ok(Self {
            server,
            network,
            members,
            channel,
            home,
        })
    }

    pub fn client(&self, who: usize) -> Result<&Client> {
        self.members[who].client()
    }

    /// What `plenary-server admin` says of the server.
    pub fn admin(&self, words: &[&str]) -> Result<Value> {
        let out = Command::new(PROGRAM)
            .args([SERVE, "admin", "--json", "--data"])
            .arg(self.server.data())
            .args(words)
            .output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{words:?}: {said}");
        Ok(serde_json::from_slice(&out.stdout)?)
    }

    /// Waits until somebody has read the channel up to there; returns all of it.
    pub async fn read(&self, who: usize, through: Seq) -> Result<Vec<Message>> {
        read(self.client(who)?, self.channel, through).await
    }
}

/// Waits until a client has read a channel up to there; returns all of it.
#[allow(dead_code, reason = "no test file uses all of it")]
pub async fn read(client: &Client, channel: ChannelId, through: Seq) -> Result<Vec<Message>> {
    let mut events = client.events();
    let wait = async {
        loop {
            let all = client.channels().await?;
            let head = all.iter().find(|one| one.id == channel).map(|one| one.head);
            if head >= Some(through) {
                return anyhow::Ok(());
            }
            events.next().await.context("the client was closed")?;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("{client:?} does not read up to {through:?}"))??;
    let mut messages = Vec::new();
    let mut after = Seq(0);
    loop {
        let page = client.messages(channel, after, 256).await?;
        let Some(last) = page.last() else {
            return Ok(messages);
        };
        after = last.seq;
        messages.extend(page);
    }
}

/// The texts of messages.
#[allow(dead_code, reason = "no test file uses all of it")]
pub fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::text).collect()
}

/// A file, put in a folder of the room and handed over by the founder; the others have read of it.
#[allow(dead_code, reason = "no test file uses all of it")]
pub async fn hand_over(room: &Room, name: &str, data: &[u8], malware: bool) -> Result<Seq> {
    let path = room.home.path().join(name);
    fs::write(&path, data)?;
    let mut file = SendFile::new(&path).media_type("text/plain");
    if malware {
        file = file.malware();
    }
    let client = room.client(0)?;
    let sent = client.send_file(room.channel, file).await?.finish().await?;
    let seq = tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    for who in 0..room.members.len() {
        room.read(who, seq).await?;
    }
    Ok(seq)
}

#[allow(dead_code, reason = "no test file uses all of it")]
pub async fn message(room: &Room, who: usize, seq: Seq) -> Result<Message> {
    let client = room.client(who)?;
    let found = client.messages(room.channel, Seq(seq.0 - 1), 1).await?;
    found.into_iter().next().context("the message is not here")
}

/// Waits until somebody has so many statements about an item.
#[allow(dead_code, reason = "no test file uses all of it")]
pub async fn heard(client: &Client, message: &Message, statements: usize) -> Result<Vec<Act>> {
    let mut events = client.events();
    let wait = async {
        loop {
            let record = client.custody(message).await?;
            if record.statements.len() >= statements {
                assert!(
                    record
                        .statements
                        .iter()
                        .all(|one| one.server_time.is_some())
                );
                assert_eq!(record.missing, 0);
                return Ok(record.statements.iter().map(|one| one.act).collect());
            }
            let _ = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await?
}
