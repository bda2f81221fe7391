//! A thousand items sent, collected, expired, withdrawn, with deaths in between: what lies in the
//! folder is what the leases say, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use plenary_core::config::Config;
use plenary_core::error::OpError;
use plenary_core::leases::{Asked, Ended, State};
use plenary_core::memory::MemoryStore;
use plenary_core::network::{Network, Parts};
use plenary_proto::ids::MemberId;
use plenary_proto::request::ItemTerms;
use ring::signature::Ed25519KeyPair;

use super::*;
use crate::net::Registry;

const DAY: u64 = 24 * 3600 * 1000;

/// The process dies at a call of the item store, before or after its work; then nothing works.
#[derive(Debug, Default)]
struct Fuse {
    due: Mutex<Option<(u32, bool)>>,
    dead: AtomicBool,
}

impl Fuse {
    fn dead<T>(&self) -> Result<T, ItemsError> {
        self.dead.store(true, Ordering::SeqCst);
        Err(ItemsError::Unavailable("the process died".into()))
    }

    async fn pass<T>(
        &self,
        work: impl Future<Output = Result<T, ItemsError>>,
    ) -> Result<T, ItemsError> {
        if self.dead.load(Ordering::SeqCst) {
            return self.dead();
        }
        let due = {
            let mut due = lock(&self.due);
            match due.as_mut() {
                Some((0, after)) => Some(*after),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        match due {
            None => work.await,
            Some(true) => {
                let _ = work.await;
                self.dead()
            }
            Some(false) => self.dead(),
        }
    }
}

#[derive(Debug)]
struct Mortal(FolderItems, Arc<Fuse>);

#[async_trait]
impl Items for Mortal {
    async fn reserve(&self, reservation: Reservation) -> Result<ItemStatus, ItemsError> {
        self.1.pass(self.0.reserve(reservation)).await
    }

    async fn put(&self, item: ItemId, index: u32, bytes: Bytes) -> Result<(), ItemsError> {
        self.1.pass(self.0.put(item, index, bytes)).await
    }

    async fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError> {
        self.1.pass(self.0.status(item)).await
    }

    async fn commit(&self, item: ItemId, root: Digest) -> Result<(), ItemsError> {
        self.1.pass(self.0.commit(item, root)).await
    }

    async fn range(&self, item: ItemId, offset: u64, length: u32) -> Result<Bytes, ItemsError> {
        self.1.pass(self.0.range(item, offset, length)).await
    }

    async fn root(&self, item: ItemId) -> Result<Digest, ItemsError> {
        self.1.pass(self.0.root(item)).await
    }

    async fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        self.1.pass(self.0.remove(item)).await
    }

    async fn list(&self) -> Result<Vec<Held>, ItemsError> {
        self.1.pass(self.0.list()).await
    }

    async fn check(&self, item: ItemId) -> Result<Option<u32>, ItemsError> {
        self.1.pass(self.0.check(item)).await
    }
}

/// Small, and the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

struct World {
    folder: tempfile::TempDir,
    store: Arc<MemoryStore>,
    dice: Dice,
    now: UnixMillis,
    network: Arc<Network>,
    items: FolderItems,
    fuse: Arc<Fuse>,
    deaths: u32,
}

async fn start(
    folder: &Path,
    store: Arc<MemoryStore>,
    fuse: Arc<Fuse>,
) -> (Arc<Network>, FolderItems) {
    let items = FolderItems::open(folder).unwrap();
    let network = Network::load(Parts {
        store,
        items: Arc::new(Mortal(items.clone(), fuse)),
        hub: Registry::new(),
        key: Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap(),
        token_key: [2; 32],
        config: Config::default(),
    })
    .await
    .unwrap();
    (network, items)
}

impl World {
    async fn new() -> Self {
        // Where there is memory to be had: it is not about syncs here.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.unwrap();
        let store = Arc::new(MemoryStore::new());
        let fuse = Arc::new(Fuse::default());
        let (network, items) = start(folder.path(), store.clone(), fuse.clone()).await;
        Self {
            folder,
            store,
            dice: Dice(7),
            now: UnixMillis(1_800_000_000_000),
            network,
            items,
            fuse,
            deaths: 0,
        }
    }

    /// Another process takes over, if this one is dead.
    async fn revive(&mut self) {
        if !self.fuse.dead.load(Ordering::SeqCst) {
            return;
        }
        self.deaths += 1;
        self.fuse = Arc::new(Fuse::default());
        let fuse = self.fuse.clone();
        (self.network, self.items) = start(self.folder.path(), self.store.clone(), fuse).await;
    }

    async fn send(&mut self, item: ItemId, complete: bool) -> Result<(), OpError> {
        let size = 1 + self.dice.roll(300);
        let member = MemberId([self.dice.roll(5) as u8; 16]);
        let reservation = Reservation {
            item,
            device: DeviceId(member.0),
            time: self.now,
            ..reservation(0, size)
        };
        let terms = ItemTerms {
            keep_until: Some(self.now.plus(self.dice.roll(90) * DAY)),
            collectors: self.dice.roll(3) as u32,
            wanted: vec![],
        };
        let asked = Asked {
            reservation,
            member,
            terms,
        };
        let content = content(size);
        // After a death the sender comes back, once.
        for _ in 0..2 {
            let sent = async {
                self.network.reserve_item(asked.clone()).await?;
                for (index, chunk) in content.chunks(CHUNK as usize).enumerate() {
                    let chunk = Bytes::copy_from_slice(chunk);
                    self.items.put(item, index as u32, chunk).await?;
                }
                match complete {
                    true => self.network.commit_item(item, root(&content)).await,
                    false => Ok(()),
                }
            };
            let sent = sent.await;
            if sent.is_ok() || !self.fuse.dead.load(Ordering::SeqCst) {
                return sent;
            }
            self.revive().await;
        }
        Ok(())
    }

    async fn step(&mut self, n: u32) -> Result<(), OpError> {
        let id = |n: u64| {
            let mut id = [n as u8; 16];
            id[8..].copy_from_slice(&n.to_be_bytes());
            ItemId(id)
        };
        if self.dice.roll(3) == 0 {
            let after = self.dice.roll(2) == 0;
            *lock(&self.fuse.due) = Some((self.dice.roll(6) as u32, after));
        }
        let complete = self.dice.roll(8) > 0;
        self.send(id(n.into()), complete).await?;
        let other = id(self.dice.roll(u64::from(n) + 1));
        match self.dice.roll(6) {
            0 => {
                self.network
                    .end_item(other, Ended::Withdrawn, self.now)
                    .await
            }
            1 | 2 => {
                let who = MemberId([100 + self.dice.roll(3) as u8; 16]);
                let collect = self.network.change_lease(other, |lease| {
                    lease.collect(who);
                    Ok(())
                });
                collect.await.map(drop)
            }
            3 => {
                self.now = self.now.plus(self.dice.roll(DAY / 2));
                self.network.sweep_items(self.now).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// What lies in each of the folders.
    fn there(&self) -> BTreeMap<&'static str, BTreeSet<String>> {
        let names = |kind: &&'static str| {
            let entries = fs::read_dir(self.folder.path().join(kind)).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            (*kind, names.collect())
        };
        [STAGING, LISTS, BLOBS].iter().map(names).collect()
    }

    /// The kept items, by the leases.
    async fn kept(&self) -> BTreeSet<String> {
        use plenary_core::store::Store;
        let mut kept = BTreeSet::new();
        let mut after = None;
        loop {
            let page = self
                .store
                .list(b"lease/", after.as_deref(), 256)
                .await
                .unwrap();
            let Some((last, _)) = page.last() else {
                return kept;
            };
            after = Some(last.clone());
            for (key, _) in &page {
                let item = ItemId::try_from(&key[6..]).unwrap();
                let lease = self.network.lease(item).await.unwrap().unwrap();
                assert_ne!(lease.state, State::Reserved);
                if lease.state == State::Kept {
                    kept.insert(item.to_string());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_thousand_items_later_the_folder_holds_what_the_leases_say() {
    let mut world = World::new().await;
    let mut refused = 0;
    for n in 0..1_000 {
        if world.step(n).await.is_err() {
            refused += 1;
        }
        world.revive().await;
    }
    // What was never completed is due now, too.
    world.now = world.now.plus(15 * DAY);
    *lock(&world.fuse.due) = None;
    let swept = world.network.sweep_items(world.now).await.unwrap();
    assert!(
        swept.abandoned > 10 && swept.missing.is_empty(),
        "{swept:?}"
    );
    assert!(
        world.deaths > 100 && refused > 0,
        "{} {refused}",
        world.deaths
    );
    let kept = world.kept().await;
    assert!(kept.len() > 20, "{}", kept.len());
    let there = world.there();
    assert_eq!(there[LISTS], kept);
    assert_eq!(there[BLOBS], kept);
    assert!(there[STAGING].is_empty(), "{:?}", there[STAGING]);
    let entries = fs::read_dir(world.folder.path()).unwrap().count();
    assert_eq!(entries, 3, "nothing else");
    assert_eq!(world.network.item_usage().await.kept, kept.len() as u64);
    for item in &kept {
        let item = item.parse().unwrap();
        assert_eq!(world.items.check(item).await, Ok(None));
    }
    // In the end everything goes.
    world.now = world.now.plus(100 * DAY);
    world.network.sweep_items(world.now).await.unwrap();
    assert!(world.there().values().all(BTreeSet::is_empty));
    assert_eq!(world.network.item_usage().await.bytes, 0);
}
