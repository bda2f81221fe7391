//! SHA-256 of files, in pieces: a disk image does not fit into memory.

use std::{fmt, fs::File, io::Read, path::Path};

use anyhow::{Context, Result};
use ring::digest::{self, SHA256};

/// A SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Of a file, as `sha256sum` prints it.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of(path: &Path) -> Result<Sha256> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hash = digest::Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    Ok(Sha256(bytes))
}
