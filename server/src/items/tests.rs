//! Reserve, put, commit, read; across restarts, and against what does not fit.

use std::io::Write;

use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_proto::ids::{ChannelId, DeviceId};

use super::*;

const CHUNK: u32 = 100;

fn reservation(id: u8, size: u64) -> Reservation {
    Reservation {
        item: ItemId([id; 16]),
        channel: ChannelId([2; 16]),
        device: DeviceId([3; 16]),
        size,
        chunk: CHUNK,
        time: UnixMillis(1_000_000),
    }
}

fn content(size: u64) -> Vec<u8> {
    (0..size).map(|n| (n * 7 % 251) as u8).collect()
}

fn root(content: &[u8]) -> Digest {
    let mut root = ItemRoot::new(content.len() as u64, CHUNK);
    for chunk in content.chunks(CHUNK as usize) {
        root.push(&chunk_hash(chunk));
    }
    root.finish()
}

fn items() -> (tempfile::TempDir, FolderItems) {
    let folder = tempfile::tempdir().unwrap();
    let items = FolderItems::open(folder.path()).unwrap();
    (folder, items)
}

async fn put_all(items: &FolderItems, item: ItemId, content: &[u8]) {
    let chunks = content.chunks(CHUNK as usize).enumerate();
    // Backwards: order is the sender's own business.
    for (index, chunk) in chunks.collect::<Vec<_>>().into_iter().rev() {
        let chunk = Bytes::copy_from_slice(chunk);
        items.put(item, index as u32, chunk).await.unwrap();
    }
}

#[tokio::test]
async fn an_item_is_put_committed_and_read_at_any_offset() {
    for (id, size) in [(1, 1), (2, 100), (3, 101), (4, 799), (5, 800), (6, 1234)] {
        let (_folder, items) = items();
        let reserved = items.reserve(reservation(id, size)).await.unwrap();
        assert!(!reserved.committed && reserved.durable.iter().all(|byte| *byte == 0));
        let item = reserved.reservation.item;
        let content = content(size);
        put_all(&items, item, &content).await;
        assert_eq!(items.range(item, 0, 1).await, Err(ItemsError::NotCommitted));
        items.commit(item, root(&content)).await.unwrap();
        items.commit(item, root(&content)).await.unwrap();
        assert_eq!(
            items.commit(item, Digest([0; 32])).await,
            Err(ItemsError::WrongRoot)
        );
        let mut read = Vec::new();
        while (read.len() as u64) < size {
            let part = items.range(item, read.len() as u64, 37).await.unwrap();
            read.extend_from_slice(&part);
        }
        assert_eq!(read, content);
        assert!(matches!(
            items.range(item, size, 1).await,
            Err(ItemsError::Shape(_))
        ));
        let status = items.status(item).await.unwrap().unwrap();
        assert!(status.committed);
        let set: u32 = status.durable.iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(u64::from(set), status.reservation.chunks());
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_restart_also_a_torn_one() {
    let (folder, items) = items();
    let content = content(350);
    let item = items.reserve(reservation(1, 350)).await.unwrap();
    let item = item.reservation.item;
    for index in [0u32, 2] {
        let start = index as usize * 100;
        let chunk = Bytes::copy_from_slice(&content[start..start + 100]);
        items.put(item, index, chunk).await.unwrap();
    }
    drop(items);
    // A crash in the middle of a line.
    let done = folder.path().join(item.to_string()).join(DONE);
    let mut done = fs::OpenOptions::new().append(true).open(done).unwrap();
    done.write_all(&[0, 0, 0, 1, 9, 9]).unwrap();

    let items = FolderItems::open(folder.path()).unwrap();
    let again = items.reserve(reservation(1, 350)).await.unwrap();
    assert_eq!(again.durable[..], [0b101]);
    assert_eq!(
        items.commit(item, root(&content)).await,
        Err(ItemsError::Incomplete)
    );
    put_all(&items, item, &content).await;
    drop(items);
    let items = FolderItems::open(folder.path()).unwrap();
    items.commit(item, root(&content)).await.unwrap();
    drop(items);
    let items = FolderItems::open(folder.path()).unwrap();
    assert!(items.status(item).await.unwrap().unwrap().committed);
    assert_eq!(items.range(item, 0, 1000).await.unwrap(), content);
}

#[tokio::test]
async fn a_durable_chunk_is_not_overwritten() {
    let (_folder, items) = items();
    let content = content(150);
    let item = items.reserve(reservation(1, 150)).await.unwrap();
    let item = item.reservation.item;
    put_all(&items, item, &content).await;
    put_all(&items, item, &content).await;
    let other = || Bytes::from(vec![9; 100]);
    let refused = items.put(item, 0, other()).await;
    assert!(matches!(refused, Err(ItemsError::Shape(_))), "{refused:?}");
    items.commit(item, root(&content)).await.unwrap();
    // After the commit nothing changes any more, and it is no error.
    items.put(item, 0, other()).await.unwrap();
    assert_eq!(items.range(item, 0, 1000).await.unwrap(), content);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let (_folder, items) = items();
    let item = ItemId([1; 16]);
    assert_eq!(
        items.put(item, 0, Bytes::new()).await,
        Err(ItemsError::NotFound)
    );
    assert_eq!(items.status(item).await, Ok(None));
    assert_eq!(items.range(item, 0, 1).await, Err(ItemsError::NotFound));
    assert_eq!(
        items.commit(item, Digest([0; 32])).await,
        Err(ItemsError::NotFound)
    );
    let shapes = [
        reservation(1, 0),
        reservation(1, u64::MAX),
        Reservation {
            chunk: 0,
            ..reservation(1, 10)
        },
        Reservation {
            chunk: BULK_MESSAGE as u32 + 1,
            ..reservation(1, 10)
        },
    ];
    for shape in shapes {
        assert!(matches!(
            items.reserve(shape).await,
            Err(ItemsError::Shape(_))
        ));
    }
    let endless = Reservation {
        chunk: BULK_MESSAGE as u32,
        ..reservation(1, BULK_MESSAGE as u64 * (CHUNKS - 1))
    };
    let refused = items.reserve(endless).await;
    assert!(matches!(refused, Err(ItemsError::Quota(_))), "{refused:?}");

    items.reserve(reservation(1, 150)).await.unwrap();
    let stranger = Reservation {
        device: DeviceId([9; 16]),
        ..reservation(1, 150)
    };
    assert_eq!(items.reserve(stranger).await, Err(ItemsError::Exists));
    for (index, len) in [(0, 99), (0, 101), (1, 100), (2, 50), (u32::MAX, 1)] {
        let put = items.put(item, index, vec![0; len].into()).await;
        assert!(matches!(put, Err(ItemsError::Shape(_))), "{index} {len}");
    }
}

#[tokio::test]
async fn many_uploads_at_once_do_not_mix() {
    let (_folder, items) = items();
    let count = OPEN as u8 + 20;
    for id in 0..count {
        items.reserve(reservation(id, 250)).await.unwrap();
    }
    for round in 0..3u32 {
        for id in 0..count {
            let len = if round == 2 { 50 } else { 100 };
            let chunk = vec![id; len].into();
            items.put(ItemId([id; 16]), round, chunk).await.unwrap();
        }
    }
    for id in 0..count {
        let content = vec![id; 250];
        items
            .commit(ItemId([id; 16]), root(&content))
            .await
            .unwrap();
    }
    assert!(lock(&items.0.uploads).is_empty());
}

#[tokio::test]
async fn abandoned_uploads_are_swept_and_nothing_else() {
    let (folder, items) = items();
    for id in [1, 2, 3] {
        items.reserve(reservation(id, 50)).await.unwrap();
    }
    let content = content(50);
    put_all(&items, ItemId([2; 16]), &content).await;
    items.commit(ItemId([2; 16]), root(&content)).await.unwrap();
    let late = 1_000_000 + ABANDONED.as_millis() as u64;
    let young = Reservation {
        time: UnixMillis(late),
        ..reservation(4, 50)
    };
    items.reserve(young).await.unwrap();
    // What a crash left of a reservation.
    fs::create_dir(folder.path().join("half")).unwrap();
    assert_eq!(items.sweep(UnixMillis(late)), Ok(1));
    assert_eq!(items.sweep(UnixMillis(late + 1)), Ok(2));
    for (id, there) in [(1, false), (2, true), (3, false), (4, true)] {
        let status = items.status(ItemId([id; 16])).await.unwrap();
        assert_eq!(status.is_some(), there, "{id}");
    }
}

#[tokio::test]
async fn what_is_removed_is_gone_also_after_a_crash_in_the_middle() {
    let (folder, items) = items();
    let content = content(150);
    for id in [1, 2, 3] {
        items.reserve(reservation(id, 150)).await.unwrap();
        put_all(&items, ItemId([id; 16]), &content).await;
    }
    let item = ItemId([1; 16]);
    assert_eq!(items.root(item).await, Err(ItemsError::NotCommitted));
    for id in [1, 2] {
        let item = ItemId([id; 16]);
        items.commit(item, root(&content)).await.unwrap();
        assert_eq!(items.root(item).await, Ok(root(&content)));
    }
    // Committed, and under way.
    for id in [1, 3] {
        let item = ItemId([id; 16]);
        items.remove(item).await.unwrap();
        items.remove(item).await.unwrap();
        assert_eq!(items.status(item).await, Ok(None));
        assert_eq!(items.root(item).await, Err(ItemsError::NotFound));
        assert_eq!(items.range(item, 0, 1).await, Err(ItemsError::NotFound));
        let put = items.put(item, 0, vec![0; 100].into()).await;
        assert_eq!(put, Err(ItemsError::NotFound));
    }
    // A crash after the rename.
    let path = folder.path().join(ItemId([2; 16]).to_string());
    fs::rename(&path, path.with_extension(GONE)).unwrap();
    assert_eq!(items.sweep(UnixMillis(0)), Ok(1));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_damaged_reservation_is_refused_and_kept() {
    let (folder, items) = items();
    items.reserve(reservation(1, 50)).await.unwrap();
    let about = folder.path().join(ItemId([1; 16]).to_string()).join(ABOUT);
    let whole = fs::read(&about).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&about, &bytes).unwrap();
        let refused = items.status(ItemId([1; 16])).await.unwrap_err();
        assert!(refused.to_string().contains("damaged"), "{refused}");
    }
    fs::write(&about, &whole[..whole.len() - 1]).unwrap();
    assert!(items.status(ItemId([1; 16])).await.is_err());
    assert_eq!(items.sweep(UnixMillis(u64::MAX)), Ok(0));
}
