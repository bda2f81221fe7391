//! The stage: a server, a network on it, everybody admitted and in all channels.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use plenary_client::ids::ChannelId;

use super::{
    progress::Progress,
    script::{BOARD, CHANNELS, Script},
};
use crate::harness::{Member, Network, Newcomer, Server, Watch, enter};

/// Everything that stands while the script is played.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) network: Network,
    /// As in the script; the founder is the first.
    pub(super) members: Vec<Member>,
    /// As in [`CHANNELS`].
    pub(super) channels: Vec<ChannelId>,
    pub(super) watch: Watch,
    pub(super) folder: PathBuf,
    pub(super) seconds: Setup,
}

/// Seconds that the setting up took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) admit: f64,
    pub(super) enter: f64,
}

impl Stage {
    /// Sets it up, in a fresh folder.
    pub(super) async fn set(
        program: &Path,
        folder: &Path,
        log: &str,
        script: &Script,
    ) -> Result<Self> {
        let server = Server::start(program, &folder.join("server"), log)?;
        eprintln!("the server listens on 127.0.0.1:{}", server.port());
        let profiles = folder.join("profiles");
        std::fs::create_dir_all(&profiles)?;
        let (founder, others) = script.people.split_first().context("nobody is there")?;
        let mut network = Network::found(&server, &profiles, founder.clone(), &CHANNELS).await?;
        eprintln!("founded by a Board of {BOARD}: two signed, the founder did not");

        let progress = Progress::new("admitting members", 2 * others.len() as u64);
        let newcomers = others.iter().enumerate().map(|(index, person)| Newcomer {
            seat: Some(index + 1).filter(|seat| *seat < BOARD),
            ..Newcomer::member(person.clone())
        });
        let newcomers = newcomers.collect();
        let mut members = network.admit(newcomers, &|| progress.step()).await?;
        members.insert(0, network.founder.clone());
        let admit = progress.end();

        let channels = channels(&members[0]).await?;
        let entries = members.len() * channels.len();
        let progress = Progress::new("entering channels", entries as u64);
        let step = progress.clone();
        enter(&members, &channels, move || step.step()).await?;
        let enter = progress.end();

        let mut watch = Watch::default();
        for (who, member) in members.iter().enumerate() {
            watch.listen(who, member.client()?);
        }
        Ok(Self {
            server,
            network,
            members,
            channels,
            watch,
            folder: folder.to_owned(),
            seconds: Setup { admit, enter },
        })
    }
}

async fn channels(founder: &Member) -> Result<Vec<ChannelId>> {
    let mut ids = Vec::new();
    for (name, purpose) in CHANNELS {
        let channel = founder.client()?.channel(name).await?;
        ensure!(channel.purpose.as_deref() == Some(purpose), "{channel:?}");
        ids.push(channel.id);
    }
    Ok(ids)
}
