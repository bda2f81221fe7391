//! The one writer: takes everything that waits, makes it one durable batch, then answers.
//!
//! | step | if it fails |
//! |---|---|
//! | execute on the rows as they will be | that operation alone is answered with its error |
//! | large content: write, fsync, fsync the folder | as above, or the whole batch |
//! | journal: one frame | the batch; disk full: the next is tried |
//! | fdatasync | the batch, and every later one until a restart |
//! | layer: readable from here on | |
//! | answers, then hints | |
//! | behind: sled, see [`layers`] | every later operation, until a restart |
//!
//! [`layers`]: super::layers

use std::{
    collections::HashMap,
    fs::File,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use bytes::Bytes;
use plenary_core::{
    export::Item,
    store::{Append, Appended, GroupState, Moved, StoreError},
};
use plenary_proto::ids::{ChannelId, DeviceId, Epoch, Seq};
use tokio::sync::oneshot;

use super::{
    Shared,
    batch::{Batch, remove_unnamed},
    checkpoint::{Checkpoint, Checkpointer, encode_mark},
    execute,
    journal::{AppendError, Journal},
    layers::{Layer, View},
    restore,
};

/// Operations in one batch. More only make the first of them wait longer.
const BATCH_JOBS: usize = 1_024;

/// Bytes of messages and values in one batch: bounds the frame's memory.
const BATCH_BYTES: usize = 8 << 20;

/// Where an answer goes. Who no longer waits has gone away: that is no fault.
pub(super) type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// One operation that waits.
pub(super) enum Job {
    Found(ChannelId, Epoch, GroupState, Done<()>),
    Append(Box<Append>, Done<Appended>),
    Trim(ChannelId, Seq, Done<bool>),
    DropWelcome(DeviceId, ChannelId, Seq, Done<()>),
    PutIf(Bytes, u64, Option<Bytes>, Done<u64>),
    Push(Bytes, Bytes, Done<()>),
    Pop(Bytes, Done<Option<Bytes>>),
    /// One thing of an export, into a store that is being made of it.
    Restore(Box<Item>, Done<()>),
    /// Answer what came before, then end.
    Stop,
}

impl Job {
    /// Bytes that it will put into the frame, roughly.
    fn weight(&self) -> usize {
        let group =
            |group: &GroupState| group.snapshot.len() + group.group_info.len() + group.tree.len();
        match self {
            Self::Found(_, _, state, _) => group(state),
            Self::Append(append, _) => {
                let transition = append.transition.as_ref().map_or(0, |transition| {
                    let welcomes = transition.welcomes.iter();
                    group(&transition.state) + welcomes.map(|(_, bytes)| bytes.len()).sum::<usize>()
                });
                append.bytes.len() + transition
            }
            Self::PutIf(_, _, value, _) => value.as_ref().map_or(0, Bytes::len),
            Self::Push(_, value, _) => value.len(),
            // Rarely large, and bounded in number.
            Self::Restore(..) => 1_024,
            Self::Trim(..) | Self::DropWelcome(..) | Self::Pop(..) | Self::Stop => 0,
        }
    }
}

/// An executed operation: sends its result, or the error that befell the whole batch.
type Answer = Box<dyn FnOnce(Option<&StoreError>)>;

fn answer<T: 'static>(done: Done<T>, result: Result<T, StoreError>) -> Answer {
    Box::new(move |failed| {
        let result = failed.map_or(result, |error| Err(error.clone()));
        let _ = done.send(result);
    })
}

/// The writer's state, owned by its thread.
pub(super) struct Writer {
    pub shared: Arc<Shared>,
    pub jobs: mpsc::Receiver<Job>,
    pub journal: Journal,
    pub mark: File,
    pub segment_bytes: u64,
    pub applier: JoinHandle<()>,
    pub checkpointer: Checkpointer,
    /// Channels that moved in the open segment: what a checkpoint compares with sled.
    pub moved: HashMap<ChannelId, Seq>,
}

impl Writer {
    /// Runs until [`Job::Stop`] or until nobody can send any more.
    pub fn run(mut self) {
        let mut waiting = Vec::new();
        let mut stop = false;
        while !stop {
            match self.jobs.recv() {
                Ok(job) => waiting.push(job),
                Err(mpsc::RecvError) => break,
            }
            let mut weight = waiting.iter().map(Job::weight).sum::<usize>();
            while waiting.len() < BATCH_JOBS && weight < BATCH_BYTES {
                let Ok(job) = self.jobs.try_recv() else { break };
                weight += job.weight();
                waiting.push(job);
            }
            stop = self.batch(waiting.drain(..));
            if self.journal.len() >= self.segment_bytes && self.shared.failed().is_none() {
                self.checkpoint();
            }
        }
        if !self.journal.is_empty() && self.shared.failed().is_none() {
            self.checkpoint();
        }
        self.shared.layers.close();
        if self.applier.join().is_err() {
            tracing::error!("the thread that applies to sled panicked");
        }
        self.checkpointer.finish();
    }

    /// One batch, answered. `true` if it held a stop.
    fn batch(&mut self, jobs: impl Iterator<Item = Job>) -> bool {
        let mut stop = false;
        let shared = Arc::clone(&self.shared);
        let mut batch = Batch::new(shared.view(), &shared.big, &shared.marks);
        let mut answers = Vec::new();
        let mut hints = Vec::new();
        let refused = shared.failed();
        for job in jobs {
            let executed = match job {
                Job::Stop => {
                    stop = true;
                    continue;
                }
                job if refused.is_some() => refuse(job),
                job => execute(&mut batch, job, &mut hints),
            };
            answers.push(executed);
        }
        let failed = match refused {
            None if !batch.is_empty() => self.write(batch, &hints).err(),
            refused => refused,
        };
        for answer in answers {
            answer(failed.as_ref());
        }
        if failed.is_none() {
            shared.hint(hints);
        }
        stop
    }

    fn write(&mut self, batch: Batch<'_>, hints: &[Moved]) -> Result<(), StoreError> {
        let written = batch.sync_content().and_then(|()| {
            let totals = batch.totals(self.journal.position().totals);
            match self.journal.append(totals, |out| batch.write(out)) {
                Ok(()) => Ok(()),
                Err(AppendError::Refused(error)) => Err(error),
                Err(AppendError::Unknown(error)) => {
                    self.shared.fail(&error);
                    Err(error)
                }
            }
        });
        if let Err(error) = written {
            if self.shared.failed().is_none() {
                batch.undo()?;
            }
            return Err(error);
        }
        let position = self.journal.position();
        if let Err(error) = self.mark.write_all_at(&encode_mark(&position), 0) {
            // It only tells a start more than the journal itself can; the journal is the record.
            tracing::warn!(%error, "cannot write the durable mark");
        }
        for moved in hints {
            self.moved.insert(moved.channel, moved.record.seq);
        }
        let done = batch.done();
        let frame = position.frame;
        let entries = done.entries;
        let totals = position.totals;
        self.shared.layers.push(Layer {
            frame,
            totals,
            entries,
        });
        self.shared.marks.take(done.marks);
        let rows: View<'_> = self.shared.view();
        if let Err(error) = remove_unnamed(&rows, &self.shared.big, &done.content) {
            tracing::warn!(%error, "cannot tell whether large content is still named");
        }
        Ok(())
    }

    /// Starts a new segment and has the old ones checkpointed away.
    fn checkpoint(&mut self) {
        let position = self.journal.position();
        match self.journal.rotate() {
            Ok(()) => {}
            Err(AppendError::Refused(error)) => {
                // The old segment just grows; a full disk may get room again.
                tracing::warn!(%error, "cannot start a journal segment");
                return;
            }
            Err(AppendError::Unknown(error)) => {
                self.shared.fail(&error);
                return;
            }
        }
        self.checkpointer.send(Checkpoint {
            position,
            heads: std::mem::take(&mut self.moved),
        });
    }
}

fn execute(batch: &mut Batch<'_>, job: Job, hints: &mut Vec<Moved>) -> Answer {
    match job {
        Job::Found(channel, epoch, group, done) => {
            answer(done, execute::found(batch, channel, epoch, group))
        }
        Job::Append(append, done) => {
            let result = execute::append(batch, *append).map(|(appended, moved)| {
                hints.extend(moved);
                appended
            });
            answer(done, result)
        }
        Job::Trim(channel, through, done) => answer(done, execute::trim(batch, channel, through)),
        Job::DropWelcome(device, channel, seq, done) => {
            answer(done, execute::drop_welcome(batch, device, channel, seq))
        }
        Job::PutIf(key, version, value, done) => {
            answer(done, execute::put_if(batch, &key, version, value))
        }
        Job::Push(queue, value, done) => answer(done, execute::push(batch, &queue, value)),
        Job::Pop(queue, done) => answer(done, execute::pop_one(batch, &queue)),
        Job::Restore(item, done) => answer(done, restore::restore(batch, *item)),
        Job::Stop => Box::new(|_| ()),
    }
}

/// Answers with the error that every operation gets now.
fn refuse(job: Job) -> Answer {
    fn unreached<T: 'static>(done: Done<T>) -> Answer {
        answer(done, Err(StoreError::Unavailable("refused".into())))
    }
    match job {
        Job::Found(.., done) | Job::DropWelcome(.., done) | Job::Push(.., done) => unreached(done),
        Job::Append(_, done) => unreached(done),
        Job::Trim(.., done) => unreached(done),
        Job::PutIf(.., done) => unreached(done),
        Job::Pop(_, done) => unreached(done),
        Job::Restore(_, done) => unreached(done),
        Job::Stop => Box::new(|_| ()),
    }
}

impl Shared {
    fn hint(&self, mut hints: Vec<Moved>) {
        if hints.is_empty() {
            return;
        }
        // Stable: a channel's order stays.
        hints.sort_by_key(|moved| moved.channel);
        for watcher in self.watchers().iter() {
            // A hint that panics loses hints, not the store.
            if catch_unwind(AssertUnwindSafe(|| watcher(&hints))).is_err() {
                tracing::error!("a watcher of the store panicked");
            }
        }
    }
}
