//! What goes wrong at either end of a file's way: a full disk, a file that changes while it is sent.
//! Each is told for what it is, leaves nothing under the final name, and can be tried again.
//!
//! The full disk is a small tmpfs: where this process may mount none, that is said and left out.

mod common;

use std::{
    fs,
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use common::{Room, message};
use plenary_client::{ErrorKind, Outgoing, SendFile, Transfer, content::Draft, ids::Seq};
use plenary_tests::harness::PATIENCE;

const MIB: usize = 1 << 20;

/// A file system of so many MiB. Gone when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, mib: usize) -> Result<Option<Self>> {
        fs::create_dir_all(at)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "plenary-test"])
            .arg(at)
            .output();
        match mounted {
            Ok(run) if run.status.success() => Ok(Some(Self(at.to_owned()))),
            _ => {
                eprintln!("NOT TESTED: no tmpfs can be mounted here; run this as root");
                Ok(None)
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // What still has a file open there lets go later.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

async fn sent(room: &Room, transfer: Transfer<Outgoing>) -> Result<Seq> {
    let sent = transfer.finish().await?;
    let seq = tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    for who in 0..room.members.len() {
        room.read(who, seq).await?;
    }
    Ok(seq)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n / 7 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_the_rest_comes_when_there_is_room() -> Result<()> {
    let room = Room::of(2).await?;
    let into = room.home.path().join("small");
    let Some(_small) = Small::mount(&into, 4)? else {
        return Ok(());
    };
    let (alice, bob) = (room.client(0)?, room.client(1)?);
    let path = room.home.path().join("image.dd");
    let data = bytes(3 * MIB);
    fs::write(&path, &data)?;
    let up = alice.send_file(room.channel, SendFile::new(&path)).await?;
    let seq = sent(&room, up).await?;

    // The recipient's: told at the beginning, before anything is fetched; nothing has the name.
    let got = message(&room, 1, seq).await?;
    let hog = into.join("something else");
    fs::write(&hog, bytes(2 * MIB))?;
    let refused = bob.fetch(&got, &into)?.finish().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    assert!(
        refused.to_string().contains("no storage space"),
        "{refused}"
    );
    assert!(!into.join("image.dd").exists());
    let begun = bob.downloads_begun().await?;
    assert!(begun.is_empty(), "{begun:?}");
    assert!(
        bob.custody(&got)
            .await?
            .statements
            .iter()
            .all(|one| one.device != bob.device())
    );
    fs::remove_file(&hog)?;
    let whole = bob.fetch(&got, &into)?.finish().await?;
    ensure!(fs::read(&whole)? == data);
    assert!(bob.downloads_begun().await?.is_empty());

    // The sender's, where a stream waits to be sealed.
    let waiting = room.members[0].folder.join("uploads");
    let Some(_full) = Small::mount(&waiting, 1)? else {
        return Ok(());
    };
    let stream = |len| {
        (
            SendFile::named("dump.sql"),
            std::io::Cursor::new(bytes(len)),
        )
    };
    let (file, reader) = stream(3 * MIB);
    let refused = alice.send_reader(room.channel, file, reader).await;
    let refused = refused.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    assert_eq!(fs::read_dir(&waiting)?.count(), 0);
    let (file, reader) = stream(MIB / 4);
    let up = alice.send_reader(room.channel, file, reader).await?;
    sent(&room, up).await?;
    assert_eq!(fs::read_dir(&waiting)?.count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_disk_somebody_fills_says_so_and_goes_on_when_there_is_room() -> Result<()> {
    let home = tempfile::tempdir()?;
    // What a server leaves free of its disk, and a little.
    let Some(_small) = Small::mount(&home.path().join("server"), 256 + 64)? else {
        return Ok(());
    };
    let mut room = Room::under(home, &["Bob"], ("encryption", "for the test"), "info").await?;
    let alice = room.client(0)?;
    let path = room.home.path().join("image.dd");
    let data = bytes(9 * MIB);
    fs::write(&path, &data)?;
    alice.limit_rate(Some(8 << 20));
    let mut up = alice.send_file(room.channel, SendFile::new(&path)).await?;
    while up.progress().done < MIB as u64 {
        let moved = tokio::time::timeout(PATIENCE, up.moved()).await?;
        moved.context("it ended before the disk was full")?;
    }
    // Room for the chunks was taken when they were announced; there is none for anything else.
    let hog = room.home.path().join("server/something else");
    let mut filling = fs::File::create(&hog)?;
    let block = vec![7; MIB];
    while filling.write_all(&block).is_ok() {}
    while filling.write_all(&[7; 512]).is_ok() {}
    drop(filling);
    let refused = up.finish().await.map(drop).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused}");
    assert!(refused.is_retryable());
    assert!(refused.to_string().contains("disk is full"), "{refused}");
    assert_eq!(alice.uploads_begun().await?.len(), 1);
    let items = room.home.path().join("server/data/items");
    for half in ["lists", "blobs"] {
        assert_eq!(fs::read_dir(items.join(half))?.count(), 0, "{half}");
    }
    // What is said meanwhile waits here.
    let said = alice.send(room.channel, Draft::text("is it full?")).await?;

    fs::remove_file(&hog)?;
    alice.limit_rate(None);
    let up = alice.send_file(room.channel, SendFile::new(&path)).await?;
    let seq = match sent(&room, up).await {
        // What the store had still in memory may have found no room: then it takes nothing more, and says
        // so to whoever looks after it.
        Err(_) if room.admin(&["status"])?["store"].is_string() => {
            room.server.kill()?;
            room.server.restart()?;
            let file = SendFile::new(&path);
            let up = room.client(0)?.send_file(room.channel, file).await?;
            sent(&room, up).await?
        }
        sent => sent?,
    };
    let (alice, bob) = (room.client(0)?, room.client(1)?);
    tokio::time::timeout(PATIENCE, said.delivered()).await??;
    assert!(alice.uploads_begun().await?.is_empty());
    let into = tempfile::tempdir()?;
    let got = message(&room, 1, seq).await?;
    let whole = bob.fetch(&got, into.path())?.finish().await?;
    ensure!(fs::read(whole)? == data);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_changes_while_it_is_sent_is_not_handed_over() -> Result<()> {
    let room = Room::of(2).await?;
    let alice = room.client(0)?;
    let path = room.home.path().join("log.txt");
    let data = bytes(4 * MIB);
    type Change = fn(&mut fs::File) -> std::io::Result<()>;
    let changes: [(&str, Change); 3] = [
        ("cut", |file| file.set_len(3 << 20)),
        ("longer", |file| {
            file.seek(std::io::SeekFrom::End(0))?;
            file.write_all(b"one more line")
        }),
        ("written over", |file| file.write_all(b"another beginning")),
    ];
    for (what, change) in changes {
        fs::write(&path, &data)?;
        alice.limit_rate(Some(2 << 20));
        let mut up = alice.send_file(room.channel, SendFile::new(&path)).await?;
        while up.progress().done < MIB as u64 {
            let moved = tokio::time::timeout(PATIENCE, up.moved()).await?;
            moved.context("it ended before the file was changed")?;
        }
        change(&mut fs::File::options().write(true).open(&path)?)?;
        alice.limit_rate(None);
        let refused = up.finish().await.map(drop).unwrap_err();
        assert!(refused.to_string().contains("changed"), "{what}: {refused}");
        assert!(alice.uploads_begun().await?.is_empty(), "{what}");
        assert_eq!(alice.usage().await?.used, 0, "{what}");
    }
    // As it is now it goes.
    let up = alice.send_file(room.channel, SendFile::new(&path)).await?;
    let seq = sent(&room, up).await?;
    let item = message(&room, 1, seq).await?.item()?.context("no item")?;
    assert_eq!(item.size(), data.len() as u64);
    Ok(())
}
