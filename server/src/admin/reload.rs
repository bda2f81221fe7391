//! What differs between two configurations, and what becomes of it at a reload.

use super::protocol::Reloaded;
use crate::config::Config;

/// Keys whose new values a reload puts in force. What is not named waits for a restart.
const LIVE: [&str; 12] = [
    "tls.chain",
    "tls.key",
    "names",
    "log.filter",
    "limits.come_back_seconds",
    "items.largest_bytes",
    "items.member_bytes",
    "items.total_bytes",
    "items.keep_days",
    "items.longest_keep_days",
    "items.bytes_per_second_beside_chat",
    "scrub.",
];
/// Keys that only commands read.
const COMMANDS: &str = "backup.";
/// Which keys differ, by what becomes of them.
pub fn changes(old: &Config, new: &Config) -> anyhow::Result<Reloaded> {
    let (old, new) = (serde_json::to_value(old)?, serde_json::to_value(new)?);
    let mut keys = Vec::new();
    differing("", &old, &new, &mut keys);
    let live = |key: &str| {
        LIVE.iter().any(|live| match live.ends_with('.') {
            true => key.starts_with(live),
            false => key == *live,
        })
    };
    keys.retain(|key| !key.starts_with(COMMANDS));
    let (changed, restart) = keys.into_iter().partition(|key| live(key));
    Ok(Reloaded { changed, restart })
}

fn differing(at: &str, old: &serde_json::Value, new: &serde_json::Value, keys: &mut Vec<String>) {
    if old == new {
        return;
    }
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else {
        return keys.push(at.to_owned());
    };
    let empty = serde_json::Value::Null;
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let key = match at {
            "" => name.clone(),
            _ => format!("{at}.{name}"),
        };
        let old = before.get(name).unwrap_or(&empty);
        differing(&key, old, after.get(name).unwrap_or(&empty), keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_in_force_or_waits_and_is_named() {
        let old = Config::default();
        let mut new = old.clone();
        new.listen.set_port(1);
        new.items.member_bytes = 5;
        new.log.filter = "debug".to_owned();
        new.limits.connections = 7;
        new.tls.chain = Some("x".into());
        new.scrub.every_days = 3;
        new.backup.keep_snapshots = 1;
        let told = changes(&old, &new).unwrap();
        assert_eq!(
            told.changed,
            [
                "items.member_bytes",
                "log.filter",
                "scrub.every_days",
                "tls.chain"
            ]
        );
        assert_eq!(told.restart, ["limits.connections", "listen"]);
        let same = changes(&old, &old).unwrap();
        assert!(same.changed.is_empty() && same.restart.is_empty());
    }
}
