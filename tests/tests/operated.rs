//! The operator's hand on a server with members on it: what is done to them, and what is not.

mod common;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::{Room, texts};
use plenary_client::{Event, Events, content::Draft};
use plenary_tests::harness::PATIENCE;
use serde_json::Value;

async fn until(events: &mut Events, wanted: &Event) -> Result<()> {
    let wait = async {
        while events.next().await.context("the client was closed")? != *wanted {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("no {wanted:?}"))?
}

/// Connections by their numbers: chats of these members.
fn chats(room: &Room) -> Result<Vec<(u64, String)>> {
    let told = room.admin(&["sessions"])?;
    let all = told["sessions"].as_array().context("no list")?.clone();
    let chats = all.iter().filter(|one| one["purpose"] == "chat");
    let pair = |one: &Value| {
        let device = one["device"].as_str().context("no device")?.to_owned();
        Ok((one["connection"].as_u64().context("no number")?, device))
    };
    chats.map(pair).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_stay_through_a_reload_come_back_after_a_drop_and_when_told() -> Result<()> {
    let mut room = Room::of(2).await?;
    let member = room.client(1)?.clone();
    let own = member.device().to_string();

    // Configuration and certificate again: nobody notices.
    let before = chats(&room)?;
    ensure!(before.len() == 2, "{before:?}");
    let pin = room.admin(&["certificates"])?["pin"].clone();
    room.admin(&["reload"])?;
    assert_eq!(chats(&room)?, before);
    assert_eq!(room.admin(&["certificates"])?["pin"], pin);

    // One device's connections are ended; it comes back by itself, the other one stays.
    let mut events = member.events();
    let ended = room.admin(&["drop", "--device", &own[..8]])?;
    assert_eq!(ended, 1);
    until(&mut events, &Event::Offline).await?;
    until(&mut events, &Event::Online).await?;
    let after = chats(&room)?;
    let stayed = before.iter().filter(|one| after.contains(one)).count();
    assert_eq!((after.len(), stayed), (2, 1), "{before:?} {after:?}");

    // A pause that was announced is kept, though the server is back at once.
    let pause = Duration::from_secs(3);
    room.admin(&["stop", "--back-in", "3"])?;
    until(&mut events, &Event::Offline).await?;
    let gone = Instant::now();
    room.server.wait()?;
    room.server.restart()?;
    until(&mut events, &Event::Online).await?;
    let away = gone.elapsed();
    assert!(
        away >= pause - Duration::from_millis(200),
        "back after {away:?}"
    );
    assert!(away < pause * 3, "back after {away:?}");
    let sent = member.send(room.channel, Draft::text("back")).await?;
    let seq = tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    assert_eq!(texts(&room.read(0, seq).await?), ["back"]);
    Ok(())
}
