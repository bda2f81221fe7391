//! Items in a folder: the engine behind the core's `Items` seam.
//!
//! ```text
//! items/<id>/about    the reservation; written first, whole or not at all
//! items/<id>/part     sealed bytes, each chunk at its place; its room is taken at the reservation
//! items/<id>/done     one line a durable chunk: index and hash
//! items/<id>/sealed   `part` under its final name, once root and chunks agree
//! items/<id>.gone     an item on its way out
//! ```
//!
//! A chunk counts when its bytes are on disk and its line in `done` is. The hashes in `done` give
//! the root at the commit without reading everything back. What a crash cut off is put again.
//!
//! A commit renames: handing the bytes to an object store crate over a local folder would write
//! every item twice. An S3-compatible engine is another implementation of the same seam.

mod about;
mod upload;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use plenary_core::items::{ItemStatus, Items, ItemsError, Reservation, bitmap_len};
use plenary_proto::ids::{Digest, ItemId, UnixMillis};
use plenary_proto::limits::BULK_MESSAGE;

use upload::Upload;

/// Chunks of the largest item: what is held in memory for an upload under way is 33 bytes of each.
const CHUNKS: u64 = 1 << 17;
/// Free space that items leave to the rest of the server.
const HEADROOM: u64 = 256 << 20;
/// Uploads kept open between two chunks.
const OPEN: usize = 64;
/// An upload that was not completed in this time is removed.
pub const ABANDONED: Duration = Duration::from_secs(14 * 24 * 3600);

const ABOUT: &str = "about";
const PART: &str = "part";
const DONE: &str = "done";
const SEALED: &str = "sealed";
/// End of the name of a folder that is being removed.
const GONE: &str = "gone";

/// Items in a folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FolderItems(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    uploads: Mutex<HashMap<ItemId, Arc<Upload>>>,
    /// Whoever reserves or sweeps holds this.
    making: Mutex<()>,
}

impl FolderItems {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// [`ItemsError::Unavailable`].
    pub fn open(folder: &Path) -> Result<Self, ItemsError> {
        fs::create_dir_all(folder).map_err(unavailable)?;
        Ok(Self(Arc::new(Inner {
            folder: folder.to_owned(),
            uploads: Mutex::default(),
            making: Mutex::default(),
        })))
    }

    /// Removes uploads that were reserved more than [`ABANDONED`] ago and never completed, and
    /// what a crash left of a reservation. How many. Blocks.
    ///
    /// # Errors
    /// [`ItemsError::Unavailable`].
    pub fn sweep(&self, now: UnixMillis) -> Result<usize, ItemsError> {
        let _making = lock(&self.0.making);
        let mut swept = 0;
        for entry in fs::read_dir(&self.0.folder).map_err(unavailable)? {
            let path = entry.map_err(unavailable)?.path();
            let gone = path.extension().is_some_and(|end| end == GONE);
            if path.join(SEALED).exists() && !gone {
                continue;
            }
            let abandoned = gone
                || match about::read(&path.join(ABOUT)) {
                    Ok(Some(about)) => {
                        let age = Duration::from_millis(now.0.saturating_sub(about.time.0));
                        lock(&self.0.uploads).retain(|id, _| age <= ABANDONED || *id != about.item);
                        age > ABANDONED
                    }
                    Ok(None) => true,
                    // Not for us to judge.
                    Err(_) => false,
                };
            if abandoned {
                fs::remove_dir_all(&path).map_err(unavailable)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, ItemsError> + Send + 'static,
    ) -> Result<T, ItemsError> {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(unavailable)?
    }
}

#[async_trait]
impl Items for FolderItems {
    async fn reserve(&self, reservation: Reservation) -> Result<ItemStatus, ItemsError> {
        self.blocking(move |inner| inner.reserve(reservation)).await
    }

    async fn put(&self, item: ItemId, index: u32, bytes: Bytes) -> Result<(), ItemsError> {
        self.blocking(move |inner| inner.put(item, index, &bytes))
            .await
    }

    async fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError> {
        self.blocking(move |inner| inner.status(item)).await
    }

    async fn commit(&self, item: ItemId, root: Digest) -> Result<(), ItemsError> {
        self.blocking(move |inner| inner.commit(item, root)).await
    }

    async fn root(&self, item: ItemId) -> Result<Digest, ItemsError> {
        self.blocking(move |inner| inner.root(item)).await
    }

    async fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        self.blocking(move |inner| inner.remove(item)).await
    }

    async fn range(&self, item: ItemId, offset: u64, length: u32) -> Result<Bytes, ItemsError> {
        self.blocking(move |inner| inner.range(item, offset, length))
            .await
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
        let free = free_space(&self.folder)?;
        if reservation.size.saturating_add(HEADROOM) > free {
            return Err(ItemsError::Quota(format!(
                "the server has no room for {} bytes",
                reservation.size
            )));
        }
        let path = self.path(reservation.item);
        fs::create_dir_all(&path).map_err(unavailable)?;
        let made = upload::make(&path, reservation.size)
            .and_then(|()| about::write(&path.join(ABOUT), &reservation))
            .and_then(|()| sync_folder(&self.folder));
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
            let reservation = self.about(item)?.ok_or(ItemsError::NotFound)?;
            return upload::check_len(&reservation, index, bytes);
        };
        upload.put(index, bytes)
    }

    fn status(&self, item: ItemId) -> Result<Option<ItemStatus>, ItemsError> {
        let Some(reservation) = self.about(item)? else {
            return Ok(None);
        };
        let upload = self.upload(item)?;
        Ok(Some(ItemStatus {
            reservation,
            durable: match &upload {
                Some(upload) => upload.durable(),
                None => all(reservation.chunks()),
            },
            committed: upload.is_none(),
        }))
    }

    fn commit(&self, item: ItemId, root: Digest) -> Result<(), ItemsError> {
        let path = self.path(item);
        let Some(upload) = self.upload(item)? else {
            // It was committed before: the same root again is no error.
            let reservation = self.about(item)?.ok_or(ItemsError::NotFound)?;
            let done = upload::read_done(&path.join(DONE), &reservation)?;
            return upload::check_root(&reservation, &done, root);
        };
        upload.commit(root, || {
            fs::rename(path.join(PART), path.join(SEALED))?;
            sync_folder(&path)
        })?;
        lock(&self.uploads).remove(&item);
        Ok(())
    }

    fn root(&self, item: ItemId) -> Result<Digest, ItemsError> {
        let reservation = self.about(item)?.ok_or(ItemsError::NotFound)?;
        if self.upload(item)?.is_some() {
            return Err(ItemsError::NotCommitted);
        }
        let done = upload::read_done(&self.path(item).join(DONE), &reservation)?;
        upload::root_of(&reservation, &done)
    }

    /// Renamed first: whatever a crash leaves is no item any more, and the sweep removes it.
    fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        let path = self.path(item);
        let gone = path.with_extension(GONE);
        {
            let _making = lock(&self.making);
            let mut uploads = lock(&self.uploads);
            match fs::rename(&path, &gone) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other.map_err(unavailable)?,
            }
            uploads.remove(&item);
        }
        sync_folder(&self.folder).map_err(unavailable)?;
        fs::remove_dir_all(&gone).map_err(unavailable)
    }

    fn range(&self, item: ItemId, offset: u64, length: u32) -> Result<Bytes, ItemsError> {
        let path = self.path(item);
        let file = match File::open(path.join(SEALED)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(match self.about(item)? {
                    Some(_) => ItemsError::NotCommitted,
                    None => ItemsError::NotFound,
                });
            }
            Err(error) => return Err(unavailable(error)),
        };
        let size = file.metadata().map_err(unavailable)?.len();
        let left = size.saturating_sub(offset);
        if left == 0 {
            return Err(ItemsError::Shape("beyond the end of the item"));
        }
        let length = (length as usize).min(BULK_MESSAGE);
        let mut bytes = vec![0; usize::try_from(left).map_or(length, |left| left.min(length))];
        file.read_exact_at(&mut bytes, offset)
            .map_err(unavailable)?;
        Ok(bytes.into())
    }

    /// The upload under way; `None` when it is committed.
    fn upload(&self, item: ItemId) -> Result<Option<Arc<Upload>>, ItemsError> {
        let mut uploads = lock(&self.uploads);
        if let Some(upload) = uploads.get(&item) {
            return Ok(Some(upload.clone()));
        }
        let reservation = self.about(item)?.ok_or(ItemsError::NotFound)?;
        let path = self.path(item);
        if path.join(SEALED).exists() {
            return Ok(None);
        }
        let upload = Arc::new(Upload::open(&path, reservation)?);
        if uploads.len() >= OPEN {
            // Never one in use: two of one item would not know of each other's chunks.
            uploads.retain(|_, upload| Arc::strong_count(upload) > 1);
        }
        uploads.insert(item, upload.clone());
        Ok(Some(upload))
    }

    fn about(&self, item: ItemId) -> Result<Option<Reservation>, ItemsError> {
        about::read(&self.path(item).join(ABOUT))
    }

    fn path(&self, item: ItemId) -> PathBuf {
        self.folder.join(item.to_string())
    }
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

fn refused(error: io::Error) -> ItemsError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ItemsError::Quota("the server's disk is full".to_owned())
        }
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
