//! The embedded store: an append-only journal as the log of record, sled for reading.
//!
//! ```text
//!  callers -> queue -> writer -> journal (fdatasync) -> layer -> answers -> hints
//!                                                         |
//!                                      several at once    v    every 64 MiB
//!                        readers -> layers, then         sled -> checkpoint: sled on disk,
//!                                                                journal before a base dropped
//! ```
//!
//! sled 0.34 alone cannot be the commit point: its `flush` is no fsync, a lost tail goes unnoticed
//! and a flipped bit can drop a row without a word. So an operation counts once its frame is on
//! disk in the journal; sled is applied behind, from layers in memory that readers look through
//! first, and holds only what is durable; and every row carries a checksum, all rows together a total that a start compares. What does not add up is
//! refused as [`StoreError::Damaged`], never served and never papered over.
//!
//! What sled has on disk between two checkpoints a power loss may tear: it writes over space that it
//! no longer needs and never asks the disk to keep an order. So the journal is kept further back, to a
//! `base`, and a start that finds sled torn makes it anew from both.

mod base;
mod batch;
mod big;
mod boot;
mod checkpoint;
mod execute;
mod export;
mod fault;
mod folder;
#[cfg(fuzzing)]
pub mod fuzzing;
mod journal;
mod layers;
mod marks;
mod open;
mod pages;
mod read;
mod restore;
mod rows;
mod sum;
mod tree;
mod verify;
mod wake;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, mpsc},
    thread::JoinHandle,
};

use bytes::Bytes;
use plenary_core::store::{
    Append, Appended, ChannelState, GroupState, Hint, Record, Store, StoreError, Versioned,
    WaitingWelcome,
};
use plenary_proto::ids::{ChannelHead, ChannelId, ClientId, DeviceId, Epoch, Seq};
use tokio::sync::oneshot;

use self::{
    big::Big,
    checkpoint::Checkpointer,
    folder::Folder,
    layers::{Layers, View},
    marks::Marks,
    tree::Tree,
    writer::{Done, Job, Writer},
};

/// What may be tuned. Memory: `cache_bytes` for sled, up to 32 MiB for a batch under way and what
/// sled is yet to take (112 MiB while a base is made), about 50 bytes a record kept.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of a journal segment. Each full one causes a checkpoint; what lies after the last
    /// checkpoint is replayed at a start, a second or so for 64 MiB.
    pub segment_bytes: u64,
    /// Bytes that sled may use for its cache.
    pub cache_bytes: u64,
    /// Read and verify every record before serving, instead of each when it is read.
    pub verify_records: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            cache_bytes: 128 << 20,
            verify_records: false,
        }
    }
}

/// The embedded [`Store`]: one folder, one writer thread, locked against a second server.
///
/// Must be used inside a tokio runtime. Dropping it answers what waits, writes a checkpoint and
/// blocks until both are done, as [`close`](Self::close) does.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held by trims, all at once, and by an export alone: what it reads must stay.
    trims: tokio::sync::RwLock<()>,
    #[cfg(test)]
    faults: journal::tests::Faults,
}

impl EmbeddedStore {
    /// Opens the store in `folder`; makes one if the folder is absent or empty.
    ///
    /// Errors: [`StoreError::Unavailable`] if another server holds the folder, if it is not a
    /// Plenary store, if a newer version wrote it, or if the disk refuses;
    /// [`StoreError::Damaged`] if what lies there is not what was acknowledged.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "options are made for one opening"
    )]
    pub fn open(folder: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let opened = open::open(folder, &options)?;
        let shared = Arc::new(Shared {
            path: opened.folder.path.clone(),
            id: opened.folder.id,
            tree: opened.tree,
            big: opened.big,
            layers: Layers::default(),
            marks: opened.marks,
            failed: OnceLock::new(),
            watchers: RwLock::default(),
            _folder: opened.folder,
        });
        if options.verify_records {
            shared.verify_records()?;
        }
        let (jobs, receiver) = mpsc::channel();
        let no_thread = |error| StoreError::Unavailable(format!("cannot start a thread: {error}"));
        let begun = opened.journal.position();
        shared.layers.start_at(begun.frame, begun.totals);
        let applier = Arc::clone(&shared);
        #[cfg(test)]
        let faults = Arc::clone(&opened.journal.fail);
        let writer = Writer {
            applier: std::thread::Builder::new()
                .name("store-apply".into())
                .spawn(move || applier.apply())
                .map_err(no_thread)?,
            checkpointer: Checkpointer::start(
                Arc::clone(&shared),
                opened.base,
                options.segment_bytes,
            )
            .map_err(no_thread)?,
            shared: Arc::clone(&shared),
            jobs: receiver,
            journal: opened.journal,
            mark: opened.mark,
            segment_bytes: options.segment_bytes,
            moved: HashMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(no_thread)?;
        Ok(Self {
            shared,
            jobs,
            thread: Mutex::new(Some(thread)),
            trims: tokio::sync::RwLock::default(),
            #[cfg(test)]
            faults,
        })
    }

    /// Answers what waits, writes a checkpoint, ends. Later operations that write are refused.
    /// Blocks. Errors: what went wrong with the store since it was opened.
    pub fn close(&self) -> Result<(), StoreError> {
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // Refused only if the thread is gone, and then there is nothing to wait for.
            let _ = self.jobs.send(Job::Stop);
            if thread.join().is_err() {
                self.shared.fail(&StoreError::Unavailable(
                    "the store's writer panicked; restart the server".into(),
                ));
            }
        }
        self.health()
    }

    /// What stopped all writing, if something did; a restart is needed.
    pub fn health(&self) -> Result<(), StoreError> {
        self.shared.failed().map_or(Ok(()), Err)
    }

    /// Reads and verifies every record of every channel; returns how many. Blocks, and may run
    /// beside everything else.
    ///
    /// Errors: [`StoreError::Damaged`] naming the first that does not hold.
    pub fn scrub(&self) -> Result<u64, StoreError> {
        self.shared.verify_records()
    }

    /// Bytes that sled has on disk, journal and large content not counted.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.shared.tree.size_on_disk()
    }

    async fn write<T>(&self, job: impl FnOnce(Done<T>) -> Job) -> Result<T, StoreError> {
        let gone = || {
            self.shared
                .failed()
                .unwrap_or_else(|| StoreError::Unavailable("the store is closed".into()))
        };
        let (done, answer) = oneshot::channel();
        self.jobs.send(job(done)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Runs a reading operation of many rows or of files where it may wait for the disk. What looks
    /// up a row or two is done at once: nearly always in memory, and handing it over costs more.
    async fn aside<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || read(&shared))
            .await
            .unwrap_or_else(|error| {
                Err(StoreError::Unavailable(format!(
                    "a read did not end: {error}"
                )))
            })
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the store was closed after a failure");
        }
    }
}

/// What readers, writer and checkpoints share.
struct Shared {
    path: PathBuf,
    id: [u8; 16],
    tree: Tree,
    big: Big,
    layers: Layers,
    marks: Marks,
    failed: OnceLock<StoreError>,
    watchers: RwLock<Vec<Hint>>,
    // Last: the lock goes after everything that it protects.
    _folder: Folder,
}

impl Shared {
    /// What stopped all writing.
    fn failed(&self) -> Option<StoreError> {
        self.failed.get().cloned().or_else(|| self.tree.refused())
    }

    /// Stops all writing until a restart. The first reason stays.
    fn fail(&self, error: &StoreError) {
        if self.failed.set(error.clone()).is_ok() {
            tracing::error!(%error, "the store takes no more writes until a restart");
        }
    }

    /// All rows as of now.
    fn view(&self) -> View<'_> {
        View::new(&self.tree, &self.layers)
    }

    /// Applies layers to sled until there are no more to come.
    fn apply(&self) {
        let row = |frame| verify::applied_row(&self.id, frame);
        let run = || self.layers.run(&self.tree, row);
        let ended = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            let text = "applying to sled panicked; restart the server";
            Err(StoreError::Unavailable(text.into()))
        });
        if let Err(error) = ended {
            // Nothing is lost: a restart applies them from the journal.
            self.fail(&error);
            self.layers.fail();
        }
    }

    fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    fn watchers(&self) -> RwLockReadGuard<'_, Vec<Hint>> {
        self.watchers.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait::async_trait]
impl Store for EmbeddedStore {
    async fn found(
        &self,
        channel: ChannelId,
        epoch: Epoch,
        group: GroupState,
    ) -> Result<(), StoreError> {
        self.write(|done| Job::Found(channel, epoch, group, done))
            .await
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.write(|done| Job::Append(Box::new(append), done)).await
    }

    async fn read(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, ChannelHead), StoreError> {
        if limit == 0 || after == Seq(u64::MAX) {
            // Only the head is asked for.
            return self.shared.read(channel, after, 0, 0);
        }
        self.aside(move |shared| shared.read(channel, after, limit, max_bytes))
            .await
    }

    async fn find(
        &self,
        channel: ChannelId,
        device: DeviceId,
        client_id: ClientId,
    ) -> Result<Option<ChannelHead>, StoreError> {
        self.shared.find(channel, device, client_id)
    }

    async fn channel(&self, channel: ChannelId) -> Result<Option<ChannelState>, StoreError> {
        self.aside(move |shared| shared.channel(channel)).await
    }

    async fn channels(&self) -> Result<Vec<ChannelId>, StoreError> {
        self.aside(Shared::channels).await
    }

    async fn trim(&self, channel: ChannelId, through: Seq) -> Result<(), StoreError> {
        let _allowed = self.trims.read().await;
        while !self.write(|done| Job::Trim(channel, through, done)).await? {}
        Ok(())
    }

    async fn welcomes(&self, device: DeviceId) -> Result<Vec<WaitingWelcome>, StoreError> {
        self.aside(move |shared| shared.welcomes(device)).await
    }

    async fn drop_welcome(
        &self,
        device: DeviceId,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<(), StoreError> {
        self.write(|done| Job::DropWelcome(device, channel, seq, done))
            .await
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        if let Some(found) = self.shared.get_here(key)? {
            return Ok(found);
        }
        let key = key.to_vec();
        self.aside(move |shared| shared.get(&key)).await
    }

    async fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Vec<(Bytes, Versioned)>, StoreError> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        self.aside(move |shared| shared.list(&prefix, after.as_deref(), limit))
            .await
    }

    async fn put_if(
        &self,
        key: Bytes,
        version: u64,
        value: Option<Bytes>,
    ) -> Result<u64, StoreError> {
        self.write(|done| Job::PutIf(key, version, value, done))
            .await
    }

    async fn push(&self, queue: Bytes, value: Bytes) -> Result<(), StoreError> {
        self.write(|done| Job::Push(queue, value, done)).await
    }

    async fn pop_one(&self, queue: Bytes) -> Result<Option<Bytes>, StoreError> {
        self.write(|done| Job::Pop(queue, done)).await
    }

    async fn queue_len(&self, queue: &[u8]) -> Result<u64, StoreError> {
        self.shared.queue_len(queue)
    }

    fn watch(&self, hint: Hint) {
        self.shared
            .watchers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hint);
    }
}
