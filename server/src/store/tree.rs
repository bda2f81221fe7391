//! The one place that touches sled: one tree, every row checksummed, panics turned into errors.
//!
//! Rows here are logical. Those that are dense by number (records and marks: see [`pages`]) lie
//! several to a sled row, because sled pays by the row.
//!
//! sled panics on some damage instead of saying so; a row whose own checksum is gone is never
//! handed out. `flush_async` is never called: it deadlocks under many callers.
//!
//! [`pages`]: super::pages

use std::{
    fs::{self, File},
    ops::{Bound, RangeBounds},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use plenary_core::store::StoreError;

use super::{
    base::note_torn,
    fault::{damaged, io as io_fault},
    folder::sync_dir,
    pages::{self, Page},
    rows::{Malformed, channel_in},
    sum::{SUM, row_sum},
    wake::Waker,
};

/// Times 10 ms to wait for sled's lock. The folder's own lock is ours, so it can only be held by
/// a sled of this process whose threads have not quite ended.
const LOCK_PATIENCE: u32 = 500;

/// Key and value of a row.
pub(super) type Row = (Vec<u8>, Vec<u8>);

/// Key of a row, and checksum and value as kept, not yet verified.
pub(super) type SealedRow = (Vec<u8>, Vec<u8>);

/// A changed row: its key, and checksum and value, or `None` where it is removed.
pub(super) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// sled, holding all rows.
pub(super) struct Tree {
    path: PathBuf,
    /// Taken when it is dropped, never before.
    db: Option<sled::Db>,
    /// As long.
    waker: Option<Waker>,
    /// Held from the start, so that a write error between two syncs is reported here.
    file: File,
    /// Held while sled is flushed or applied to. A flush has sled's own lock shared, a batch wants it
    /// alone, and a batch that waits there keeps everybody else out: also the flush that is to wake
    /// the first one after an error, see [`wake`](super::wake). So nobody waits there.
    one: Mutex<()>,
    /// Its first refusal by the disk. After one while it writes by itself, sled refuses everything.
    refused: OnceLock<StoreError>,
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
                    .mode(sled::Mode::HighThroughput)
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
        let no_thread = |error| StoreError::Unavailable(format!("cannot start a thread: {error}"));
        let waker = Waker::start(db.clone()).map_err(no_thread)?;
        Ok(Self {
            waker: Some(waker),
            path: path.to_path_buf(),
            db: Some(db),
            file,
            one: Mutex::default(),
            refused: OnceLock::new(),
        })
    }

    /// The value of a row, verified.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.get_sealed(key)?;
        Ok(sealed.map(|mut sealed| sealed.split_off(SUM)))
    }

    /// Checksum and value of a row, verified.
    pub fn get_sealed(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = if pages::is_paged(key) {
            match self.page_at(key)? {
                Some(page) => self.decoded(key, page.get(key))?.map(<[u8]>::to_vec),
                None => None,
            }
        } else {
            let found = self.guarded(|| self.db()?.get(key))?;
            found.map(|sealed| sealed.to_vec())
        };
        if let Some(sealed) = &sealed {
            self.verify(key, sealed)?;
        }
        Ok(sealed)
    }

    /// Rows in byte order of their keys, as kept.
    pub fn range_sealed(
        &self,
        range: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<SealedRow, StoreError>> + '_ {
        let mut rows = Rows {
            tree: self,
            begin: range.start_bound().cloned(),
            end: range.end_bound().cloned(),
            physical: None,
            page: Vec::new().into_iter(),
            ended: false,
        };
        std::iter::from_fn(move || rows.next())
    }

    /// Rows in byte order of their keys, each verified.
    pub fn range(
        &self,
        range: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        self.range_sealed(range).map(|row| {
            let (key, mut sealed) = row?;
            self.verify(&key, &sealed)?;
            let value = sealed.split_off(SUM);
            Ok((key, value))
        })
    }

    /// Applies rows, in byte order of their keys, at once: readers see all of them or none.
    pub fn apply<'a>(&self, changes: impl Iterator<Item = Change<'a>>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        let mut changes = changes.peekable();
        while let Some((key, sealed)) = changes.next() {
            if pages::is_paged(key) {
                let mut run = vec![(key, sealed)];
                while let Some(next) = changes.next_if(|next| pages::same_log(key, next.0)) {
                    run.push(next);
                }
                self.repage(&mut batch, &run)?;
                continue;
            }
            match sealed {
                Some(sealed) => batch.insert(key, sealed),
                None => batch.remove(key),
            }
        }
        let _alone = self.alone();
        self.patiently(|| self.db()?.apply_batch(batch))
    }

    /// Returns once everything applied so far is on disk.
    pub fn persist(&self) -> Result<(), StoreError> {
        let alone = self.alone();
        self.patiently(|| self.db()?.flush())?;
        drop(alone);
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

    /// Bytes on disk. It looks at the folder: that this cannot be done says nothing of sled.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        guarded(&self.path, || self.db()?.size_on_disk())
    }

    /// Why sled is of no use until a restart, if it is so.
    pub fn refused(&self) -> Option<StoreError> {
        self.refused.get().cloned()
    }

    fn guarded<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        let done = guarded(&self.path, call);
        if let Err(error @ StoreError::Unavailable(_)) = &done
            && self.refused.set(error.clone()).is_ok()
        {
            tracing::error!(%error, "the store is of no use until a restart");
        }
        done
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.one.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that waits for the disk.
    fn patiently<T>(&self, call: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        match &self.waker {
            Some(waker) => waker.during(|| self.guarded(call)),
            None => self.guarded(call),
        }
    }

    fn db(&self) -> sled::Result<&sled::Db> {
        let closed = || sled::Error::Unsupported("sled is closed".into());
        self.db.as_ref().ok_or_else(closed)
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

    /// Compares checksum and value of a row. The next start makes sled anew if they disagree.
    pub fn verify(&self, key: &[u8], sealed: &[u8]) -> Result<(), StoreError> {
        match sealed.split_first_chunk::<SUM>() {
            Some((sum, value)) if *sum == row_sum(key, value) => Ok(()),
            _ => {
                note_torn(beside(&self.path));
                Err(self.broken(key, "does not verify"))
            }
        }
    }

    /// The page that has the row at `key`, if any has.
    fn page_at(&self, key: &[u8]) -> Result<Option<Page>, StoreError> {
        let from = pages::log(key);
        let found = self.guarded(|| self.db()?.range(from..=key).next_back().transpose())?;
        Ok(found.map(|(first, body)| Page {
            key: first.to_vec(),
            body: body.to_vec(),
        }))
    }

    /// Puts a run of changes to one log's paged rows into `batch`: pages that they touch are
    /// written anew.
    fn repage(&self, batch: &mut sled::Batch, run: &[Change<'_>]) -> Result<(), StoreError> {
        let (Some((first, _)), Some((last, _))) = (run.first(), run.last()) else {
            return Ok(());
        };
        let mut touched = Vec::new();
        if let Some(page) = self.page_at(first)? {
            // The common case, an append: the log's last page ends before.
            if self.decoded(first, page.reaches(first))? {
                touched.push(page);
            }
        }
        let after = (Bound::Excluded(*first), Bound::Included(*last));
        if first != last {
            let mut found = self.guarded(|| Ok(self.db()?.range::<&[u8], _>(after)))?;
            while let Some((key, body)) = self.guarded(|| found.next().transpose())? {
                touched.push(Page {
                    key: key.to_vec(),
                    body: body.to_vec(),
                });
            }
        }
        let mut rows = std::collections::BTreeMap::new();
        for page in &touched {
            batch.remove(&page.key[..]);
            rows.extend(self.decoded(&page.key, page.rows())?);
        }
        for (key, sealed) in run {
            match sealed {
                Some(sealed) => rows.insert(key.to_vec(), sealed),
                None => rows.remove(*key),
            };
        }
        for page in pages::build(rows.iter().map(|(key, sealed)| (&key[..], *sealed))) {
            batch.insert(page.key, page.body);
        }
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        drop(self.waker.take());
        let db = self.db.take();
        // Closing, sled panics if the disk refuses. What it could not write is in the journal.
        if catch_unwind(AssertUnwindSafe(|| drop(db))).is_err() {
            tracing::warn!(path = %self.path.display(), "sled could not write while it was closed");
        }
    }
}

/// A range of logical rows under way.
struct Rows<'a> {
    tree: &'a Tree,
    begin: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    physical: Option<sled::Iter>,
    page: std::vec::IntoIter<SealedRow>,
    ended: bool,
}

impl Rows<'_> {
    fn next(&mut self) -> Option<Result<SealedRow, StoreError>> {
        if self.ended {
            return None;
        }
        let row = self.step().transpose();
        // After an error sled's iterator may return it for ever.
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }

    fn step(&mut self) -> Result<Option<SealedRow>, StoreError> {
        loop {
            for row in self.page.by_ref() {
                let bounds: (Bound<&Vec<u8>>, Bound<&Vec<u8>>) =
                    (self.begin.as_ref(), self.end.as_ref());
                if RangeBounds::<Vec<u8>>::contains(&bounds, &row.0) {
                    return Ok(Some(row));
                }
            }
            let tree = self.tree;
            if self.physical.is_none() {
                let begin = self.physical_begin()?;
                let bounds = (begin, self.end.clone());
                let range = tree.guarded(|| Ok(tree.db()?.range::<Vec<u8>, _>(bounds)))?;
                self.physical = Some(range);
            }
            let Some(physical) = &mut self.physical else {
                return Ok(None);
            };
            let found = tree.guarded(|| physical.next().transpose())?;
            let Some((key, body)) = found else {
                return Ok(None);
            };
            let (key, body) = (key.to_vec(), body.to_vec());
            if !pages::is_paged(&key) {
                return Ok(Some((key, body)));
            }
            let page = Page { key, body };
            let rows = tree.decoded(&page.key, page.rows())?;
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(key, sealed)| (key, sealed.to_vec()))
                .collect();
            self.page = rows.into_iter();
        }
    }

    /// A range that begins within a page must see that page.
    fn physical_begin(&self) -> Result<Bound<Vec<u8>>, StoreError> {
        if let Bound::Included(key) | Bound::Excluded(key) = &self.begin
            && pages::is_paged(key)
            && let Some(page) = self.tree.page_at(key)?
        {
            return Ok(Bound::Included(page.key));
        }
        Ok(self.begin.clone())
    }
}

/// Checksum and value, as a row is kept.
pub(super) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
    [&row_sum(key, value)[..], value].concat()
}

/// The store's folder.
fn beside(sled: &Path) -> &Path {
    sled.parent().unwrap_or(sled)
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
        Ok(Err(error)) => {
            note_torn(beside(path));
            Err(damaged(format_args!("sled in {}: {error}", path.display())))
        }
        Err(_) => {
            note_torn(beside(path));
            Err(damaged(format_args!(
                "sled in {} cannot read its own files",
                path.display()
            )))
        }
    }
}
