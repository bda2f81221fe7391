//! Writing the store anew, from its own export: gives back the room of what was dropped, which sled
//! never does, and is the one step from a store version to the next.
//!
//! ```text
//! store            in use
//! store.rebuilt    whole, not in use yet: made beside, verified, then named so
//! store.before     what was in use until then; removed last
//! ```
//! | a crash leaves | the next start, or the next try |
//! |---|---|
//! | `store` and `store.rebuilt` | goes on with `store`; a next try begins anew |
//! | no `store`, `store.rebuilt`, `store.before` | takes `store.rebuilt`: it is whole |
//! | `store` and `store.before` | goes on with `store`; a next try removes the other |
//! | no `store`, and nothing beside it, where there was one | refuses: never an empty start over old data |

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::folder::Folder;
use crate::store::{EmbeddedStore, StoreOptions};

const STORE: &str = "store";
const REBUILT: &str = "store.rebuilt";
const BEFORE: &str = "store.before";
/// What import leaves when it is cut off.
const IMPORT: &str = "store.rebuilt.import";
/// Written first into every store.
const MARK: &str = "plenary-store";

/// Where the store is; takes up a rebuild that was cut off when it was all but done.
///
/// # Errors
/// There was a store, and there is none.
pub fn store_path(folder: &Folder) -> anyhow::Result<PathBuf> {
    if folder.first_start() {
        return Ok(folder.join(STORE));
    }
    store_in(folder.path())
}

/// The same of a data folder that was started before.
///
/// # Errors
/// There is no store.
pub fn store_in(data: &Path) -> anyhow::Result<PathBuf> {
    let path = data.join(STORE);
    if path.join(MARK).exists() {
        return Ok(path);
    }
    let rebuilt = data.join(REBUILT);
    if !path.exists() && rebuilt.join(MARK).exists() {
        rename(&rebuilt, &path)?;
        tracing::info!("took up a rebuild of the store that was cut off");
        return Ok(path);
    }
    bail!(
        "{} is missing, and this data folder had one: restore the newest backup into a new folder",
        path.display()
    );
}

/// Bytes of the store on disk, before and after.
pub type Sizes = (u64, u64);

/// Writes the store of a data folder anew. No server may run on it. Blocks, and must not run on a
/// thread that drives asynchronous tasks.
///
/// # Errors
/// A damaged store, a disk that is full: the old one then stays as it was.
pub fn rebuild(folder: &Folder) -> anyhow::Result<Sizes> {
    let path = store_path(folder)?;
    let [rebuilt, before, import] = [REBUILT, BEFORE, IMPORT].map(|name| folder.join(name));
    for left in [&rebuilt, &before, &import] {
        remove(left)?;
    }
    let old = size(&path)?;
    let store = EmbeddedStore::open(&path, StoreOptions::default())?;
    let (from, into) = io::pipe()?;
    let (exported, imported) = std::thread::scope(|scope| {
        let export = scope.spawn(|| export(&store, into));
        let imported = self::import(&rebuilt, from);
        (export.join(), imported)
    });
    store.close()?;
    // The export's own error says more than that its stream broke off.
    match exported {
        Ok(exported) => exported?,
        Err(_) => bail!("the export panicked"),
    }
    imported?;
    rename(&path, &before)?;
    rename(&rebuilt, &path)?;
    remove(&before)?;
    Ok((old, size(&path)?))
}

/// Takes the pipe, so that the other end sees its end.
fn export(store: &EmbeddedStore, mut into: PipeWriter) -> anyhow::Result<()> {
    Ok(store.export(&mut into)?)
}

fn import(rebuilt: &Path, mut from: PipeReader) -> anyhow::Result<()> {
    Ok(EmbeddedStore::import(rebuilt, &mut from)?)
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::rename(from, to)
        .and_then(|()| File::open(to.parent().unwrap_or(to))?.sync_all())
        .with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += match about.is_dir() {
            true => size(&entry.path())?,
            false => about.len(),
        };
    }
    Ok(bytes)
}
