//! One file to the server: read, sealed and journalled on a thread, eight chunks in flight.

use std::{
    fs::File,
    io::{Cursor, Read, Seek},
    path::PathBuf,
    sync::Arc,
};

use plenary_proto::{
    ids::ChannelId,
    reply::Reply,
    request::{ItemTerms, Request, Right},
    rooms::Rooms,
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};
use zeroize::Zeroizing;

use super::{
    Meter,
    bulk::{Bulk, unexpected},
    door::Door,
    retry::Retry,
    spool::{Spool, SpoolReader},
};
use crate::{
    error::{Error, ErrorKind},
    files::{ItemError, Layout, Manifest, Outgoing, Plan, SealedChunk},
};

/// Sealed chunks between the thread and the line.
const AHEAD: usize = 2;

/// What is put up: read from the start again at each try.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// A text too long for a message: it never lies on disk unsealed.
    Memory(Arc<Zeroizing<Vec<u8>>>),
    /// What came as a stream, or a folder packed.
    Spool(Arc<Spool>),
}

/// Bytes of a source, of either kind.
trait Bytes: Read + Seek + Send {}
impl<T: Read + Seek + Send> Bytes for T {}

struct Shared(Arc<Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Source {
    fn open(&self) -> Result<Box<dyn Bytes>, ItemError> {
        match self {
            Self::File(path) => match File::open(path) {
                Ok(file) => Ok(Box::new(file)),
                Err(error) => Err(ItemError::Io {
                    doing: "opening the file to send",
                    kind: error.kind(),
                }),
            },
            Self::Spool(spool) => Ok(Box::new(SpoolReader::new(spool.clone()))),
            Self::Memory(bytes) => Ok(Box::new(Cursor::new(Shared(bytes.clone())))),
        }
    }
}

/// A file to be put up.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    /// What.
    pub(crate) source: Source,
    /// Where its journal is. Stays after the end: to be removed once the manifest is kept.
    pub(crate) journal: PathBuf,
    /// Item, key and layout. Kept by the caller before the first try, so that a later process can
    /// go on.
    pub(crate) plan: Plan,
    /// The channel it is handed over in.
    pub(crate) channel: ChannelId,
    /// How long the server keeps it.
    pub(crate) terms: ItemTerms,
    /// Whether the plan was tried before. Then there must be a journal: without it nobody knows
    /// which plaintexts its nonces have sealed.
    pub(crate) again: bool,
}

impl Upload {
    /// Puts the file up; takes it up again after a lost line.
    ///
    /// # Errors
    /// What the server refuses, a file that changed or cannot be read, a journal that is lost.
    pub(crate) async fn run(mut self, door: impl Door, meter: Meter) -> Result<Manifest, Error> {
        let mut retry = Retry::new();
        loop {
            match meter.attempt(Box::pin(self.attempt(&door, &meter))).await {
                Some(Ok(manifest)) => return Ok(manifest),
                Some(Err(error)) => retry.after(error, &meter).await?,
                None => {}
            }
        }
    }

    async fn attempt(&mut self, door: &impl Door, meter: &Meter) -> Result<Manifest, Error> {
        let layout = *self.plan.layout();
        let (item, size) = (self.plan.item(), layout.sealed_size());
        let token = door.token(item, self.channel, Right::Put { size }).await?;
        let mut bulk = Bulk::open(door, Rooms::default()).await?;
        let reserve = Request::ItemReserve {
            token,
            size,
            chunk: layout.sealed_chunk(),
            terms: self.terms.clone(),
        };
        let mut durable = Durable::read(&layout, &bulk.ask(reserve).await?)?;
        if !self.again && durable.any() {
            // The item is new and its id random: nobody can have put anything there.
            return Err(unexpected());
        }
        meter.begin(layout.data_start(durable.first_missing()));
        let rooms = Rooms::for_transfers(1);
        let (mut chunks, sealing) = self.seal(durable.first_missing(), rooms.clone());
        let mut sealed_all = false;
        // Waits for its turn under the limit of the rate.
        let mut held: Option<SealedChunk> = None;
        while !(sealed_all && held.is_none() && bulk.is_idle()) {
            let credit = bulk.has_credit() && !sealed_all && held.is_none();
            let waits = held.as_ref().map_or(0, |chunk| chunk.bytes.len());
            tokio::select! {
                answer = bulk.answer() => {
                    let (index, _) = answer?;
                    durable.add(index);
                    meter.report(layout.data_start(durable.first_missing()));
                }
                chunk = chunks.recv(), if credit => match chunk {
                    Some(chunk) if !durable.has(chunk.index) => held = Some(chunk),
                    Some(_) => {}
                    None => sealed_all = true,
                },
                () = meter.permit(waits), if waits > 0 => {
                    if let Some(SealedChunk { index, bytes, .. }) = held.take() {
                        let bytes = rooms.lend(bytes);
                        bulk.post(index, Request::ItemPut { item, index, bytes }).await?;
                    }
                }
            }
        }
        let manifest = sealing.await.map_err(|_| stopped())??;
        let root = *manifest.root();
        bulk.ask(Request::ItemCommit { item, root }).await?;
        meter.report(layout.size());
        Ok(manifest)
    }

    /// Starts the thread that seals from this chunk on. It ends when the receiver is dropped.
    fn seal(
        &mut self,
        durable: u32,
        rooms: Rooms,
    ) -> (
        mpsc::Receiver<SealedChunk>,
        JoinHandle<Result<Manifest, ItemError>>,
    ) {
        let (line, chunks) = mpsc::channel(AHEAD);
        let Self {
            source,
            journal,
            plan,
            again,
            ..
        } = self.clone();
        self.again = true;
        let sealing = spawn_blocking(move || {
            let source = source.open()?;
            let mut outgoing = match again {
                true => Outgoing::resume(source, &journal, &plan, durable)?,
                false => Outgoing::create(source, &journal, &plan)?,
            };
            outgoing = outgoing.seal_in(rooms);
            while let Some(chunk) = outgoing.next_chunk()? {
                if line.blocking_send(chunk).is_err() {
                    break;
                }
            }
            outgoing.finish()
        });
        (chunks, sealing)
    }
}

/// Which chunks the server has for good.
#[derive(Debug)]
struct Durable {
    bits: Vec<u8>,
    chunks: u32,
    first_missing: u32,
}

impl Durable {
    fn read(layout: &Layout, reply: &Reply) -> Result<Self, Error> {
        let Reply::ItemState {
            size,
            chunk,
            durable,
            ..
        } = reply
        else {
            return Err(unexpected());
        };
        let chunks = layout.chunks();
        let fits = (*size, *chunk) == (layout.sealed_size(), layout.sealed_chunk())
            && durable.len() == chunks.div_ceil(8) as usize;
        if !fits {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the server has the item in another shape: send the file as a new item",
            ));
        }
        let mut durable = Self {
            bits: durable.to_vec(),
            chunks,
            first_missing: 0,
        };
        durable.advance();
        Ok(durable)
    }

    fn has(&self, index: u32) -> bool {
        self.bits
            .get(index as usize / 8)
            .is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    fn any(&self) -> bool {
        (0..self.chunks).any(|index| self.has(index))
    }

    fn add(&mut self, index: u32) {
        if let Some(byte) = self.bits.get_mut(index as usize / 8) {
            *byte |= 1 << (index % 8);
        }
        self.advance();
    }

    fn advance(&mut self) {
        while self.first_missing < self.chunks && self.has(self.first_missing) {
            self.first_missing += 1;
        }
    }

    fn first_missing(&self) -> u32 {
        self.first_missing
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Closed, "the transfer was stopped")
}
