//! Custody over a real server: receipts at the sender, withdrawal, samples.

mod common;

use std::fs;

use anyhow::{Context, Result};
use common::{Room, hand_over, heard, message};
use plenary_client::{Act, ErrorKind, Original};
use plenary_tests::harness::checked;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_sees_how_far_each_recipient_is_and_may_take_it_back() -> Result<()> {
    let room = Room::of(4).await?;
    let seq = hand_over(&room, "report.txt", b"what we found", false).await?;
    let sender = room.client(0)?;
    let sent = message(&room, 0, seq).await?;
    heard(sender, &sent, 1).await?;
    for who in [1, 2] {
        let into = room.home.path().join(format!("inbox-{who}"));
        fs::create_dir(&into)?;
        let client = room.client(who)?;
        let fetched = client.fetch(&message(&room, who, seq).await?, &into)?;
        assert_eq!(fs::read(fetched.finish().await?)?, b"what we found");
    }
    assert_eq!(heard(sender, &sent, 5).await?[0], Act::Deposited);
    let receipts = sender.receipts(&sent).await?;
    let verified: Vec<_> = receipts
        .recipients
        .iter()
        .map(|one| (one.name.clone().unwrap_or_default(), one.verified.is_some()))
        .collect();
    let expected = [("Member 1", true), ("Member 2", true), ("Member 3", false)];
    assert_eq!(verified, expected.map(|(name, is)| (name.to_owned(), is)));
    assert!(receipts.recipients.iter().all(|one| one.offered));
    assert!(receipts.deposited.is_some() && receipts.withdrawn.is_none());

    // Only its sender takes it back; then nobody else gets it, and who has it keeps it.
    let at_three = message(&room, 3, seq).await?;
    let refused = room.client(3)?.withdraw(&at_three).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed, "{refused}");
    let items = room.server.data().join("items/blobs");
    assert_eq!(fs::read_dir(&items)?.count(), 1);
    sender.withdraw(&sent).await?;
    sender.withdraw(&sent).await?;
    assert_eq!(fs::read_dir(&items)?.count(), 0);
    heard(room.client(3)?, &at_three, 6).await?;
    let fetch = room.client(3)?.fetch(&at_three, room.home.path())?;
    let refused = fetch.finish().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    assert!(
        refused.to_string().contains("withdrawn by Founder"),
        "{refused}"
    );
    let report = room.home.path().join("inbox-1/report.txt");
    let at_one = message(&room, 1, seq).await?;
    let other = room.home.path().join("other.txt");
    fs::write(&other, "another")?;
    let client = room.client(1)?;
    let refused = client.delete_copies(&at_one, Some(other.clone())).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Input);
    assert!(other.exists());
    client.delete_copies(&at_one, Some(report.clone())).await?;
    assert!(!report.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_stays_sealed_until_it_is_exported_by_hash() -> Result<()> {
    let room = Room::of(2).await?;
    let data = b"X5O!P%@AP[4 not the real one ".repeat(400);
    let seq = hand_over(&room, "invoice.exe", &data, true).await?;
    let client = room.client(1)?;
    let message = message(&room, 1, seq).await?;
    let out = room.home.path().join("quarantine");
    fs::create_dir(&out)?;
    let early = client.export_sample(&message, &out).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::NotFound);
    let sealed = client.fetch(&message, &out)?.finish().await?;
    assert!(sealed.starts_with(room.members[1].folder.join("samples")));
    assert_eq!(fs::read_dir(&out)?.count(), 0);
    let kept = fs::read(&sealed)?;
    assert!(!kept.windows(16).any(|part| part == &data[..16]));
    let path = client.export_sample(&message, &out).await?;
    let item = message.item()?.context("no item")?;
    assert_eq!(path, out.join(format!("{}.sample", item.sha256())));
    assert_eq!(fs::read(&path)?, data);
    let sent = common::message(&room, 0, seq).await?;
    let acts = heard(room.client(0)?, &sent, 4).await?;
    let expected = [Act::Deposited, Act::Collected, Act::Verified, Act::Exported];
    assert_eq!(acts, expected);
    // A bundle holds it under its hash, too, and nobody may run it. (The second is from a file that
    // everybody may run.)
    let mut bundles = vec![(room.home.path().join("evidence"), Original::Fetched)];
    let runnable = room.home.path().join("invoice.exe");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&runnable, fs::Permissions::from_mode(0o755))?;
    }
    bundles.push((room.home.path().join("own"), Original::File(runnable)));
    for (bundle, original) in bundles {
        let export = client.export_custody(&message, &bundle, original)?;
        export.finish().await?;
        let there = fs::read_dir(bundle.join("data/original"))?;
        let there: Vec<_> = there.collect::<Result<_, _>>()?;
        assert_eq!(there.len(), 1);
        let name = format!("{}.sample", item.sha256());
        assert_eq!(there[0].file_name().to_str(), Some(name.as_str()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(there[0].metadata()?.permissions().mode() & 0o777, 0o600);
        }
        let page = fs::read_to_string(bundle.join("data/record.html"))?;
        assert!(page.contains("Malware"));
        plenary_client::custody::verify(&bundle, None, None)?;
    }
    client.delete_copies(&message, None).await?;
    assert!(!sealed.exists());
    Ok(())
}

/// `KEEP_BUNDLE=folder` keeps the bundle: the one in `client-lib/cli/tests` was made so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_verified_where_nobody_knows_the_network() -> Result<()> {
    let room = Room::of(3).await?;
    let data = b"bank statements of the suspect\n".repeat(3_000);
    let seq = hand_over(&room, "statements.csv", &data, false).await?;
    for who in [1, 2] {
        let into = room.home.path().join(format!("inbox-{who}"));
        fs::create_dir(&into)?;
        let at = message(&room, who, seq).await?;
        room.client(who)?.fetch(&at, &into)?.finish().await?;
    }
    // By a recipient, once they have heard of the others.
    let client = room.client(1)?;
    let at_one = message(&room, 1, seq).await?;
    heard(client, &at_one, 5).await?;
    let bundle = room.home.path().join("evidence");
    let export = client.export_custody(&at_one, &bundle, Original::Fetched)?;
    assert_eq!(export.finish().await?, bundle);
    let again = client.export_custody(&at_one, &bundle, Original::Fetched);
    assert_eq!(again.map(drop).unwrap_err().kind(), ErrorKind::Input);
    let root1 = client.status().await?.root1.to_string();
    assert!(!room.home.path().join("evidence.partial").exists());

    // By the sender, from the file on their disk, and without it.
    let sender = room.client(0)?;
    let sent = message(&room, 0, seq).await?;
    heard(sender, &sent, 6).await?;
    let own = room.home.path().join("own");
    let file = Original::File(room.home.path().join("statements.csv"));
    sender.export_custody(&sent, &own, file)?.finish().await?;
    let wrong = room.home.path().join("wrong.csv");
    fs::write(&wrong, data.to_ascii_uppercase())?;
    let refused = sender.export_custody(
        &sent,
        room.home.path().join("refused"),
        Original::File(wrong),
    )?;
    assert_eq!(
        refused.finish().await.unwrap_err().kind(),
        ErrorKind::Integrity
    );
    let bare = room.home.path().join("bare");
    let left_out = sender.export_custody(&sent, &bare, Original::LeftOut)?;
    left_out.finish().await?;

    let home = tempfile::tempdir()?;
    let program = std::path::Path::new(common::PROGRAM);
    let check = |folder: &std::path::Path| checked(program, home.path(), folder, &root1);
    let item = at_one.item()?.context("no item")?;
    for (folder, statements) in [(&bundle, 6), (&own, 7), (&bare, 7)] {
        let (holds, told) = check(folder)?;
        assert!(holds, "{told}");
        assert_eq!(told, format!("{statements} {}", item.sha256()));
    }
    let page = fs::read_to_string(bundle.join("data/record.html"))?;
    assert!(page.contains("Founder, Norway") && page.contains("Member 2, Portugal"));
    let other = "00".repeat(32);
    assert!(!checked(program, home.path(), &bundle, &other)?.0);

    // A byte of the original, of a statement, of a checksum.
    let statement = fs::read_dir(bundle.join("data/statements"))?.next();
    let statement = statement.context("no statements")??.file_name();
    let statement = format!("data/statements/{}", statement.to_string_lossy());
    for file in [
        "data/original/statements.csv",
        statement.as_str(),
        "manifest-sha256.txt",
    ] {
        let path = bundle.join(file);
        let whole = fs::read(&path)?;
        let mut bytes = whole.clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(&path, bytes)?;
        let (holds, told) = check(&bundle)?;
        assert!(!holds && told.contains(file), "{file}: {told}");
        fs::write(&path, whole)?;
    }
    if let Some(keep) = std::env::var_os("KEEP_BUNDLE") {
        fs::rename(&bare, keep)?;
    }
    Ok(())
}
