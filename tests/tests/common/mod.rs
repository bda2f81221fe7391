//! What the end-to-end tests share: a server, a network on it, members in a channel.

use std::path::Path;

use anyhow::{Context, Result};
use plenary_client::{
    Client, Message,
    ids::{ChannelId, Seq},
};
use plenary_tests::harness::{Member, Network, Newcomer, Server, enter, person};
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
        let home = tempfile::tempdir()?;
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
    tokio::time::timeout(plenary_tests::harness::PATIENCE, wait)
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
