//! Bytes of unknown length on their way to becoming an item: an item's layout needs its size, so they
//! wait on disk, sealed under a key of their own.
//!
//! Once all bytes are there and synced, the key may be kept in the profile's store ([`Seed`]) and the
//! spool read by a later process: what came down a pipe comes once. Until then, and without its key, the
//! file is noise, and is removed.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use minicbor::{Decode, Encode};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::{Zeroize, Zeroizing};

/// How a spool's file name ends.
const EXTENSION: &str = "spool";

/// Plaintext bytes sealed at a time.
const PIECE: usize = 256 << 10;
const TAG: usize = 16;

/// Where a finished spool is and what opens it. Holds the key: keep it where keys are kept.
#[derive(Clone, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Seed {
    #[n(0)]
    name: String,
    #[cbor(n(1), with = "minicbor::bytes")]
    key: [u8; 32],
    #[n(2)]
    len: u64,
}

impl Seed {
    /// Bytes that were put in.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(&self.name)
    }

    /// Whether its file is there.
    pub(crate) fn is_there(&self, folder: &Path) -> bool {
        self.path(folder).is_file()
    }

    /// Removes its file; that it is gone already is no error.
    pub(crate) fn remove(&self, folder: &Path) -> io::Result<()> {
        gone(std::fs::remove_file(self.path(folder)))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Removes the spools of a folder that nobody knows the key of: their processes were stopped.
pub(crate) fn sweep(folder: &Path, known: &[Seed]) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path();
        let is_known = known.iter().any(|seed| seed.path(folder) == path);
        if path.extension().is_some_and(|it| it == EXTENSION) && !is_known {
            gone(std::fs::remove_file(path))?;
        }
    }
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Takes bytes, then is read as often as needed.
pub(crate) struct Spool {
    file: File,
    path: PathBuf,
    seed: Seed,
    /// All bytes are there: the file outlives this handle.
    whole: bool,
    key: LessSafeKey,
    pieces: u32,
    len: u64,
    open: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spool({} bytes)", self.len)
    }
}

impl Spool {
    /// An empty one, in this folder. Dropped before it is finished, it is removed.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let random = || io::Error::other("the system gives no randomness");
        let mut id = [0; 8];
        let mut seed = Seed {
            name: String::new(),
            key: [0; 32],
            len: 0,
        };
        SystemRandom::new().fill(&mut id).map_err(|_| random())?;
        let filled = SystemRandom::new().fill(&mut seed.key);
        filled.map_err(|_| random())?;
        seed.name = format!("{:016x}.{EXTENSION}", u64::from_be_bytes(id));
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let path = seed.path(folder);
        let file = options.open(&path)?;
        Self::with(file, path, seed)
    }

    /// A finished one, of a process before.
    pub(crate) fn open(folder: &Path, seed: &Seed) -> io::Result<Arc<Self>> {
        let path = seed.path(folder);
        let file = File::open(&path)?;
        let mut spool = Self::with(file, path, seed.clone())?;
        (spool.whole, spool.len) = (true, seed.len);
        Ok(Arc::new(spool))
    }

    fn with(file: File, path: PathBuf, seed: Seed) -> io::Result<Self> {
        let key =
            UnboundKey::new(&AES_256_GCM, &seed.key).map_err(|_| io::Error::other("no key"))?;
        Ok(Self {
            file,
            path,
            seed,
            whole: false,
            key: LessSafeKey::new(key),
            pieces: 0,
            len: 0,
            open: Zeroizing::new(Vec::new()),
        })
    }

    /// No more is coming; durable before the return.
    pub(crate) fn finish(mut self) -> io::Result<Seed> {
        if !self.open.is_empty() {
            self.seal()?;
        }
        self.file.sync_data()?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.whole = true;
        let mut seed = self.seed.clone();
        seed.len = self.len;
        Ok(seed)
    }

    fn seal(&mut self) -> io::Result<()> {
        let nonce = nonce(self.pieces);
        self.key
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut *self.open)
            .map_err(|_| io::Error::other("a piece is not sealed"))?;
        self.file.write_all(&self.open)?;
        self.open.clear();
        self.pieces = self
            .pieces
            .checked_add(1)
            .ok_or_else(|| io::Error::other("too many bytes"))?;
        Ok(())
    }

    fn piece(&self, index: u64) -> io::Result<Zeroizing<Vec<u8>>> {
        let start = index * PIECE as u64;
        let len = self.len.saturating_sub(start).min(PIECE as u64) as usize;
        if len == 0 {
            return Ok(Zeroizing::default());
        }
        let mut bytes = Zeroizing::new(vec![0; len + TAG]);
        let at = index * (PIECE + TAG) as u64;
        self.file.read_exact_at(&mut bytes, at)?;
        let index = u32::try_from(index).map_err(io::Error::other)?;
        self.key
            .open_in_place(nonce(index), Aad::empty(), &mut bytes)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the spool was altered"))?;
        bytes.truncate(len);
        Ok(bytes)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if !self.whole {
            // What stays is noise, and swept up later.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// One key a spool, each piece sealed once.
fn nonce(index: u32) -> Nonce {
    let mut nonce = [0; 12];
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.open.capacity() == 0 {
            self.open.reserve_exact(PIECE + TAG);
        }
        let room = PIECE - self.open.len();
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.open.extend_from_slice(taken);
        self.len += taken.len() as u64;
        if self.open.len() == PIECE {
            self.seal()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a finished spool.
pub(crate) struct SpoolReader {
    spool: Arc<Spool>,
    at: u64,
    piece: Option<(u64, Zeroizing<Vec<u8>>)>,
}

impl SpoolReader {
    /// From the start.
    pub(crate) fn new(spool: Arc<Spool>) -> Self {
        Self {
            spool,
            at: 0,
            piece: None,
        }
    }
}

impl Read for SpoolReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let index = self.at / PIECE as u64;
        if self.piece.as_ref().is_none_or(|(held, _)| *held != index) {
            self.piece = Some((index, self.spool.piece(index)?));
        }
        let within = (self.at % PIECE as u64) as usize;
        let rest = self
            .piece
            .as_ref()
            .and_then(|(_, bytes)| bytes.get(within..))
            .unwrap_or_default();
        let read = rest.len().min(into.len());
        into[..read].copy_from_slice(&rest[..read]);
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.spool.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_took_from_anywhere_and_shows_nothing_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        for len in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 77] {
            let bytes: Vec<u8> = (0..len).map(|n| (n * 31 % 251) as u8).collect();
            let mut spool = Spool::new(folder.path()).unwrap();
            for part in bytes.chunks(100_003) {
                spool.write_all(part).unwrap();
            }
            let seed = spool.finish().unwrap();
            assert_eq!(seed.len(), len as u64);
            // By what was kept of it, as a later process reads it.
            let kept = minicbor::to_vec(&seed).unwrap();
            drop(seed);
            let seed: Seed = minicbor::decode(&kept).unwrap();
            let spool = Spool::open(folder.path(), &seed).unwrap();
            let mut reader = SpoolReader::new(spool.clone());
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            assert!(read == bytes);
            for at in [0, len / 2, len] {
                reader.seek(SeekFrom::Start(at as u64)).unwrap();
                read.clear();
                reader.read_to_end(&mut read).unwrap();
                assert!(read == bytes[at..]);
            }
            let mut raw = Vec::new();
            (&spool.file).seek(SeekFrom::Start(0)).unwrap();
            (&spool.file).read_to_end(&mut raw).unwrap();
            if len > 100 {
                let plain = &bytes[..32];
                assert!(raw.windows(32).all(|window| window != plain));
                // An altered byte is noticed.
                let path = seed.path(folder.path());
                let file = File::options().write(true).open(path).unwrap();
                file.write_all_at(&[raw[5] ^ 1], 5).unwrap();
                let mut reader = SpoolReader::new(spool);
                assert!(reader.read_to_end(&mut read).is_err());
            }
            seed.remove(folder.path()).unwrap();
            seed.remove(folder.path()).unwrap();
            assert!(!seed.is_there(folder.path()));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn one_that_is_not_finished_goes_and_one_that_nobody_knows_is_swept_up() {
        let folder = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let mut given_up = Spool::new(folder.path()).unwrap();
        given_up.write_all(&[7; 2 * PIECE]).unwrap();
        assert_eq!(names(), 1);
        drop(given_up);
        assert_eq!(names(), 0);
        let mut spool = Spool::new(folder.path()).unwrap();
        spool.write_all(b"kept").unwrap();
        let kept = spool.finish().unwrap();
        // Killed: no destructor ran.
        std::mem::forget(Spool::new(folder.path()).unwrap());
        std::fs::write(folder.path().join("item.journal"), "another's").unwrap();
        sweep(folder.path(), std::slice::from_ref(&kept)).unwrap();
        assert!(kept.is_there(folder.path()) && names() == 2);
        sweep(folder.path(), &[]).unwrap();
        assert!(!kept.is_there(folder.path()) && names() == 1);
        sweep(&folder.path().join("none"), &[]).unwrap();
    }
}
