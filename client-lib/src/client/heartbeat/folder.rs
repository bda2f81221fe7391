//! The machine's folder. What was vouched for is on disk before it is handed out.
//!
//! | file | holds |
//! |---|---|
//! | `ledger` | network, hash of ROOT 1, every statement followed, each headed by its length |
//! | `direct/ID` | a statement given directly that the ledger lacks, as signed |
//! | `last` | the last heartbeat signed |
//! | `proofs/ID` | proofs of misuse |
//! | `lock` | held by the one process that works here |

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use plenary_certs::{
    ledger::{Heartbeat, Ledger},
    watch::Watch,
};
use plenary_proto::{
    ids::{Digest, NetworkId},
    limits,
};

use crate::error::{Error, ErrorKind};

const MAGIC: &[u8; 16] = b"plenary watch 1\n";
/// Bytes before the first statement.
const HEADER: usize = MAGIC.len() + 16 + 32;

/// See the module.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    ledger: File,
    _lock: File,
}

impl Folder {
    /// Opens the folder, or makes it, and reads and verifies what it holds.
    ///
    /// Errors: [`ErrorKind::InUse`], [`ErrorKind::Integrity`] if it is another network's or damaged.
    pub(super) fn open(
        path: &Path,
        network: NetworkId,
        root1: Digest,
    ) -> Result<(Self, Watch), Error> {
        for folder in [path, &path.join("direct"), &path.join("proofs")] {
            fs::create_dir_all(folder)?;
        }
        let lock = File::create(path.join("lock"))?;
        if lock.try_lock().is_err() {
            return Err(Error::new(
                ErrorKind::InUse,
                format!("another process vouches from {}: end it", path.display()),
            ));
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path.join("ledger"))?;
        let ledger = read_ledger(&mut file, network, root1)?;
        let folder = Self {
            path: path.to_owned(),
            ledger: file,
            _lock: lock,
        };
        let watch = Watch::new(ledger, folder.direct()?, folder.last()?);
        Ok((folder, watch))
    }

    /// Appends statements of the ledger; on disk when this returns.
    pub(super) fn put_statements(&mut self, statements: &[Vec<u8>]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for signed in statements {
            bytes.extend_from_slice(&(signed.len() as u32).to_be_bytes());
            bytes.extend_from_slice(signed);
        }
        self.ledger.write_all(&bytes)?;
        Ok(self.ledger.sync_all()?)
    }

    /// Keeps a statement given directly.
    pub(super) fn put_direct(&self, id: Digest, signed: &[u8]) -> Result<(), Error> {
        self.replace(&self.path.join("direct").join(id.to_string()), signed)
    }

    pub(super) fn drop_direct(&self, id: Digest) -> Result<(), Error> {
        match fs::remove_file(self.path.join("direct").join(id.to_string())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Keeps the heartbeat that is about to be handed out.
    pub(super) fn put_last(&self, signed: &[u8]) -> Result<(), Error> {
        let text = Heartbeat::to_text(signed);
        self.replace(&self.path.join("last"), text.as_bytes())
    }

    /// Keeps a proof; where.
    pub(super) fn put_proof(&self, id: Digest, proof: &[u8]) -> Result<PathBuf, Error> {
        let path = self.path.join("proofs").join(id.to_string());
        self.replace(&path, proof)?;
        Ok(path)
    }

    fn last(&self) -> Result<Option<Heartbeat>, Error> {
        let path = self.path.join("last");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Heartbeat::parse_text(&text)
            .and_then(|signed| Heartbeat::own(&signed))
            .map(Some)
            .map_err(|error| damaged(&path, &error))
    }

    fn direct(&self) -> Result<Vec<Vec<u8>>, Error> {
        let mut all = Vec::new();
        for entry in fs::read_dir(self.path.join("direct"))? {
            let path = entry?.path();
            // What a power loss left behind while it was written.
            if path.extension().is_none() {
                all.push(fs::read(path)?);
            }
        }
        Ok(all)
    }

    /// All of it or nothing, on disk.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let part = path.with_extension("part");
        let mut file = File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        let folder = path.parent().unwrap_or(&self.path);
        Ok(File::open(folder)?.sync_all()?)
    }
}

fn read_ledger(file: &mut File, network: NetworkId, root1: Digest) -> Result<Ledger, Error> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let header = [&MAGIC[..], &network.0, &root1.0].concat();
    let mut ledger = Ledger::new(network, root1);
    if bytes.len() < HEADER {
        // New, or its very first write was cut.
        file.set_len(0)?;
        file.write_all(&header)?;
        file.sync_all()?;
        return Ok(ledger);
    }
    if !bytes.starts_with(&header) {
        return Err(Error::new(
            ErrorKind::Integrity,
            "the folder holds the ledger of another network: choose another folder",
        ));
    }
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    while let Some((signed, next)) = frame(rest) {
        ledger.append(signed).map_err(|error| {
            Error::new(
                ErrorKind::Integrity,
                format!(
                    "the folder's ledger is damaged at {}: {error}; restore the folder, or begin with \
                     an empty one and a new heartbeat key",
                    ledger.len() + 1
                ),
            )
        })?;
        rest = next;
    }
    if !rest.is_empty() {
        // Cut by a power loss: the server has it.
        file.set_len((bytes.len() - rest.len()) as u64)?;
    }
    Ok(ledger)
}

/// The first whole statement, and what follows.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length) as usize;
    (length <= limits::STATEMENT).then(|| rest.split_at_checked(length))?
}

fn damaged(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Integrity,
        format!("{} is damaged: {error}", path.display()),
    )
}
