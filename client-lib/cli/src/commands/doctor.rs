//! `doctor`: what is wrong with a profile or its connection, and what to do.

use std::{os::unix::fs::PermissionsExt, path::Path};

use plenary_client::{Freshness, Standing, Status};
use serde_json::json;

use super::{
    show::standing_word,
    status::{freshness_words, recovery_words},
};
use crate::{
    exit::Failure,
    output::Style,
    session::{Context, Need},
};

/// Free bytes below which something must be done, and at which nothing need be.
const SCARCE: u64 = 100 << 20;
const ENOUGH: u64 = 1 << 30;

/// What was looked at and found.
struct Finding {
    verdict: Verdict,
    what: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Warning,
    Bad,
}

pub(super) async fn run(context: &Context) -> Result<(), Failure> {
    let path = context.folder()?;
    let session = context.session(Need::Fresh).await?;
    let status = session.client.status().await?;
    let alarms = session.client.alarms().await?.len();
    let why_not = session.stale.clone();
    session.finish().await?;
    let offline = context.global.offline;
    let findings = [
        folder(&path),
        disk(&path),
        connection(&status, why_not.as_ref(), offline),
        clock(&status),
        standing(&status),
        ledger(&status),
        outbox(&status),
        raised(alarms),
    ];
    for finding in &findings {
        tell(context, finding)?;
    }
    let bad = |one: &&Finding| one.verdict == Verdict::Bad;
    match findings.iter().find(bad) {
        None => Ok(()),
        Some(one) if one.what == "connection" => Err(Failure::offline("the server is not reached")),
        Some(one) if one.what == "alarms" => Err(Failure::trust(one.text.clone())),
        Some(one) => Err(Failure::not_allowed(format!("{}: {}", one.what, one.text))),
    }
}

fn tell(context: &Context, finding: &Finding) -> Result<(), Failure> {
    let (word, style) = match finding.verdict {
        Verdict::Good => ("good", Style::Good),
        Verdict::Warning => ("warning", Style::Bold),
        Verdict::Bad => ("bad", Style::Bad),
    };
    context.out.emit(
        || json!({ "verdict": word, "what": finding.what, "text": finding.text }),
        |line| {
            line.add(style, &format!("{word:9}")).add(
                Style::Plain,
                &format!("{:12}{}", finding.what, finding.text),
            )
        },
    )
}

fn found(verdict: Verdict, what: &'static str, text: impl Into<String>) -> Finding {
    Finding {
        verdict,
        what,
        text: text.into(),
    }
}

fn folder(path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(about) if about.permissions().mode() & 0o077 != 0 => found(
            Verdict::Warning,
            "profile",
            format!("others may list {shown} (all in it is sealed): chmod 700 {shown}"),
        ),
        Ok(_) => found(Verdict::Good, "profile", format!("{shown} opens")),
        Err(error) => found(Verdict::Bad, "profile", format!("{shown}: {error}")),
    }
}

fn disk(path: &Path) -> Finding {
    let space = match rustix::fs::statvfs(path) {
        Ok(space) => space.f_bavail.saturating_mul(space.f_frsize),
        Err(error) => return found(Verdict::Warning, "disk", error.to_string()),
    };
    let text = format!("{} MiB free", space >> 20);
    match space {
        0..SCARCE => found(Verdict::Bad, "disk", format!("{text}: make room")),
        SCARCE..ENOUGH => found(Verdict::Warning, "disk", format!("{text}: make room soon")),
        _ => found(Verdict::Good, "disk", text),
    }
}

/// Nothing but TLS 1.3 with the hybrid group is spoken: who is connected has it.
fn connection(status: &Status, why_not: Option<&Failure>, offline: bool) -> Finding {
    match (status.online, why_not) {
        (true, _) => found(
            Verdict::Good,
            "connection",
            "the pinned CA, TLS 1.3 with X25519MLKEM768, the server key that the ledger names",
        ),
        (false, _) if offline => found(Verdict::Warning, "connection", "not tried: --offline"),
        (false, why) => {
            let why = why.map_or("the server does not answer", |why| why.message.as_str());
            let hint = "is this machine online, may it reach that port, does nothing in between take TLS apart?";
            found(Verdict::Bad, "connection", format!("{why}; {hint}"))
        }
    }
}

fn clock(status: &Status) -> Finding {
    match status.clock {
        None => found(Verdict::Good, "clock", "agrees with what was heard"),
        Some(trouble) => found(Verdict::Bad, "clock", trouble.to_string()),
    }
}

fn standing(status: &Status) -> Finding {
    match status.standing {
        Standing::Live => found(Verdict::Good, "device", "live"),
        other => found(
            Verdict::Bad,
            "device",
            format!("{}: ask the Board", standing_word(other)),
        ),
    }
}

fn ledger(status: &Status) -> Finding {
    let verified = format!("{} statements verified", status.ledger.0);
    if let Some(recovery) = &status.recovery {
        return found(Verdict::Warning, "ledger", recovery_words(recovery));
    }
    match status.freshness {
        Freshness::Lapsed { .. } => found(
            Verdict::Warning,
            "ledger",
            format!(
                "{verified}; heartbeat {}: tell the Board",
                freshness_words(status.freshness)
            ),
        ),
        _ => found(
            Verdict::Good,
            "ledger",
            format!(
                "{verified}; heartbeat {}",
                freshness_words(status.freshness)
            ),
        ),
    }
}

fn outbox(status: &Status) -> Finding {
    match status.queued {
        0 => found(Verdict::Good, "outbox", "nothing waits"),
        waiting => found(
            Verdict::Warning,
            "outbox",
            format!("{waiting} messages wait: `plenary sync` sends them"),
        ),
    }
}

fn raised(alarms: usize) -> Finding {
    match alarms {
        0 => found(Verdict::Good, "alarms", "none"),
        count => found(
            Verdict::Bad,
            "alarms",
            format!("{count} raised: `plenary alarms` shows them; tell the Board"),
        ),
    }
}
