//! What an operator may set. `plenary-server.example.toml` explains every value and is tested to
//! equal the defaults here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use plenary_proto::limits;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use crate::items::ObjectStoreSettings;
use crate::net::Settings;

/// Read when it exists and no other is named.
const DEFAULT_FILE: &str = "plenary-server.toml";
/// Of environment variables.
const ENV_PREFIX: &str = "PLENARY_SERVER_";

/// The whole configuration. Memory in the worst case: see [`Settings`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where to accept connections.
    pub listen: SocketAddr,
    /// DNS names and IP addresses of the TLS certificate.
    pub names: Vec<String>,
    /// What members connect to, as host:port.
    pub address: Option<String>,
    /// The data folder.
    pub data: PathBuf,
    /// Logging.
    pub log: Log,
    /// A certificate issued elsewhere.
    pub tls: Tls,
    /// Limits.
    pub limits: Limits,
    /// Items: files as exchanged, sealed.
    pub items: Items,
    /// Where operators reach the running server.
    pub admin: Admin,
    /// Health and metrics.
    pub metrics: Metrics,
    /// Reading everything back.
    pub scrub: Scrub,
    /// What `plenary-server backup` does when it is not told otherwise.
    pub backup: Backup,
}

/// Where operators reach the running server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The admin socket.
    pub socket: Option<PathBuf>,
}

/// Health and metrics, by plain HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// A loopback address; none: no such listener.
    pub listen: Option<SocketAddr>,
}

/// Reading everything back, so that damage is found while there is a backup without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scrub {
    /// How often, in days.
    pub every_days: u32,
    /// Bytes a second.
    pub bytes_per_second: u64,
}

/// What `plenary-server backup` does when it is not told otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Where backups go.
    pub folder: Option<PathBuf>,
    /// The public half of the backup key.
    pub public_key: Option<PathBuf>,
    /// Snapshots to keep; 0: all.
    pub keep_snapshots: usize,
    /// The items' bytes go into backups.
    pub with_items: bool,
}

/// Items: files as exchanged, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Items {
    /// Sealed bytes of the largest item.
    pub largest_bytes: u64,
    /// Sealed bytes of one member's items; 0: no limit.
    pub member_bytes: u64,
    /// Sealed bytes of all items; 0: no limit but the disk.
    pub total_bytes: u64,
    /// Bytes a second of all transfers together, either way, while members talk; 0: no limit.
    pub bytes_per_second_beside_chat: u64,
    /// How long an item is kept, where its sender does not say, in days.
    pub keep_days: u32,
    /// How long a sender may have it kept, in days.
    pub longest_keep_days: u32,
    /// An S3-compatible store for committed items.
    pub s3: ObjectStoreSettings,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Directives of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    /// Shape of a line.
    pub format: LogFormat,
}

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// A certificate issued elsewhere: both files or none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Leaf first, CA last (PEM).
    pub chain: Option<PathBuf>,
    /// The leaf's key (PEM).
    pub key: Option<PathBuf>,
}

/// Limits an operator may tune.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// From accept to OK, in seconds.
    pub handshake_seconds: u64,
    /// Handshakes in progress.
    pub handshakes: usize,
    /// Of them, from one address.
    pub handshakes_per_address: usize,
    /// Silence before a ping, in seconds.
    pub ping_seconds: u64,
    /// Silence before the end, in seconds.
    pub gone_seconds: u64,
    /// For connections to end when the server stops, in seconds.
    pub drain_seconds: u64,
    /// After which clients come back to a server that stops, in seconds.
    pub come_back_seconds: u64,
    /// Sustained messages of a device a minute.
    pub messages_per_minute: u32,
    /// Messages of a device at once.
    pub message_burst: u32,
}

/// What the command line sets; the rest is taken from elsewhere.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// See [`Config::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// See [`Config::names`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// See [`Config::address`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// See [`Config::data`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// See [`Config::log`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogOverride>,
}

/// What the command line sets of [`Log`].
#[derive(Debug, Clone, Serialize)]
pub struct LogOverride {
    /// See [`Log::filter`].
    pub filter: String,
}

/// The configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The named file is not there.
    #[error("there is no configuration file {0}")]
    NoFile(PathBuf),
    /// A value is unknown or of the wrong kind.
    #[error("{0}")]
    Parse(String),
    /// A value makes no sense.
    #[error("{key}: {why}")]
    Value {
        /// Which.
        key: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7443)),
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            address: None,
            data: PathBuf::from("plenary-data"),
            log: Log::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            items: Items::default(),
            admin: Admin::default(),
            metrics: Metrics::default(),
            scrub: Scrub::default(),
            backup: Backup::default(),
        }
    }
}

impl Default for Scrub {
    fn default() -> Self {
        Self {
            every_days: 7,
            bytes_per_second: 16 << 20,
        }
    }
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            folder: None,
            public_key: None,
            keep_snapshots: 14,
            with_items: true,
        }
    }
}

impl Default for Items {
    fn default() -> Self {
        let core = plenary_core::config::Config::default();
        Self {
            largest_bytes: core.item_size,
            member_bytes: core.member_bytes,
            total_bytes: core.total_bytes,
            bytes_per_second_beside_chat: 128 << 20,
            keep_days: core.keep_days,
            longest_keep_days: core.longest_keep_days,
            s3: ObjectStoreSettings::default(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            connections: settings.connections,
            handshake_seconds: settings.handshake.as_secs(),
            handshakes: settings.handshakes,
            handshakes_per_address: settings.handshakes_per_address,
            ping_seconds: settings.ping_after.as_secs(),
            gone_seconds: settings.gone_after.as_secs(),
            drain_seconds: settings.drain.as_secs(),
            come_back_seconds: 1,
            messages_per_minute: limits::MESSAGES_PER_MINUTE,
            message_burst: limits::MESSAGE_BURST,
        }
    }
}

impl Config {
    /// Puts defaults, file, environment and command line on top of each other, and checks the result.
    ///
    /// # Errors
    /// A named file that is absent, unknown keys, values that make no sense.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        if let Some(file) = file.filter(|file| !file.is_file()) {
            return Err(ConfigError::NoFile(file.to_owned()));
        }
        let found = Some(Path::new(DEFAULT_FILE)).filter(|file| file.is_file());
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file.or(found) {
            figment = figment.merge(Toml::file_exact(file));
        }
        let config: Self = figment
            .merge(Env::prefixed(ENV_PREFIX).split("__"))
            .merge(Serialized::defaults(overrides))
            .extract()
            .map_err(|error| ConfigError::Parse(error.to_string()))?;
        config.check()?;
        Ok(config)
    }

    /// What members connect to, when the server listens on `port`.
    pub fn public_address(&self, port: u16) -> String {
        self.address.clone().unwrap_or_else(|| {
            let name = self.names.first().map_or("localhost", String::as_str);
            match name.parse() {
                Ok(std::net::IpAddr::V6(v6)) => format!("[{v6}]:{port}"),
                _ => format!("{name}:{port}"),
            }
        })
    }

    /// What the core needs.
    pub fn core(&self) -> plenary_core::config::Config {
        plenary_core::config::Config {
            limits: plenary_proto::reply::Limits {
                chat_message: limits::CHAT_MESSAGE as u32,
                bulk_message: limits::BULK_MESSAGE as u32,
                read_records: limits::READ_RECORDS,
                messages_per_minute: self.limits.messages_per_minute,
                message_burst: self.limits.message_burst,
            },
            item_size: self.items.largest_bytes,
            member_bytes: self.items.member_bytes,
            total_bytes: self.items.total_bytes,
            keep_days: self.items.keep_days,
            longest_keep_days: self.items.longest_keep_days,
            ..plenary_core::config::Config::default()
        }
    }

    /// What the transport needs.
    pub fn settings(&self) -> Settings {
        let limits = &self.limits;
        Settings {
            handshake: Duration::from_secs(limits.handshake_seconds),
            handshakes: limits.handshakes,
            handshakes_per_address: limits.handshakes_per_address,
            connections: limits.connections,
            ping_after: Duration::from_secs(limits.ping_seconds),
            gone_after: Duration::from_secs(limits.gone_seconds),
            drain: Duration::from_secs(limits.drain_seconds),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let is_name = |name: &String| ServerName::try_from(name.as_str()).is_ok();
        let is_address = |address: &String| {
            let (host, port) = address.rsplit_once(':').unwrap_or_default();
            let host = host.trim_start_matches('[').trim_end_matches(']');
            ServerName::try_from(host).is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0)
        };
        require(
            "names",
            !self.names.is_empty() && self.names.iter().all(is_name),
            "one or more DNS names or IP addresses, without port",
        )?;
        require(
            "address",
            self.address.as_ref().is_none_or(is_address),
            "host:port, as members type it",
        )?;
        require(
            "data",
            !self.data.as_os_str().is_empty(),
            "the path of a folder",
        )?;
        require(
            "log.filter",
            tracing_subscriber::EnvFilter::try_new(&self.log.filter).is_ok(),
            "off, error, warn, info, debug, trace or tracing directives",
        )?;
        require(
            "tls",
            self.tls.chain.is_some() == self.tls.key.is_some(),
            "chain and key belong together: name both or none",
        )?;
        require("limits.connections", limits.connections > 0, "at least 1")?;
        require(
            "limits.handshake_seconds",
            (1..=60).contains(&limits.handshake_seconds),
            "from 1 to 60",
        )?;
        require(
            "limits.handshakes",
            (1..=limits.connections).contains(&limits.handshakes),
            "at least 1, at most limits.connections",
        )?;
        require(
            "limits.handshakes_per_address",
            (1..=limits.handshakes).contains(&limits.handshakes_per_address),
            "at least 1, at most limits.handshakes",
        )?;
        require(
            "limits.ping_seconds",
            (1..limits.gone_seconds).contains(&limits.ping_seconds),
            "at least 1, below limits.gone_seconds",
        )?;
        require(
            "limits.gone_seconds",
            limits.gone_seconds <= 3600,
            "at most 3600",
        )?;
        require(
            "limits.drain_seconds",
            limits.drain_seconds <= 600,
            "at most 600",
        )?;
        require(
            "limits.come_back_seconds",
            limits.come_back_seconds <= 3600,
            "at most 3600; clients wait a minute at most",
        )?;
        let listen = self.metrics.listen;
        require(
            "metrics.listen",
            listen.is_none_or(|address| address.ip().is_loopback()),
            "a loopback address such as 127.0.0.1:9464: it is plain HTTP, for this machine alone",
        )?;
        require(
            "scrub.every_days",
            (1..=365).contains(&self.scrub.every_days),
            "from 1 to 365",
        )?;
        require(
            "scrub.bytes_per_second",
            self.scrub.bytes_per_second >= 1 << 20,
            "at least 1048576",
        )?;
        require(
            "limits.messages_per_minute",
            limits.messages_per_minute > 0,
            "at least 1",
        )?;
        let items = &self.items;
        let largest = plenary_core::config::Config::default().item_size;
        require(
            "items.largest_bytes",
            (1..=largest).contains(&items.largest_bytes),
            "from 1 to 68719476736: what the largest file takes",
        )?;
        require(
            "items.bytes_per_second_beside_chat",
            matches!(items.bytes_per_second_beside_chat, 0 | 1_048_576..),
            "0 for no limit, else at least 1048576",
        )?;
        require(
            "items.keep_days",
            (1..=items.longest_keep_days).contains(&items.keep_days),
            "at least 1, at most items.longest_keep_days",
        )?;
        require(
            "items.longest_keep_days",
            items.longest_keep_days <= 36_500,
            "at most 36500",
        )?;
        let s3 = &items.s3;
        let plain = |url: &String| url.starts_with("http://");
        require(
            "items.s3.bucket",
            s3.bucket.as_ref().is_none_or(|bucket| !bucket.is_empty()),
            "the name of a bucket",
        )?;
        require(
            "items.s3.endpoint",
            s3.endpoint
                .as_ref()
                .is_none_or(|url| url.starts_with("https://") || plain(url)),
            "an address that begins with https://",
        )?;
        require(
            "items.s3.allow_http",
            s3.allow_http || !s3.endpoint.as_ref().is_some_and(plain),
            "true, if the endpoint has no TLS",
        )?;
        require(
            "limits.message_burst",
            limits.message_burst > 0,
            "at least 1",
        )
    }
}

fn require(key: &'static str, holds: bool, wanted: &str) -> Result<(), ConfigError> {
    if holds {
        return Ok(());
    }
    Err(ConfigError::Value {
        key,
        why: format!("wanted: {wanted}"),
    })
}

#[cfg(test)]
mod tests;
