//! One item from the server: eight chunks asked for ahead, verified and written on a thread.

use std::{
    collections::BTreeMap,
    io::Write,
    ops::Range,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use plenary_proto::{
    ids::ChannelId,
    limits::CREDIT_CHUNKS,
    reply::Reply,
    request::{Request, Right},
    rooms::Rooms,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, spawn_blocking},
    time::Instant,
};

use super::{
    Meter,
    bulk::{Bulk, unexpected},
    door::Door,
    retry::Retry,
};
use crate::{
    error::{Error, ErrorKind},
    files::{Arriving, ItemError, Layout, Manifest, Streamed},
};

/// Sealed chunks between the line and the thread.
const AHEAD: usize = 2;
/// Tokens live an hour; a transfer of a day asks for new ones.
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 60);

/// An item to be fetched.
pub(crate) struct Download {
    /// What it is.
    pub(crate) manifest: Manifest,
    /// Where it goes.
    pub(crate) place: Place,
    /// The channel it was handed over in.
    pub(crate) channel: ChannelId,
}

/// Where an item goes.
pub(crate) enum Place {
    /// Into a folder, under a free and clean name; a sample stays sealed there.
    Folder(PathBuf),
    /// These bytes of it into a writer.
    Stream(Writer, Range<u64>),
}

/// A writer until the thread takes it. (The lock is never waited for: it lets tasks share what only
/// one of them may use.)
pub(crate) struct Writer(Mutex<Option<Box<dyn Write + Send>>>);

impl Writer {
    pub(crate) fn new(to: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(to))))
    }

    fn take(&self) -> Option<Box<dyn Write + Send>> {
        let mut writer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writer.take()
    }
}

/// What receives it.
enum Receiving {
    File(Arriving),
    Stream(Box<Streamed<Box<dyn Write + Send>>>),
}

impl Receiving {
    fn due(&self, layout: &Layout) -> (u32, u32) {
        match self {
            Self::File(arriving) => (arriving.next(), layout.chunks()),
            Self::Stream(streamed) => streamed.due(),
        }
    }

    fn done(&self, layout: &Layout) -> u64 {
        match self {
            Self::File(arriving) => layout.data_start(arriving.next()),
            Self::Stream(streamed) => streamed.given(),
        }
    }

    fn write(&mut self, index: u32, sealed: &mut [u8]) -> Result<(), ItemError> {
        match self {
            Self::File(arriving) => arriving.write(index, sealed),
            Self::Stream(streamed) => streamed.write(index, sealed),
        }
    }

    fn finish(self) -> Result<Option<PathBuf>, ItemError> {
        match self {
            Self::File(arriving) => arriving.finish().map(Some),
            Self::Stream(streamed) => streamed.finish().map(|()| None),
        }
    }
}

/// The thread that verifies and writes, through all tries.
struct Writing {
    chunks: mpsc::Sender<(u32, Bytes)>,
    /// Room of chunks that were written, for those to come.
    rooms: Rooms,
    end: JoinHandle<Result<Option<PathBuf>, ItemError>>,
    /// The chunk to hand over next.
    next: u32,
    /// The one after the last.
    last: u32,
}

struct Token {
    bytes: Bytes,
    since: Instant,
}

impl Download {
    /// Fetches the item, from what is left of an earlier try where there is something. Returns the
    /// file's path, if it is one.
    ///
    /// # Errors
    /// What the server refuses, chunks that do not verify, a disk that refuses.
    pub(crate) async fn run(self, door: impl Door, meter: Meter) -> Result<Option<PathBuf>, Error> {
        let mut retry = Retry::new();
        let mut writing = loop {
            match self.write(&meter).await {
                Ok(writing) => break writing,
                Err(error) => retry.after(error, &meter).await?,
            }
        };
        // All chunks may be there from before.
        while writing.next < writing.last {
            let attempt = Box::pin(self.attempt(&door, &mut writing, &meter));
            match meter.attempt(attempt).await {
                Some(Ok(())) | None => {}
                // The thread ended early: it knows why.
                Some(Err(_)) if writing.chunks.is_closed() => break,
                Some(Err(error)) => retry.after(error, &meter).await?,
            }
        }
        let Writing { chunks, end, .. } = writing;
        drop(chunks);
        Ok(end.await.map_err(|_| stopped())??)
    }

    async fn attempt(
        &self,
        door: &impl Door,
        writing: &mut Writing,
        meter: &Meter,
    ) -> Result<(), Error> {
        let layout = self.manifest.layout();
        let mut token = self.token(door).await?;
        let mut bulk = Bulk::open(door, writing.rooms.clone()).await?;
        let mut ask = writing.next;
        let mut early = BTreeMap::new();
        loop {
            // What came early waits in memory: it counts as in flight.
            let may_ask = ask < writing.last
                && bulk.has_credit()
                && (ask - writing.next) < CREDIT_CHUNKS as u32;
            if !may_ask && bulk.is_idle() {
                return Ok(());
            }
            let answer = tokio::select! {
                answer = bulk.answer() => answer?,
                () = meter.permit(layout.sealed_len(ask)), if may_ask => {
                    if token.since.elapsed() >= TOKEN_LIFE
                        && let Ok(newer) = self.token(door).await
                    {
                        token = newer;
                    }
                    let get = Request::ItemGet {
                        token: token.bytes.clone(),
                        offset: layout.sealed_start(ask),
                        length: layout.sealed_len(ask) as u32,
                    };
                    bulk.post(ask, get).await?;
                    ask += 1;
                    continue;
                }
            };
            let (index, reply) = answer;
            match reply {
                Reply::ItemRange { offset, bytes }
                    if offset == layout.sealed_start(index)
                        && bytes.len() == layout.sealed_len(index) =>
                {
                    early.insert(index, bytes);
                }
                _ => return Err(unexpected()),
            }
            while let Some(bytes) = early.remove(&writing.next) {
                let chunk = (writing.next, bytes);
                writing.chunks.send(chunk).await.map_err(|_| stopped())?;
                writing.next += 1;
            }
        }
    }

    async fn token(&self, door: &impl Door) -> Result<Token, Error> {
        let item = self.manifest.item();
        Ok(Token {
            bytes: door.token(item, self.channel, Right::Get).await?,
            since: Instant::now(),
        })
    }

    /// Starts the thread, once it knows where to begin.
    async fn write(&self, meter: &Meter) -> Result<Writing, Error> {
        let (chunks, mut queue) = mpsc::channel::<(u32, Bytes)>(AHEAD);
        let rooms = Rooms::for_transfers(1);
        let written = rooms.clone();
        let (tell, begins) = oneshot::channel();
        let place = match &self.place {
            Place::Folder(folder) => Place::Folder(folder.clone()),
            Place::Stream(to, range) => Place::Stream(Writer(Mutex::new(to.take())), range.clone()),
        };
        let (manifest, meter) = (self.manifest.clone(), meter.clone());
        let end = spawn_blocking(move || {
            let layout = *manifest.layout();
            let mut incoming = match place {
                Place::Folder(folder) => Receiving::File(Arriving::resume(&folder, &manifest)?),
                Place::Stream(to, range) => {
                    // Not there: it was taken by a try that failed for good.
                    let to = to.take().ok_or(ItemError::InUse)?;
                    Receiving::Stream(Box::new(Streamed::new(&manifest, range, to)?))
                }
            };
            meter.begin(incoming.done(&layout));
            let _ = tell.send(incoming.due(&layout));
            while let Some((index, bytes)) = queue.blocking_recv() {
                let mut sealed = bytes
                    .try_into_mut()
                    .unwrap_or_else(|bytes| BytesMut::from(&bytes[..]));
                incoming.write(index, &mut sealed)?;
                sealed.clear();
                written.give(sealed.into());
                meter.report(incoming.done(&layout));
            }
            incoming.finish()
        });
        match begins.await {
            Ok((next, last)) => Ok(Writing {
                chunks,
                rooms,
                end,
                next,
                last,
            }),
            Err(_) => {
                end.await.map_err(|_| stopped())??;
                Err(stopped())
            }
        }
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Closed, "the transfer was stopped")
}
