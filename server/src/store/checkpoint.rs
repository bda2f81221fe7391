//! Checkpoints: sled made durable and compared, then the journal that no base needs dropped.
//!
//! On a thread of its own, so that appends go on into the next segment meanwhile.

use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use plenary_core::store::StoreError;
use plenary_proto::ids::{ChannelId, Seq};

use super::{
    Shared,
    base::{self, Base},
    fault::{damaged, io as io_fault},
    folder::{open_small, seal_small, write_small},
    journal::Position,
    rows::{ChannelRow, Fields, Malformed, channel_key},
    sum::{SUM, Totals},
};

const NAME: &str = "checkpoint";
const MAGIC: &[u8; 8] = b"plenchkp";
const MARK_MAGIC: &[u8; 8] = b"plenmark";

/// Name of the file that holds the last frame acknowledged.
pub(super) const MARK: &str = "durable";

/// What is to be checkpointed.
pub(super) struct Checkpoint {
    /// A segment begins right after it.
    pub position: Position,
    /// Heads that sled must have reached.
    pub heads: HashMap<ChannelId, Seq>,
}

/// The checkpointing thread.
pub(super) struct Checkpointer {
    sender: mpsc::Sender<Checkpoint>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    /// `base` is what the journal is kept back to now.
    pub fn start(
        shared: Arc<Shared>,
        mut base: Option<Base>,
        segment_bytes: u64,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Checkpoint>();
        let thread = std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || {
                while let Ok(mut checkpoint) = receiver.recv() {
                    // What waits is covered by the newest of it.
                    while let Ok(newer) = receiver.try_recv() {
                        checkpoint.position = newer.position;
                        checkpoint.heads.extend(newer.heads);
                    }
                    if let Err(error) = run(&shared, &checkpoint, &mut base, segment_bytes) {
                        // Nothing was dropped. But sled could not take what it was given.
                        shared.fail(&error);
                        return;
                    }
                }
            })?;
        Ok(Self { sender, thread })
    }

    pub fn send(&self, checkpoint: Checkpoint) {
        // Gone only after it failed, and then the store has failed with it.
        let _ = self.sender.send(checkpoint);
    }

    /// Ends after what was sent is done.
    pub fn finish(self) {
        drop(self.sender);
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

/// Makes sled durable up to `checkpoint`, notes it, drops the journal before the base.
fn run(
    shared: &Shared,
    checkpoint: &Checkpoint,
    base: &mut Option<Base>,
    segment_bytes: u64,
) -> Result<(), StoreError> {
    if !shared.layers.wait_applied(checkpoint.position.frame) {
        return Err(shared
            .failed()
            .unwrap_or_else(|| StoreError::Unavailable("sled takes no more rows".into())));
    }
    shared.tree.persist()?;
    for (channel, seq) in &checkpoint.heads {
        let key = channel_key(*channel);
        let row = shared.tree.get(&key)?;
        let row = row.ok_or_else(|| shared.tree.broken(&key, "is missing"))?;
        let row = shared.tree.decoded(&key, ChannelRow::decode(&row))?;
        if row.head.seq < *seq {
            return Err(shared.tree.broken(&key, "is behind the journal"));
        }
    }
    write(&shared.path, &shared.id, &checkpoint.position)?;
    base::keep(shared, base, &checkpoint.position, segment_bytes)
}

/// Notes that sled is durable up to `position`.
pub(super) fn write(dir: &Path, id: &[u8; 16], position: &Position) -> Result<(), StoreError> {
    let payload = [&id[..], &encode(position)].concat();
    write_small(dir, NAME, MAGIC, &payload)
}

/// Up to where sled is durable.
pub(super) fn read(dir: &Path, id: &[u8; 16]) -> Result<Position, StoreError> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(damaged(format_args!("{} is missing", path.display())));
        }
        Err(error) => return Err(io_fault("read", &path, &error)),
    };
    let payload = open_small(MAGIC, &bytes);
    match payload.and_then(|payload| payload.split_first_chunk::<16>()) {
        Some((found, position)) if found == id => decode(position).ok(),
        _ => None,
    }
    .ok_or_else(|| {
        damaged(format_args!(
            "{} is not what this store wrote",
            path.display()
        ))
    })
}

/// Bytes of the mark: one sector, overwritten in place after each batch.
pub(super) fn encode_mark(position: &Position) -> Vec<u8> {
    seal_small(MARK_MAGIC, &encode(position))
}

/// The last frame known to have been acknowledged. `None` if that is not known: the mark is never
/// synced by itself, so a power loss may leave an older one, or none.
pub(super) fn read_mark(dir: &Path) -> Option<Position> {
    let bytes = fs::read(dir.join(MARK)).ok()?;
    decode(open_small(MARK_MAGIC, &bytes)?).ok()
}

/// Bytes of an encoded position.
pub(super) const POSITION: usize = 8 + SUM + 16 + 16;

/// A position, as small files have it.
pub(super) fn encode(position: &Position) -> Vec<u8> {
    [
        &position.frame.to_be_bytes()[..],
        &position.tag,
        &position.totals.records.to_be_bytes(),
        &position.totals.others.to_be_bytes(),
    ]
    .concat()
}

/// What [`encode`] wrote.
pub(super) fn decode(bytes: &[u8]) -> Result<Position, Malformed> {
    let mut fields = Fields(bytes);
    let position = Position {
        frame: fields.u64()?,
        tag: fields.array()?,
        totals: Totals {
            records: u128::from_be_bytes(fields.array()?),
            others: u128::from_be_bytes(fields.array()?),
        },
    };
    fields.end()?;
    Ok(position)
}
