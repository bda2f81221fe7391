//! Answers for people.

use jiff::Timestamp;

use super::protocol::{Certificates, Quotas, Reloaded, Scrubbed, Sessions, Status, Trimmed};

/// Something to be printed for people.
pub trait Words {
    /// Lines, without the last line end.
    fn words(&self) -> String;
}

impl Words for Status {
    fn words(&self) -> String {
        let network = self.network.as_deref().unwrap_or("not founded yet");
        let store = self.store.as_deref().unwrap_or("takes writes");
        let damaged = match self.scrub_damaged {
            0 => String::new(),
            found => format!(", {found} damaged: see the log"),
        };
        [
            format!("version       {}, process {}", self.version, self.process),
            format!("up            {}", span(self.uptime_seconds)),
            format!(
                "listens on    {}, members use {}",
                self.listen, self.address
            ),
            format!("network       {network}"),
            format!("ledger        {} statements", self.statements),
            format!("channels      {}", self.channels),
            format!(
                "connections   {}, of {} devices",
                self.connections, self.devices
            ),
            format!("store         {store}, {}", size(self.store_bytes)),
            format!("items         {}", size(self.item_bytes)),
            format!("disk          {} free", size(self.free_bytes)),
            format!("certificate   {} days left", self.certificate_days),
            format!("last backup   {}", moment(self.backup)),
            format!("last scrub    {}{damaged}", moment(self.scrub)),
        ]
        .join("\n")
    }
}

impl Words for Reloaded {
    fn words(&self) -> String {
        let list = |keys: &[String]| match keys.is_empty() {
            true => "nothing".to_owned(),
            false => keys.join(", "),
        };
        format!(
            "in force now: {}, and the certificate was read again\nwaits for a restart: {}",
            list(&self.changed),
            list(&self.restart)
        )
    }
}

impl Words for Certificates {
    fn words(&self) -> String {
        let by = match self.own {
            true => "made and renewed by the server",
            false => "brought along: renew it in time",
        };
        let mut lines = vec![format!("pin    {}", self.pin), format!("chain  {by}")];
        for one in &self.chain {
            let until = Timestamp::from_second(one.until)
                .map_or_else(|_| "?".to_owned(), |until| until.to_string());
            lines.push(format!(
                "  {}  until {until}, {} days left  {}",
                one.subject,
                one.days,
                one.names.join(" ")
            ));
        }
        lines.join("\n")
    }
}

impl Words for Quotas {
    fn words(&self) -> String {
        let limit = |bytes| match bytes {
            0 => "no limit".to_owned(),
            bytes => size(bytes),
        };
        let mut lines = vec![
            format!("largest item   {}", size(self.largest_bytes)),
            format!("a member       {}", limit(self.member_bytes)),
            format!("all            {}", limit(self.total_bytes)),
            format!(
                "used           {} by {} items, {} coming, {} held",
                size(self.bytes),
                self.kept,
                self.coming,
                self.held
            ),
        ];
        for (member, bytes) in &self.members {
            lines.push(format!("  {member}  {}", size(*bytes)));
        }
        lines.join("\n")
    }
}

impl Words for Sessions {
    fn words(&self) -> String {
        let mut lines = vec![format!("{} connections", self.sessions.len())];
        for one in &self.sessions {
            lines.push(format!(
                "  {}  {}  {}  {}  device {}  member {}",
                one.connection,
                one.purpose,
                one.from,
                span(one.seconds),
                one.device.as_deref().unwrap_or("-"),
                one.member.as_deref().unwrap_or("-"),
            ));
        }
        lines.join("\n")
    }
}

impl Words for Trimmed {
    fn words(&self) -> String {
        let mut lines = vec![format!(
            "{} channels lost records past their retention; {} items were removed",
            self.channels, self.items
        )];
        for item in &self.missing {
            lines.push(format!(
                "  item {item} is missing: restore it from a backup"
            ));
        }
        lines.join("\n")
    }
}

impl Words for Scrubbed {
    fn words(&self) -> String {
        let mut lines = vec![format!(
            "read {} records and {} items; {} damaged",
            self.records,
            self.items,
            self.damaged.len()
        )];
        for what in &self.damaged {
            lines.push(format!("  {what}: restore it from a backup"));
        }
        lines.join("\n")
    }
}

/// Bytes for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn moment(millis: Option<u64>) -> String {
    let at = millis.and_then(|millis| i64::try_from(millis).ok());
    match at.and_then(|at| Timestamp::from_millisecond(at).ok()) {
        Some(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        None => "never".to_owned(),
    }
}
