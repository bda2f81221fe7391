//! Bytes of unknown length on their way to becoming an item: an item's layout needs its size, so they
//! wait on disk, sealed under a key that only this process has, in a file without a name.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::Zeroizing;

/// Plaintext bytes sealed at a time.
const PIECE: usize = 256 << 10;
const TAG: usize = 16;

/// Takes bytes, then is read as often as needed.
pub(crate) struct Spool {
    file: File,
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
    /// An empty one. The file lies in this folder and goes with the process.
    pub(crate) fn new(folder: &Path) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; 32]);
        SystemRandom::new()
            .fill(key.as_mut())
            .map_err(|_| io::Error::other("the system gives no randomness"))?;
        let key =
            UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| io::Error::other("no key"))?;
        let mut id = [0; 8];
        SystemRandom::new()
            .fill(&mut id)
            .map_err(|_| io::Error::other("the system gives no randomness"))?;
        let path = folder.join(format!("{:016x}.spool", u64::from_be_bytes(id)));
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self {
            file,
            key: LessSafeKey::new(key),
            pieces: 0,
            len: 0,
            open: Zeroizing::new(Vec::with_capacity(PIECE + TAG)),
        })
    }

    /// No more is coming.
    pub(crate) fn finish(mut self) -> io::Result<Arc<Self>> {
        if !self.open.is_empty() {
            self.seal()?;
        }
        Ok(Arc::new(self))
    }

    /// Bytes taken.
    pub(crate) fn len(&self) -> u64 {
        self.len
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
            .map_err(|_| io::Error::other("the spool was altered"))?;
        bytes.truncate(len);
        Ok(bytes)
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
            let spool = spool.finish().unwrap();
            assert_eq!(spool.len(), len as u64);
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
                spool.file.write_all_at(&[raw[5] ^ 1], 5).unwrap();
                let mut reader = SpoolReader::new(spool);
                assert!(reader.read_to_end(&mut read).is_err());
            }
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
