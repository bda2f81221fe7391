//! Items in memory, for tests. Keeps nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_proto::ids::{Digest, ItemId};

use super::{Held as Listed, ItemStatus, Items, ItemsError, Reservation, bitmap_len};

/// An [`Items`] in memory.
#[derive(Debug, Default)]
pub struct MemoryItems {
    items: Mutex<HashMap<ItemId, Held>>,
}

#[derive(Debug)]
struct Held {
    reservation: Reservation,
    chunks: BTreeMap<u32, Bytes>,
    committed: bool,
}

impl MemoryItems {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ItemId, Held>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn root(&self) -> Digest {
        let mut root = ItemRoot::new(self.reservation.size, self.reservation.chunk);
        for chunk in self.chunks.values() {
            root.push(&chunk_hash(chunk));
        }
        root.finish()
    }

    fn status(&self) -> ItemStatus {
        let mut durable = vec![0; bitmap_len(self.reservation.chunks())];
        for index in self.chunks.keys() {
            durable[*index as usize / 8] |= 1 << (index % 8);
        }
        ItemStatus {
            reservation: self.reservation,
            durable: durable.into(),
            committed: self.committed,
        }
    }
}

#[async_trait]
impl Items for MemoryItems {
    async fn reserve(&self, reservation: Reservation) -> Result<ItemStatus, ItemsError> {
        if reservation.size == 0 || reservation.chunk == 0 {
            return Err(ItemsError::Shape("an item has bytes and chunks"));
        }
        let mut items = self.lock();
        let held = items.entry(reservation.item).or_insert_with(|| Held {
            reservation,
            chunks: BTreeMap::new(),
            committed: false,
        });
        if !held.reservation.same(&reservation) {
            return Err(ItemsError::Exists);
        }
        Ok(held.status())
    }

    async fn put(&self, item: ItemId, index: u32, bytes: Bytes) -> Result<(), ItemsError> {
        let mut items = self.lock();
        let held = items.get_mut(&item).ok_or(ItemsError::NotFound)?;
        if held.reservation.chunk_len(index) != Some(bytes.len() as u64) {
            return Err(ItemsError::Shape("a chunk of another size than reserved"));
        }
        if !held.committed {
            held.chunks.insert(index, bytes);
        }
        Ok(())
    }

    async fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError> {
        Ok(self.lock().get(&item).map(Held::status))
    }

    async fn commit(&self, item: ItemId, root: Digest) -> Result<(), ItemsError> {
        let mut items = self.lock();
        let held = items.get_mut(&item).ok_or(ItemsError::NotFound)?;
        if held.chunks.len() as u64 != held.reservation.chunks() {
            return Err(ItemsError::Incomplete);
        }
        if held.root() != root {
            return Err(ItemsError::WrongRoot);
        }
        held.committed = true;
        Ok(())
    }

    async fn root(&self, item: ItemId) -> Result<Digest, ItemsError> {
        let items = self.lock();
        let held = items.get(&item).ok_or(ItemsError::NotFound)?;
        match held.committed {
            true => Ok(held.root()),
            false => Err(ItemsError::NotCommitted),
        }
    }

    async fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        self.lock().remove(&item);
        Ok(())
    }

    async fn range(&self, item: ItemId, offset: u64, length: u32) -> Result<Bytes, ItemsError> {
        let items = self.lock();
        let held = items.get(&item).ok_or(ItemsError::NotFound)?;
        if !held.committed {
            return Err(ItemsError::NotCommitted);
        }
        if offset >= held.reservation.size {
            return Err(ItemsError::Shape("beyond the end of the item"));
        }
        let all: Vec<u8> = held.chunks.values().flatten().copied().collect();
        let end = all.len().min(offset as usize + length as usize);
        Ok(Bytes::copy_from_slice(&all[offset as usize..end]))
    }

    async fn list(&self) -> Result<Vec<Listed>, ItemsError> {
        let items = self.lock();
        let listed = items.iter().map(|(item, held)| Listed {
            item: *item,
            reserved: Some(held.reservation.time),
            committed: held.committed,
        });
        Ok(listed.collect())
    }

    /// Memory does not rot.
    async fn check(&self, item: ItemId) -> Result<Option<u32>, ItemsError> {
        self.root(item).await.map(|_| None)
    }
}
