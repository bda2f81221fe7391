//! What can go wrong with an item, by culprit.

use std::{
    fs::{File, TryLockError},
    io,
};

use super::MAX_ITEM;

/// Why an item cannot be sealed, opened, sent or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Beyond what one key may seal.
    #[error("{size} bytes are too many for one item: at most {MAX_ITEM}, split the file")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// The manifest is not what one must be.
    #[error("the manifest is damaged or forged: {field} is not {expected}")]
    Manifest {
        /// Which field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The manifest is from a newer client.
    #[error("the manifest has version {0}, this client knows 1: update it")]
    Version(u64),
    /// The key does not belong to these bytes: somebody prepared a second one.
    #[error("the key in the manifest is not the one the item was sealed with")]
    WrongKey,
    /// Chunks come in order: one is missing, doubled or swapped.
    #[error("chunk {got} came where chunk {expected} was due: fetch that one")]
    OutOfOrder {
        /// The next one due.
        expected: u32,
        /// The one that came.
        got: u32,
    },
    /// More or fewer bytes than that chunk has.
    #[error("chunk {index} has {got} bytes instead of {expected}")]
    ChunkLength {
        /// Which.
        index: u32,
        /// What it should have.
        expected: usize,
        /// What it has.
        got: usize,
    },
    /// Not the chunk that was sealed at that place.
    #[error("chunk {index} was altered, or belongs elsewhere: fetch it again")]
    ChunkRefused {
        /// Which.
        index: u32,
    },
    /// The sender filled up with something other than zeros.
    #[error("chunk {index} hides bytes in the padding")]
    Padding {
        /// Which.
        index: u32,
    },
    /// Not all chunks were there.
    #[error("only {have} of {of} chunks are there")]
    Incomplete {
        /// Chunks so far.
        have: u32,
        /// Chunks in all.
        of: u32,
    },
    /// The chunks together are not those of the manifest.
    #[error("the sealed chunks are not those of the manifest: fetch the item anew")]
    Root,
    /// The file is not the one of the manifest.
    #[error("the file's SHA-256 is not the one in the manifest: nothing was kept under its name")]
    Digest,
    /// The file being sent is no longer what it was.
    #[error("the file changed while it was being sent: send it as a new item")]
    SourceChanged,
    /// The journal of a transfer cannot be relied on.
    #[error("the journal of this transfer is damaged or another's: send the file as a new item")]
    Journal,
    /// Another process, or another handle in this one, is at it.
    #[error("this item is being transferred already: wait for it or stop it")]
    InUse,
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    NoRandomness,
    /// A thousand files of that name are there.
    #[error("no free name is left for this file: choose another folder")]
    NoFreeName,
    /// A folder to be sent holds what is neither a file nor a folder.
    #[error("{name} is neither a file nor a folder: links are not followed; leave it out")]
    NotAFile {
        /// Its name within the folder, cleaned.
        name: String,
    },
    /// A packed folder would do harm if it were unpacked.
    #[error("the packed folder is refused: {name} {why}")]
    Unsafe {
        /// The entry, its name cleaned.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A preview that is none.
    #[error("the preview is not {0}")]
    Preview(&'static str),
    /// The disk refused.
    #[error("{doing} failed: {kind}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's answer.
        kind: io::ErrorKind,
    },
}

/// Turns a system error into one that says what was being done.
pub(super) fn io(doing: &'static str) -> impl Fn(io::Error) -> ItemError {
    move |error| io_error(doing, &error)
}

/// Keeps others from the same transfer for as long as the file is open.
pub(super) fn lock(file: &File, doing: &'static str) -> Result<(), ItemError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => ItemError::InUse,
        TryLockError::Error(error) => io_error(doing, &error),
    })
}

fn io_error(doing: &'static str, error: &io::Error) -> ItemError {
    ItemError::Io {
        doing,
        kind: error.kind(),
    }
}
