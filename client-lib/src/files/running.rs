//! A SHA-256 that can be put away and taken up again.

use std::{fs::File, io::Read, path::Path};

use plenary_proto::ids::Digest;
use sha2::{
    Digest as _, Sha256,
    digest::common::hazmat::{SerializableState, SerializedState},
};
use zeroize::Zeroizing;

use super::{ItemError, error::io};

/// Bytes read at a time.
const READ: u64 = 256 * 1024;

/// The flat SHA-256 of a file, as far as it has been read.
#[derive(Clone, Default)]
pub(super) struct Running(Sha256);

impl Running {
    /// Bytes of a saved state.
    pub(super) const SAVED: usize = size_of::<SerializedState<Sha256>>();

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn digest(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }

    /// The state: secret like the file, it tells the hash of what was read.
    pub(super) fn save(&self) -> Zeroizing<[u8; Self::SAVED]> {
        Zeroizing::new(self.0.serialize().into())
    }

    pub(super) fn restore(saved: &[u8; Self::SAVED]) -> Result<Self, ItemError> {
        Sha256::deserialize(&(*saved).into())
            .map(Self)
            .map_err(|_| ItemError::Journal)
    }
}

/// The flat SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> Result<Digest, ItemError> {
    let doing = "reading a file";
    let mut file = File::open(path).map_err(io(doing))?;
    let mut running = Running::default();
    let len = file.metadata().map_err(io(doing))?.len();
    let mut buffer = Zeroizing::new(vec![0; len.clamp(1, READ) as usize]);
    loop {
        match file.read(&mut buffer).map_err(io(doing))? {
            0 => return Ok(running.digest()),
            read => running.update(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_where_it_was_put_away() {
        for cut in [0, 1, 63, 64, 65, 200] {
            let bytes = [7; 200];
            let mut running = Running::default();
            running.update(&bytes[..cut]);
            let mut later = Running::restore(&running.save()).unwrap();
            later.update(&bytes[cut..]);
            let whole = ring::digest::digest(&ring::digest::SHA256, &bytes);
            assert_eq!(later.digest().0, whole.as_ref());
        }
        assert_eq!(
            Running::restore(&[0xff; Running::SAVED]).map(|_| ()),
            Err(ItemError::Journal)
        );
    }
}
