//! Whole transfers over real TLS against an item server that fails where it is told to.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use plenary_core::items::{Items, ItemsError, Reservation, memory::MemoryItems};
use plenary_proto::{
    ids::{ChannelId, ItemId, RequestId, UnixMillis},
    limits::CREDIT_CHUNKS,
    reply::{Code, Failure, Reply},
    request::{ClientFrame, Purpose, Request, Right},
};
use ring::digest::{SHA256, digest};

use super::*;
use crate::{
    files::{Manifest, Plan},
    net::{
        Credentials, Expected,
        testing::{DEVICE, Peer, Server},
    },
    transfer::door::Door,
};

const CHANNEL: ChannelId = ChannelId([1; 16]);

/// What goes wrong.
#[derive(Default)]
struct Faults {
    /// The connection is cut instead of answering these requests, counted over all connections.
    cut: Vec<usize>,
    /// These requests are refused.
    refuse: Vec<usize>,
    /// Every chunk fetched has a flipped bit.
    corrupt: bool,
    /// Answers are held until this many wait, then given newest first.
    shuffle: usize,
    /// What is said instead of the truth.
    lie: Option<fn(Reply) -> Reply>,
    /// Every answer is given twice.
    twice: bool,
}

struct World {
    door: TestDoor,
    items: Arc<MemoryItems>,
    requests: Arc<AtomicUsize>,
    puts: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    folder: tempfile::TempDir,
}

#[derive(Clone)]
struct TestDoor {
    way: (Credentials, Expected),
    item: Arc<Mutex<Option<ItemId>>>,
    shut: Arc<AtomicBool>,
}

impl Door for TestDoor {
    async fn token(&self, item: ItemId, channel: ChannelId, _: Right) -> Result<Bytes, Error> {
        assert_eq!(channel, CHANNEL);
        if self.shut.load(SeqCst) {
            return Err(Error::new(ErrorKind::NotAllowed, "not in that channel"));
        }
        *self.item.lock().unwrap() = Some(item);
        Ok(Bytes::from_static(b"token"))
    }

    async fn way(&self) -> Result<(Credentials, Expected), Error> {
        Ok(self.way.clone())
    }
}

impl World {
    async fn new(faults: Faults) -> Self {
        let server = Server::start().await;
        let door = TestDoor {
            way: (server.device(Purpose::Bulk), server.expected()),
            item: Arc::default(),
            shut: Arc::default(),
        };
        let world = Self {
            items: Arc::new(MemoryItems::new()),
            requests: Arc::default(),
            puts: Arc::default(),
            most: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
            door,
        };
        let line = Line {
            items: world.items.clone(),
            item: world.door.item.clone(),
            requests: world.requests.clone(),
            puts: world.puts.clone(),
            most: world.most.clone(),
            faults,
        };
        tokio::spawn(async move {
            loop {
                let peer = Box::pin(server.settle()).await;
                line.serve(peer).await;
            }
        });
        world
    }

    fn file(&self, size: usize) -> PathBuf {
        let path = self.folder.path().join("evidence.bin");
        let bytes: Vec<u8> = (0..size).map(|n| (n / 7 % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn upload(&self, source: &Path) -> Upload {
        Upload {
            source: source.to_owned(),
            journal: self.folder.path().join("journal"),
            plan: Plan::of_file(source, "text/plain").unwrap(),
            channel: CHANNEL,
            again: false,
        }
    }

    fn put(&self, upload: &Upload) -> Transfer<Manifest> {
        let (upload, door) = (upload.clone(), self.door.clone());
        let size = upload.plan.layout().size();
        Transfer::start(size, |meter| upload.run(door, meter))
    }

    fn get(&self, manifest: &Manifest) -> Transfer<PathBuf> {
        let folder = self.folder.path().join("in");
        std::fs::create_dir_all(&folder).unwrap();
        let door = self.door.clone();
        let download = Download {
            manifest: manifest.clone(),
            folder,
            channel: CHANNEL,
        };
        Transfer::start(manifest.size(), |meter| download.run(door, meter))
    }

    /// Up, down, and compared.
    async fn both_ways(&self, size: usize) -> (Manifest, PathBuf) {
        let source = self.file(size);
        let manifest = self.put(&self.upload(&source)).finish().await.unwrap();
        let target = self.get(&manifest).finish().await.unwrap();
        let got = std::fs::read(&target).unwrap();
        assert!(got == std::fs::read(&source).unwrap());
        assert_eq!(digest(&SHA256, &got).as_ref(), manifest.sha256().as_bytes());
        assert_eq!(target.file_name().unwrap(), "evidence.bin");
        let left: Vec<_> = std::fs::read_dir(self.folder.path().join("in"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["evidence.bin"], "nothing but the file");
        (manifest, target)
    }
}

/// The server's side.
struct Line {
    items: Arc<MemoryItems>,
    item: Arc<Mutex<Option<ItemId>>>,
    requests: Arc<AtomicUsize>,
    puts: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    faults: Faults,
}

impl Line {
    async fn serve(&self, mut peer: Peer) {
        let mut held: Vec<(RequestId, Result<Reply, Failure>)> = Vec::new();
        while let Some(frame) = peer.try_receive().await {
            let ClientFrame::Request(id, request) = frame else {
                panic!("{frame:?}")
            };
            let number = self.requests.fetch_add(1, SeqCst);
            if self.faults.cut.contains(&number) {
                return;
            }
            let one_by_one = matches!(
                request,
                Request::ItemReserve { .. } | Request::ItemCommit { .. }
            );
            let answer = match self.faults.refuse.contains(&number) {
                true => Err(Failure::new(Code::Quota, "over the quota")),
                false => self.answer(request).await.map_err(|error| failure(&error)),
            };
            held.push((id, answer));
            self.most.fetch_max(held.len(), SeqCst);
            if one_by_one || held.len() > self.faults.shuffle {
                for (id, answer) in held.drain(..).rev() {
                    let answer = match self.faults.lie {
                        Some(lie) => answer.map(lie),
                        None => answer,
                    };
                    peer.answer(id, answer.clone()).await;
                    if self.faults.twice {
                        peer.answer(id, answer).await;
                    }
                }
            }
        }
    }

    async fn answer(&self, request: Request) -> Result<Reply, ItemsError> {
        let items = &self.items;
        match request {
            Request::ItemReserve { token, size, chunk } => {
                assert_eq!(token[..], *b"token");
                let item = self.item.lock().unwrap().unwrap();
                let reservation = Reservation {
                    item,
                    channel: CHANNEL,
                    device: DEVICE,
                    size,
                    chunk,
                    time: UnixMillis(1),
                };
                let status = items.reserve(reservation).await?;
                Ok(Reply::ItemState {
                    size,
                    chunk,
                    durable: status.durable,
                    committed: status.committed,
                })
            }
            Request::ItemPut { item, index, bytes } => {
                self.puts.fetch_add(1, SeqCst);
                items.put(item, index, bytes).await?;
                Ok(Reply::Done)
            }
            Request::ItemCommit { item, root } => {
                items.commit(item, root).await?;
                Ok(Reply::Done)
            }
            Request::ItemGet { offset, length, .. } => {
                let item = self.item.lock().unwrap().unwrap();
                let mut bytes = items.range(item, offset, length).await?.to_vec();
                if self.faults.corrupt {
                    bytes[50] ^= 1;
                }
                Ok(Reply::ItemRange {
                    offset,
                    bytes: bytes.into(),
                })
            }
            other => panic!("{other:?}"),
        }
    }
}

fn failure(error: &ItemsError) -> Failure {
    Failure::new(Code::Invalid, error.to_string())
}

/// Twelve chunks of a mebibyte.
const LARGE: usize = 11_700_000;
/// Sixteen small chunks.
const SMALL: usize = 1_000_000;

#[tokio::test]
async fn files_of_many_sizes_arrive_whole() {
    for size in [0, 1, 65_504, 65_505, SMALL, LARGE] {
        World::new(Faults::default()).await.both_ways(size).await;
    }
}

#[tokio::test]
async fn a_lost_line_is_taken_up_from_what_is_durable() {
    // Over upload and download: at the reservation, amid the chunks, at the commit, amid the ranges.
    let faults = Faults {
        cut: vec![0, 5, 6, 20, 22, 30, 31],
        ..Faults::default()
    };
    let world = World::new(faults).await;
    world.both_ways(SMALL).await;
    assert!(world.requests.load(SeqCst) > 40);
    let chunks = 16;
    let puts = world.puts.load(SeqCst);
    assert_eq!(puts, chunks, "a durable chunk is not put again");
}

#[tokio::test]
async fn answers_may_come_in_any_order_and_eight_are_in_flight() {
    let world = World::new(Faults {
        // The last of 16 chunks come alone: the count must divide them.
        shuffle: CREDIT_CHUNKS - 1,
        ..Faults::default()
    })
    .await;
    world.both_ways(SMALL).await;
    assert_eq!(world.most.load(SeqCst), CREDIT_CHUNKS);
}

#[tokio::test]
async fn a_refusal_ends_it_and_the_same_call_goes_on() {
    for refused in [0, 7] {
        let world = World::new(Faults {
            refuse: vec![refused],
            ..Faults::default()
        })
        .await;
        let source = world.file(SMALL);
        let mut upload = world.upload(&source);
        let error = world.put(&upload).finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Quota);
        assert!(error.to_string().contains("over the quota"), "{error}");
        upload.again = upload.journal.exists();
        assert_eq!(upload.again, refused > 0);
        let manifest = world.put(&upload).finish().await.unwrap();
        world.get(&manifest).finish().await.unwrap();
    }
}

#[tokio::test]
async fn no_right_no_connection() {
    let world = World::new(Faults::default()).await;
    world.door.shut.store(true, SeqCst);
    let source = world.file(SMALL);
    let upload = world.upload(&source);
    let error = world.put(&upload).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAllowed);
    assert!(!upload.journal.exists(), "nothing was sealed");
}

#[tokio::test]
async fn a_stopped_transfer_leaves_no_name_and_is_taken_up() {
    let world = World::new(Faults::default()).await;
    let source = world.file(LARGE);
    let mut upload = world.upload(&source);
    let mut transfer = world.put(&upload);
    while transfer.moved().await.unwrap().done < 3 << 20 {}
    drop(transfer);
    upload.again = true;
    let manifest = world.put(&upload).finish().await.unwrap();
    let puts = world.puts.load(SeqCst);
    assert!(puts < 12 + CREDIT_CHUNKS + 4, "{puts}: not from the start");

    let mut transfer = world.get(&manifest);
    while transfer.moved().await.unwrap().done < 3 << 20 {}
    drop(transfer);
    assert!(!world.folder.path().join("in/evidence.bin").exists());
    let mut transfer = world.get(&manifest);
    let begun = transfer.moved().await.unwrap();
    assert!(begun.done >= 2 << 20, "{begun:?}: not from the start");
    let target = transfer.finish().await.unwrap();
    assert!(std::fs::read(target).unwrap() == std::fs::read(source).unwrap());
}

#[tokio::test]
async fn a_file_changed_between_tries_is_refused() {
    let world = World::new(Faults {
        refuse: vec![9],
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let mut upload = world.upload(&source);
    world.put(&upload).finish().await.unwrap_err();
    let mut bytes = std::fs::read(&source).unwrap();
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
    std::fs::write(&source, bytes).unwrap();
    upload.again = true;
    let error = world.put(&upload).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}

#[tokio::test]
async fn without_its_journal_an_upload_is_not_taken_up() {
    let world = World::new(Faults {
        refuse: vec![9],
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let mut upload = world.upload(&source);
    world.put(&upload).finish().await.unwrap_err();
    std::fs::remove_file(&upload.journal).unwrap();
    for again in [true, false] {
        upload.again = again;
        world.put(&upload).finish().await.unwrap_err();
        assert!(!upload.journal.exists(), "nothing was sealed anew");
    }
}

#[tokio::test]
async fn altered_chunks_are_refused_and_no_file_appears() {
    let world = World::new(Faults {
        corrupt: true,
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let manifest = world.put(&world.upload(&source)).finish().await.unwrap();
    let error = world.get(&manifest).finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert!(!world.folder.path().join("in/evidence.bin").exists());
}

#[tokio::test]
async fn progress_ends_at_the_total() {
    let world = World::new(Faults::default()).await;
    let source = world.file(LARGE);
    let mut transfer = world.put(&world.upload(&source));
    let mut before = transfer.progress();
    assert_eq!((before.done, before.total), (0, LARGE as u64));
    while let Some(now) = transfer.moved().await {
        assert!(now.done >= before.done && now.done <= now.total);
        before = now;
    }
    assert_eq!(before.done, before.total);
    assert!(before.speed > 0);
}

#[tokio::test]
async fn a_server_that_lies_about_an_item_is_not_believed() {
    let uploads: [fn(Reply) -> Reply; 4] = [
        |_| Reply::Done,
        |reply| match reply {
            Reply::ItemState {
                size,
                durable,
                committed,
                ..
            } => Reply::ItemState {
                size,
                chunk: 1 << 20,
                durable,
                committed,
            },
            other => other,
        },
        |reply| match reply {
            Reply::ItemState {
                size,
                chunk,
                committed,
                ..
            } => Reply::ItemState {
                size,
                chunk,
                durable: Bytes::new(),
                committed,
            },
            other => other,
        },
        // Of an item whose id nobody else can know.
        |reply| match reply {
            Reply::ItemState {
                size,
                chunk,
                durable,
                committed,
            } => Reply::ItemState {
                size,
                chunk,
                durable: vec![255; durable.len()].into(),
                committed,
            },
            other => other,
        },
    ];
    for lie in uploads {
        let world = World::new(Faults {
            lie: Some(lie),
            ..Faults::default()
        })
        .await;
        let source = world.file(SMALL);
        let upload = world.upload(&source);
        let error = world.put(&upload).finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
        assert!(!upload.journal.exists(), "nothing was sealed");
    }
    let downloads: [fn(Reply) -> Reply; 3] = [
        |reply| match reply {
            Reply::ItemRange { offset, bytes } => Reply::ItemRange {
                offset: offset + 1,
                bytes,
            },
            other => other,
        },
        |reply| match reply {
            Reply::ItemRange { offset, bytes } => Reply::ItemRange {
                offset,
                bytes: bytes.slice(1..),
            },
            other => other,
        },
        |reply| match reply {
            Reply::ItemRange { .. } => Reply::Done,
            other => other,
        },
    ];
    for lie in downloads {
        let world = World::new(Faults {
            lie: Some(lie),
            ..Faults::default()
        })
        .await;
        let source = world.file(SMALL);
        let manifest = world.put(&world.upload(&source)).finish().await.unwrap();
        let error = world.get(&manifest).finish().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    }
}

#[tokio::test]
async fn an_answer_to_nothing_ends_the_transfer() {
    let world = World::new(Faults {
        twice: true,
        ..Faults::default()
    })
    .await;
    let source = world.file(SMALL);
    let error = world
        .put(&world.upload(&source))
        .finish()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
}
