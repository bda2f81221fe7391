//! Content too large for a row: one file each, named by its BLAKE3, verified on every read.
//!
//! A file is durable before the frame that names it and removed after the frame that no longer
//! does, so a crash leaves at most files that nobody names; a start removes those.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use plenary_core::store::StoreError;

use super::{
    fault::{damaged, io as io_fault},
    folder::{make_dir, sync_dir},
    rows::Content,
};

/// The folder of large content.
pub(super) struct Big {
    dir: PathBuf,
}

impl Big {
    /// Opens, or makes, the folder at `dir`.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        make_dir(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    /// Writes `content`, durable but for its name: see [`Big::sync`].
    pub fn write(&self, shared: &Content, content: &[u8]) -> Result<(), StoreError> {
        let path = self.path(shared);
        let beside = path.with_extension("new");
        let written = File::create(&beside)
            .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, &path));
        written.map_err(|error| {
            // Best effort: a start removes what stays.
            let _ = fs::remove_file(&beside);
            io_fault("write", &path, &error)
        })
    }

    /// Makes the names of all files written so far durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        sync_dir(&self.dir)
    }

    /// The content, verified; `None` if there is no such file.
    pub fn read(&self, shared: &Content) -> Result<Option<Bytes>, StoreError> {
        let path = self.path(shared);
        match fs::read(&path) {
            Ok(bytes) if Content::of(&bytes) == *shared => Ok(Some(bytes.into())),
            Ok(_) => Err(damaged(format_args!("{} does not verify", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_fault("read", &path, &error)),
        }
    }

    /// Removes a file that no row names any more. Failing to is no fault: a start tries again.
    pub fn remove(&self, shared: &Content) {
        let path = self.path(shared);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove large content");
        }
    }

    /// Checks that every file in `named` is there, and removes all others.
    pub fn sweep(&self, named: &[[u8; 32]]) -> Result<(), StoreError> {
        let mut named: HashSet<PathBuf> = named.iter().map(|hash| self.named(hash)).collect();
        let fault = |error| io_fault("list", &self.dir, &error);
        for entry in fs::read_dir(&self.dir).map_err(fault)? {
            let path = entry.map_err(fault)?.path();
            if !named.remove(&path) {
                fs::remove_file(&path).map_err(|error| io_fault("remove", &path, &error))?;
            }
        }
        match named.iter().next() {
            Some(path) => Err(damaged(format_args!("{} is missing", path.display()))),
            None => Ok(()),
        }
    }

    fn path(&self, shared: &Content) -> PathBuf {
        self.named(&shared.hash)
    }

    fn named(&self, hash: &[u8; 32]) -> PathBuf {
        let name = blake3::Hash::from_bytes(*hash).to_hex();
        self.dir.join(name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_what_it_reads_and_sweeps_what_nobody_names() {
        let dir = tempfile::tempdir().unwrap();
        let big = Big::open(dir.path()).unwrap();
        let (one, two) = (Content::of(b"one"), Content::of(b"two"));
        big.write(&one, b"one").unwrap();
        big.write(&two, b"two").unwrap();
        fs::write(dir.path().join("half.new"), "x").unwrap();
        big.sweep(&[one.hash]).unwrap();
        assert_eq!(big.read(&one), Ok(Some(Bytes::from_static(b"one"))));
        assert_eq!(big.read(&two), Ok(None));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::write(big.path(&one), b"onE").unwrap();
        assert!(matches!(big.read(&one), Err(StoreError::Damaged(_))));
        let missing = big.sweep(&[one.hash, two.hash]);
        assert!(matches!(missing, Err(StoreError::Damaged(_))));
    }
}
