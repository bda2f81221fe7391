//! What a download that was stopped leaves in a folder: how much, and away with it.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use plenary_proto::ids::ItemId;

use super::{
    ItemError,
    error::{io, lock},
    incoming::{journal_of, remove},
    name, sealed_path,
};

/// Where an item under this name gathers before it has its final one.
pub(crate) fn part_of(folder: &Path, name: &str, item: ItemId) -> PathBuf {
    let name = name::clean(name);
    folder.join(format!("{name}.{}.part", &item.to_string()[..16]))
}

/// Where a sample gathers.
pub(crate) fn sealed_part_of(folder: &Path, item: ItemId) -> PathBuf {
    sealed_path(folder, item).with_extension("sealed.part")
}

/// Bytes of a part; 0 if it is not there.
pub(crate) fn gathered(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |meta| meta.len())
}

/// Removes a part and what lies beside it.
///
/// # Errors
/// [`ItemError::InUse`] while a transfer has it; when the disk refuses.
pub(crate) fn discard(part: &Path) -> Result<(), ItemError> {
    let doing = "removing what was received";
    let open = OpenOptions::new().read(true).write(true).open(part);
    let file = match open {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        other => Some(other.map_err(io(doing))?),
    };
    if let Some(file) = &file {
        lock(file, doing)?;
    }
    remove(part)?;
    remove(&journal_of(part))?;
    let mut state = part.as_os_str().to_owned();
    state.push(".state");
    remove(Path::new(&state))
}
