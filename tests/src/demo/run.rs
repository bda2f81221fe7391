//! One run of the demo, from an empty folder to the report.

use std::path::Path;

use anyhow::{Context, Result};

use super::{
    args::Args,
    corpus::Corpus,
    play::Played,
    progress::Progress,
    report::{Check, Report, Seconds},
    script::{CHANNELS, Script},
    stage::Stage,
    story::story,
};
use crate::harness::{PASSPHRASE, PATIENCE, bytes_on_disk};

/// Plays what the arguments ask for; `program` runs the server when started with `serve`.
///
/// # Errors
/// When something fails that is no check: a corpus that cannot be read, a server that does not
/// start, somebody who does not get in.
pub async fn run(args: &Args, program: &Path) -> Result<Report> {
    let mut script = match &args.corpus {
        Some(corpus) => Corpus::read(corpus)?,
        None => story(),
    };
    script.cut(args.members.map(usize::from), args.messages);
    let home = tempfile::Builder::new().prefix("plenary-demo-").tempdir()?;
    let mut stage = Stage::set(program, home.path(), &args.log, &script).await?;
    let mut report = act(&mut stage, &script, args).await?;
    for member in &mut stage.members {
        member.leave().await?;
    }
    if args.keep {
        report.by_hand = by_hand(&stage, home.path())?;
        stage.server.detach();
        let _ = home.keep();
    } else {
        let stopped = stage.server.stop();
        report.checks.push(Check {
            what: "the server ends clean when asked",
            ok: stopped.is_ok(),
            details: stopped
                .err()
                .map(|error| error.to_string())
                .into_iter()
                .collect(),
        });
    }
    report.ok = report.checks.iter().all(|check| check.ok);
    Ok(report)
}

async fn act(stage: &mut Stage, script: &Script, args: &Args) -> Result<Report> {
    let mut played: Vec<Played> = CHANNELS.iter().map(|_| Played::default()).collect();
    let middle = script.middle();
    let away = script.away();
    let progress = Progress::new("playing the discussion", script.posts.len() as u64);
    stage
        .play(script, 0..middle.start, &mut played, &progress)
        .await?;
    if let Some(away) = away {
        stage.watch.forget(away);
        stage.members[away].leave().await?;
    }
    stage
        .play(script, middle.clone(), &mut played, &progress)
        .await?;
    if let Some(away) = away {
        let client = stage.members[away].come_back().await?.clone();
        stage.watch.listen(away, &client);
        client.online(PATIENCE).await?;
    }
    stage
        .play(
            script,
            middle.end..script.posts.len(),
            &mut played,
            &progress,
        )
        .await?;
    for who in 0..stage.members.len() {
        stage.caught_up(who, &played).await?;
    }
    let playing = progress.end();

    let progress = Progress::new("comparing with every member", stage.members.len() as u64);
    let mut all = Vec::with_capacity(stage.members.len());
    for who in 0..stage.members.len() {
        all.push(stage.compare(who, script, &played).await?);
        progress.step();
    }
    let comparing = progress.end();
    let each = script.posts.len() as u64;
    let sum = |of: fn(&super::verify::Compared) -> u64| all.iter().map(of).sum::<u64>();
    let wrong = |who: Option<usize>| {
        let of = all
            .iter()
            .enumerate()
            .filter(|(index, _)| who.is_none_or(|who| who == *index));
        of.flat_map(|(_, compared)| compared.wrong.clone())
            .take(20)
            .collect::<Vec<_>>()
    };
    let mut checks = vec![Check {
        what: "every member read every message, equal and in the same order",
        ok: all
            .iter()
            .all(|one| one.received == each && one.equal == each),
        details: wrong(None),
    }];
    if let Some(away) = away {
        checks.push(Check {
            what: "the member away for half of it has caught up to the same",
            ok: all[away].equal == each,
            details: wrong(Some(away)),
        });
    }
    let delivery = stage.delivery(script, &played, away)?;
    // One who only reads shows best what others wrote.
    let reader = away.unwrap_or(0);
    let transcript = stage.transcript(reader).await?;
    if !args.json {
        println!("{transcript}");
    }

    let file = stage.hand_over(1, 2, 1).await?;
    checks.push(Check {
        what: "the file has the same digest at both ends",
        ok: file.sent_sha256 == file.received_sha256,
        details: Vec::new(),
    });
    let revoked = script.revoked().context("nobody to revoke")?;
    let closing = stage.revoke(revoked).await?;
    let name = &stage.members[revoked].person.name;
    eprintln!("revoked: {name}");
    for (what, ok) in [
        (
            "the revoked member is refused by the server",
            closing.refused,
        ),
        (
            "what was said after the revocation is closed to it",
            closing.closed,
        ),
        (
            "everybody else read what was said after the revocation",
            closing.others,
        ),
    ] {
        checks.push(Check {
            what,
            ok,
            details: Vec::new(),
        });
    }
    let troubles: Vec<_> = stage
        .watch
        .troubles()
        .into_iter()
        .take(20)
        .map(|(who, what)| format!("{}: {what}", stage.members[who].person.name))
        .collect();
    checks.push(Check {
        what: "no client raised an alarm or gave a message up",
        ok: troubles.is_empty(),
        details: troubles,
    });
    Ok(Report {
        ok: false,
        members: stage.members.len(),
        sent: each,
        received: sum(|one| one.received),
        equal: sum(|one| one.equal),
        expected: each * stage.members.len() as u64,
        delivery,
        server_bytes: bytes_on_disk(&stage.server.data())?,
        file,
        seconds: Seconds {
            admitting: stage.seconds.admit,
            entering: stage.seconds.enter,
            playing,
            comparing,
        },
        checks,
        transcript,
        by_hand: String::new(),
    })
}

/// The commands to go on with what is left standing.
fn by_hand(stage: &Stage, home: &Path) -> Result<String> {
    use std::{fmt::Write, io::Write as _, os::unix::fs::OpenOptionsExt};
    let passphrase = home.join("passphrase");
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&passphrase)?
        .write_all(format!("{PASSPHRASE}\n").as_bytes())?;
    let plenary = |who: usize, command: &str| {
        format!(
            "  cargo run --release --bin plenary -- --profile {} --passphrase-file {} {command}",
            stage.members[who].folder.display(),
            passphrase.display()
        )
    };
    let mut out = String::from("\nThe server runs on; go on by hand:\n");
    writeln!(out, "{}", plenary(2, "tail encryption --follow"))?;
    writeln!(out, "{}", plenary(1, "send encryption \"Good morning\""))?;
    writeln!(out, "{}", plenary(1, "members"))?;
    writeln!(out, "To end it and take it all away:")?;
    if let Some(process) = stage.server.process() {
        writeln!(out, "  kill {process}")?;
    }
    writeln!(out, "  rm -r {}", home.display())?;
    writeln!(
        out,
        "To start the server again:\n  {}",
        stage.server.command()
    )?;
    Ok(out)
}
