//! The server's identity key is replaced by the Board's word: nobody needs to do anything.

mod common;

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use common::{PROGRAM, Room, texts};
use plenary_client::{Client, Requested, content::Draft};
use plenary_tests::harness::{PATIENCE, SERVE};
use serde_json::Value;

/// `plenary-server key` on the room's data folder.
fn key(room: &Room, words: &[&str]) -> Result<Value> {
    let out = Command::new(PROGRAM)
        .args([SERVE, "key"])
        .args(words)
        .arg("--json")
        .arg("--data")
        .arg(room.server.data())
        .output()?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{said}");
    Ok(serde_json::from_slice(&out.stdout)?)
}

async fn say(client: &Client, room: &Room, text: &str) -> Result<()> {
    let sent = client.send(room.channel, Draft::text(text)).await?;
    let seq = tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    for member in room.members.iter().filter(|one| one.client().is_ok()) {
        let all = common::read(member.client()?, room.channel, seq).await?;
        ensure!(texts(&all).last() == Some(&text), "{all:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_meet_the_new_key_with_the_boards_word_for_it() -> Result<()> {
    let mut room = Room::of(3).await?;
    say(room.client(0)?, &room, "under the old key").await?;
    room.members[2].leave().await?;

    // Made while the server runs; the running server does not change.
    let old = key(&room, &["show"])?;
    assert_eq!(
        (&old["in_use"], &old["next"]),
        (&old["in_ledger"], &Value::Null)
    );
    let next = key(&room, &["next"])?["key"]
        .as_str()
        .context("no key")?
        .to_owned();
    assert_eq!(key(&room, &["next"])?["key"], *next);
    let founder = room.client(0)?.clone();
    let request = founder
        .board_request(vec![Requested::Server(next.parse()?)])
        .await?;
    let signatures = room.network.sign(&[0, 1], &request).await?;
    let refused = founder.submit(&request, &signatures).await.unwrap_err();
    ensure!(refused.to_string().contains("key replace"), "{refused}");

    // By files, while it is down.
    let mut files = Vec::new();
    for (name, text) in [
        ("request", &request),
        ("one", &signatures[0]),
        ("two", &signatures[1]),
    ] {
        let path = room.home.path().join(name);
        fs::write(&path, text)?;
        files.push(path.to_str().context("a path")?.to_owned());
    }
    let [request, one, two] = [&*files[0], &*files[1], &*files[2]];
    let running = key(&room, &["replace", request, one, two]).unwrap_err();
    ensure!(running.to_string().contains("in use"), "{running}");
    room.server.stop()?;
    let few = key(&room, &["replace", request, one]).unwrap_err();
    ensure!(few.to_string().contains("refuses the statement"), "{few}");
    assert_eq!(key(&room, &["show"])?["in_ledger"], old["in_use"]);
    let replaced = key(&room, &["replace", request, one, two])?;
    assert_eq!(replaced["key"], *next);
    // Again, as after a crash in between.
    assert_eq!(key(&room, &["replace", request, one, two])?, replaced);
    let now = key(&room, &["show"])?;
    assert_eq!(
        (&now["in_use"], &now["next"]),
        (&now["in_ledger"], &Value::Null)
    );
    assert_eq!(now["in_use"], *next);
    room.server.restart()?;

    // Who was there, and who was away meanwhile.
    say(&founder, &room, "under the new key").await?;
    room.members[2].come_back().await?;
    say(room.client(2)?, &room, "back").await?;
    say(room.client(1)?, &room, "all here").await?;
    for who in 0..3 {
        let alarms = room.client(who)?.alarms().await?;
        ensure!(alarms.is_empty(), "{who}: {alarms:?}");
    }
    Ok(())
}
