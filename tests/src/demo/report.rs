//! What came of it: a table for people, one line of JSON for machines.

use std::fmt;

use serde::Serialize;

/// Something that had to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: &'static str,
    /// Whether it did.
    pub ok: bool,
    /// In what way not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// From `send` at one client to the event at another, in milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Delivery {
    /// Deliveries measured.
    pub measured: u64,
    /// Half took at most this.
    pub p50_ms: f64,
    /// 99 of 100 took at most this.
    pub p99_ms: f64,
    /// None took more.
    pub max_ms: f64,
}

/// The file handed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// At the sender.
    pub sent_sha256: String,
    /// At the recipient.
    pub received_sha256: String,
}

/// Seconds that the parts of a run took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Invitations, requests, the Board's signatures, first connections.
    pub admitting: f64,
    /// Everybody into every channel, one after the other in each.
    pub entering: f64,
    /// Until everybody has read everything.
    pub playing: f64,
    /// Every message of every member with the script.
    pub comparing: f64,
}

/// The result of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether every check held.
    pub ok: bool,
    /// Members admitted.
    pub members: usize,
    /// Messages played.
    pub sent: u64,
    /// Messages in all profiles together.
    pub received: u64,
    /// Of them, equal to what was played, at their place.
    pub equal: u64,
    /// What that number had to be.
    pub expected: u64,
    /// How long messages took.
    pub delivery: Delivery,
    /// Bytes on the server's disk.
    pub server_bytes: u64,
    /// The file handed over.
    pub file: File,
    /// How long its parts took.
    pub seconds: Seconds,
    /// Everything that was checked.
    pub checks: Vec<Check>,
    /// The discussion, as read.
    #[serde(skip)]
    pub transcript: String,
    /// How to go on by hand.
    #[serde(skip)]
    pub by_hand: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let mut row = |name: &str, value: String| writeln!(f, "  {name:<26} {value}");
        row("members", self.members.to_string())?;
        row("messages sent", self.sent.to_string())?;
        row(
            "messages received",
            format!("{} of {}", self.received, self.expected),
        )?;
        row(
            "compared equal",
            format!("{} of {}", self.equal, self.expected),
        )?;
        row("delivery p50", format!("{:.1} ms", self.delivery.p50_ms))?;
        row("delivery p99", format!("{:.1} ms", self.delivery.p99_ms))?;
        row(
            "on the server's disk",
            format!("{} bytes", self.server_bytes),
        )?;
        row(
            "file handed over",
            format!("{}, {} bytes", self.file.name, self.file.bytes),
        )?;
        row("  SHA-256 sent", self.file.sent_sha256.clone())?;
        row("  SHA-256 received", self.file.received_sha256.clone())?;
        let took = self.seconds;
        row(
            "seconds",
            format!(
                "admitting {:.1}, entering {:.1}, playing {:.1}, comparing {:.1}",
                took.admitting, took.entering, took.playing, took.comparing
            ),
        )?;
        writeln!(f)?;
        for check in &self.checks {
            let mark = if check.ok { "ok    " } else { "FAILED" };
            writeln!(f, "  {mark}  {}", check.what)?;
            for detail in &check.details {
                writeln!(f, "          {detail}")?;
            }
        }
        write!(f, "{}", self.by_hand)
    }
}
