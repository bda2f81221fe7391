//! Whether the machine started anew since the store was last open: then sled may have lost rows
//! without a word, and a start reads all of them.
//!
//! A process that was merely killed loses nothing that it gave to the system.

use std::{fs, path::Path};

use plenary_core::store::StoreError;

use super::folder::write_small;

const NAME: &str = "boot";
const MAGIC: &[u8; 8] = b"plenboot";

/// Whether the machine has been up since [`note`] was called. `false` where that cannot be told.
pub(super) fn is_same(dir: &Path) -> bool {
    match (fs::read(dir.join(NAME)), current()) {
        (Ok(noted), Some(now)) => super::folder::open_small(MAGIC, &noted) == Some(now.as_bytes()),
        _ => false,
    }
}

/// Notes that all of sled is known to be right, as long as the machine is up.
pub(super) fn note(dir: &Path) -> Result<(), StoreError> {
    match current() {
        Some(now) if !is_same(dir) => write_small(dir, NAME, MAGIC, now.as_bytes()),
        _ => Ok(()),
    }
}

fn current() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()
}
