//! The one place that touches sled: one tree, every row checksummed, panics turned into errors.
//!
//! sled panics on some damage instead of saying so; a row whose own checksum is gone is never
//! handed out. `flush_async` is never called: it deadlocks under many callers.

use std::{
    fs::{self, File},
    ops::{Bound, RangeBounds},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use plenary_core::store::StoreError;

use super::{
    fault::{damaged, io as io_fault},
    folder::sync_dir,
    rows::{Malformed, channel_in},
    sum::{SUM, row_sum},
};

/// Times 10 ms to wait for sled's lock. The folder's own lock is ours, so it can only be held by
/// a sled of this process whose threads have not quite ended.
const LOCK_PATIENCE: u32 = 500;

/// Key and value of a row.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// sled, holding all rows.
pub(super) struct Tree {
    path: PathBuf,
    db: sled::Db,
    /// Held from the start, so that a write error between two syncs is reported here.
    file: File,
}

impl Tree {
    /// Opens sled in `path`, with up to `cache` bytes of memory.
    pub fn open(path: &Path, cache: u64) -> Result<Self, StoreError> {
        super::folder::make_dir(path)?;
        let db = guarded(path, || {
            let mut patience = LOCK_PATIENCE;
            loop {
                let config = sled::Config::new()
                    .path(path)
                    .cache_capacity(cache)
                    // The journal is what makes durable; sled is flushed at checkpoints.
                    .flush_every_ms(None);
                match config.open() {
                    Err(error) if is_held(&error) && patience > 0 => patience -= 1,
                    opened => return opened,
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        })?;
        let at = path.join("db");
        let file = File::open(&at).map_err(|error| io_fault("open", &at, &error))?;
        Ok(Self {
            path: path.to_path_buf(),
            db,
            file,
        })
    }

    /// The value of a row, verified.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = guarded(&self.path, || self.db.get(key))?;
        sealed.map(|sealed| self.unseal(key, &sealed)).transpose()
    }

    /// Checksum and value of a row, verified.
    pub fn get_sealed(&self, key: &[u8]) -> Result<Option<sled::IVec>, StoreError> {
        let sealed = guarded(&self.path, || self.db.get(key))?;
        if let Some(sealed) = &sealed {
            self.verify(key, sealed)?;
        }
        Ok(sealed)
    }

    /// Rows in byte order of their keys, each verified.
    pub fn range(
        &self,
        range: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        let bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>) =
            (range.start_bound().cloned(), range.end_bound().cloned());
        let mut rows = self.db.range::<Vec<u8>, _>(bounds);
        let mut ended = false;
        std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let row = guarded(&self.path, || rows.next().transpose()).transpose()?;
            let row = row.and_then(|(key, sealed)| {
                let value = self.unseal(&key, &sealed)?;
                Ok((key.to_vec(), value))
            });
            // After an error sled's iterator may return it for ever.
            ended = row.is_err();
            Some(row)
        })
    }

    /// Rows whose keys start with `prefix`.
    pub fn prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        let prefix = prefix.to_vec();
        self.range(prefix.clone()..)
            .take_while(move |row| match row {
                Ok((key, _)) => key.starts_with(&prefix),
                Err(_) => true,
            })
    }

    /// Applies rows at once: readers see all of them or none. `None` removes.
    pub fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, sealed) in changes {
            match sealed {
                Some(sealed) => batch.insert(key, sealed),
                None => batch.remove(key),
            }
        }
        guarded(&self.path, || self.db.apply_batch(batch))
    }

    /// Returns once everything applied so far is on disk.
    pub fn persist(&self) -> Result<(), StoreError> {
        guarded(&self.path, || self.db.flush())?;
        // `flush` is not fsync.
        let fault = |error| io_fault("sync", &self.path, &error);
        self.file.sync_data().map_err(fault)?;
        // Pages that outgrow a segment go to files that sled never syncs. The rows are kept small
        // enough that there are none, so this costs nothing and forgets nothing.
        let blobs = self.path.join("blobs");
        for entry in fs::read_dir(&blobs).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            match File::open(&path) {
                Ok(file) => file.sync_all().map_err(fault)?,
                // sled removed it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(fault(error)),
            }
        }
        sync_dir(&blobs)?;
        sync_dir(&self.path)
    }

    /// Bytes on disk.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        guarded(&self.path, || self.db.size_on_disk())
    }

    /// The error for a row that verifies and yet makes no sense, or that is missing.
    pub fn broken(&self, key: &[u8], what: &str) -> StoreError {
        let kind = key.first().copied().map_or('?', char::from);
        match channel_in(key) {
            Some(channel) => damaged(format_args!(
                "{} has a row of kind {kind} in channel {channel} that {what}",
                self.path.display()
            )),
            None => damaged(format_args!(
                "{} has a row of kind {kind} that {what}",
                self.path.display()
            )),
        }
    }

    /// A decoded row, or the error that names it.
    pub fn decoded<T>(&self, key: &[u8], row: Result<T, Malformed>) -> Result<T, StoreError> {
        row.map_err(|Malformed| self.broken(key, "makes no sense"))
    }

    fn unseal(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.verify(key, sealed).map(<[u8]>::to_vec)
    }

    fn verify<'a>(&self, key: &[u8], sealed: &'a [u8]) -> Result<&'a [u8], StoreError> {
        match sealed.split_first_chunk::<SUM>() {
            Some((sum, value)) if *sum == row_sum(key, value) => Ok(value),
            _ => Err(self.broken(key, "does not verify")),
        }
    }
}

/// Checksum and value, as a row is kept.
pub(super) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&row_sum(key, value)[..], value].concat()
}

fn is_held(error: &sled::Error) -> bool {
    // sled gives it no kind of its own.
    matches!(error, sled::Error::Io(error) if error.to_string().contains("could not acquire lock"))
}

fn guarded<T>(path: &Path, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    // Nothing of ours is half changed when sled panics, and what sled left is never trusted again:
    // every row is verified, every write after a failed one refused.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(io_fault("use", path, &error)),
        Ok(Err(error)) => Err(damaged(format_args!("sled in {}: {error}", path.display()))),
        Err(_) => Err(damaged(format_args!(
            "sled in {} cannot read its own files",
            path.display()
        ))),
    }
}
