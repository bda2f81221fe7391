//! Where the bytes of committed items are: one seam, a folder or an object store behind it.

use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use plenary_core::items::ItemsError;
use plenary_proto::ids::ItemId;
use plenary_proto::rooms::Rooms;

use super::{gone, names, sync_folder, unavailable};

/// The bytes of committed items.
#[async_trait]
pub trait Blobs: Debug + Send + Sync + 'static {
    /// Takes the first `size` bytes of a finished part over; they survive power loss before the
    /// return. The part is left, for a repeat; what a try before left is replaced.
    async fn take(&self, item: ItemId, part: &Path, size: u64) -> Result<(), ItemsError>;

    /// Exactly so many bytes. Errors: [`ItemsError::NotFound`], [`ItemsError::Shape`] if there are
    /// fewer.
    async fn range(&self, item: ItemId, offset: u64, length: usize) -> Result<Bytes, ItemsError>;

    /// Removes it. That it is not there is no error.
    async fn remove(&self, item: ItemId) -> Result<(), ItemsError>;

    /// All there are.
    async fn list(&self) -> Result<Vec<ItemId>, ItemsError>;
}

/// A folder beside the staging one. A part becomes a blob by a second name: handing its bytes to an
/// object store crate over a local folder would write every item twice.
#[derive(Debug)]
pub struct FolderBlobs {
    folder: PathBuf,
    rooms: Rooms,
}

impl FolderBlobs {
    /// Opens the folder, or makes it.
    pub fn open(folder: &Path) -> Result<Self, ItemsError> {
        fs::create_dir_all(folder).map_err(unavailable)?;
        Ok(Self {
            folder: folder.to_owned(),
            rooms: Rooms::for_transfers(2),
        })
    }

    fn path(&self, item: ItemId) -> PathBuf {
        self.folder.join(item.to_string())
    }
}

/// Reads exactly so many bytes into memory that nobody wrote zeros to first.
fn fill(mut file: File, bytes: &mut Vec<u8>, length: usize, offset: u64) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    match file.take(length as u64).read_to_end(bytes)? == length {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ItemsError> + Send + 'static,
) -> Result<T, ItemsError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(unavailable)?
}

#[async_trait]
impl Blobs for FolderBlobs {
    async fn take(&self, item: ItemId, part: &Path, _: u64) -> Result<(), ItemsError> {
        let (folder, path, part) = (self.folder.clone(), self.path(item), part.to_owned());
        blocking(move || {
            // The marks behind the bytes go with the second name: cut off, they would be missing
            // if the commit had to be repeated.
            gone(fs::remove_file(&path))?;
            fs::hard_link(&part, &path)
                .and_then(|()| sync_folder(&folder))
                .map_err(unavailable)
        })
        .await
    }

    async fn range(&self, item: ItemId, offset: u64, length: usize) -> Result<Bytes, ItemsError> {
        let path = self.path(item);
        // Not in the closure: each of the many threads for blocking work would keep an arena of its
        // own for chunks, and a transfer would cost twice its window.
        let (mut bytes, rooms) = (self.rooms.take(), self.rooms.clone());
        blocking(move || {
            let read = File::open(path).and_then(|file| fill(file, &mut bytes, length, offset));
            match read {
                Ok(()) => Ok(rooms.lend(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ItemsError::NotFound),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Err(ItemsError::Shape("beyond the end of the item"))
                }
                Err(error) => Err(unavailable(error)),
            }
        })
        .await
    }

    async fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        let (folder, path) = (self.folder.clone(), self.path(item));
        blocking(move || {
            gone(fs::remove_file(path))?;
            sync_folder(&folder).map_err(unavailable)
        })
        .await
    }

    async fn list(&self) -> Result<Vec<ItemId>, ItemsError> {
        let folder = self.folder.clone();
        blocking(move || names(&folder)).await
    }
}
