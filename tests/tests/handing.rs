//! Files over a real server: handed on without a second upload, from and to streams, by ranges, as
//! folders, kept and purged by their sender's terms.

mod common;

use std::{
    fs,
    io::Write,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use common::Room;
use plenary_client::{
    Client, ErrorKind, Message, Outgoing, SendFile, Transfer,
    ids::{ChannelId, Seq},
};
use plenary_tests::harness::PATIENCE;

/// Waits until a file is handed over and these clients have read of it.
async fn sent(room: &Room, transfer: Transfer<Outgoing>) -> Result<Seq> {
    let sent = transfer.finish().await?;
    let seq = tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    for who in 0..room.members.len() {
        room.read(who, seq).await?;
    }
    Ok(seq)
}

async fn message(client: &Client, channel: ChannelId, seq: Seq) -> Result<Message> {
    let found = client.messages(channel, Seq(seq.0 - 1), 1).await?;
    found.into_iter().next().context("the message is not here")
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().map(|bytes| bytes.clone()).unwrap_or_default()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Ok(mut held) = self.0.lock() {
            held.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_in_and_comes_out_whole_and_by_ranges_and_is_handed_on() -> Result<()> {
    let room = Room::of(3).await?;
    let (alice, bob, carol) = (room.client(0)?, room.client(1)?, room.client(2)?);
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n / 3 % 251) as u8).collect();
    let named = SendFile::named("cases.sql").media_type("application/sql");
    let reader = std::io::Cursor::new(bytes.clone());
    let up = alice.send_reader(room.channel, named, reader).await?;
    let seq = sent(&room, up).await?;

    let got = message(bob, room.channel, seq).await?;
    let item = got.item()?.context("no item")?;
    assert_eq!((item.name(), item.size()), ("cases.sql", 3_000_000));
    let sink = Sink::default();
    bob.fetch_to(&got, sink.clone())?.finish().await?;
    assert!(sink.bytes() == bytes);
    let sink = Sink::default();
    bob.fetch_range(&got, 1_234_567..1_300_000, sink.clone())?
        .finish()
        .await?;
    assert!(sink.bytes() == bytes[1_234_567..1_300_000]);

    // Bob and Carol have a room of their own; the server lets Carol fetch there what Bob hands on.
    let direct = bob.direct(vec![carol.member()]).await?;
    bob.entered(direct).await?;
    carol.entered(direct).await?;
    let used = alice.usage().await?;
    let on = bob.forward(&got, direct).await?;
    let seq = tokio::time::timeout(PATIENCE, on.delivered()).await??;
    common::read(carol, direct, seq).await?;
    let handed_on = message(carol, direct, seq).await?;
    assert_eq!(alice.usage().await?, used, "no second upload");
    assert_eq!(bob.usage().await?.used, 0);
    let into = tempfile::tempdir()?;
    let path = carol.fetch(&handed_on, into.path())?.finish().await?;
    assert!(fs::read(path)? == bytes);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_comes_out_as_it_went_in_and_terms_are_kept() -> Result<()> {
    let room = Room::of(2).await?;
    let (alice, bob) = (room.client(0)?, room.client(1)?);
    let case = room.home.path().join("case 7");
    fs::create_dir_all(case.join("images"))?;
    fs::write(case.join("report.txt"), "what we found")?;
    fs::write(case.join("images/disk.img"), vec![7; 200_000])?;
    let terms = SendFile::new(&case).purge_when_collected([bob.member()]);
    let up = alice.send_folder(room.channel, terms).await?;
    let first = sent(&room, up).await?;

    let into = tempfile::tempdir()?;
    let got = message(bob, room.channel, first).await?;
    let kept = alice
        .kept(&message(alice, room.channel, first).await?)
        .await?;
    assert_eq!(
        (kept.wanted, kept.collected.len(), kept.held),
        (1, 0, false)
    );
    let path = bob.fetch_folder(&got, into.path())?.finish().await?;
    assert_eq!(path, into.path().join("case 7"));
    assert_eq!(
        fs::read_to_string(path.join("report.txt"))?,
        "what we found"
    );
    assert_eq!(fs::read(path.join("images/disk.img"))?, vec![7; 200_000]);
    let kept = bob.kept(&got).await?;
    assert_eq!(kept.collected, [bob.member()]);

    // A new version names the one before; only its sender says how long it is kept.
    let item = got.item()?.context("no item")?.item();
    let report = room.home.path().join("report-2.txt");
    fs::write(&report, "what we found later")?;
    let file = SendFile::new(&report).supersedes(item).name("report.txt");
    let up = alice.send_file(room.channel, file).await?;
    let second = sent(&room, up).await?;
    let newer = message(bob, room.channel, second).await?;
    let manifest = newer.item()?.context("no item")?;
    assert_eq!(manifest.supersedes(), Some(item));
    assert_eq!(manifest.name(), "report.txt");
    let own = message(alice, room.channel, second).await?;
    alice.keep(&own, None, Some(true)).await?;
    assert!(bob.kept(&newer).await?.held);
    let refused = bob.keep(&newer, None, Some(false)).await;
    assert_eq!(
        refused.err().map(|error| error.kind()),
        Some(ErrorKind::NotAllowed)
    );
    assert!(alice.uploads_begun().await?.is_empty());
    Ok(())
}

/// Until so many bytes are there.
async fn under_way<T: Send + 'static>(transfer: &mut Transfer<T>, bytes: u64) -> Result<()> {
    while transfer.progress().done < bytes {
        let moved = tokio::time::timeout(PATIENCE, transfer.moved()).await?;
        moved.context("it ended before it was stopped")?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_listed_paused_gone_on_with_and_given_up_both_ways() -> Result<()> {
    let room = Room::of(2).await?;
    let (alice, bob) = (room.client(0)?, room.client(1)?);
    let path = room.home.path().join("image.dd");
    let bytes: Vec<u8> = (0..4 << 20).map(|n: u32| (n / 5 % 253) as u8).collect();
    fs::write(&path, &bytes)?;
    let slow = Some(2 << 20);

    // Given up: the next one begins anew.
    alice.limit_rate(slow);
    let mut up = alice.send_file(room.channel, SendFile::new(&path)).await?;
    under_way(&mut up, 1 << 20).await?;
    drop(up);
    let begun = alice.uploads_begun().await?;
    assert_eq!(begun.len(), 1);
    assert!(alice.usage().await?.used > 0);
    alice.cancel_upload(begun[0].item).await?;
    assert!(alice.uploads_begun().await?.is_empty());
    assert_eq!(alice.usage().await?.used, 0);
    let again = alice.cancel_upload(begun[0].item).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::NotFound);

    // Paused: nothing moves; then to its end.
    let mut up = alice.send_file(room.channel, SendFile::new(&path)).await?;
    under_way(&mut up, 1 << 20).await?;
    up.pause();
    while up.progress().state != plenary_client::TransferState::Paused {
        tokio::time::timeout(PATIENCE, up.moved()).await?;
    }
    alice.limit_rate(None);
    up.resume();
    let seq = sent(&room, up).await?;
    assert!(alice.uploads_begun().await?.is_empty());

    let got = message(bob, room.channel, seq).await?;
    let into = tempfile::tempdir()?;
    for given_up in [true, false] {
        bob.limit_rate(slow);
        let mut down = bob.fetch(&got, into.path())?;
        under_way(&mut down, 1 << 20).await?;
        drop(down);
        let begun = bob.downloads_begun().await?;
        assert_eq!(begun.len(), 1);
        assert_eq!((begun[0].seq, begun[0].size), (seq, 4 << 20));
        assert!(begun[0].done >= 1 << 20 && begun[0].part.starts_with(into.path()));
        if given_up {
            // The thread that writes may be at its last chunk.
            let cancel = async {
                while let Err(error) = bob.cancel_download(begun[0].item).await {
                    assert_eq!(error.kind(), ErrorKind::InUse, "{error}");
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, cancel).await?;
            assert_eq!(fs::read_dir(into.path())?.count(), 0);
            assert!(bob.downloads_begun().await?.is_empty());
        }
    }
    bob.limit_rate(None);
    let fetch = async {
        loop {
            match bob.fetch(&got, into.path())?.finish().await {
                Err(error) if error.kind() == ErrorKind::InUse => {}
                other => return other,
            }
        }
    };
    let whole = tokio::time::timeout(PATIENCE, fetch).await??;
    assert!(fs::read(whole)? == bytes);
    assert!(bob.downloads_begun().await?.is_empty());
    assert_eq!(fs::read_dir(into.path())?.count(), 1);
    Ok(())
}

/// Goes on with the one upload that was begun, in a client opened anew.
async fn taken_up(room: &mut Room, what: &str) -> Result<Seq> {
    room.members[0].leave().await?;
    room.members[0].come_back().await?;
    let alice = room.client(0)?;
    alice.caught_up(PATIENCE).await?;
    alice.limit_rate(None);
    let begun = alice.uploads_begun().await?;
    assert_eq!(begun.len(), 1, "{what}");
    let mut up = alice.resume_upload(begun[0].item).await?;
    while up.progress().done == 0 {
        tokio::time::timeout(PATIENCE, up.moved()).await?;
    }
    assert!(up.progress().done >= 1 << 20, "{what}: from the start");
    let seq = sent(room, up).await?;
    let alice = room.client(0)?;
    assert!(alice.uploads_begun().await?.is_empty());
    let again = alice.resume_upload(begun[0].item).await.map(drop);
    let why = again.err().map(|error| error.kind());
    assert_eq!(why, Some(ErrorKind::NotFound));
    assert_eq!(
        fs::read_dir(room.members[0].folder.join("uploads"))?.count(),
        0
    );
    Ok(seq)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_down_a_pipe_and_a_folder_go_on_in_a_later_process() -> Result<()> {
    let mut room = Room::of(2).await?;
    let bytes: Vec<u8> = (0..4 << 20).map(|n: u32| (n / 5 % 253) as u8).collect();
    let slow = Some(2 << 20);
    let into = tempfile::tempdir()?;

    let alice = room.client(0)?;
    alice.limit_rate(slow);
    let terms = SendFile::named("dump.sql").purge_after(7);
    let from = std::io::Cursor::new(bytes.clone());
    let mut up = alice.send_reader(room.channel, terms, from).await?;
    under_way(&mut up, 1 << 20).await?;
    drop(up);
    let begun = alice.uploads_begun().await?;
    assert_eq!(
        (begun[0].name.as_str(), &begun[0].path),
        ("dump.sql", &None)
    );
    let seq = taken_up(&mut room, "stream").await?;
    let bob = room.client(1)?;
    let got = message(bob, room.channel, seq).await?;
    let whole = bob.fetch(&got, into.path())?.finish().await?;
    assert!(whole.ends_with("dump.sql") && fs::read(whole)? == bytes);
    // What was told of it was kept, too.
    assert_eq!(bob.kept(&got).await?.collectors, 7);

    let case = room.home.path().join("case 8");
    fs::create_dir_all(case.join("images"))?;
    fs::write(case.join("images/disk.img"), &bytes)?;
    let folder = SendFile::new(&case);
    let alice = room.client(0)?;
    alice.limit_rate(slow);
    let mut up = alice.send_folder(room.channel, folder.clone()).await?;
    under_way(&mut up, 1 << 20).await?;
    drop(up);
    let first = alice.uploads_begun().await?;
    // The same call goes on with it; one for a folder that changed does not.
    let mut up = alice.send_folder(room.channel, folder.clone()).await?;
    under_way(&mut up, 2 << 20).await?;
    drop(up);
    assert_eq!(alice.uploads_begun().await?, first);
    fs::write(case.join("later.txt"), "what we found later")?;
    let mut up = alice.send_folder(room.channel, folder).await?;
    under_way(&mut up, 1 << 20).await?;
    drop(up);
    let second = alice.uploads_begun().await?;
    assert!(second.len() == 1 && second[0].item != first[0].item);
    let seq = taken_up(&mut room, "folder").await?;
    let bob = room.client(1)?;
    let got = message(bob, room.channel, seq).await?;
    let path = bob.fetch_folder(&got, into.path())?.finish().await?;
    assert!(fs::read(path.join("images/disk.img"))? == bytes);
    assert!(path.join("later.txt").exists());
    Ok(())
}
