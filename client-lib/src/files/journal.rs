//! The sender's journal: what was sealed under which nonce, on disk before a byte of it leaves.
//!
//! ```text
//! file    magic (24), item id (16), records
//! record  random nonce (12), AES-256-GCM of
//!         { index (4), keyed BLAKE3 of the plaintext (32), hash of the sealed chunk (32), SHA-256 state }, tag (16)
//! ```
//!
//! Records are sealed under a key derived from the item's: a SHA-256 state tells what file it is,
//! and a stolen device's disk must not. The key itself is elsewhere (see [`super::Plan`]). An
//! incomplete record at the end was never synced, so its chunk never left: it is cut off. Anything
//! else that does not open means the journal cannot be relied on.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use plenary_proto::ids::{Digest, ItemId};
use ring::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::{
    ItemError, ItemKey,
    error::{io, lock},
    incoming::{private, sync_folder},
    key::random,
    layout::TAG,
    running::Running,
};

const MAGIC: &[u8; 24] = b"plenary item journal v1\n";
const HEADER: u64 = MAGIC.len() as u64 + ItemId::LEN as u64;
const NONCE: usize = 12;
const PLAIN: usize = 4 + 32 + 32 + Running::SAVED;
pub(super) const RECORD: usize = NONCE + PLAIN + TAG;

/// What was sealed as one chunk.
pub(super) struct Record {
    pub(super) index: u32,
    pub(super) plaintext: [u8; 32],
    pub(super) sealed: Digest,
    /// The digest's state behind this chunk.
    pub(super) running: Zeroizing<[u8; Running::SAVED]>,
}

/// The open journal of one item being sent.
pub struct Journal {
    file: File,
    item: ItemId,
    seal: LessSafeKey,
    hash: Zeroizing<[u8; 32]>,
}

impl Journal {
    /// Starts a journal; the file must not be there yet.
    pub(super) fn create(path: &Path, item: ItemId, key: &ItemKey) -> Result<Self, ItemError> {
        let doing = "creating the journal";
        let file = private(OpenOptions::new().read(true).write(true).create_new(true))
            .open(path)
            .map_err(io(doing))?;
        let mut journal = Self::with(file, item, key)?;
        journal
            .file
            .write_all(MAGIC)
            .and_then(|()| journal.file.write_all(item.as_bytes()))
            .and_then(|()| journal.file.sync_all())
            .and_then(|()| sync_folder(path))
            .map_err(io(doing))?;
        Ok(journal)
    }

    /// Takes a journal up again, showing each record to `see` in order.
    pub(super) fn resume(
        path: &Path,
        item: ItemId,
        key: &ItemKey,
        mut see: impl FnMut(Record) -> Result<(), ItemError>,
    ) -> Result<Self, ItemError> {
        let doing = "reading the journal";
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(io(doing))?;
        let mut journal = Self::with(file, item, key)?;
        let size = journal.file.metadata().map_err(io(doing))?.len();

        let mut reader = BufReader::new(&journal.file);
        let mut header = [0; HEADER as usize];
        reader
            .read_exact(&mut header)
            .map_err(|_| ItemError::Journal)?;
        let (magic, owner) = header.split_at(MAGIC.len());
        if magic != MAGIC || owner != item.as_bytes() {
            return Err(ItemError::Journal);
        }
        let records = (size - HEADER) / RECORD as u64;
        for index in 0..records {
            let mut sealed = [0; RECORD];
            reader.read_exact(&mut sealed).map_err(io(doing))?;
            let record = journal.open(&mut sealed)?;
            if u64::from(record.index) != index {
                return Err(ItemError::Journal);
            }
            see(record)?;
        }
        let end = HEADER + records * RECORD as u64;
        journal.file.set_len(end).map_err(io(doing))?;
        journal.file.seek(SeekFrom::Start(end)).map_err(io(doing))?;
        Ok(journal)
    }

    /// Removes a journal that is no longer needed: the item is durable, or given up.
    ///
    /// # Errors
    /// When the system refuses. That it is gone already is none.
    pub fn remove(path: &Path) -> Result<(), ItemError> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io("removing the journal")(error))
            }
            _ => Ok(()),
        }
    }

    /// Adds a record. It counts only after [`Journal::sync`].
    pub(super) fn append(&mut self, record: &Record) -> Result<(), ItemError> {
        let nonce: [u8; NONCE] = random()?;
        let mut plain = Zeroizing::new([0; PLAIN]);
        plain[..4].copy_from_slice(&record.index.to_be_bytes());
        plain[4..36].copy_from_slice(&record.plaintext);
        plain[36..68].copy_from_slice(record.sealed.as_bytes());
        plain[68..].copy_from_slice(&*record.running);
        let tag = self
            .seal
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.item.as_bytes()),
                &mut *plain,
            )
            .map_err(|_| ItemError::Journal)?;
        let bytes = [&nonce, &*plain as &[u8], tag.as_ref()].concat();
        self.file
            .write_all(&bytes)
            .map_err(io("writing the journal"))
    }

    /// Puts all records on disk: their chunks may leave.
    pub(super) fn sync(&mut self) -> Result<(), ItemError> {
        self.file.sync_data().map_err(io("writing the journal"))
    }

    /// The hash of a chunk's plaintext, as records keep it.
    pub(super) fn hash(&self, index: u32, data: &[u8]) -> [u8; 32] {
        *blake3::Hasher::new_keyed(&self.hash)
            .update(&index.to_be_bytes())
            .update(data)
            .finalize()
            .as_bytes()
    }

    /// Two transfers by one journal could seal two plaintexts under one nonce: only one has it.
    fn with(file: File, item: ItemId, key: &ItemKey) -> Result<Self, ItemError> {
        lock(&file, "locking the journal")?;
        Ok(Self {
            file,
            item,
            seal: key.journal_seal(item)?,
            hash: key.journal_hash(item)?,
        })
    }

    fn open(&self, sealed: &mut [u8; RECORD]) -> Result<Record, ItemError> {
        let (nonce, sealed) = sealed.split_at_mut(NONCE);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| ItemError::Journal)?;
        let plain = self
            .seal
            .open_in_place(nonce, Aad::from(self.item.as_bytes()), sealed)
            .map_err(|_| ItemError::Journal)?;
        let mut record = Record {
            index: 0,
            plaintext: [0; 32],
            sealed: Digest([0; 32]),
            running: Zeroizing::new([0; Running::SAVED]),
        };
        let mut index = [0; 4];
        index.copy_from_slice(&plain[..4]);
        record.index = u32::from_be_bytes(index);
        record.plaintext.copy_from_slice(&plain[4..36]);
        record.sealed.0.copy_from_slice(&plain[36..68]);
        record.running.copy_from_slice(&plain[68..]);
        Ok(record)
    }
}
