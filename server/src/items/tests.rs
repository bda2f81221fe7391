//! Reserve, put, commit, read; across restarts, and against what does not fit.

use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_proto::ids::{ChannelId, DeviceId};
use tokio::time::{Duration, Instant};

use super::*;

mod leases;

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

/// What lies there, items by the first byte of their ids.
fn there(folder: &tempfile::TempDir) -> Vec<String> {
    let mut all = Vec::new();
    for kind in [BLOBS, LISTS, STAGING] {
        let Ok(entries) = fs::read_dir(folder.path().join(kind)) else {
            continue;
        };
        for entry in entries {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let item = name.parse::<ItemId>().unwrap();
            all.push(format!("{kind}/{}", item.0[0]));
        }
    }
    all.sort();
    all
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
    // A crash in the middle of a group: its marks are there, its bytes are not.
    let staged = folder.path().join(STAGING).join(item.to_string());
    let about = reservation(1, 350);
    for (index, group) in [(1, 3), (3, 3)] {
        upload::testing::mark(&staged, &about, index, group, Digest([9; 32]));
    }

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
    assert!(lock(&items.inner.uploads).is_empty());
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
    let first = items.range(item, 0, 1).await.unwrap();
    assert_eq!(first, content[..1]);
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
    assert_eq!(there(&folder), ["blobs/2", "lists/2"]);
    // A crash after the first step.
    let two = ItemId([2; 16]);
    fs::remove_file(folder.path().join(LISTS).join(two.to_string())).unwrap();
    assert_eq!(items.range(two, 0, 1).await, Err(ItemsError::NotFound));
    let listed = items.list().await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    items.remove(two).await.unwrap();
    assert!(there(&folder).is_empty());
}

#[tokio::test]
async fn a_damaged_reservation_is_refused_and_kept() {
    let (folder, items) = items();
    items.reserve(reservation(1, 50)).await.unwrap();
    let staged = folder.path().join(STAGING);
    let about = staged.join(ItemId([1; 16]).to_string()).join(ABOUT);
    let whole = fs::read(&about).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&about, &bytes).unwrap();
        lock(&items.inner.uploads).clear();
        let refused = items.status(ItemId([1; 16])).await.unwrap_err();
        assert!(refused.to_string().contains("damaged"), "{refused}");
    }
    fs::write(&about, &whole[..whole.len() - 1]).unwrap();
    assert!(items.status(ItemId([1; 16])).await.is_err());
    let listed = items.list().await.unwrap();
    // As young as can be: no sweep takes it for an orphan.
    assert_eq!(listed[0].reserved, Some(UnixMillis(u64::MAX)));
}

#[tokio::test]
async fn a_commit_cut_off_anywhere_is_completed_by_the_same_commit() {
    let content = content(350);
    let item = ItemId([1; 16]);
    for steps in 1..=3 {
        let (folder, items) = items();
        items.reserve(reservation(1, 350)).await.unwrap();
        put_all(&items, item, &content).await;
        let staged = folder.path().join(STAGING).join(item.to_string());
        let (part, size) = items
            .inner
            .check_whole(item, root(&content))
            .unwrap()
            .unwrap();
        if steps > 1 {
            items.inner.blobs.take(item, &part, size).await.unwrap();
        }
        if steps > 2 {
            let listed = folder.path().join(LISTS).join(item.to_string());
            fs::rename(staged.join(LIST), listed).unwrap();
        }
        drop(items);
        let items = FolderItems::open(folder.path()).unwrap();
        let committed = items.status(item).await.unwrap().unwrap().committed;
        assert_eq!(committed, steps > 2, "{steps}");
        items.commit(item, root(&content)).await.unwrap();
        assert_eq!(items.range(item, 0, 1000).await.unwrap(), content);
        assert_eq!(items.check(item).await, Ok(None));
        if steps < 3 {
            assert_eq!(there(&folder), ["blobs/1", "lists/1"]);
        }
        items.remove(item).await.unwrap();
        assert!(there(&folder).is_empty(), "{steps}");
    }
}

#[tokio::test]
async fn a_scrub_finds_what_is_not_as_it_was_put() {
    let (folder, items) = items();
    let content = content(350);
    let item = ItemId([1; 16]);
    items.reserve(reservation(1, 350)).await.unwrap();
    put_all(&items, item, &content).await;
    assert_eq!(items.check(item).await, Err(ItemsError::NotCommitted));
    items.commit(item, root(&content)).await.unwrap();
    assert_eq!(items.check(item).await, Ok(None));
    let blob = folder.path().join(BLOBS).join(item.to_string());
    let whole = fs::read(&blob).unwrap();
    assert_eq!(whole, content, "the sealed bytes and nothing else");
    for at in [0, 99, 100, 349] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&blob, bytes).unwrap();
        assert_eq!(items.check(item).await, Ok(Some(at as u32 / 100)));
    }
    fs::write(&blob, &whole[..320]).unwrap();
    assert_eq!(items.check(item).await, Ok(Some(3)));
    fs::remove_file(&blob).unwrap();
    assert_eq!(items.check(item).await, Ok(Some(0)));
    fs::write(&blob, &whole).unwrap();
    let list = folder.path().join(LISTS).join(item.to_string());
    let bytes = fs::read(&list).unwrap();
    for at in [0, 20, bytes.len() - 1] {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        fs::write(&list, bytes).unwrap();
        let refused = items.check(item).await.unwrap_err();
        assert!(refused.to_string().contains("damaged"), "{refused}");
    }
}

#[test]
fn lines_that_put_at_once_share_groups_and_agree() {
    let folder = tempfile::tempdir().unwrap();
    let about = reservation(1, 100 * 64);
    upload::make(folder.path(), &about).unwrap();
    let put = Upload::open(folder.path(), about).unwrap();
    let chunk = |index: u32| vec![index as u8; 100];
    // Every chunk twice, from eight threads.
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let put = &put;
            scope.spawn(move || {
                for n in 0..16 {
                    let index = (thread % 4) * 16 + n;
                    put.put(index, &chunk(index)).unwrap();
                }
            });
        }
    });
    assert!(put.durable().iter().all(|byte| *byte == 0xff));
    let mut whole = ItemRoot::new(about.size, about.chunk);
    (0..64).for_each(|index| whole.push(&chunk_hash(&chunk(index))));
    let again = Upload::open(folder.path(), about).unwrap();
    let list = again.whole(whole.finish()).unwrap();
    assert_eq!(list.hashes.len(), 64);
}

#[tokio::test]
async fn what_the_disk_has_no_room_for_is_refused_with_what_is_left() {
    let (folder, mut items) = items();
    Arc::get_mut(&mut items.inner).unwrap().headroom = u64::MAX;
    let refused = items.reserve(reservation(1, 50)).await.unwrap_err();
    assert!(matches!(&refused, ItemsError::Quota(why) if why.contains("0 are left")));
    assert!(there(&folder).is_empty());
    Arc::get_mut(&mut items.inner).unwrap().headroom = 0;
    items.reserve(reservation(1, 50)).await.unwrap();
}

#[tokio::test]
async fn after_a_sync_that_failed_nothing_of_it_is_believed_and_the_upload_goes_on() {
    let (folder, items) = items();
    let content = content(350);
    let item = ItemId([1; 16]);
    items.reserve(reservation(1, 350)).await.unwrap();
    let chunk = |index: usize| Bytes::copy_from_slice(content.chunks(100).nth(index).unwrap());
    items.put(item, 0, chunk(0)).await.unwrap();
    let upload = items.inner.upload(item).unwrap().unwrap();
    upload
        .broken
        .store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(items.put(item, 1, chunk(1)).await, Err(ItemsError::Full));
    // While somebody is still at it, it takes nothing.
    assert_eq!(items.put(item, 2, chunk(2)).await, Err(ItemsError::Full));
    drop(upload);
    // Mark and bytes of the second lie there, and fit: the system may never have written them.
    let status = items.status(item).await.unwrap().unwrap();
    assert_eq!(status.durable[..], [0b1]);
    assert_eq!(
        items.commit(item, root(&content)).await,
        Err(ItemsError::Incomplete)
    );
    put_all(&items, item, &content).await;
    items.commit(item, root(&content)).await.unwrap();
    assert_eq!(items.range(item, 0, 1000).await.unwrap(), content);
    assert_eq!(there(&folder), ["blobs/1", "lists/1"]);
}

#[tokio::test(start_paused = true)]
async fn puts_and_reads_give_way_while_members_talk() {
    let (_folder, items) = items();
    let courtesy = Arc::new(Courtesy::new(10 * u64::from(CHUNK)));
    let items = items.giving_way(courtesy.clone());
    let content = content(4 * u64::from(CHUNK));
    let item = items.reserve(reservation(1, 400)).await.unwrap();
    let item = item.reservation.item;
    // Three chunks wait a tenth of a second each.
    let slowly = Duration::from_millis(300)..Duration::from_millis(400);

    courtesy.said(1_000);
    let begun = Instant::now();
    put_all(&items, item, &content).await;
    assert!(slowly.contains(&begun.elapsed()), "{:?}", begun.elapsed());
    items.commit(item, root(&content)).await.unwrap();

    tokio::time::sleep(Duration::from_secs(5)).await;
    courtesy.said(1_000);
    let begun = Instant::now();
    for chunk in 0..4 {
        let offset = chunk * u64::from(CHUNK);
        items.range(item, offset, CHUNK).await.unwrap();
    }
    assert!(slowly.contains(&begun.elapsed()), "{:?}", begun.elapsed());
}
