//! Items on disk: the engine behind the core's `Items` seam.
//!
//! ```text
//! items/staging/<id>/about   the reservation; written first, whole or not at all
//! items/staging/<id>/part    sealed bytes, each chunk at its place, and behind them which are there
//! items/lists/<id>           a committed item: its reservation and the hashes of its chunks
//! items/blobs/<id>           its sealed bytes: here, or in an object store
//! ```
//!
//! **Durable.** A chunk counts once bytes and mark are on disk. Chunks that come at the same time
//! share one fdatasync (see `upload`).
//!
//! **Commit.** Root checked; list written beside the part; blob taken over (`blobs::Blobs`); then
//! the list gets its name, which makes the item readable; then the staging folder goes. After a crash
//! in between, the same commit does what is left.
//!
//! **Removal.** The list first: from then on nothing is read. What a crash leaves is listed
//! ([`Items::list`]) and removed again.

mod about;
mod blobs;
mod courtesy;
mod list;
mod object;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use plenary_certs::item_root::chunk_hash;
use plenary_core::items::{Held, ItemStatus, Items, ItemsError, Reservation, bitmap_len};
use plenary_proto::ids::{Digest, ItemId, UnixMillis};
use plenary_proto::limits::BULK_MESSAGE;

use blobs::{Blobs, FolderBlobs};
pub use courtesy::Courtesy;
use list::List;
pub use object::{ObjectBlobs, ObjectStoreSettings};
use upload::Upload;

/// Chunks of the largest item: what is held in memory for an upload under way is 33 bytes of each.
const CHUNKS: u64 = 1 << 17;
/// Free space that items leave to the rest of the server.
const HEADROOM: u64 = 256 << 20;
/// Uploads kept open between two chunks, and committed items whose size is kept between two ranges.
const OPEN: usize = 64;
/// Commits and removals of one item exclude each other; so many locks serve all items.
const STRIPES: usize = 64;

const STAGING: &str = "staging";
const LISTS: &str = "lists";
const BLOBS: &str = "blobs";
const ABOUT: &str = "about";
const PART: &str = "part";
const LIST: &str = "list";

/// Items on disk, the committed ones there or in an object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FolderItems {
    inner: Arc<Inner>,
    courtesy: Arc<Courtesy>,
}

#[derive(Debug)]
struct Inner {
    staging: PathBuf,
    lists: PathBuf,
    blobs: Arc<dyn Blobs>,
    uploads: Mutex<HashMap<ItemId, Arc<Upload>>>,
    /// Of committed items that are read.
    sizes: Mutex<HashMap<ItemId, u64>>,
    /// Whoever reserves holds this.
    making: Mutex<()>,
    stripes: [tokio::sync::Mutex<()>; STRIPES],
    headroom: u64,
}

impl FolderItems {
    /// Opens the folder, or makes it. Everything is kept there.
    ///
    /// # Errors
    /// [`ItemsError::Unavailable`].
    pub fn open(folder: &Path) -> Result<Self, ItemsError> {
        let blobs = FolderBlobs::open(&folder.join(BLOBS))?;
        Self::with(folder, Arc::new(blobs))
    }

    /// Opens the folder for what is under way; committed items are kept in an object store.
    ///
    /// # Errors
    /// [`ItemsError::Unavailable`].
    pub fn open_with(folder: &Path, blobs: ObjectBlobs) -> Result<Self, ItemsError> {
        Self::with(folder, Arc::new(blobs))
    }

    fn with(folder: &Path, blobs: Arc<dyn Blobs>) -> Result<Self, ItemsError> {
        let (staging, lists) = (folder.join(STAGING), folder.join(LISTS));
        fs::create_dir_all(&staging).map_err(unavailable)?;
        fs::create_dir_all(&lists).map_err(unavailable)?;
        sync_folder(folder).map_err(unavailable)?;
        let inner = Arc::new(Inner {
            staging,
            lists,
            blobs,
            uploads: Mutex::default(),
            sizes: Mutex::default(),
            making: Mutex::default(),
            stripes: [const { tokio::sync::Mutex::const_new(()) }; STRIPES],
            headroom: HEADROOM,
        });
        Ok(Self {
            inner,
            courtesy: Arc::new(Courtesy::new(0)),
        })
    }

    /// What is put and read gives way to messages by this.
    pub fn giving_way(self, courtesy: Arc<Courtesy>) -> Self {
        Self { courtesy, ..self }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ItemsError> + Send + 'static,
    ) -> Result<T, ItemsError> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(unavailable)?
    }

    async fn only(&self, item: ItemId) -> tokio::sync::MutexGuard<'_, ()> {
        let stripe = usize::from(item.0[0]) % STRIPES;
        self.inner.stripes[stripe].lock().await
    }
}

#[async_trait]
impl Items for FolderItems {
    async fn reserve(&self, reservation: Reservation) -> Result<ItemStatus, ItemsError> {
        self.blocking(move |inner| inner.reserve(reservation)).await
    }

    async fn put(&self, item: ItemId, index: u32, bytes: Bytes) -> Result<(), ItemsError> {
        self.courtesy.turn(bytes.len()).await;
        self.blocking(move |inner| inner.put(item, index, &bytes))
            .await
    }

    async fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError> {
        self.blocking(move |inner| inner.status(item)).await
    }

    async fn commit(&self, item: ItemId, root: Digest) -> Result<(), ItemsError> {
        let _only = self.only(item).await;
        let checked = self.blocking(move |inner| inner.check_whole(item, root));
        let Some((part, size)) = checked.await? else {
            return Ok(());
        };
        self.inner.blobs.take(item, &part, size).await?;
        self.blocking(move |inner| inner.publish(item, size)).await
    }

    async fn range(&self, item: ItemId, offset: u64, length: u32) -> Result<Bytes, ItemsError> {
        let known = lock(&self.inner.sizes).get(&item).copied();
        let size = match known {
            Some(size) => size,
            None => {
                self.blocking(move |inner| inner.committed_size(item))
                    .await?
            }
        };
        let left = size.saturating_sub(offset);
        if left == 0 {
            return Err(ItemsError::Shape("beyond the end of the item"));
        }
        let length = u64::from(length).min(left).min(BULK_MESSAGE as u64) as usize;
        self.courtesy.turn(length).await;
        self.inner.blobs.range(item, offset, length).await
    }

    async fn root(&self, item: ItemId) -> Result<Digest, ItemsError> {
        self.blocking(move |inner| match inner.list(item)? {
            Some(list) => Ok(list.root()),
            None => Err(inner.not_there(item)?),
        })
        .await
    }

    async fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        let _only = self.only(item).await;
        self.blocking(move |inner| inner.withdraw(item)).await?;
        self.inner.blobs.remove(item).await
    }

    async fn list(&self) -> Result<Vec<Held>, ItemsError> {
        let blobs = self.inner.blobs.list().await?;
        self.blocking(move |inner| inner.all(blobs)).await
    }

    async fn check(&self, item: ItemId) -> Result<Option<u32>, ItemsError> {
        let list = self.blocking(move |inner| match inner.list(item)? {
            Some(list) => Ok(list),
            None => Err(inner.not_there(item)?),
        });
        let list = list.await?;
        for (index, hash) in (0..).zip(&list.hashes) {
            let offset = u64::from(index) * u64::from(list.about.chunk);
            let length = list.about.chunk_len(index).unwrap_or(0) as usize;
            match self.inner.blobs.range(item, offset, length).await {
                Ok(bytes) if chunk_hash(&bytes) == *hash => {}
                // Too short or gone is damage, too.
                Ok(_) | Err(ItemsError::NotFound | ItemsError::Shape(_)) => {
                    return Ok(Some(index));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

impl Inner {
    fn reserve(&self, reservation: Reservation) -> Result<ItemStatus, ItemsError> {
        if reservation.size == 0 || reservation.chunk == 0 {
            return Err(ItemsError::Shape("an item has bytes and chunks"));
        }
        if reservation.chunk as usize > BULK_MESSAGE || reservation.chunks() > CHUNKS {
            return Err(ItemsError::Shape("chunks too large or too many"));
        }
        let _making = lock(&self.making);
        if let Some(status) = self.status(reservation.item)? {
            if !status.reservation.same(&reservation) {
                return Err(ItemsError::Exists);
            }
            return Ok(status);
        }
        let room = free_space(&self.staging)?.saturating_sub(self.headroom);
        if upload::file_size(&reservation) > room {
            return Err(ItemsError::Quota(format!(
                "the server's disk has no room for {} bytes: {room} are left",
                reservation.size
            )));
        }
        let path = self.staged(reservation.item);
        fs::create_dir_all(&path).map_err(unavailable)?;
        let made = upload::make(&path, &reservation)
            .and_then(|()| about::write(&path.join(ABOUT), &reservation))
            .and_then(|()| sync_folder(&self.staging));
        if let Err(error) = made {
            let _ = fs::remove_dir_all(&path);
            return Err(refused(error));
        }
        let chunks = reservation.chunks();
        Ok(ItemStatus {
            reservation,
            durable: vec![0; bitmap_len(chunks)].into(),
            committed: false,
        })
    }

    fn put(&self, item: ItemId, index: u32, bytes: &[u8]) -> Result<(), ItemsError> {
        let Some(upload) = self.upload(item)? else {
            let list = self.list(item)?.ok_or(ItemsError::NotFound)?;
            return upload::check_len(&list.about, index, bytes);
        };
        upload.put(index, bytes)
    }

    fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError> {
        if let Some(upload) = self.upload(item)? {
            return Ok(Some(ItemStatus {
                reservation: *upload.reservation(),
                durable: upload.durable(),
                committed: false,
            }));
        }
        Ok(self.list(item)?.map(|list| ItemStatus {
            durable: all(list.about.chunks()),
            reservation: list.about,
            committed: true,
        }))
    }

    /// Checks that all chunks are there and are the root's, and writes their list. The part to be
    /// taken over and how many bytes of it; `None` if the item is committed already.
    fn check_whole(
        &self,
        item: ItemId,
        root: Digest,
    ) -> Result<Option<(PathBuf, u64)>, ItemsError> {
        let Some(upload) = self.upload(item)? else {
            // It was committed before: the same root again is no error.
            let list = self.list(item)?.ok_or(ItemsError::NotFound)?;
            return match list.root() == root {
                true => Ok(None),
                false => Err(ItemsError::WrongRoot),
            };
        };
        let list = upload.whole(root)?;
        let path = self.staged(item);
        list.write(&path.join(LIST)).map_err(refused)?;
        Ok(Some((path.join(PART), list.about.size)))
    }

    /// Makes it readable, and forgets the upload.
    fn publish(&self, item: ItemId, size: u64) -> Result<(), ItemsError> {
        let path = self.staged(item);
        fs::rename(path.join(LIST), self.listed(item))
            .and_then(|()| sync_folder(&self.lists))
            .map_err(unavailable)?;
        // The marks have served; in a folder, part and blob are one file.
        let part = File::options().write(true).open(path.join(PART));
        if let Err(error) = part.and_then(|part| part.set_len(size)) {
            tracing::debug!(%error, "the marks of a committed item stay");
        }
        self.forget(item)
    }

    /// No longer an item: neither readable nor under way.
    fn withdraw(&self, item: ItemId) -> Result<(), ItemsError> {
        gone(fs::remove_file(self.listed(item)))?;
        sync_folder(&self.lists).map_err(unavailable)?;
        lock(&self.sizes).remove(&item);
        self.forget(item)
    }

    fn forget(&self, item: ItemId) -> Result<(), ItemsError> {
        let _making = lock(&self.making);
        lock(&self.uploads).remove(&item);
        gone(fs::remove_dir_all(self.staged(item)))
    }

    fn committed_size(&self, item: ItemId) -> Result<u64, ItemsError> {
        let Some(about) = list::read_about(&self.listed(item))? else {
            return Err(self.not_there(item)?);
        };
        let mut sizes = lock(&self.sizes);
        if sizes.len() >= OPEN {
            sizes.clear();
        }
        sizes.insert(item, about.size);
        Ok(about.size)
    }

    fn not_there(&self, item: ItemId) -> Result<ItemsError, ItemsError> {
        Ok(match self.staged(item).join(ABOUT).exists() {
            true => ItemsError::NotCommitted,
            false => ItemsError::NotFound,
        })
    }

    /// The upload under way; `None` when it is committed or was never reserved.
    fn upload(&self, item: ItemId) -> Result<Option<Arc<Upload>>, ItemsError> {
        let mut uploads = lock(&self.uploads);
        let path = self.staged(item);
        if let Some(upload) = uploads.get(&item) {
            match upload.failed_group() {
                // Opened anew once nobody is at it: two of one item would not know of each other's
                // chunks.
                Some(group) if Arc::strong_count(upload) == 1 => {
                    upload::forget_from(&path, upload.reservation(), group).map_err(refused)?;
                    uploads.remove(&item);
                }
                _ => return Ok(Some(upload.clone())),
            }
        }
        // A crash may have left the staging folder of a committed item.
        if self.listed(item).exists() {
            return Ok(None);
        }
        let Some(reservation) = about::read(&path.join(ABOUT))? else {
            return Ok(None);
        };
        let upload = Arc::new(Upload::open(&path, reservation)?);
        if uploads.len() >= OPEN {
            // Never one in use, nor one whose failure has to be remembered.
            uploads.retain(|_, upload| {
                Arc::strong_count(upload) > 1 || upload.failed_group().is_some()
            });
        }
        uploads.insert(item, upload.clone());
        Ok(Some(upload))
    }

    fn list(&self, item: ItemId) -> Result<Option<List>, ItemsError> {
        List::read(&self.listed(item))
    }

    /// Everything of which anything is there, in whatever state.
    fn all(&self, blobs: Vec<ItemId>) -> Result<Vec<Held>, ItemsError> {
        let mut all: BTreeMap<ItemId, Held> = BTreeMap::new();
        let mut add = |item, reserved, committed| {
            let held = all.entry(item).or_insert(Held {
                item,
                reserved: None,
                committed: false,
            });
            held.reserved = held.reserved.or(reserved);
            held.committed |= committed;
        };
        let time = |about: Option<Reservation>| about.map(|about| about.time);
        for item in names(&self.lists)? {
            // A damaged one is for the scrub to tell of, not for a sweep to remove.
            let about = list::read_about(&self.listed(item)).unwrap_or_default();
            add(
                item,
                Some(time(about).unwrap_or(UnixMillis(u64::MAX))),
                true,
            );
        }
        for item in names(&self.staging)? {
            let about = about::read(&self.staged(item).join(ABOUT));
            let reserved = match about {
                Ok(about) => time(about),
                // Not for us to judge.
                Err(_) => Some(UnixMillis(u64::MAX)),
            };
            add(item, reserved, false);
        }
        for item in blobs {
            add(item, None, false);
        }
        Ok(all.into_values().collect())
    }

    fn staged(&self, item: ItemId) -> PathBuf {
        self.staging.join(item.to_string())
    }

    fn listed(&self, item: ItemId) -> PathBuf {
        self.lists.join(item.to_string())
    }
}

/// The items that a folder's entries are named after. What is named otherwise is not ours.
fn names(folder: &Path) -> Result<Vec<ItemId>, ItemsError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(unavailable)? {
        let name = entry.map_err(unavailable)?.file_name();
        if let Some(Ok(item)) = name.to_str().map(ItemId::from_str) {
            names.push(item);
        }
    }
    Ok(names)
}

/// The bitmap of an item of which all is there.
fn all(chunks: u64) -> Bytes {
    let mut bitmap = vec![0xff; bitmap_len(chunks)];
    if let (Some(last), 1..) = (bitmap.last_mut(), chunks % 8) {
        *last = (1 << (chunks % 8)) - 1;
    }
    bitmap.into()
}

fn free_space(folder: &Path) -> Result<u64, ItemsError> {
    let space = rustix::fs::statvfs(folder).map_err(unavailable)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// That something to be removed is gone already is no error.
fn gone(removed: io::Result<()>) -> Result<(), ItemsError> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unavailable(error)),
        _ => Ok(()),
    }
}

fn refused(error: io::Error) -> ItemsError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ItemsError::Full,
        _ => unavailable(error),
    }
}

fn unavailable(error: impl std::fmt::Display) -> ItemsError {
    ItemsError::Unavailable(error.to_string())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
