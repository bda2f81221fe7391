//! What is counted, in the OpenMetrics text format. No label names a member, a device, a channel or
//! an item, nor an address: who scrapes learns how much, never whose.
//!
//! Counters are kept where things happen, by [`Service::note`](crate::net::Service::note) and the
//! session; gauges are read when somebody asks.

mod http;

pub use http::Listener;

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::admin::Status;
use crate::net::Note;

/// One of a few words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

/// How sessions end.
const ENDS: [&str; 10] = [
    "gone",
    "silent",
    "normal",
    "failed",
    "slow",
    "violation",
    "lagging",
    "revoked",
    "dropped",
    "shutdown",
];

/// All metrics of one run.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    accepted: Counter,
    refused: Family<Kind, Counter>,
    ended: Family<Kind, Counter>,
    messages: Counter,
    message_seconds: Histogram,
    records: Counter,
    connections: Family<Kind, Gauge>,
    devices: Gauge,
    channels: Gauge,
    statements: Gauge,
    store_healthy: Gauge,
    store_bytes: Gauge,
    items: Family<Kind, Gauge>,
    item_bytes: Gauge,
    free_bytes: Gauge,
    certificate_days: Gauge,
    backup: Gauge,
    scrub: Gauge,
    scrub_damaged: Gauge,
    uptime: Gauge,
    resident: Gauge,
    open_files: Gauge,
    most_files: Gauge,
}

/// What is read when somebody asks.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// As `admin status` says it.
    pub status: Status,
    /// Connections: chat, bulk, guests and those not yet authenticated.
    pub connections: (usize, usize, usize),
    /// Items: kept, coming, held.
    pub items: (u64, u64, u64),
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("plenary");
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of the server", version);
        let mut into = Into(&mut registry);
        Self {
            accepted: into.counter("accepted", "TCP connections accepted"),
            refused: into.counters(
                "refused",
                "Connections that did not come to a session",
                &["full", "handshake", "slow"],
            ),
            ended: into.counters("ended", "Sessions that ended, by how", &ENDS),
            messages: into.counter("messages", "Messages received"),
            message_seconds: into.seconds(),
            records: into.counter("records", "Records that became durable"),
            connections: into.gauges("connections", "Open connections: chat, bulk, other"),
            devices: into.gauge("devices", "Devices that are here"),
            channels: into.gauge("channels", "Channels"),
            statements: into.gauge("ledger_statements", "Statements of the Board's ledger"),
            store_healthy: into.gauge("store_healthy", "1 while the store takes writes"),
            store_bytes: into.bytes("store_size", "Store for reading, without its journal"),
            items: into.gauges("items", "Items: kept, coming, held"),
            item_bytes: into.bytes("items_size", "Sealed items"),
            free_bytes: into.bytes("disk_free", "Free for the data folder"),
            certificate_days: into.gauge("certificate_days", "Days until the certificate ends"),
            backup: into.moment("last_backup_timestamp", "Last whole backup; 0: none"),
            scrub: into.moment(
                "last_scrub_timestamp",
                "Last time all was read back; 0: never",
            ),
            scrub_damaged: into.gauge("scrub_damaged", "Damage found by the last scrub"),
            uptime: into.moment("uptime", "Since the server started"),
            resident: into.bytes("resident_memory", "Memory of the process"),
            open_files: into.gauge("open_files", "Open file descriptors"),
            most_files: into.gauge("open_files_limit", "Most file descriptors allowed"),
            registry,
        }
    }

    /// Counts what the transport tells.
    pub fn note(&self, what: Note) {
        let count = |family: &Family<Kind, Counter>, kind| {
            family.get_or_create(&Kind { kind }).inc();
        };
        match what {
            Note::Accepted => {
                self.accepted.inc();
            }
            Note::Refused(why) => count(&self.refused, why),
            Note::Ended(how) => count(&self.ended, how),
        }
    }

    /// Counts a message and the time until it was answered.
    pub fn message(&self, took: Duration) {
        self.messages.inc();
        self.message_seconds.observe(took.as_secs_f64());
    }

    /// Counts durable records.
    pub fn records(&self, more: usize) {
        self.records.inc_by(more as u64);
    }

    /// Everything as text.
    ///
    /// # Errors
    /// None that can be: it is written to memory.
    pub fn text(&self, now: &Snapshot) -> Result<String, std::fmt::Error> {
        self.set(now);
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    fn set(&self, now: &Snapshot) {
        let put = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let of = |family: &Family<Kind, Gauge>, kind, value: u64| {
            put(&family.get_or_create(&Kind { kind }), value);
        };
        let status = &now.status;
        let (chat, bulk, other) = now.connections;
        for (kind, value) in [("chat", chat), ("bulk", bulk), ("other", other)] {
            of(&self.connections, kind, value as u64);
        }
        let (kept, coming, held) = now.items;
        for (kind, value) in [("kept", kept), ("coming", coming), ("held", held)] {
            of(&self.items, kind, value);
        }
        put(&self.devices, status.devices);
        put(&self.channels, status.channels);
        put(&self.statements, status.statements);
        put(&self.store_healthy, u64::from(status.store.is_none()));
        put(&self.store_bytes, status.store_bytes);
        put(&self.item_bytes, status.item_bytes);
        put(&self.free_bytes, status.free_bytes);
        self.certificate_days.set(status.certificate_days);
        put(&self.backup, status.backup.unwrap_or(0) / 1_000);
        put(&self.scrub, status.scrub.unwrap_or(0) / 1_000);
        put(&self.scrub_damaged, status.scrub_damaged);
        put(&self.uptime, status.uptime_seconds);
        let process = Process::read();
        put(&self.resident, process.resident);
        put(&self.open_files, process.files);
        put(&self.most_files, process.most_files);
    }
}

/// What the system says of this process; zeros where it does not.
struct Process {
    resident: u64,
    files: u64,
    most_files: u64,
}

impl Process {
    fn read() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let files = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            resident: kib.unwrap_or(0) * 1024,
            files: files as u64,
            most_files: limit.current.unwrap_or(u64::MAX),
        }
    }
}

/// Registers as it makes.
struct Into<'a>(&'a mut Registry);

impl Into<'_> {
    fn counter(&mut self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        self.0.register(name, help, counter.clone());
        counter
    }

    /// Each kind begins at zero: what is absent raises no alert.
    fn counters(
        &mut self,
        name: &str,
        help: &str,
        kinds: &[&'static str],
    ) -> Family<Kind, Counter> {
        let family = Family::<Kind, Counter>::default();
        for kind in kinds {
            drop(family.get_or_create(&Kind { kind }));
        }
        self.0.register(name, help, Family::clone(&family));
        family
    }

    fn gauge(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0.register(name, help, gauge.clone());
        gauge
    }

    fn gauges(&mut self, name: &str, help: &str) -> Family<Kind, Gauge> {
        let family = Family::default();
        self.0.register(name, help, Family::clone(&family));
        family
    }

    fn bytes(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0
            .register_with_unit(name, help, Unit::Bytes, gauge.clone());
        gauge
    }

    fn moment(&mut self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.0
            .register_with_unit(name, help, Unit::Seconds, gauge.clone());
        gauge
    }

    fn seconds(&mut self) -> Histogram {
        // From a quarter of a millisecond to four seconds.
        let histogram = Histogram::new(exponential_buckets(0.000_25, 2.0, 15));
        self.0.register_with_unit(
            "message",
            "From a message to its answer, durable where it must be",
            Unit::Seconds,
            histogram.clone(),
        );
        histogram
    }
}
