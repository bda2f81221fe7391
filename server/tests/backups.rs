//! Backup and restore with the real binary: while the server runs and while it does not, broken off,
//! damaged, sealed to another key, and into a folder that is in use.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Server, command, run};
use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_core::items::{Items, Reservation};
use plenary_core::store::{Append, GroupState, Store};
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Epoch, ItemId, UnixMillis};
use plenary_server::items::FolderItems;
use plenary_server::store::{EmbeddedStore, StoreOptions};

const CHANNEL: ChannelId = ChannelId([3; 16]);
const DEVICE: DeviceId = DeviceId([4; 16]);
const CHUNK: usize = 64 << 10;

struct Place {
    _base: tempfile::TempDir,
    data: PathBuf,
    backups: PathBuf,
    key: PathBuf,
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plenary-server"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PLENARY_") {
            command.env_remove(name);
        }
    }
    command
}

impl Place {
    /// A data folder with records, values, queues and items, and a backup key.
    async fn filled(items: u8, item_chunks: usize) -> Self {
        let base = tempfile::tempdir().unwrap();
        let place = Self {
            data: base.path().join("data"),
            backups: base.path().join("backups"),
            key: base.path().join("backup.key"),
            _base: base,
        };
        let server = Server::start(&place.data);
        server.signal("-TERM");
        assert!(server.wait().0.success());
        let path = place.data.join("store");
        let store = EmbeddedStore::open(&path, StoreOptions::default()).unwrap();
        let group = GroupState {
            snapshot: Bytes::from_static(b"snapshot"),
            group_info: Bytes::from_static(b"info"),
            tree: Bytes::from(vec![9; 100_000]),
        };
        store.found(CHANNEL, Epoch(0), group).await.unwrap();
        for number in 0..200u8 {
            let append = Append {
                channel: CHANNEL,
                epoch: Some(Epoch(0)),
                device: DEVICE,
                client_id: ClientId([number; 16]),
                time: UnixMillis(u64::from(number)),
                bytes: Bytes::from(vec![number; usize::from(number) * 100]),
                transition: None,
            };
            store.append(append).await.unwrap();
        }
        let queue = Bytes::from_static(b"queue");
        for number in 0..10u8 {
            store
                .push(queue.clone(), Bytes::from(vec![number]))
                .await
                .unwrap();
        }
        store.close().unwrap();
        let folder = FolderItems::open(&place.data.join("items")).unwrap();
        for item in 0..items {
            put_item(&folder, item, item_chunks).await;
        }
        let (code, said) = run(program().args(["backup-key", "--out"]).arg(&place.key));
        assert_eq!(code, 0, "{said}");
        place
    }

    fn public(&self) -> PathBuf {
        self.key.with_extension("key.pub")
    }

    fn backup(&self) -> Command {
        let mut command = program();
        command
            .args(["backup", "--json", "--to"])
            .arg(&self.backups)
            .arg("--key")
            .arg(self.public())
            .arg("--data")
            .arg(&self.data);
        command
    }

    fn backed_up(&self) -> serde_json::Value {
        let (code, said) = run(&mut self.backup());
        assert_eq!(code, 0, "{said}");
        serde_json::from_str(&said).unwrap()
    }

    fn verify(&self, with_key: bool) -> (i32, String) {
        let mut command = program();
        command.arg("verify-backup").arg(&self.backups);
        if with_key {
            command.arg("--key").arg(&self.key);
        }
        run(&mut command)
    }

    fn restore(&self, to: &Path) -> (i32, String) {
        let mut command = program();
        command.arg("restore").arg(&self.backups).arg("--key");
        run(command.arg(&self.key).arg("--data").arg(to))
    }

    /// The restored folder has every entry, file and byte of the data folder.
    async fn assert_same(&self, restored: &Path) {
        for file in [
            "plenary-server.format",
            "ca.pem",
            "ca.key",
            "server.key",
            "founder.json",
        ] {
            let read = |folder: &Path| fs::read(folder.join(file)).unwrap();
            assert_eq!(read(restored), read(&self.data), "{file}");
        }
        assert_eq!(exported(restored), exported(&self.data));
        let (before, after) = (items_of(&self.data).await, items_of(restored).await);
        assert!(!before.is_empty() && before == after);
    }
}

async fn put_item(folder: &FolderItems, item: u8, chunks: usize) {
    let reservation = Reservation {
        item: ItemId([item; 16]),
        channel: CHANNEL,
        device: DEVICE,
        size: (chunks * CHUNK - 7) as u64,
        chunk: CHUNK as u32,
        // Without a lease: a day old, the sweep of a start would remove it.
        time: plenary_server::clock::now(),
    };
    folder.reserve(reservation).await.unwrap();
    let mut root = ItemRoot::new(reservation.size, reservation.chunk);
    for index in 0..chunks as u32 {
        let length = reservation.chunk_len(index).unwrap() as usize;
        let bytes = vec![item ^ index as u8; length];
        root.push(&chunk_hash(&bytes));
        folder
            .put(reservation.item, index, bytes.into())
            .await
            .unwrap();
    }
    folder
        .commit(reservation.item, root.finish())
        .await
        .unwrap();
}

fn exported(data: &Path) -> Vec<u8> {
    let path = data.join("store");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        let store = EmbeddedStore::open(&path, StoreOptions::default()).unwrap();
        let mut out = Vec::new();
        store.export(&mut out).unwrap();
        out
    })
    .join()
    .unwrap()
}

async fn items_of(data: &Path) -> Vec<(ItemId, Reservation, Vec<u8>)> {
    let folder = FolderItems::open(&data.join("items")).unwrap();
    let mut all = Vec::new();
    for held in folder.list().await.unwrap() {
        assert!(held.committed);
        let about = folder.status(held.item).await.unwrap().unwrap().reservation;
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < about.size {
            let at = bytes.len() as u64;
            bytes.extend(folder.range(held.item, at, 1 << 20).await.unwrap());
        }
        all.push((held.item, about, bytes));
    }
    all
}

#[tokio::test]
async fn what_is_backed_up_from_a_running_server_is_restored_to_the_byte() {
    let place = Place::filled(3, 5).await;
    let server = Server::start(&place.data);
    let made = place.backed_up();
    assert_eq!((&made["items"], &made["reused"]), (&3.into(), &0.into()));
    // Again: the items are there already.
    let again = place.backed_up();
    assert_eq!(again["reused"], 3, "{again}");
    assert_ne!(again["name"], made["name"]);
    for with_key in [false, true] {
        let (code, said) = place.verify(with_key);
        assert_eq!(code, 0, "{said}");
    }
    // Into a folder that is in use: refused, by both.
    let (code, said) = place.restore(&place.data);
    assert_eq!((code, said.contains("not empty")), (1, true), "{said}");

    let restored = place.data.with_file_name("restored");
    let (code, said) = place.restore(&restored);
    assert_eq!(code, 0, "{said}");
    server.signal("-TERM");
    assert!(server.wait().0.success());
    place.assert_same(&restored).await;

    // It serves, and is the same server.
    let key = |data: &Path| common::founder(data).server_key;
    let server = Server::start(&restored);
    assert_eq!(key(&restored), key(&place.data));
    server.signal("-TERM");
    assert!(server.wait().0.success());
}

#[tokio::test]
async fn a_folder_without_a_server_is_backed_up_as_well_and_old_snapshots_go() {
    let place = Place::filled(2, 2).await;
    let first = place.backed_up();
    let items = FolderItems::open(&place.data.join("items")).unwrap();
    items.remove(ItemId([0; 16])).await.unwrap();
    put_item(&items, 7, 1).await;
    drop(items);
    let (code, said) = run(place.backup().args(["--keep", "1"]));
    assert_eq!(code, 0, "{said}");
    let second: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (&second["removed"], &second["reused"]),
        (&1.into(), &1.into())
    );
    // What no snapshot names is gone, too.
    let gone = place
        .backups
        .join("items")
        .join(ItemId([0; 16]).to_string());
    assert!(!gone.exists());
    let (code, said) = run(program()
        .arg("verify-backup")
        .arg(&place.backups)
        .args(["--snapshot", first["name"].as_str().unwrap()]));
    assert_eq!(
        (code, said.contains("no whole snapshot")),
        (1, true),
        "{said}"
    );
    let restored = place.data.with_file_name("restored");
    let (code, said) = place.restore(&restored);
    assert_eq!(code, 0, "{said}");
    place.assert_same(&restored).await;
}

#[tokio::test]
async fn a_backup_that_is_killed_goes_on_with_what_it_lacks() {
    let place = Place::filled(12, 64).await;
    let server = Server::start(&place.data);
    let mut broken = place.backup().stdout(Stdio::null()).spawn().unwrap();
    let items = place.backups.join("items");
    let end = Instant::now() + Duration::from_secs(60);
    let whole = || {
        let names = fs::read_dir(&items).into_iter().flatten();
        names
            .filter(|name| {
                !name
                    .as_ref()
                    .unwrap()
                    .path()
                    .to_str()
                    .unwrap()
                    .ends_with(".part")
            })
            .count()
    };
    while whole() < 2 {
        assert!(Instant::now() < end, "no item is copied");
    }
    broken.kill().unwrap();
    broken.wait().unwrap();
    let (code, said) = place.verify(false);
    assert_eq!(
        (code, said.contains("no whole snapshot")),
        (1, true),
        "{said}"
    );
    let made = place.backed_up();
    assert_eq!(made["items"], 12);
    assert!(made["reused"].as_u64().unwrap() >= 2, "{made}");
    assert_eq!(place.verify(true).0, 0);
    server.signal("-TERM");
    assert!(server.wait().0.success());
    let restored = place.data.with_file_name("restored");
    assert_eq!(place.restore(&restored).0, 0);
    place.assert_same(&restored).await;
}

#[tokio::test]
async fn damage_another_key_and_a_foreign_folder_are_refused_by_name() {
    let place = Place::filled(1, 1).await;
    let name = place.backed_up()["name"].as_str().unwrap().to_owned();
    let restored = place.data.with_file_name("restored");
    let snapshot = place.backups.join("snapshots").join(&name);
    let mut files: Vec<_> = ["folder", "store", "contents"]
        .map(|file| snapshot.join(file))
        .into();
    files.push(
        place
            .backups
            .join("items")
            .join(ItemId([0; 16]).to_string()),
    );
    for file in files {
        let whole = fs::read(&file).unwrap();
        for at in [20, whole.len() / 2, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&file, flipped).unwrap();
            let (code, said) = place.verify(false);
            assert_eq!((code, said.contains("damaged")), (1, true), "{said}");
            assert_eq!(place.restore(&restored).0, 1, "{}", file.display());
            assert!(!restored.exists());
        }
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(place.verify(false).0, 1);
        fs::remove_file(&file).unwrap();
        let (code, said) = place.verify(false);
        assert_eq!((code, said.contains("missing")), (1, true), "{said}");
        fs::write(&file, whole).unwrap();
    }
    // The open list is altered to fit altered files: only the key tells.
    let manifest = snapshot.join("manifest.json");
    let list = fs::read_to_string(&manifest).unwrap();
    let mut altered: serde_json::Value = serde_json::from_str(&list).unwrap();
    altered["files"].as_array_mut().unwrap().remove(0);
    fs::write(&manifest, altered.to_string()).unwrap();
    assert_eq!(place.verify(false).0, 0);
    let (code, said) = place.verify(true);
    assert_eq!(
        (code, said.contains("not what was sealed")),
        (1, true),
        "{said}"
    );
    fs::write(&manifest, list.replace("\"version\": 1", "\"version\": 2")).unwrap();
    let (code, said) = place.verify(false);
    assert_eq!((code, said.contains("version 2")), (1, true), "{said}");
    fs::write(&manifest, list).unwrap();
    assert_eq!(place.verify(true).0, 0);

    let other = place.key.with_file_name("other.key");
    assert_eq!(
        run(program().args(["backup-key", "--out"]).arg(&other)).0,
        0
    );
    let verify = |key: &Path| {
        let mut command = program();
        run(command
            .arg("verify-backup")
            .arg(&place.backups)
            .arg("--key")
            .arg(key))
    };
    let (code, said) = verify(&other);
    assert_eq!(
        (code, said.contains("is sealed to backup key")),
        (1, true),
        "{said}"
    );
    let (code, said) = verify(&place.public());
    assert_eq!((code, said.contains("public half")), (1, true), "{said}");
    let (code, said) = run(place
        .backup()
        .arg("--key")
        .arg(other.with_extension("key.pub")));
    assert_ne!(code, 0, "{said}");

    let letters = place.data.with_file_name("letters");
    fs::create_dir(&letters).unwrap();
    fs::write(letters.join("a.txt"), "dear").unwrap();
    let (code, said) = run(program()
        .args(["backup", "--to"])
        .arg(&letters)
        .arg("--key")
        .arg(place.public())
        .arg("--data")
        .arg(&place.data));
    assert_eq!((code, said.contains("other things")), (1, true), "{said}");
    let (code, said) = place.restore(&letters);
    assert_eq!((code, said.contains("not empty")), (1, true), "{said}");
    assert_eq!(fs::read_dir(&letters).unwrap().count(), 1);
}

#[tokio::test]
async fn items_that_lie_elsewhere_are_listed_and_their_lists_restored() {
    let place = Place::filled(2, 3).await;
    let (code, said) = run(place.backup().arg("--without-items"));
    assert_eq!(code, 0, "{said}");
    let made: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(made["without_bytes"], 2, "{made}");
    assert_eq!(place.verify(true).0, 0);
    let restored = place.data.with_file_name("restored");
    let (code, said) = place.restore(&restored);
    assert_eq!((code, said.contains("2 items")), (0, true), "{said}");
    // The bytes come back to where they were, and all is as before.
    let blobs = |data: &Path| data.join("items").join("blobs");
    for blob in fs::read_dir(blobs(&place.data)).unwrap() {
        let blob = blob.unwrap();
        fs::copy(blob.path(), blobs(&restored).join(blob.file_name())).unwrap();
    }
    place.assert_same(&restored).await;
}

#[tokio::test]
async fn a_rebuild_keeps_every_entry_and_gives_room_back() {
    let place = Place::filled(1, 1).await;
    let path = place.data.join("store");
    let store = EmbeddedStore::open(&path, StoreOptions::default()).unwrap();
    for round in 0..40u64 {
        for key in 0..20u8 {
            let value = Bytes::from(vec![round as u8; 8_000]);
            let key = Bytes::from(vec![b'x', key]);
            store.put_if(key, round, Some(value)).await.unwrap();
        }
    }
    store.close().unwrap();
    drop(store);
    let before = exported(&place.data);
    let rebuild = || {
        let mut command = program();
        run(command
            .args(["rebuild", "--json", "--data"])
            .arg(&place.data))
    };
    let (code, said) = rebuild();
    assert_eq!(code, 0, "{said}");
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let bytes = |name: &str| told[name].as_u64().unwrap();
    assert!(bytes("after_bytes") < bytes("before_bytes"), "{told}");
    assert!(exported(&place.data) == before);

    // A running server is not touched.
    let server = Server::start(&place.data);
    let (code, said) = rebuild();
    assert_eq!((code, said.contains("in use")), (1, true), "{said}");
    server.signal("-TERM");
    assert!(server.wait().0.success());
    let before = exported(&place.data);

    // Cut off at each of its steps: what is left is whole, and the next try begins anew.
    let copy = |from: &str, to: &str| {
        let status = Command::new("cp")
            .arg("-r")
            .args([place.data.join(from), place.data.join(to)])
            .status();
        assert!(status.unwrap().success());
    };
    copy("store", "store.rebuilt");
    copy("store", "store.before");
    fs::create_dir(place.data.join("store.rebuilt.import")).unwrap();
    assert_eq!(rebuild().0, 0);
    assert!(exported(&place.data) == before);
    for left in ["store.rebuilt", "store.before", "store.rebuilt.import"] {
        assert!(!place.data.join(left).exists(), "{left}");
    }
    copy("store", "store.rebuilt");
    fs::rename(&path, place.data.join("store.before")).unwrap();
    let server = Server::start(&place.data);
    server.signal("-TERM");
    assert!(server.wait().0.success());
    assert!(!place.data.join("store.rebuilt").exists());
    assert_eq!(rebuild().0, 0);
    assert!(path.exists() && !place.data.join("store.before").exists());
}

#[tokio::test]
async fn a_lost_store_is_never_replaced_by_an_empty_one() {
    let place = Place::filled(0, 0).await;
    let path = place.data.join("store");
    fs::remove_dir_all(&path).unwrap();
    for command in [&mut command(&place.data), &mut place.backup()] {
        let (code, said) = run(command);
        assert_eq!(
            (code, said.contains("restore the newest")),
            (1, true),
            "{said}"
        );
    }
    assert!(!path.exists());
}

#[test]
fn the_commands_teach() {
    for (words, taught) in [
        (&["backup-key", "--help"][..], "offline"),
        (&["backup", "--help"], "admin socket"),
        (&["verify-backup", "--help"], "manifest"),
        (&["rebuild", "--help"], "a crash at any"),
        (&["restore", "--help"], "nothing is ever restored over data"),
    ] {
        let (code, said) = run(program().args(words));
        assert_eq!((code, said.contains(taught)), (0, true), "{said}");
    }
    let base = tempfile::tempdir().unwrap();
    let data = base.path().join("data");
    let (code, said) = run(command(&data).arg("backup"));
    assert_eq!((code, said.contains("backup.folder")), (1, true), "{said}");
    assert!(!data.exists());
}
