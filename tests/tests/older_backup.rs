//! A server restored from a backup older than the Board's last statement: nobody who has read it talks to
//! the server, until the ledger is completed from a member's file; then the channels go on.

mod common;

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use common::{PROGRAM, Room, texts};
use plenary_client::{
    AlarmKind, Client, Reason, Requested, content::Draft, ids::Seq, is_proof, verify_proof,
};
use plenary_tests::harness::{PATIENCE, SERVE};
use serde_json::Value;

/// An operator's command in the room's folder.
fn operate(room: &Room, words: &[&str]) -> Result<Value> {
    let out = Command::new(PROGRAM)
        .arg(SERVE)
        .args(words)
        .arg("--json")
        .current_dir(room.home.path())
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{words:?}: {said}");
    Ok(serde_json::from_slice(&out.stdout).unwrap_or_default())
}

async fn say(client: &Client, room: &Room, text: &str) -> Result<()> {
    let sent = client.send(room.channel, Draft::text(text)).await?;
    tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    Ok(())
}

/// Waits until something holds of a client; looks again whenever anything happened there.
async fn until(client: &Client, what: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let mut events = client.events();
    let wait = async {
        while !holds().await? {
            events.next().await.context("the client was closed")?;
        }
        anyhow::Ok(())
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.with_context(|| format!("{client:?} {what}"))?
}

/// Waits until a client has told an alarm.
async fn alarmed(client: &Client, kind: AlarmKind) -> Result<()> {
    until(client, &format!("raises no {kind}"), async || {
        let alarms = client.alarms().await?;
        Ok(alarms.iter().any(|alarm| alarm.kind == kind))
    })
    .await
}

/// Waits until a client has read a text in the room's channel.
async fn reads(client: &Client, room: &Room, text: &str) -> Result<()> {
    until(client, &format!("does not read {text:?}"), async || {
        let all = client.messages(room.channel, Seq(0), 256).await?;
        Ok(texts(&all).contains(&text))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_boards_later_statements_come_from_a_member_and_the_channels_go_on() -> Result<()> {
    let mut room = Room::of(4).await?;
    let (founder, second) = (room.client(0)?.clone(), room.client(1)?.clone());
    say(&founder, &room, "before the backup").await?;
    reads(room.client(3)?, &room, "before the backup").await?;
    room.members[3].leave().await?;
    let data = room.server.data().display().to_string();
    operate(&room, &["backup-key", "--out", "backup.key"])?;
    let backup = ["backup", "--to", "backups", "--key", "backup.key.pub"];
    operate(&room, &[&backup[..], &["--data", &data]].concat())?;

    // After the backup the Board speaks, and so do members.
    let out = room.client(2)?.member();
    room.network
        .decide(vec![Requested::RevokeMember(out, Reason::Left)])
        .await?;
    say(&founder, &room, "after the backup").await?;
    reads(&second, &room, "after the backup").await?;
    let statements = founder.status().await?.ledger;

    room.server.stop()?;
    let broken = room.home.path().join("broken");
    fs::rename(room.server.data(), &broken)?;
    let restore = ["restore", "backups", "--key", "backup.key", "--data", &data];
    operate(&room, &restore)?;
    room.server.restart()?;
    alarmed(&founder, AlarmKind::LedgerRolledBack).await?;
    alarmed(&second, AlarmKind::LedgerRolledBack).await?;

    // One who has the statements writes them to a file, without the server.
    let file = second.ledger_file().await?;
    assert!(is_proof(&file));
    let root1 = second.status().await?.root1;
    let proven = verify_proof(&file, root1)?.to_string();
    ensure!(
        proven.contains(&format!("to statement {};", statements.0)),
        "{proven}"
    );
    let path = room.home.path().join("ledger.plenary");
    fs::write(&path, &file)?;
    let complete = ["complete-ledger", "ledger.plenary", "--data", &data];
    let running = operate(&room, &complete).unwrap_err();
    ensure!(running.to_string().contains("in use"), "{running}");
    room.server.stop()?;
    let completed = operate(&room, &complete)?;
    assert_eq!(
        (&completed["added"], &completed["statements"]),
        (&1.into(), &statements.0.into())
    );
    assert_eq!(operate(&room, &complete)?["added"], 0);
    room.server.restart()?;

    // They would try again by themselves, only not soon.
    for member in &mut room.members[..2] {
        member.leave().await?;
        member.come_back().await?;
    }
    let (founder, second) = (room.client(0)?.clone(), room.client(1)?.clone());

    // Whoever saw more of the log says that the restored one counts; what they wrote is said again.
    for client in [&founder, &second] {
        alarmed(client, AlarmKind::LogRolledBack).await?;
        client.enter(room.channel).await?;
    }
    room.members[3].come_back().await?;
    let away = room.client(3)?.clone();
    reads(&away, &room, "after the backup").await?;
    assert_eq!(away.status().await?.ledger, statements);
    for (client, text) in [(&founder, "founder"), (&second, "second"), (&away, "away")] {
        say(client, &room, text).await?;
        for reader in [&founder, &second, &away] {
            reads(reader, &room, text).await?;
        }
    }
    ensure!(
        away.alarms().await?.is_empty(),
        "who saw nothing is told nothing"
    );
    Ok(())
}
