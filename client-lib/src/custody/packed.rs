//! A bundle as one file: a tar archive (POSIX.1-1988, GNU extensions for long names) that holds the
//! bundle's folder, as RFC 8493, section 4, has bags packed. A folder cannot be mailed.
//!
//! One spelling: entries in order, no times, no owners. So whoever verifies it packs it again and
//! compares: a byte changed between the files is found like one within them.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, Builder, EntryType, Header};

use super::{Fault, bag::MAX_FILES};

/// Where a fault is that lies in none of the files.
const ARCHIVE: &str = "the archive";

/// Where tar writes what it is, and what.
const MAGIC_AT: u64 = 257;
const MAGIC: &[u8; 5] = b"ustar";

const MOST_DEPTH: usize = 8;

/// Whether a file looks like a tar archive.
pub(super) fn is_packed(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(MAGIC_AT))?;
        file.read_exact(&mut magic)
    });
    read.is_ok() && magic == *MAGIC
}

/// Writes a folder as an archive, under this name in it.
pub(crate) fn pack(folder: &Path, name: &str, to: &mut impl Write) -> io::Result<()> {
    let mut archive = Builder::new(to);
    pack_into(&mut archive, folder, Path::new(name))?;
    archive.into_inner().map(drop)
}

fn pack_into(archive: &mut Builder<impl Write>, folder: &Path, name: &Path) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    archive.append_data(&mut header, name, io::empty())?;
    let entries = fs::read_dir(folder)?;
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = name.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            pack_into(archive, &entry.path(), &name)?;
            continue;
        }
        let file = File::open(entry.path())?;
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(file.metadata()?.len());
        archive.append_data(&mut header, &name, file)?;
    }
    Ok(())
}

/// Unpacks an archive into an empty folder; where the bundle lies there.
///
/// # Errors
/// What is no bundle's archive: names that lead elsewhere, links, two folders side by side.
pub(super) fn unpack(archive: &Path, into: &Path) -> Result<PathBuf, Fault> {
    let at = Fault::at(ARCHIVE);
    let file = File::open(archive).map_err(&at)?;
    let mut archive = Archive::new(BufReader::new(file));
    let mut top: Option<PathBuf> = None;
    for (count, entry) in archive.entries().map_err(&at)?.enumerate() {
        let mut entry = entry.map_err(&at)?;
        let told = entry.path().map_err(&at)?.into_owned();
        let refused = |why: &str| Err(Fault::new(format!("{:?}", told.display()), why));
        if count > MAX_FILES {
            return refused("is one of too many files");
        }
        let plain = |part| matches!(part, Component::Normal(_));
        let depth = told.components().count();
        if !told.components().all(plain) || depth == 0 || depth > MOST_DEPTH {
            return refused("is no path within a bundle");
        }
        let first: PathBuf = told.components().take(1).collect();
        if top.get_or_insert_with(|| first.clone()) != &first {
            return refused("lies beside the bundle's folder");
        }
        let path = into.join(&told);
        let made = match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir(&path),
            EntryType::Regular => File::create_new(&path)
                .and_then(|mut file| io::copy(&mut entry, &mut file).map(drop)),
            _ => return refused("is neither a file nor a folder"),
        };
        made.map_err(Fault::at(&told.to_string_lossy()))?;
    }
    match top {
        Some(top) => Ok(into.join(top)),
        None => Err(Fault::new(ARCHIVE, "is empty")),
    }
}

/// Whether an archive is, byte for byte, this folder packed.
pub(super) fn compare(folder: &Path, archive: &Path) -> Result<(), Fault> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let mut beside = Beside {
        written: BufReader::new(File::open(archive).map_err(Fault::at(ARCHIVE))?),
        at: 0,
        differs: None,
    };
    let packed = pack(folder, &name, &mut beside);
    let differs = match (beside.differs, packed) {
        (Some(at), _) => Some(at),
        (None, Err(error)) => return Err(Fault::new(ARCHIVE, error)),
        (None, Ok(())) => match beside.written.read(&mut [0]) {
            Ok(0) => None,
            Ok(_) => Some(beside.at),
            Err(error) => return Err(Fault::new(ARCHIVE, error)),
        },
    };
    match differs {
        None => Ok(()),
        Some(at) => Err(Fault::new(
            ARCHIVE,
            format!(
                "was changed outside its files, at byte {at}, or packed by another program: then \
                 unpack it, and verify the folder"
            ),
        )),
    }
}

/// Takes what should be there and compares it with what is.
struct Beside {
    written: BufReader<File>,
    at: u64,
    differs: Option<u64>,
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut there = [0; 8192];
        let wanted = bytes.len().min(there.len());
        let read = self.written.read(&mut there[..wanted])?;
        let same = bytes.iter().zip(&there[..read]);
        let same = same.take_while(|(a, b)| a == b).count();
        self.at += same as u64;
        if read == 0 || same < read {
            self.differs = Some(self.at);
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(read)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
