//! Files by the command: previews, pipes that were cut, time stamps, bundles as one file.

use std::{fs, io::Write, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use plenary_tests::harness::{PATIENCE, TimeAuthority, enter};
use serde_json::Value;

use super::{Desk, printed};

/// Founder and Bob, in a channel and away: their profiles are free for the binary.
async fn desk() -> Result<Desk> {
    let mut desk = Desk::new(&["Bob Brown"]).await?;
    let founder = desk.network.founder.clone();
    let channel = founder.client()?.channel("encryption").await?.id;
    let mut everybody = vec![founder];
    everybody.extend(desk.members.iter().cloned());
    enter(&everybody, &[channel], || {}).await?;
    drop(everybody);
    desk.members[0].leave().await?;
    desk.network.founder.leave().await?;
    Ok(desk)
}

impl Desk {
    async fn say(&self, who: &Path, words: &str) -> Result<Value> {
        let words: Vec<_> = words.split_whitespace().collect();
        let ran = printed(&self.run(who, &words).await?);
        let said = ran.with_context(|| words.join(" "))?;
        Ok(said.into_iter().next().unwrap_or_default())
    }
}

pub(super) async fn a_file_is_shown_fetched_stamped_and_its_bundle_mailed() -> Result<()> {
    let Some(authority) = TimeAuthority::start_https()? else {
        return Ok(());
    };
    let desk = desk().await?;
    let (alice, bob) = (
        desk.network.founder.folder.clone(),
        desk.members[0].folder.clone(),
    );
    let home = desk.home.path();
    fs::copy(authority.certificate(), home.join("ca.pem"))?;
    let set = format!(
        "custody time-stamps --service {} --ca ca.pem --https-ca ca.pem",
        authority.url()
    );
    let set = desk.say(&alice, &set).await?;
    ensure!(
        set["service"] == authority.url() && set["authorities"] == true,
        "{set}"
    );

    fs::write(home.join("notes.txt"), "what we found\nin the wallet\n")?;
    let send = "send-file encryption notes.txt --type text/plain --preview";
    let sent = desk.say(&alice, send).await?;
    let seq = sent["seq"].as_u64().context("no number")?;
    ensure!(authority.asked() == 1, "{}", authority.asked());
    let refused = desk
        .run(
            &alice,
            &[
                "send-file",
                "encryption",
                "notes.txt",
                "--malware",
                "--preview",
            ],
        )
        .await?;
    ensure!(refused.status.code() == Some(2), "{refused:?}");

    let shown = desk
        .say(&bob, &format!("get encryption {seq} --preview"))
        .await?;
    ensure!(shown["text"] == "what we found\nin the wallet", "{shown}");
    ensure!(!home.join("inbox").exists());
    let got = desk
        .say(&bob, &format!("get encryption {seq} --into inbox"))
        .await?;
    ensure!(got["sha256"] == sent["sha256"] && home.join("inbox/notes.txt").exists());
    let none = desk
        .run(&bob, &["get", "encryption", "1", "--preview"])
        .await?;
    ensure!(!none.status.success());

    let export = format!("custody export encryption {seq} --tar --out evidence.tar");
    let exported = desk.say(&bob, &export).await?;
    let root1 = exported["root1"].as_str().context("no root")?.to_owned();
    ensure!(home.join("evidence.tar").is_file() && !home.join("evidence.tar.partial").exists());
    let again = desk
        .run(&bob, &export.split_whitespace().collect::<Vec<_>>())
        .await?;
    ensure!(!again.status.success(), "nothing is overwritten");
    // By somebody who has neither profile nor network.
    let nobody = home.join("nobody");
    let verify = format!("verify evidence.tar --root1 {root1} --tsa-ca ca.pem");
    let found = desk.say(&nobody, &verify).await?;
    ensure!(
        found["sha256"] == sent["sha256"] && found["original"] == true,
        "{found}"
    );
    let stamps = &found["statements"][0]["time_stamps"];
    ensure!(stamps[0]["backed"] == true, "{found}");
    let mut bytes = fs::read(home.join("evidence.tar"))?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(home.join("evidence.tar"), bytes)?;
    let wrong = desk
        .run(&nobody, &verify.split_whitespace().collect::<Vec<_>>())
        .await?;
    ensure!(wrong.status.code() == Some(7), "{wrong:?}");

    let off = desk.say(&alice, "custody time-stamps --off").await?;
    ensure!(off["service"].is_null(), "{off}");
    Ok(())
}

pub(super) async fn what_came_down_a_pipe_is_not_lost_with_its_process() -> Result<()> {
    let desk = desk().await?;
    let (alice, bob) = (
        desk.network.founder.folder.clone(),
        desk.members[0].folder.clone(),
    );
    let bytes: Vec<u8> = (0..3u32 << 20).map(|n| (n / 7 % 251) as u8).collect();
    let words = "send-file encryption - --name dump.sql --limit-rate 700K";
    let words: Vec<_> = words.split_whitespace().collect();
    let mut command = desk.command(&alice, &words);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut pipe = child.stdin.take().context("no pipe")?;
    let given = bytes.clone();
    tokio::task::spawn_blocking(move || pipe.write_all(&given)).await??;
    // Its journal has a record: something was sealed, and is on its way.
    let uploads = alice.join("uploads");
    let under_way = async {
        loop {
            let entries = fs::read_dir(&uploads).into_iter().flatten().flatten();
            let mut journals = entries.filter(|one| {
                let is = one.path().extension().is_some_and(|it| it == "journal");
                is && one.metadata().is_ok_and(|meta| meta.len() > 500)
            });
            if journals.next().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, under_way).await?;
    child.kill()?;
    child.wait()?;

    let begun = desk.say(&alice, "transfers").await?;
    ensure!(
        begun["name"] == "dump.sql" && begun["file"].is_null(),
        "{begun}"
    );
    let item = begun["item"].as_str().context("no item")?.to_owned();
    let sent = desk
        .say(&alice, &format!("transfers --resume {item}"))
        .await?;
    ensure!(sent["state"] == "delivered", "{sent}");
    ensure!(fs::read_dir(&uploads)?.count() == 0, "something stayed");
    let get = format!("get encryption {} --into inbox", sent["seq"]);
    desk.say(&bob, &get).await?;
    ensure!(
        fs::read(desk.home.path().join("inbox/dump.sql"))? == bytes,
        "another file"
    );
    let again = desk.run(&alice, &["transfers", "--resume", &item]).await?;
    ensure!(!again.status.success());
    Ok(())
}
