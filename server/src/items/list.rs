//! A committed item's list: its reservation, and the hash of every chunk. By it the stored bytes are
//! checked without any key.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use plenary_certs::item_root::ItemRoot;
use plenary_core::items::{ItemsError, Reservation};
use plenary_proto::ids::Digest;

use super::{about, sync_folder, unavailable};

const CONTEXT: &str = "plenary 2026-11 item list file v1";

/// A committed item's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// As reserved.
    pub about: Reservation,
    /// Of each chunk, in order.
    pub hashes: Vec<Digest>,
}

impl List {
    /// Writes it to a file that is not its final one; durable with its name.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut bytes = about::encode(&self.about);
        for hash in &self.hashes {
            bytes.extend_from_slice(hash.as_bytes());
        }
        let sum = blake3::derive_key(CONTEXT, &bytes);
        bytes.extend_from_slice(&sum);
        let mut file = File::create(path)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), sync_folder)
    }

    /// Reads it; `None` where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>, ItemsError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        let list = Self::parse(&bytes);
        list.map(Some).ok_or_else(|| about::damaged(path))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (bytes, sum) = bytes.split_last_chunk::<32>()?;
        if *sum != blake3::derive_key(CONTEXT, bytes) {
            return None;
        }
        let (about, hashes) = bytes.split_at_checked(about::LEN)?;
        let about = about::parse(about)?;
        let hashes: Vec<_> = hashes
            .chunks(Digest::LEN)
            .map(|hash| Digest::try_from(hash).ok())
            .collect::<Option<_>>()?;
        (hashes.len() as u64 == about.chunks()).then_some(Self { about, hashes })
    }

    /// The root over all chunks.
    pub fn root(&self) -> Digest {
        let mut root = ItemRoot::new(self.about.size, self.about.chunk);
        self.hashes.iter().for_each(|hash| root.push(hash));
        root.finish()
    }
}

/// The reservation at its beginning; `None` where there is no list.
pub fn read_about(path: &Path) -> Result<Option<Reservation>, ItemsError> {
    let mut bytes = [0; about::LEN];
    match File::open(path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(about::damaged(path));
        }
        Err(error) => return Err(unavailable(error)),
    }
    let about = about::parse(&bytes);
    about.map(Some).ok_or_else(|| about::damaged(path))
}
