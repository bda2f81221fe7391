//! Items in an S3-compatible store: moto's server, `pip install 'moto[server]'`. Where it is not
//! installed (`moto_server` on the path, or named by `PLENARY_MOTO_SERVER`) the test says so and checks
//! nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_core::items::{Items, ItemsError, Reservation};
use plenary_proto::ids::{ChannelId, DeviceId, Digest, ItemId, UnixMillis};
use plenary_server::items::{FolderItems, ObjectBlobs, ObjectStoreSettings};

const CHUNK: usize = 1 << 20;
/// Names the store's address for the child below.
const ENDPOINT: &str = "PLENARY_TEST_S3";

/// Ended with the test.
struct Moto(Child);

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the store answers.
fn ask(port: u16, what: &str) -> Option<String> {
    let mut line = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("{what} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n");
    line.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    line.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/").then_some(answer)
}

/// A running store and its port; `None` where it is not installed.
fn moto() -> Option<(Moto, u16)> {
    let program = std::env::var("PLENARY_MOTO_SERVER").unwrap_or("moto_server".to_owned());
    // Not one of those that the system gives to connections: asking whether somebody listens there
    // yet, we could meet ourselves.
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (first..32_000).find(free).unwrap();
    let child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut moto = Moto(child.ok()?);
    let begun = Instant::now();
    while ask(port, "GET /moto-api/").is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "moto does not answer"
        );
        assert!(moto.0.try_wait().unwrap().is_none(), "moto ended by itself");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some((moto, port))
}

#[test]
fn items_are_kept_in_an_s3_compatible_store() {
    let Some((_moto, port)) = moto() else {
        println!("NOT TESTED: no moto_server here; pip install 'moto[server]'");
        eprintln!("NOT TESTED: no moto_server here; pip install 'moto[server]'");
        return;
    };
    let made = ask(port, "PUT /plenary").unwrap();
    assert!(made.contains("200"), "{made}");
    // Credentials come from the environment only, which a test cannot change for itself.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "keeps_items_there"])
        .env(ENDPOINT, format!("http://127.0.0.1:{port}"))
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env_remove("AWS_SESSION_TOKEN")
        .status()
        .unwrap();
    assert!(child.success());
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n / 13 % 251) as u8).collect()
}

fn root(content: &[u8]) -> Digest {
    let mut root = ItemRoot::new(content.len() as u64, CHUNK as u32);
    for chunk in content.chunks(CHUNK) {
        root.push(&chunk_hash(chunk));
    }
    root.finish()
}

async fn put(items: &FolderItems, id: u8, content: &[u8]) -> ItemId {
    let item = ItemId([id; 16]);
    let reservation = Reservation {
        item,
        channel: ChannelId([2; 16]),
        device: DeviceId([3; 16]),
        size: content.len() as u64,
        chunk: CHUNK as u32,
        time: UnixMillis(1),
    };
    items.reserve(reservation).await.unwrap();
    for (index, chunk) in content.chunks(CHUNK).enumerate() {
        let chunk = Bytes::copy_from_slice(chunk);
        items.put(item, index as u32, chunk).await.unwrap();
    }
    items.commit(item, root(content)).await.unwrap();
    item
}

#[tokio::test]
#[ignore = "no test: the process that the one above starts"]
async fn keeps_items_there() {
    let settings = ObjectStoreSettings {
        bucket: Some("plenary".to_owned()),
        prefix: "court/items".to_owned(),
        region: "eu-west-1".to_owned(),
        endpoint: Some(std::env::var(ENDPOINT).unwrap()),
        allow_http: true,
    };
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let blobs = ObjectBlobs::open(&settings).unwrap().unwrap();
        FolderItems::open_with(folder.path(), blobs).unwrap()
    };
    let items = open();
    // One that goes up at once, and one in three parts.
    let (small, large) = (content(1_000), content((20 << 20) + 5));
    for (id, content) in [(1, &small), (2, &large)] {
        let item = put(&items, id, content).await;
        // After the commit nothing of it is on this disk but its list.
        let staging = folder.path().join("staging");
        assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
        assert!(!folder.path().join("blobs").exists());
        let items = open();
        assert!(items.status(item).await.unwrap().unwrap().committed);
        assert_eq!(items.root(item).await, Ok(root(content)));
        items.commit(item, root(content)).await.unwrap();
        let mut read = Vec::new();
        while read.len() < content.len() {
            let part = items.range(item, read.len() as u64, 1_000_003).await;
            read.extend_from_slice(&part.unwrap());
        }
        assert!(read == *content);
        let beyond = items.range(item, content.len() as u64, 1).await;
        assert!(matches!(beyond, Err(ItemsError::Shape(_))));
        assert_eq!(items.check(item).await, Ok(None));
    }
    let listed: Vec<_> = items
        .list()
        .await
        .unwrap()
        .iter()
        .map(|held| held.item)
        .collect();
    assert_eq!(listed, [ItemId([1; 16]), ItemId([2; 16])]);
    let one = listed[0];
    for _ in 0..2 {
        items.remove(one).await.unwrap();
    }
    assert_eq!(items.range(one, 0, 1).await, Err(ItemsError::NotFound));
    // A blob whose removal was cut off after its list went is still told of.
    std::fs::remove_file(folder.path().join("lists").join(listed[1].to_string())).unwrap();
    assert_eq!(items.list().await.unwrap().len(), 1);
    items.remove(listed[1]).await.unwrap();
    assert!(items.list().await.unwrap().is_empty());
    // A store that does not answer is our failure, and says so.
    let gone = ObjectStoreSettings {
        bucket: Some("nowhere".to_owned()),
        ..settings.clone()
    };
    let blobs = ObjectBlobs::open(&gone).unwrap().unwrap();
    let other = tempfile::tempdir().unwrap();
    let items = FolderItems::open_with(other.path(), blobs).unwrap();
    let refused = items.list().await.unwrap_err();
    assert!(matches!(refused, ItemsError::Unavailable(_)), "{refused:?}");
}
