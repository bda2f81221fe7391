//! The store's folder: its lock, its identity and version, and how small files are written.
//!
//! ```text
//! plenary-store   format version, identity, whether the folder was ever complete
//! lock            held while a server runs
//! checkpoint      up to which journal frame sled is known to be on disk
//! boot            the machine's start since which sled is known to be right
//! durable         the last frame acknowledged
//! base            which base there is
//! base-FRAME/     all rows as of that frame
//! journal/        the log of record since the base
//! sled/           everything, for reading
//! sled.torn       sled is to be made anew at the next start
//! sled.old/       a torn sled that was replaced; may be removed
//! big/            content above 16 KiB, by its BLAKE3
//! ```

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use plenary_core::store::StoreError;
use ring::rand::{SecureRandom, SystemRandom};

use super::{
    fault::{damaged, io as io_fault},
    rows::Fields,
    sum::{SUM, sum},
};

const FORMAT: &str = "plenary-store";
const LOCK: &str = "lock";
const MAGIC: &[u8; 8] = b"plenstor";

/// Times 10 ms to wait for the lock: a process that is just being started holds, until it runs,
/// whatever the one that starts it held.
const LOCK_PATIENCE: u32 = 50;

/// Version of everything in the folder. A higher one is refused, never guessed at.
const VERSION: u32 = 1;

/// An open, locked folder. Unlocks when dropped.
pub(super) struct Folder {
    pub path: PathBuf,
    /// Says which store this is: stamped on every journal segment, the checkpoint and sled.
    pub id: [u8; 16],
    /// Nothing was ever stored here: the other files are yet to be made.
    pub fresh: bool,
    _lock: File,
}

impl Folder {
    /// Locks the folder at `path`, which is made if absent.
    ///
    /// Refuses one that another process holds, that is not empty and not a store, or that a newer
    /// version wrote.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        make_dir(path)?;
        let path = path
            .canonicalize()
            .map_err(|error| io_fault("open", path, &error))?;
        refuse_foreign(&path)?;
        let lock = take_lock(&path)?;
        let format = path.join(FORMAT);
        let found = match fs::read(&format) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_fault("read", &format, &error)),
        };
        let (id, complete) = match found {
            Some(bytes) => read_format(&format, &bytes)?,
            None => {
                let mut id = [0; 16];
                SystemRandom::new().fill(&mut id).map_err(|_| {
                    StoreError::Unavailable("the system gives no random bytes".into())
                })?;
                write_small(&path, FORMAT, MAGIC, &format_payload(&id, false))?;
                (id, false)
            }
        };
        Ok(Self {
            path,
            id,
            fresh: !complete,
            _lock: lock,
        })
    }

    /// Notes that every file is in place. From now on a missing one is damage.
    pub fn completed(&mut self) -> Result<(), StoreError> {
        write_small(&self.path, FORMAT, MAGIC, &format_payload(&self.id, true))?;
        self.fresh = false;
        Ok(())
    }
}

/// Makes a folder and makes its name durable.
pub(super) fn make_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(|error| io_fault("make the folder", path, &error))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .map_err(|error| io_fault("sync the folder", path, &error))
}

/// Writes a small checksummed file so that after a power loss it is the old one or the new one.
pub(super) fn write_small(
    dir: &Path,
    name: &str,
    magic: &[u8; 8],
    payload: &[u8],
) -> Result<(), StoreError> {
    let path = dir.join(name);
    let beside = dir.join(format!("{name}.new"));
    let bytes = seal_small(magic, payload);
    File::create(&beside)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, &path))
        .map_err(|error| io_fault("write", &path, &error))?;
    sync_dir(dir)
}

/// A small checksummed file: magic, version, payload, checksum.
pub(super) fn seal_small(magic: &[u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [&magic[..], &VERSION.to_be_bytes(), payload].concat();
    let sum = sum(&[&bytes]);
    bytes.extend_from_slice(&sum);
    bytes
}

/// The payload of a small checksummed file, `None` unless it is whole and of this version.
pub(super) fn open_small<'a>(magic: &[u8; 8], bytes: &'a [u8]) -> Option<&'a [u8]> {
    let (body, found) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    let payload = body
        .strip_prefix(magic)?
        .strip_prefix(&VERSION.to_be_bytes())?;
    (sum(&[body]) == found).then_some(payload)
}

fn refuse_foreign(path: &Path) -> Result<(), StoreError> {
    if path.join(FORMAT).exists() {
        return Ok(());
    }
    let fault = |error| io_fault("list", path, &error);
    for entry in fs::read_dir(path).map_err(fault)? {
        let name = entry.map_err(fault)?.file_name();
        // What a first start may leave that was cut off before its first file was whole.
        if name != LOCK && name != "plenary-store.new" {
            return Err(StoreError::Unavailable(format!(
                "{} holds {} and is no Plenary store; name a new or an empty folder, or the right one",
                path.display(),
                name.display()
            )));
        }
    }
    Ok(())
}

fn take_lock(path: &Path) -> Result<File, StoreError> {
    let at = path.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&at)
        .map_err(|error| io_fault("open", &at, &error))?;
    let mut patience = LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if patience > 0 => patience -= 1,
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Unavailable(format!(
                    "another server holds {}; stop it first",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(io_fault("lock", &at, &error)),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn format_payload(id: &[u8; 16], complete: bool) -> Vec<u8> {
    [&id[..], &[u8::from(complete)]].concat()
}

fn read_format(path: &Path, bytes: &[u8]) -> Result<([u8; 16], bool), StoreError> {
    let broken = || damaged(format_args!("{} is not what was written", path.display()));
    if let Some(version) = bytes.strip_prefix(MAGIC).and_then(<[u8]>::first_chunk) {
        let version = u32::from_be_bytes(*version);
        let whole = bytes.len() > SUM && {
            let (body, found) = bytes.split_at(bytes.len() - SUM);
            sum(&[body]) == found
        };
        if whole && version != VERSION {
            return Err(StoreError::Unavailable(format!(
                "{} is of store version {version}, this server knows {VERSION}; start the server version that wrote it",
                path.display()
            )));
        }
    }
    let payload = open_small(MAGIC, bytes).ok_or_else(broken)?;
    let mut fields = Fields(payload);
    match (fields.array(), fields.array()) {
        (Ok(id), Ok([complete @ 0..=1])) if fields.0.is_empty() => Ok((id, complete == 1)),
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(path: &Path) -> String {
        match Folder::open(path) {
            Ok(_) => panic!("opened {}", path.display()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn refuses_what_is_held_foreign_newer_or_broken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let mut folder = Folder::open(&path).unwrap();
        assert!(folder.fresh);
        assert!(error(&path).contains("another server holds"));
        folder.completed().unwrap();
        let id = folder.id;
        drop(folder);
        let folder = Folder::open(&path).unwrap();
        assert_eq!((folder.id, folder.fresh), (id, false));
        drop(folder);

        let format = path.join(FORMAT);
        let whole = fs::read(&format).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                fs::write(&format, &flipped).unwrap();
                assert!(
                    error(&path).contains("restore a backup"),
                    "bit {bit} of {at}"
                );
            }
            fs::write(&format, &whole[..at]).unwrap();
            assert!(error(&path).contains("restore a backup"), "cut at {at}");
        }
        let mut newer = whole[..whole.len() - SUM].to_vec();
        newer[8..12].copy_from_slice(&2u32.to_be_bytes());
        let tail = sum(&[&newer]);
        newer.extend_from_slice(&tail);
        fs::write(&format, newer).unwrap();
        assert!(error(&path).contains("store version 2, this server knows 1"));

        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("letters.txt"), "mine").unwrap();
        assert!(error(&foreign).contains("no Plenary store"));
        let left: Vec<_> = fs::read_dir(&foreign).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing may be added to a foreign folder");
    }
}
