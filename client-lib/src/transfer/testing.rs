//! An item server over real TLS that fails where it is told to, and what transfers need to meet it.

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
    reply::{Code, Failure, Reply},
    request::{ClientFrame, ItemTerms, Purpose, Request, Right},
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

pub(super) const CHANNEL: ChannelId = ChannelId([1; 16]);

/// What goes wrong.
#[derive(Default)]
pub(super) struct Faults {
    /// The connection is cut instead of answering these requests, counted over all connections.
    pub(super) cut: Vec<usize>,
    /// These requests are refused.
    pub(super) refuse: Vec<usize>,
    /// Every chunk fetched has a flipped bit.
    pub(super) corrupt: bool,
    /// Answers are held until this many wait, then given newest first.
    pub(super) shuffle: usize,
    /// What is said instead of the truth.
    pub(super) lie: Option<fn(Reply) -> Reply>,
    /// Every answer is given twice.
    pub(super) twice: bool,
}

pub(super) struct World {
    pub(super) door: TestDoor,
    pub(super) items: Arc<MemoryItems>,
    pub(super) requests: Arc<AtomicUsize>,
    pub(super) puts: Arc<AtomicUsize>,
    pub(super) most: Arc<AtomicUsize>,
    pub(super) folder: tempfile::TempDir,
    pub(super) desk: Desk,
}

#[derive(Clone)]
pub(super) struct TestDoor {
    way: (Credentials, Expected),
    item: Arc<Mutex<Option<ItemId>>>,
    pub(super) shut: Arc<AtomicBool>,
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
    pub(super) async fn new(faults: Faults) -> Self {
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
            desk: Desk::default(),
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

    pub(super) fn file(&self, size: usize) -> PathBuf {
        let path = self.folder.path().join("evidence.bin");
        let bytes: Vec<u8> = (0..size).map(|n| (n / 7 % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) fn upload(&self, source: &Path) -> Upload {
        Upload {
            source: Source::File(source.to_owned()),
            journal: self.folder.path().join("journal"),
            plan: Plan::of_file(source, "text/plain").unwrap(),
            channel: CHANNEL,
            terms: ItemTerms::default(),
            again: false,
        }
    }

    pub(super) fn put(&self, upload: &Upload) -> Transfer<Manifest> {
        let (upload, door) = (upload.clone(), self.door.clone());
        let size = upload.plan.layout().size();
        Transfer::start(&self.desk, size, |meter| upload.run(door, meter))
    }

    pub(super) fn get(&self, manifest: &Manifest) -> Transfer<PathBuf> {
        let folder = self.folder.path().join("in");
        std::fs::create_dir_all(&folder).unwrap();
        let door = self.door.clone();
        let download = Download {
            manifest: manifest.clone(),
            place: Place::Folder(folder),
            channel: CHANNEL,
        };
        Transfer::start(&self.desk, manifest.size(), |meter| {
            let run = download.run(door, meter);
            async move { Ok(run.await?.expect("a path")) }
        })
    }

    /// Up, down, and compared.
    pub(super) async fn both_ways(&self, size: usize) -> (Manifest, PathBuf) {
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
pub(super) struct Line {
    pub(super) items: Arc<MemoryItems>,
    item: Arc<Mutex<Option<ItemId>>>,
    pub(super) requests: Arc<AtomicUsize>,
    pub(super) puts: Arc<AtomicUsize>,
    pub(super) most: Arc<AtomicUsize>,
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
            Request::ItemReserve {
                token, size, chunk, ..
            } => {
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
