//! What operators may have done to a running server, and what they are told.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use data_encoding::BASE64;
use plenary_core::items::Items;
use plenary_core::network::Network;
use plenary_core::store::Store;
use plenary_proto::ids::{ItemId, NetworkId};
use plenary_proto::request::Purpose;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::info;

use super::protocol::{
    Answer, Ask, Frames, Quotas, Reloaded, Scrubbed, SessionInfo, Sessions, Status, Trimmed,
    write_line,
};
use super::reload::changes;
use crate::backup::{Local, Source};
use crate::certificate::Keeper;
use crate::clock::now;
use crate::config::{Config, ConfigError};
use crate::folder::Folder;
use crate::items::Courtesy;
use crate::metrics::{Metrics, Snapshot};
use crate::net::{Registry, Seen};
use crate::operations::Operations;
use crate::scrub::scrub;
use crate::service::ComeBack;
use crate::store::EmbeddedStore;

/// Reads the configuration again, with the command line as at the start.
pub type Loader = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;
/// Puts another log filter in force.
pub type SetFilter = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Digits of a device's id that must be named.
const DIGITS: usize = 6;

/// What an office is made of.
#[allow(missing_docs, reason = "the types say it")]
pub struct Parts {
    pub config: Config,
    pub load: Loader,
    pub set_filter: SetFilter,
    pub folder: Arc<Folder>,
    pub network: Arc<Network>,
    pub store: Arc<EmbeddedStore>,
    pub items: Arc<dyn Items>,
    pub courtesy: Arc<Courtesy>,
    pub registry: Arc<Registry>,
    pub certificates: Keeper,
    pub come_back: Arc<ComeBack>,
    pub stop: watch::Sender<bool>,
    pub local: SocketAddr,
    pub runtime: Handle,
    pub metrics: Arc<Metrics>,
}

/// Where a running server is operated from. Its calls block: not for a thread that drives
/// asynchronous tasks.
pub struct Office {
    parts: Parts,
    config: RwLock<Config>,
    since: Instant,
}

impl Office {
    /// Of a server that starts now.
    pub fn new(parts: Parts) -> Self {
        Self {
            config: RwLock::new(parts.config.clone()),
            parts,
            since: Instant::now(),
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> Config {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The certificate in service.
    pub fn certificates(&self) -> &Keeper {
        &self.parts.certificates
    }

    /// Whether a restart would not help.
    ///
    /// # Errors
    /// Why it would.
    pub fn alive(&self) -> Result<(), String> {
        self.parts.store.health().map_err(|error| error.to_string())
    }

    /// Whether members can be served.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), String> {
        match *self.parts.stop.borrow() {
            true => Err("the server ends".to_owned()),
            false => self.alive(),
        }
    }

    /// All metrics. Blocks.
    ///
    /// # Errors
    /// A store that cannot even be read.
    pub fn metrics_text(&self) -> anyhow::Result<String> {
        let parts = &self.parts;
        let used = parts.runtime.block_on(parts.network.item_usage());
        let snapshot = Snapshot {
            status: self.status()?,
            connections: parts.registry.count(),
            items: (used.kept, used.coming, used.held),
        };
        Ok(parts.metrics.text(&snapshot)?)
    }

    /// Answers one question.
    ///
    /// # Errors
    /// The other end's. What the server refuses is an answer.
    pub fn answer(&self, ask: Ask, out: &mut dyn Write) -> io::Result<()> {
        let answer = match ask {
            Ask::Store => return self.stream(out, |out| self.source().store(out).map(|()| true)),
            Ask::Item { item, size } => {
                return self.stream(out, |out| self.source().item(item.parse()?, size, out));
            }
            Ask::Status => told(self.status()),
            Ask::Reload => told(self.reload()),
            Ask::Certificates => told(Ok(self.parts.certificates.tell(now()))),
            Ask::Quotas => told(Ok(self.quotas())),
            Ask::Sessions => told(Ok(self.sessions())),
            Ask::Drop { connection, device } => told(self.drop(connection, device.as_deref())),
            Ask::Trim => told(self.trim()),
            Ask::Scrub => told(self.scrub()),
            Ask::Hold { item, held } => told(self.hold(&item, held)),
            Ask::Stop { back_in } => {
                self.stop(back_in);
                told(Ok(()))
            }
            Ask::Folder { lists } => told(self.folder(lists)),
            Ask::Items => told(self.source().items()),
            Ask::Done => told(self.source().done()),
        };
        write_line(out, &answer)
    }

    /// How the server is.
    ///
    /// # Errors
    /// A store that cannot even be read.
    pub fn status(&self) -> anyhow::Result<Status> {
        let parts = &self.parts;
        let done = Operations::open(&self.config().data).read();
        let (chat, bulk, others) = parts.registry.count();
        let space = rustix::fs::statvfs(&self.config().data)?;
        let network = parts.network.id();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            uptime_seconds: self.since.elapsed().as_secs(),
            listen: parts.local.to_string(),
            address: self.config().public_address(parts.local.port()),
            network: (network != NetworkId([0; NetworkId::LEN])).then(|| network.to_string()),
            statements: parts.network.ledger_head().seq.0,
            channels: parts.runtime.block_on(parts.store.channels())?.len() as u64,
            connections: (chat + bulk + others) as u64,
            devices: parts.registry.devices().len() as u64,
            store: parts.store.health().err().map(|error| error.to_string()),
            store_bytes: parts.store.size_on_disk()?,
            item_bytes: parts.runtime.block_on(parts.network.item_usage()).bytes,
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            certificate_days: parts.certificates.days_left(now()),
            backup: done.backup,
            scrub: done.scrub,
            scrub_damaged: done.scrub_damaged,
        })
    }

    /// Reads configuration and certificate again: all of it, or nothing.
    ///
    /// # Errors
    /// What is wrong with it; everything is then as before.
    pub fn reload(&self) -> anyhow::Result<Reloaded> {
        let wanted = (self.parts.load)().context("the configuration was not taken")?;
        let old = self.config();
        let changes = changes(&old, &wanted)?;
        // What can fail comes first, and nothing else is touched if it does.
        self.parts
            .certificates
            .renew(&wanted, now())
            .context("the configuration was not taken")?;
        (self.parts.set_filter)(&wanted.log.filter)
            .map_err(|error| anyhow::anyhow!("the log filter was not taken: {error}"))?;
        self.parts.network.set_item_limits(&wanted.core());
        let beside_chat = wanted.items.bytes_per_second_beside_chat;
        self.parts.courtesy.set(beside_chat);
        self.parts.come_back.set(wanted.limits.come_back_seconds);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Config {
            // What stays until a restart is what is in force.
            listen: old.listen,
            address: old.address,
            data: old.data,
            admin: old.admin,
            metrics: old.metrics,
            limits: crate::config::Limits {
                come_back_seconds: wanted.limits.come_back_seconds,
                ..old.limits
            },
            log: crate::config::Log {
                format: old.log.format,
                ..wanted.log
            },
            items: crate::config::Items {
                s3: old.items.s3,
                ..wanted.items
            },
            ..wanted
        };
        info!(changed = ?changes.changed, restart = ?changes.restart, "reloaded");
        Ok(changes)
    }

    fn quotas(&self) -> Quotas {
        let parts = &self.parts;
        let limits = parts.network.config();
        let used = parts.runtime.block_on(parts.network.item_usage());
        let members = parts.network.item_usage_by_member();
        let members = parts.runtime.block_on(members).into_iter();
        Quotas {
            largest_bytes: limits.item_size,
            member_bytes: limits.member_bytes,
            total_bytes: limits.total_bytes,
            kept: used.kept,
            coming: used.coming,
            held: used.held,
            bytes: used.bytes,
            members: members.map(|(id, bytes)| (id.to_string(), bytes)).collect(),
        }
    }

    fn sessions(&self) -> Sessions {
        let tell = |seen: Seen| SessionInfo {
            connection: seen.id.0,
            from: seen.peer.to_string(),
            seconds: seen.since.elapsed().as_secs(),
            device: seen.who.map(|(device, ..)| device.to_string()),
            member: seen.who.map(|(_, member, _)| member.to_string()),
            purpose: match seen.who {
                Some((.., Purpose::Chat)) => "chat",
                Some((.., Purpose::Bulk)) => "bulk",
                None => "guest",
            }
            .to_owned(),
            watches: seen.watches as u64,
            waiting_bytes: seen.waiting as u64,
        };
        let seen = self.parts.registry.seen();
        Sessions {
            sessions: seen.into_iter().map(tell).collect(),
        }
    }

    /// How many connections were ended.
    fn drop(&self, connection: Option<u64>, device: Option<&str>) -> anyhow::Result<usize> {
        let seen = self.parts.registry.seen();
        let ids: Vec<_> = match (connection, device) {
            (Some(number), None) => {
                let wanted = |seen: &&Seen| seen.id.0 == number;
                seen.iter().filter(wanted).map(|seen| seen.id).collect()
            }
            (None, Some(device)) => {
                ensure!(
                    device.len() >= DIGITS,
                    "name at least {DIGITS} digits of the device's id"
                );
                let is = |seen: &&Seen| {
                    seen.who
                        .is_some_and(|(id, ..)| id.to_string().starts_with(device))
                };
                seen.iter().filter(is).map(|seen| seen.id).collect()
            }
            _ => bail!("name a connection or a device"),
        };
        ensure!(
            !ids.is_empty(),
            "no such connection stands; `plenary-server admin sessions` lists them"
        );
        Ok(self.parts.registry.drop_connections(&ids))
    }

    fn trim(&self) -> anyhow::Result<Trimmed> {
        let network = &self.parts.network;
        let runtime = &self.parts.runtime;
        let swept = runtime.block_on(network.sweep_items(now()))?;
        let channels = runtime.block_on(network.trim(now()))?;
        Ok(Trimmed {
            channels: channels as u64,
            items: swept.abandoned + swept.expired + swept.collected + swept.orphans,
            missing: swept.missing.iter().map(ItemId::to_string).collect(),
        })
    }

    fn scrub(&self) -> anyhow::Result<Scrubbed> {
        let parts = &self.parts;
        let found = parts
            .runtime
            .block_on(scrub(&parts.network, &*parts.store, None));
        let damaged = found.damaged.len() as u64;
        Operations::open(&self.config().data).note_scrub(now(), damaged)?;
        Ok(found)
    }

    fn hold(&self, item: &str, held: bool) -> anyhow::Result<()> {
        let item = item.parse()?;
        let hold = self.parts.network.hold_item(item, held);
        Ok(self.parts.runtime.block_on(hold)?)
    }

    fn stop(&self, back_in: Option<u64>) {
        if let Some(seconds) = back_in {
            self.parts.come_back.set(seconds);
        }
        self.parts.stop.send_replace(true);
    }

    fn folder(&self, lists: bool) -> anyhow::Result<Vec<(String, String)>> {
        let files = self.source().folder(lists)?.into_iter();
        Ok(files
            .map(|(name, bytes)| (name, BASE64.encode(&bytes)))
            .collect())
    }

    fn source(&self) -> Local {
        Local {
            path: self.parts.folder.join(""),
            store: self.parts.store.clone(),
            items: self.parts.items.clone(),
            runtime: self.parts.runtime.clone(),
        }
    }

    fn stream(
        &self,
        out: &mut dyn Write,
        fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<bool>,
    ) -> io::Result<()> {
        write_line(out, &told(Ok(())))?;
        let mut frames = Frames::new(out);
        let filled = fill(&mut frames);
        frames.finish()?;
        write_line(out, &told(filled))
    }
}

fn told<T: Serialize>(result: anyhow::Result<T>) -> Answer {
    let value = result.and_then(|value| Ok(serde_json::to_value(value)?));
    match value {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(format!("{error:#}")),
    }
}
