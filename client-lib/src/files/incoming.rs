//! Receiving: verified chunks into a `.part` file, the final name only for a verified whole.
//!
//! Beside `NAME.ITEM.part` lies `NAME.ITEM.part.journal`, a record for each chunk (see
//! [`super::record`]). Every [`SYNCED`] bytes both are synced and the
//! digest's state is put away beside them ([`Checkpoint`]). A resume takes that state up, reads back
//! what came later, and goes on at the first chunk that does not fit: in a second, whatever the size.

use std::{
    fs::{self, File, OpenOptions},
    io::{self as std_io, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    ItemError, Manifest, Opener,
    checkpoint::Checkpoint,
    error::{io, lock},
    name,
    record::{RECORD, Record, Records, Way},
    remains::part_of,
};

/// Bytes between two checkpoints: a resume reads so many back at most, and whoever else waits for the
/// disk, such as a message that is sent, waits for so many at most.
pub(super) const SYNCED: u64 = 4 << 20;

/// Names tried before giving up.
pub(super) const MAX_NAMES: u32 = 999;

/// An item on its way in. Dropped, it leaves its `.part` file for [`Incoming::resume`].
pub struct Incoming {
    opener: Opener,
    folder: PathBuf,
    name: String,
    part: PathBuf,
    pub(super) file: File,
    journal: File,
    records: Records,
    checkpoint: Checkpoint,
    /// Bytes of the file at the last checkpoint.
    synced: u64,
    /// [`SYNCED`], but in tests.
    pub(super) every: u64,
    /// The disk refused a verified chunk: what is on it is no longer what was verified.
    failed: Option<ItemError>,
}

impl Incoming {
    /// Starts receiving into a folder, which must be there.
    ///
    /// # Errors
    /// When the files cannot be made, or are there already: then [`Incoming::resume`].
    pub fn create(folder: &Path, manifest: &Manifest) -> Result<Self, ItemError> {
        let incoming = Self::with(folder, manifest, OpenOptions::new().create_new(true))?;
        incoming.take_room()?;
        Ok(incoming)
    }

    /// Takes an item up again, or starts it where nothing is left of it.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub fn resume(folder: &Path, manifest: &Manifest) -> Result<Self, ItemError> {
        let mut incoming = Self::with(
            folder,
            manifest,
            OpenOptions::new().create(true).truncate(false),
        )?;
        incoming.take_up()?;
        incoming.take_room()?;
        Ok(incoming)
    }

    fn take_room(&self) -> Result<(), ItemError> {
        take_room(&self.file, self.opener.layout().size())
    }

    /// The chunk that is due; the number of chunks once all were there.
    pub fn next(&self) -> u32 {
        self.opener.next()
    }

    /// Verifies a chunk, then writes its plaintext. `sealed` is opened in place.
    ///
    /// # Errors
    /// When it is not the chunk that is due (see [`Opener::open`]): nothing was written. When the
    /// disk refuses: drop this and resume.
    pub fn write(&mut self, index: u32, sealed: &mut [u8]) -> Result<(), ItemError> {
        self.usable()?;
        let opened = self.opener.open(index, sealed)?;
        let record = self.records.write(&Record {
            index,
            sealed: opened.hash,
            running: self.opener.running().save(),
        });
        let written = record.and_then(|record| {
            self.file
                .write_all(opened.data)
                .and_then(|()| self.journal.write_all(&record))
                .map_err(io("writing the received file"))
        });
        written
            .and_then(|()| self.keep_up())
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// A checkpoint, if one is due.
    fn keep_up(&mut self) -> Result<(), ItemError> {
        let next = self.opener.next();
        let written = self.opener.layout().data_start(next);
        if written - self.synced < self.every {
            return Ok(());
        }
        self.file
            .sync_data()
            .and_then(|()| self.journal.sync_data())
            .map_err(io("writing the received file"))?;
        self.synced = written;
        self.checkpoint.write(next, self.opener.running())
    }

    /// Compares the whole with the manifest and gives the file its name: the sender's, cleaned,
    /// numbered if taken. Nothing is overwritten.
    ///
    /// # Errors
    /// When chunks are missing, when the whole is not the manifest's, or when the disk refuses.
    /// The `.part` file stays, except where the whole is wrong.
    pub fn finish(self) -> Result<PathBuf, ItemError> {
        let doing = "finishing the received file";
        self.usable()?;
        match self.opener.finish() {
            Err(error @ (ItemError::Root | ItemError::Digest)) => {
                // What is there can become right by no resume.
                self.discard()?;
                return Err(error);
            }
            other => other?,
        }
        self.file.sync_all().map_err(io(doing))?;
        let Self {
            folder,
            name,
            part,
            file,
            journal,
            checkpoint,
            ..
        } = self;
        // Windows renames and removes no open file.
        drop((file, journal));
        let target = settle(&part, &folder, &name)?;
        remove(&journal_of(&part))?;
        checkpoint.remove()?;
        sync_folder(&target).map_err(io(doing))?;
        Ok(target)
    }

    /// Gives up and removes what there is.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn discard(self) -> Result<(), ItemError> {
        let Self {
            part,
            file,
            journal,
            checkpoint,
            ..
        } = self;
        drop((file, journal));
        checkpoint.remove()?;
        remove(&part)?;
        remove(&journal_of(&part))
    }

    fn usable(&self) -> Result<(), ItemError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn with(
        folder: &Path,
        manifest: &Manifest,
        options: &mut OpenOptions,
    ) -> Result<Self, ItemError> {
        let item = manifest.item();
        let name = name::clean(manifest.name());
        let part = part_of(folder, manifest.name(), item);
        let options = private(options.read(true).write(true));
        let open = |path: &Path| {
            options
                .open(path)
                .map_err(io("creating the file to receive"))
        };
        let file = open(&part)?;
        lock(&file, "locking the file to receive")?;
        Ok(Self {
            opener: Opener::new(manifest)?,
            folder: folder.to_owned(),
            name,
            file,
            journal: open(&journal_of(&part))?,
            checkpoint: Checkpoint::beside(&part, item, &manifest.plan.key)?,
            synced: 0,
            every: SYNCED,
            part,
            failed: None,
            records: Records::of(Way::Receiving, item, &manifest.plan.key)?,
        })
    }

    /// Counts every chunk of the `.part` file that is as it was written; cuts off the rest.
    fn take_up(&mut self) -> Result<(), ItemError> {
        let doing = "reading back the received file";
        self.skip().map_err(io(doing))?;
        let journal = &mut self.journal;
        let mut data = Zeroizing::new(Vec::new());
        while self.opener.next() < self.opener.layout().chunks() {
            let index = self.opener.next();
            let mut record = [0; RECORD];
            data.resize(self.opener.layout().data_len(index), 0);
            if !fully(journal.read_exact(&mut record)).map_err(io(doing))?
                || !fully(self.file.read_exact(&mut data)).map_err(io(doing))?
            {
                break;
            }
            let Ok(record) = self.records.read(&mut record) else {
                break;
            };
            let mut running = self.opener.running().clone();
            running.update(&data);
            if record.index != index || running.save() != record.running {
                break;
            }
            self.opener.count(&record.sealed, &data);
        }
        let next = self.opener.next();
        cut(journal, u64::from(next) * RECORD as u64).map_err(io(doing))?;
        cut(&mut self.file, self.opener.layout().data_start(next)).map_err(io(doing))
    }
}

impl Incoming {
    /// Takes the checkpoint up, if the files are as long as it says.
    fn skip(&mut self) -> std_io::Result<()> {
        let Some((chunks, running)) = self.checkpoint.read() else {
            return Ok(());
        };
        let start = self.opener.layout().data_start(chunks);
        let long = |file: &File, len: u64| Ok::<_, std_io::Error>(file.metadata()?.len() >= len);
        let records = u64::from(chunks) * RECORD as u64;
        if chunks > self.opener.layout().chunks()
            || !long(&self.file, start)?
            || !long(&self.journal, records)?
        {
            return Ok(());
        }
        let mut hashes = Vec::with_capacity(chunks as usize);
        let mut record = [0; RECORD];
        let mut reader = std_io::BufReader::new(&self.journal);
        for index in 0..chunks {
            reader.read_exact(&mut record)?;
            match self.records.read(&mut record) {
                Ok(record) if record.index == index => hashes.push(record.sealed),
                _ => {
                    self.journal.seek(SeekFrom::Start(0))?;
                    return Ok(());
                }
            }
        }
        self.journal.seek(SeekFrom::Start(records))?;
        self.file.seek(SeekFrom::Start(start))?;
        self.synced = start;
        self.opener.skip(&hashes, running);
        Ok(())
    }
}

/// Takes the room for a whole file, which does not grow by it: a disk that is too small says so at the
/// beginning, and a sync has no blocks to find.
pub(super) fn take_room(file: &File, size: u64) -> Result<(), ItemError> {
    #[cfg(target_os = "linux")]
    if size > 0 {
        use rustix::{
            fs::{FallocateFlags, fallocate},
            io::Errno,
        };
        return match fallocate(file, FallocateFlags::KEEP_SIZE, 0, size) {
            // Not every file system can; the room is then taken as it is used.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(io("making room on the disk for the file")(error.into())),
        };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, size);
    Ok(())
}

/// Only for the owner's eyes, where the system knows the notion.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Makes a file's name durable.
pub(crate) fn sync_folder(of: &Path) -> std_io::Result<()> {
    #[cfg(unix)]
    {
        let folder = match of.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = of;
    Ok(())
}

pub(super) fn journal_of(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

/// Whether all was there to be read.
fn fully(read: std_io::Result<()>) -> std_io::Result<bool> {
    match read {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

fn cut(file: &mut File, at: u64) -> std_io::Result<()> {
    file.set_len(at)?;
    file.seek(SeekFrom::Start(at)).map(drop)
}

pub(super) fn remove(path: &Path) -> Result<(), ItemError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(io("removing a temporary file")(error))
        }
        _ => Ok(()),
    }
}

/// Gives the verified file the first free name.
pub(super) fn settle(part: &Path, folder: &Path, name: &str) -> Result<PathBuf, ItemError> {
    for n in 1..=MAX_NAMES {
        let target = folder.join(match n {
            1 => name.to_owned(),
            n => name::numbered(name, n),
        });
        match rename_new(part, &target) {
            Ok(()) => return Ok(target),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("naming the received file")(error)),
        }
    }
    Err(ItemError::NoFreeName)
}

/// Renames, but never over something. A link is refused where the name is taken, in one step; file
/// systems without links (FAT) get a placeholder that is then replaced.
fn rename_new(from: &Path, to: &Path) -> std_io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(error),
        Err(_) => {
            OpenOptions::new().write(true).create_new(true).open(to)?;
            fs::rename(from, to).inspect_err(|_| {
                // Ours, and empty: no name without a verified file.
                let _ = fs::remove_file(to);
            })
        }
    }
}
