//! Sending: a file read, sealed and journalled, so that it can be taken up after a stop.

use std::{
    collections::VecDeque,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use plenary_proto::rooms::Rooms;

use super::{
    ItemError, Manifest, Plan, SealedChunk, Sealer, error::io, journal::Journal, record::Record,
    running::Running,
};

/// Chunks sealed for one sync of the journal: 4 MiB of memory, a quarter of the syncs.
const BATCH: usize = 4;

/// A file on its way out.
///
/// Take chunks with [`Outgoing::next_chunk`] until there is none, then [`Outgoing::finish`]; remove
/// the journal once the server has committed the item.
pub struct Outgoing<R> {
    source: R,
    sealer: Sealer,
    journal: Journal,
    /// Sealed before the stop, perhaps sent, not durable on the server.
    known: VecDeque<Record>,
    /// Sealed and journalled, waiting to be taken.
    ready: VecDeque<SealedChunk>,
    rooms: Rooms,
    /// Why it is over.
    failed: Option<ItemError>,
}

impl<R: Read + Seek> Outgoing<R> {
    /// Starts sending a new item. `journal` must not be there yet; keep the plan for a resume.
    ///
    /// # Errors
    /// When the source or the journal cannot be used, or the source is not of the plan's size.
    pub fn create(mut source: R, journal: &Path, plan: &Plan) -> Result<Self, ItemError> {
        check_size(&mut source, plan)?;
        seek(&mut source, 0)?;
        Ok(Self {
            source,
            journal: Journal::create(journal, plan.item, &plan.key)?,
            sealer: Sealer::new(plan.clone())?,
            known: VecDeque::new(),
            ready: VecDeque::new(),
            rooms: Rooms::default(),
            failed: None,
        })
    }

    /// Takes an item up again. `durable`: how many chunks, from the first on, the server has for
    /// good; the next one handed out is that index.
    ///
    /// # Errors
    /// As [`Outgoing::create`]; or when the journal is damaged or has fewer chunks than the server.
    pub fn resume(
        mut source: R,
        journal: &Path,
        plan: &Plan,
        durable: u32,
    ) -> Result<Self, ItemError> {
        check_size(&mut source, plan)?;
        let mut sealer = Sealer::new(plan.clone())?;
        let mut known = VecDeque::new();
        let chunks = plan.layout.chunks();
        let journal = Journal::resume(journal, plan.item, &plan.key, |record| {
            if record.index >= chunks {
                return Err(ItemError::Journal);
            }
            if record.index < durable {
                sealer.count(&record.sealed);
                // Only the last one's state matters, but each must be one.
                sealer.set_running(Running::restore(&record.running)?);
            } else {
                known.push_back(record);
            }
            Ok(())
        })?;
        if sealer.next() != durable {
            return Err(ItemError::Journal);
        }
        seek(&mut source, plan.layout.data_start(durable))?;
        Ok(Self {
            source,
            sealer,
            journal,
            known,
            ready: VecDeque::new(),
            rooms: Rooms::default(),
            failed: None,
        })
    }

    /// Has chunks sealed in these rooms.
    pub(crate) fn seal_in(self, rooms: Rooms) -> Self {
        Self { rooms, ..self }
    }

    /// The plan it is sent by.
    pub fn plan(&self) -> &Plan {
        self.sealer.plan()
    }

    /// The next chunk; `None` after the last. Its journal record is on disk.
    ///
    /// # Errors
    /// When the source changed or cannot be read, or the journal cannot be written. The transfer
    /// is over then: nothing more can be taken.
    pub fn next_chunk(&mut self) -> Result<Option<SealedChunk>, ItemError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.ready.is_empty() {
            // Sealed chunks become visible only when every step succeeded.
            self.ready = self.fill().inspect_err(|error| {
                self.failed = Some(error.clone());
            })?;
        }
        Ok(self.ready.pop_front())
    }

    /// The manifest, once all chunks were taken.
    ///
    /// # Errors
    /// When they were not, or the file has grown meanwhile.
    pub fn finish(mut self) -> Result<Manifest, ItemError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !self.ready.is_empty() {
            return Err(ItemError::Incomplete {
                have: self.sealer.next() - self.ready.len() as u32,
                of: self.sealer.layout().chunks(),
            });
        }
        check_size(&mut self.source, self.sealer.plan())?;
        self.sealer.finish()
    }

    fn fill(&mut self) -> Result<VecDeque<SealedChunk>, ItemError> {
        let mut batch = VecDeque::with_capacity(BATCH);
        let mut journalled = false;
        while let Some(len) = self.sealer.wants() {
            if batch.len() == BATCH {
                break;
            }
            let index = self.sealer.next();
            let mut chunk = self.sealer.prepared(self.rooms.take());
            let read = self.source.by_ref().take(len as u64);
            let read = { read }.read_to_end(&mut chunk);
            if read.map_err(io("reading the file to send"))? < len {
                return Err(ItemError::SourceChanged);
            }
            let before = self.known.pop_front();
            // The rule: this nonce has sealed that plaintext, it seals no other.
            if let Some(before) = &before
                && self.sealer.running_behind(&chunk).save() != before.running
            {
                return Err(ItemError::SourceChanged);
            }
            let sealed = self.sealer.seal_prepared(chunk)?;
            match before {
                Some(before) if before.sealed != sealed.hash => return Err(ItemError::Journal),
                Some(_) => {}
                None => {
                    self.journal.append(&Record {
                        index,
                        sealed: sealed.hash,
                        running: self.sealer.running().save(),
                    })?;
                    journalled = true;
                }
            }
            batch.push_back(sealed);
        }
        if journalled {
            self.journal.sync()?;
        }
        Ok(batch)
    }
}

fn seek(source: &mut impl Seek, to: u64) -> Result<(), ItemError> {
    source
        .seek(SeekFrom::Start(to))
        .map(drop)
        .map_err(io("reading the file to send"))
}

fn check_size(source: &mut impl Seek, plan: &Plan) -> Result<(), ItemError> {
    let size = source
        .seek(SeekFrom::End(0))
        .map_err(io("reading the file to send"))?;
    match size == plan.layout.size() {
        true => Ok(()),
        false => Err(ItemError::SourceChanged),
    }
}
