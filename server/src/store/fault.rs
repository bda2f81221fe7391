//! How the engine words its errors: what is wrong, where, and what to do about it.

use std::{fmt::Display, io, path::Path};

use plenary_core::store::StoreError;

/// What lies on disk is not what was written. `what` names the file, the place in it and, where
/// known, the channel.
pub(super) fn damaged(what: impl Display) -> StoreError {
    StoreError::Damaged(format!(
        "{what}; stop the server, keep this folder for examination and restore a backup export into a new one"
    ))
}

/// The disk refused. `doing` is a verb: "write", "open".
pub(super) fn io(doing: &str, path: &Path, error: &io::Error) -> StoreError {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space on the disk",
        io::ErrorKind::PermissionDenied => "; the server's account needs read and write there",
        _ => "",
    };
    StoreError::Unavailable(format!(
        "cannot {doing} {}: {error}{remedy}",
        path.display()
    ))
}
