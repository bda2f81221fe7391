//! Malware samples: kept as they came, sealed. The file in the clear exists in memory only, a chunk
//! at a time, until somebody exports it by name.
//!
//! `ITEM.sealed` holds the sealed chunks one after the other. Each was opened before it was written,
//! and is opened again whenever the file is read: no journal is needed to know what is whole.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use plenary_proto::ids::{Digest, ItemId};
use zeroize::Zeroizing;

use super::{
    ItemError, Manifest, Opener,
    error::{io, lock},
    incoming::{SYNCED, private, remove, settle, sync_folder, take_room},
    remains::sealed_part_of,
};

/// Where the sealed copy of an item is, in a folder.
pub(crate) fn sealed_path(folder: &Path, item: ItemId) -> PathBuf {
    folder.join(format!("{item}.sealed"))
}

/// A sample's name in the clear: what it is, and nothing that any program opens by itself.
pub fn sample_name(sha256: &Digest) -> String {
    format!("{sha256}.sample")
}

/// A sample on its way in. Dropped, it leaves what it has for [`SealedIncoming::resume`].
pub struct SealedIncoming {
    opener: Opener,
    part: PathBuf,
    target: PathBuf,
    file: File,
    /// Bytes written since the last sync.
    unsynced: u64,
    failed: Option<ItemError>,
}

impl SealedIncoming {
    /// Begins, or goes on, in a folder, which must be there.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn resume(folder: &Path, manifest: &Manifest) -> Result<Self, ItemError> {
        let target = sealed_path(folder, manifest.item());
        let part = sealed_part_of(folder, manifest.item());
        // Fetched before: looked at again, and completed if it is not whole.
        match std::fs::rename(&target, &part) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io("taking up the sealed file")(error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = private(&mut options)
            .open(&part)
            .map_err(io("creating the sealed file"))?;
        lock(&file, "locking the sealed file")?;
        let mut incoming = Self {
            opener: Opener::new(manifest)?,
            part,
            target,
            file,
            unsynced: 0,
            failed: None,
        };
        incoming.take_up()?;
        take_room(&incoming.file, incoming.opener.layout().sealed_size())?;
        Ok(incoming)
    }

    /// The chunk that is due; the number of chunks once all were there.
    pub fn next(&self) -> u32 {
        self.opener.next()
    }

    /// Opens a chunk, then writes it as it came. `sealed` is opened in place, in memory.
    ///
    /// # Errors
    /// As [`super::Incoming::write`].
    pub fn write(&mut self, index: u32, sealed: &mut [u8]) -> Result<(), ItemError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let kept = sealed.to_vec();
        self.opener.open(index, sealed)?;
        self.keep(&kept)
            .map_err(io("writing the sealed file"))
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn keep(&mut self, chunk: &[u8]) -> std::io::Result<()> {
        self.file.write_all(chunk)?;
        self.unsynced += chunk.len() as u64;
        if self.unsynced >= SYNCED {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Compares the whole with the manifest and names the sealed file.
    ///
    /// # Errors
    /// As [`super::Incoming::finish`].
    pub fn finish(self) -> Result<PathBuf, ItemError> {
        let doing = "finishing the sealed file";
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.opener.finish() {
            Err(error @ (ItemError::Root | ItemError::Digest)) => {
                drop(self.file);
                remove(&self.part)?;
                return Err(error);
            }
            other => other?,
        }
        self.file.sync_all().map_err(io(doing))?;
        drop(self.file);
        std::fs::rename(&self.part, &self.target).map_err(io(doing))?;
        sync_folder(&self.target).map_err(io(doing))?;
        Ok(self.target)
    }

    fn take_up(&mut self) -> Result<(), ItemError> {
        let doing = "reading back the sealed file";
        while let Some(mut chunk) = read_chunk(&mut self.file, &self.opener).map_err(io(doing))? {
            if self.opener.open(self.opener.next(), &mut chunk).is_err() {
                break;
            }
        }
        let at = self.opener.layout().sealed_start(self.opener.next());
        // The last chunk is shorter than the others.
        let at = at.min(self.opener.layout().sealed_size());
        self.file
            .set_len(at)
            .and_then(|()| self.file.seek(SeekFrom::Start(at)).map(drop))
            .map_err(io(doing))
    }
}

/// Opens a sealed sample into a folder, under its SHA-256, not executable; returns the path.
///
/// # Errors
/// When it is not there, is not what the manifest says, or the disk refuses.
pub fn export_sample(
    sealed: &Path,
    manifest: &Manifest,
    folder: &Path,
) -> Result<PathBuf, ItemError> {
    let doing = "writing the sample";
    let mut source = File::open(sealed).map_err(io("opening the sealed file"))?;
    let name = sample_name(manifest.sha256());
    let part = folder.join(format!(
        "{name}.{}.part",
        &manifest.item().to_string()[..16]
    ));
    // Left by an attempt that was stopped.
    remove(&part)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = private(&mut options).open(&part).map_err(io(doing))?;
    let mut opener = Opener::new(manifest)?;
    let copied = (|| {
        while let Some(mut chunk) =
            read_chunk(&mut source, &opener).map_err(io("reading the sealed file"))?
        {
            let opened = opener.open(opener.next(), &mut chunk)?;
            file.write_all(opened.data).map_err(io(doing))?;
        }
        opener.finish()?;
        file.sync_all().map_err(io(doing))
    })();
    drop(file);
    if let Err(error) = copied {
        remove(&part)?;
        return Err(error);
    }
    let target = settle(&part, folder, &name)?;
    sync_folder(&target).map_err(io(doing))?;
    Ok(target)
}

/// Copies a file in the clear, if it is the manifest's; nothing is left under the name if it is not.
pub(crate) fn copy_verified(from: &Path, to: &Path, manifest: &Manifest) -> Result<(), ItemError> {
    let doing = "copying the original";
    let mut source = File::open(from).map_err(io("opening the original"))?;
    manifest.check_file(&mut source)?;
    source.seek(SeekFrom::Start(0)).map_err(io(doing))?;
    let part = to.with_extension("part");
    remove(&part)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    let mut file = private(&mut options).open(&part).map_err(io(doing))?;
    std::io::copy(&mut source, &mut file).map_err(io(doing))?;
    // What was read twice may have changed in between.
    file.seek(SeekFrom::Start(0)).map_err(io(doing))?;
    if let Err(error) = manifest.check_file(&mut file) {
        remove(&part)?;
        return Err(error);
    }
    file.sync_all().map_err(io(doing))?;
    std::fs::rename(&part, to).map_err(io(doing))
}

/// The next sealed chunk of a file; `None` where it ends, or after the last.
fn read_chunk(file: &mut File, opener: &Opener) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut chunk = Zeroizing::new(vec![0; opener.layout().sealed_len(opener.next())]);
    if chunk.is_empty() {
        return Ok(None);
    }
    match file.read_exact(&mut chunk) {
        Ok(()) => Ok(Some(chunk)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// An item on its way in, in whichever form it is kept.
pub(crate) enum Arriving {
    /// In the clear, under its name.
    Open(Box<super::Incoming>),
    /// Sealed.
    Sealed(Box<SealedIncoming>),
}

impl Arriving {
    /// Begins, or goes on, in the form that the manifest asks for.
    pub(crate) fn resume(folder: &Path, manifest: &Manifest) -> Result<Self, ItemError> {
        match manifest.carries_malware() {
            true => SealedIncoming::resume(folder, manifest)
                .map(Box::new)
                .map(Self::Sealed),
            false => super::Incoming::resume(folder, manifest)
                .map(Box::new)
                .map(Self::Open),
        }
    }

    pub(crate) fn next(&self) -> u32 {
        match self {
            Self::Open(incoming) => incoming.next(),
            Self::Sealed(incoming) => incoming.next(),
        }
    }

    pub(crate) fn write(&mut self, index: u32, sealed: &mut [u8]) -> Result<(), ItemError> {
        match self {
            Self::Open(incoming) => incoming.write(index, sealed),
            Self::Sealed(incoming) => incoming.write(index, sealed),
        }
    }

    pub(crate) fn finish(self) -> Result<PathBuf, ItemError> {
        match self {
            Self::Open(incoming) => incoming.finish(),
            Self::Sealed(incoming) => incoming.finish(),
        }
    }
}
