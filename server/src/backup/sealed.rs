//! One sealed file of a backup: HPKE to the operator's offline key, then STREAM.
//!
//! ```text
//! "plenary sealed\0\1"  length:4  sealed file key (HPKE of the hybrid suite)
//! chunks of 1 MiB, each with its tag of 16; the last one shorter, or empty
//! ```
//! STREAM as in age and in Plenary's items: AES-256-GCM under a key of this file alone, the nonce a
//! count of 11 bytes and a flag that says which chunk is the last, so that nothing can be cut off,
//! moved or added. The HPKE context names the file's place in the backup.

use std::io::{self, Read, Write};

use plenary_certs::profile::SealingKey;
use plenary_certs::sealed_to::{OVERHEAD, open_sealed, seal_to};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

const MAGIC: &[u8; 16] = b"plenary sealed\0\x01";
const CONTEXT: &[u8] = b"plenary backup file v1\0";
const CHUNK: usize = 1 << 20;
const TAG: usize = 16;
const KEY: usize = 32;

/// What a sealed file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Sealed bytes.
    pub bytes: u64,
    /// BLAKE3 of them.
    pub blake3: [u8; 32],
}

/// Seals what is written. Only [`finish`](Self::finish) makes the file whole.
pub struct SealedWriter<W> {
    out: W,
    key: LessSafeKey,
    head: [u8; 32],
    buffer: Vec<u8>,
    index: u64,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a file at `place` in the backup, for the holder of the key whose public half is `to`.
    ///
    /// # Errors
    /// `to` is no public key, or `out` refuses.
    pub fn new(out: W, to: &[u8], place: &str) -> io::Result<Self> {
        let mut key = Zeroizing::new([0; KEY]);
        SystemRandom::new()
            .fill(&mut *key)
            .map_err(|_| io::Error::other("the system gives no randomness"))?;
        let sealed = seal_to(to, &context(place), &*key)
            .map_err(|_| io::Error::other("the backup key is no usable public key"))?;
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        let head = [&MAGIC[..], &length.to_be_bytes(), &sealed].concat();
        let mut writer = Self {
            out,
            key: cipher(&*key)?,
            head: *blake3::hash(&head).as_bytes(),
            buffer: Vec::with_capacity(CHUNK + TAG),
            index: 0,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        writer.put(&head)?;
        Ok(writer)
    }

    /// Seals what is left and ends the file.
    ///
    /// # Errors
    /// `out` refuses.
    pub fn finish(mut self) -> io::Result<(W, Sum)> {
        self.chunk(true)?;
        self.out.flush()?;
        let sum = Sum {
            bytes: self.bytes,
            blake3: *self.hasher.finalize().as_bytes(),
        };
        Ok((self.out, sum))
    }

    fn chunk(&mut self, last: bool) -> io::Result<()> {
        let mut sealed = std::mem::take(&mut self.buffer);
        self.key
            .seal_in_place_append_tag(nonce(self.index, last), Aad::from(self.head), &mut sealed)
            .map_err(|_| io::Error::other("cannot seal"))?;
        self.index += 1;
        self.put(&sealed)?;
        sealed.clear();
        self.buffer = sealed;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        self.out.write_all(bytes)
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits until more comes: it may be the last.
        if self.buffer.len() == CHUNK {
            self.chunk(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a sealed file. What is read is authentic; that it is whole is known at the end only, which
/// is an error unless it is.
pub struct SealedReader<R> {
    from: R,
    key: LessSafeKey,
    head: [u8; 32],
    chunk: Vec<u8>,
    at: usize,
    index: u64,
    ended: bool,
}

impl<R: Read> SealedReader<R> {
    /// Opens a file with the secret key.
    ///
    /// # Errors
    /// It is no sealed file, sealed to another key, or from another place in a backup.
    pub fn new(mut from: R, key: &SealingKey, place: &str) -> io::Result<Self> {
        let mut start = [0; MAGIC.len() + 4];
        from.read_exact(&mut start).map_err(|_| no_file())?;
        let (magic, length) = start.split_at(MAGIC.len());
        let length = <[u8; 4]>::try_from(length).map_or(0, u32::from_be_bytes) as usize;
        if magic != MAGIC || length > KEY + OVERHEAD {
            return Err(no_file());
        }
        let mut sealed = vec![0; length];
        from.read_exact(&mut sealed).map_err(|_| no_file())?;
        let opened = open_sealed(key, &context(place), &sealed).map_err(|_| {
            io::Error::other("it is sealed to another backup key, or is another file's content")
        })?;
        Ok(Self {
            from,
            key: cipher(&opened)?,
            head: *blake3::hash(&[&start[..], &sealed].concat()).as_bytes(),
            chunk: Vec::new(),
            at: 0,
            index: 0,
            ended: false,
        })
    }

    fn next(&mut self) -> io::Result<()> {
        // One byte more than a chunk has: whether there is one says which chunk is the last.
        let ahead = self.chunk.pop().filter(|_| self.index > 0);
        self.chunk.clear();
        self.chunk.extend(ahead);
        let wanted = (CHUNK + TAG + 1 - self.chunk.len()) as u64;
        self.from
            .by_ref()
            .take(wanted)
            .read_to_end(&mut self.chunk)?;
        let more = (self.chunk.len() > CHUNK + TAG)
            .then(|| self.chunk.pop())
            .flatten();
        let opened = self
            .key
            .open_in_place(
                nonce(self.index, more.is_none()),
                Aad::from(self.head),
                &mut self.chunk,
            )
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is damaged or cut off"))?
            .len();
        self.chunk.truncate(opened);
        self.ended = more.is_none();
        self.chunk.extend(more);
        self.index += 1;
        self.at = 0;
        Ok(())
    }

    fn ready(&self) -> &[u8] {
        let ahead = usize::from(!self.ended && self.index > 0);
        self.chunk
            .get(self.at..self.chunk.len() - ahead)
            .unwrap_or_default()
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.ready().is_empty() && !self.ended {
            self.next()?;
        }
        let ready = self.ready();
        let given = ready.len().min(into.len());
        into[..given].copy_from_slice(&ready[..given]);
        self.at += given;
        Ok(given)
    }
}

fn context(place: &str) -> Vec<u8> {
    [CONTEXT, place.as_bytes()].concat()
}

fn cipher(key: &[u8]) -> io::Result<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key)
        .map(LessSafeKey::new)
        .map_err(|_| no_file())
}

fn nonce(index: u64, last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[3..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = u8::from(last);
    Nonce::assume_unique_for_key(nonce)
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no sealed file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use plenary_certs::profile::sealing_keypair;
    use proptest::prelude::*;

    fn sealed(key: &SealingKey, place: &str, bytes: &[u8]) -> Vec<u8> {
        let mut writer = SealedWriter::new(Vec::new(), key.public(), place).unwrap();
        writer.write_all(bytes).unwrap();
        let (out, sum) = writer.finish().unwrap();
        assert_eq!(sum.bytes, out.len() as u64);
        assert_eq!(sum.blake3, *blake3::hash(&out).as_bytes());
        out
    }

    fn opened(key: &SealingKey, place: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        SealedReader::new(bytes, key, place)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_length_around_a_chunk_comes_back() {
        let key = sealing_keypair().unwrap();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7] {
            let text: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let file = sealed(&key, "a", &text);
            assert!(opened(&key, "a", &file).unwrap() == text, "{length}");
        }
    }

    #[test]
    fn another_key_or_place_or_a_chunk_less_is_refused() {
        let (key, other) = (sealing_keypair().unwrap(), sealing_keypair().unwrap());
        let file = sealed(&key, "a", &vec![5; 2 * CHUNK + 100]);
        assert!(opened(&other, "a", &file).is_err());
        assert!(opened(&key, "b", &file).is_err());
        // Cut where a chunk ends, and in all other ways.
        let chunk = CHUNK + TAG;
        let head = file.len() - 2 * chunk - 100 - TAG;
        for cut in [0, 10, head, head + chunk, head + 2 * chunk, file.len() - 1] {
            assert!(opened(&key, "a", &file[..cut]).is_err(), "{cut}");
        }
        // Two chunks changed places.
        let mut swapped = file.clone();
        swapped[head..head + 2 * chunk].rotate_left(chunk);
        assert!(opened(&key, "a", &swapped).is_err());
        let mut longer = file;
        longer.push(0);
        assert!(opened(&key, "a", &longer).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bit_can_be_changed(at: prop::sample::Index, bit in 0..8u32, text: Vec<u8>) {
            let key = sealing_keypair().unwrap();
            let mut file = sealed(&key, "a", &text);
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
            prop_assert!(opened(&key, "a", &file).is_err());
        }
    }
}
