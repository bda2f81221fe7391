//! The sender's journal: what was sealed under which nonce, on disk before a byte of it leaves.
//!
//! ```text
//! file    magic (24), item id (16), records (see [`super::record`])
//! ```
//!
//! The key is elsewhere (see [`super::Plan`]). An incomplete record at the end was never synced, so its
//! chunk never left: it is cut off. Anything else that does not open means the journal cannot be relied
//! on.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, Read, Seek, SeekFrom, Write},
    path::Path,
};

use plenary_proto::ids::ItemId;

use super::{
    ItemError, ItemKey,
    error::{io, lock},
    incoming::{private, sync_folder},
    record::{RECORD, Record, Records, Way},
};

const MAGIC: &[u8; 24] = b"plenary item journal v2\n";
const HEADER: u64 = MAGIC.len() as u64 + ItemId::LEN as u64;
/// The open journal of one item being sent.
pub struct Journal {
    file: File,
    records: Records,
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
            let record = journal.records.read(&mut sealed)?;
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
        let bytes = self.records.write(record)?;
        self.file
            .write_all(&bytes)
            .map_err(io("writing the journal"))
    }

    /// Puts all records on disk: their chunks may leave.
    pub(super) fn sync(&mut self) -> Result<(), ItemError> {
        self.file.sync_data().map_err(io("writing the journal"))
    }

    /// Two transfers by one journal could seal two plaintexts under one nonce: only one has it.
    fn with(file: File, item: ItemId, key: &ItemKey) -> Result<Self, ItemError> {
        lock(&file, "locking the journal")?;
        Ok(Self {
            file,
            records: Records::of(Way::Sending, item, key)?,
        })
    }
}
