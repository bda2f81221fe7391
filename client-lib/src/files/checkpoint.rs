//! How far a file being received is verified and on disk: so that a resume reads back its tail only.
//!
//! ```text
//! file    nonce (12), AES-256-GCM of { chunks (4), SHA-256 state }, tag (16)
//! ```
//!
//! Written now and then, after the received bytes are synced. Sealed under a key derived from the
//! item's: the state tells what file it is. One that is missing, torn or not ours says nothing, and
//! everything is read back.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use plenary_proto::ids::ItemId;
use zeroize::Zeroizing;

use super::{
    ItemError, ItemKey,
    error::io,
    incoming::{private, remove},
    layout::TAG,
    record::{JournalSeal, NONCE},
    running::Running,
};

const PLAIN: usize = 4 + Running::SAVED;
/// Tells these from the records of journals, which have the same key.
const CONTEXT: &[u8] = b"plenary receiving checkpoint v1\0";

/// Where the checkpoint of a file being received is, and its key.
pub(super) struct Checkpoint {
    path: PathBuf,
    seal: JournalSeal,
}

impl Checkpoint {
    /// Beside the part.
    pub(super) fn beside(part: &Path, item: ItemId, key: &ItemKey) -> Result<Self, ItemError> {
        let mut name = part.as_os_str().to_owned();
        name.push(".state");
        Ok(Self {
            path: name.into(),
            seal: JournalSeal::of(CONTEXT, item, key)?,
        })
    }

    /// So many chunks are verified and on disk, and this is their digest so far.
    pub(super) fn write(&self, chunks: u32, running: &Running) -> Result<(), ItemError> {
        let mut plain = Zeroizing::new([0; PLAIN]);
        plain[..4].copy_from_slice(&chunks.to_be_bytes());
        plain[4..].copy_from_slice(&*running.save());
        let bytes = self.seal.seal(&mut *plain)?;
        let new = self.path.with_extension("state-new");
        let doing = "writing the state of the received file";
        private(OpenOptions::new().write(true).create(true).truncate(true))
            .open(&new)
            .and_then(|mut file| file.write_all(&bytes))
            .and_then(|()| fs::rename(&new, &self.path))
            .map_err(io(doing))
    }

    /// What was written last, if it can be relied on.
    pub(super) fn read(&self) -> Option<(u32, Running)> {
        let mut bytes = fs::read(&self.path).ok()?;
        if bytes.len() != NONCE + PLAIN + TAG {
            return None;
        }
        let plain = self.seal.open(&mut bytes).ok()?;
        let (chunks, state) = plain.split_first_chunk()?;
        let state = Zeroizing::new(<[u8; Running::SAVED]>::try_from(state as &[u8]).ok()?);
        let running = Running::restore(&state).ok()?;
        Some((u32::from_be_bytes(*chunks), running))
    }

    /// The file is whole, or given up.
    pub(super) fn remove(&self) -> Result<(), ItemError> {
        remove(&self.path.with_extension("state-new"))?;
        remove(&self.path)
    }
}
