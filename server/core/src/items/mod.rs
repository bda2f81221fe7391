//! The Items seam: files as exchanged, sealed before they come here.
//!
//! An item is reserved, its chunks are put in any order and any number of times, and it is committed
//! once; from then on it can be read and not changed. `Ok` of a put means that the chunk survives
//! power loss. The server never sees a key, a name or a plaintext.

pub mod memory;
pub mod token;

use async_trait::async_trait;
use bytes::Bytes;
use plenary_proto::ids::{ChannelId, DeviceId, Digest, ItemId, UnixMillis};

/// Room for one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The item.
    pub item: ItemId,
    /// Where it is handed over.
    pub channel: ChannelId,
    /// Who puts it up.
    pub device: DeviceId,
    /// Sealed bytes in all; not zero.
    pub size: u64,
    /// Sealed bytes of every chunk but the last; not zero, at most a bulk message holds.
    pub chunk: u32,
    /// Now, by the server's clock.
    pub time: UnixMillis,
}

/// What is known of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemStatus {
    /// As reserved.
    pub reservation: Reservation,
    /// Which chunks are durable; chunk 0 is the lowest bit of the first byte. All, once committed.
    pub durable: Bytes,
    /// It may be read.
    pub committed: bool,
}

/// An item of which anything is there, in whatever state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which.
    pub item: ItemId,
    /// When it was reserved, if that can still be read.
    pub reserved: Option<UnixMillis>,
    /// It may be read.
    pub committed: bool,
}

/// Why the item store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    /// No such item, or no longer.
    #[error("there is no such item")]
    NotFound,
    /// Reserved before, otherwise.
    #[error("the item exists with another size, chunk, channel or owner")]
    Exists,
    /// Read before its commit.
    #[error("the item is not complete yet")]
    NotCommitted,
    /// A chunk that does not fit the reservation, or a range beyond the end.
    #[error("{0}")]
    Shape(&'static str),
    /// Committed before all chunks are there.
    #[error("chunks are missing: put them and commit again")]
    Incomplete,
    /// The chunks are not the ones the root was made of.
    #[error("the root does not fit the chunks: seal again as another item")]
    WrongRoot,
    /// Over quota, limit or free space: says which.
    #[error("{0}")]
    Quota(String),
    /// The disk is full. Nothing was acknowledged; what was before stays, to be gone on with.
    #[error("the server's disk is full: its operator must make room; what is there stays")]
    Full,
    /// I/O error. Nothing was acknowledged.
    #[error("the item store is unavailable: {0}")]
    Unavailable(String),
}

/// The store of items. Implemented in the server over a folder or an object store.
#[async_trait]
pub trait Items: Send + Sync + 'static {
    /// Makes room. Repeating it with the same fields (the time aside) returns what is there, so that
    /// an upload resumes.
    ///
    /// Errors: [`ItemsError::Exists`], [`ItemsError::Quota`], [`ItemsError::Shape`].
    async fn reserve(&self, reservation: Reservation) -> Result<ItemStatus, ItemsError>;

    /// Stores one chunk; durable before the return. Of a committed item: no change, no error.
    ///
    /// Errors: [`ItemsError::NotFound`], [`ItemsError::Shape`].
    async fn put(&self, item: ItemId, index: u32, bytes: Bytes) -> Result<(), ItemsError>;

    /// What is known of it, or `None`.
    async fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError>;

    /// Checks the root ([`plenary_certs::item_root`]) over all chunks and makes the item readable.
    /// Repeating it is no error.
    ///
    /// Errors: [`ItemsError::NotFound`], [`ItemsError::Incomplete`], [`ItemsError::WrongRoot`].
    async fn commit(&self, item: ItemId, root: Digest) -> Result<(), ItemsError>;

    /// Root over the chunks of a committed item.
    ///
    /// Errors: [`ItemsError::NotFound`], [`ItemsError::NotCommitted`].
    async fn root(&self, item: ItemId) -> Result<Digest, ItemsError>;

    /// Removes it, committed or not; from the return on nothing of it is read. Removing what is not
    /// there is no error, and completes a removal that was cut off.
    async fn remove(&self, item: ItemId) -> Result<(), ItemsError>;

    /// Up to `length` bytes from `offset`, fewer only at the end.
    ///
    /// Errors: [`ItemsError::NotFound`], [`ItemsError::NotCommitted`], [`ItemsError::Shape`] if the
    /// offset is at or beyond the end.
    async fn range(&self, item: ItemId, offset: u64, length: u32) -> Result<Bytes, ItemsError>;

    /// Everything of which anything is there, in no particular order: what a crash left, too.
    async fn list(&self) -> Result<Vec<Held>, ItemsError>;

    /// Reads a committed item back and compares every chunk with its hash. The first one that is not
    /// as it was put.
    ///
    /// Errors: [`ItemsError::NotFound`], [`ItemsError::NotCommitted`].
    async fn check(&self, item: ItemId) -> Result<Option<u32>, ItemsError>;
}

impl Reservation {
    /// How many chunks.
    pub fn chunks(&self) -> u64 {
        self.size.div_ceil(u64::from(self.chunk.max(1)))
    }

    /// Bytes that chunk `index` must have; `None` beyond the last.
    pub fn chunk_len(&self, index: u32) -> Option<u64> {
        let start = u64::from(index) * u64::from(self.chunk);
        (start < self.size).then(|| (self.size - start).min(self.chunk.into()))
    }

    /// Whether somebody comes back to the same upload.
    pub fn same(&self, other: &Self) -> bool {
        Self {
            time: other.time,
            ..*self
        } == *other
    }
}

/// Bytes of a bitmap for so many chunks.
pub fn bitmap_len(chunks: u64) -> usize {
    chunks.div_ceil(8) as usize
}
