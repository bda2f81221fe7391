//! Making a data folder of a snapshot: all of it, or none.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use plenary_certs::profile::SealingKey;
use plenary_core::items::Items;
use plenary_proto::ids::ItemId;
use plenary_proto::limits::BULK_MESSAGE;
use serde::Serialize;
use tokio::runtime::Handle;

use super::check::{open, read_contents};
use super::key::BackupKey;
use super::layout::{
    FOLDER, ItemEntry, Manifest, STORE, item_path, newest, snapshot_path, sync_parent,
};
use super::local::LISTS;
use crate::folder::FILES;
use crate::items::{FolderItems, ObjectBlobs, ObjectStoreSettings};
use crate::store::EmbeddedStore;

/// The largest of the small files: the hash list of an item of 128 GiB.
const SMALL: u64 = 16 << 20;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// The snapshot.
    pub name: String,
    /// Items with their bytes.
    pub items: u64,
    /// Items that the snapshot names without bytes: they are where they always were (S3), or lost.
    pub without_bytes: u64,
}

/// Makes the data folder `data`, which must not exist or be empty, of a snapshot: the newest, unless
/// one is named. Everything is verified on the way, down to the chains of the channels and the roots
/// of items. Blocks, and must not run on a thread that drives asynchronous tasks.
///
/// # Errors
/// A folder that is in use, a snapshot that is not whole, a key that is not the one. `data` is then
/// as it was.
pub fn restore(
    folder: &Path,
    wanted: Option<&str>,
    (public, secret): &(BackupKey, SealingKey),
    data: &Path,
    s3: &ObjectStoreSettings,
    runtime: &Handle,
) -> anyhow::Result<Restored> {
    let name = newest(folder, wanted)?;
    let manifest = Manifest::read(folder, &name)?;
    ensure!(
        public.id() == manifest.backup_key,
        "snapshot {name} is sealed to backup key {}, this is {}",
        manifest.backup_key,
        public.id()
    );
    let beside = place_beside(data)?;
    let contents = read_contents(folder, &manifest, secret)?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&beside)
        .with_context(|| format!("cannot make {}", beside.display()))?;
    let from = |file: &str| open(folder, &snapshot_path(&name, file), secret);
    let work = || -> anyhow::Result<u64> {
        unpack(from(FOLDER)?, &beside)?;
        EmbeddedStore::import(&beside.join("store"), &mut from(STORE)?)?;
        let path = beside.join("items");
        let items = match ObjectBlobs::open(s3)? {
            Some(blobs) => FolderItems::open_with(&path, blobs)?,
            None => FolderItems::open(&path)?,
        };
        let mut restored = 0;
        for entry in &contents.items {
            if contents.without_bytes.contains(&entry.item) {
                continue;
            }
            let mut bytes = open(folder, &item_path(&entry.item), secret)?;
            put_item(&items, entry, &mut bytes, runtime)
                .with_context(|| format!("item {} cannot be restored", entry.item))?;
            restored += 1;
        }
        Ok(restored)
    };
    let done = work();
    if done.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    let items = done?;
    if data.exists() {
        fs::remove_dir(data).with_context(|| format!("cannot replace {}", data.display()))?;
    }
    fs::rename(&beside, data).with_context(|| format!("cannot make {}", data.display()))?;
    sync_parent(data)?;
    Ok(Restored {
        name,
        items,
        without_bytes: contents.without_bytes.len() as u64,
    })
}

/// Where the folder is made before it gets its name.
fn place_beside(data: &Path) -> anyhow::Result<PathBuf> {
    if data.exists() && fs::read_dir(data)?.next().is_some() {
        bail!(
            "{} is not empty, and nothing is ever restored over data: move it away, or name a new folder with --data",
            data.display()
        );
    }
    let name = data
        .file_name()
        .with_context(|| format!("{} names no folder", data.display()))?;
    let mut beside = name.to_os_string();
    beside.push(".restoring");
    let beside = data.with_file_name(beside);
    ensure!(
        !beside.exists(),
        "{} is left from a restore that did not end; remove it",
        beside.display()
    );
    Ok(beside)
}

/// Unpacks the small files: those that a data folder has, and no others.
fn unpack(from: impl Read, into: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(into.join(LISTS))?;
    let mut from = from;
    let mut archive = tar::Archive::new(&mut from);
    let mut seen = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        let list = name
            .strip_prefix(LISTS)
            .and_then(|rest| rest.strip_prefix('/'));
        let known = FILES.contains(&name.as_str())
            || list.is_some_and(|item| item.parse::<ItemId>().is_ok());
        ensure!(
            known && entry.size() <= SMALL,
            "the backup holds {name:?}, which is no file of a data folder"
        );
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(into.join(&name))?;
        io::copy(&mut entry, &mut out)?;
        out.flush()?;
        out.sync_all()?;
        seen.push(name);
    }
    // To the sealed end: only there it is known to be whole.
    io::copy(&mut from, &mut io::sink())?;
    for needed in FILES {
        ensure!(
            seen.iter().any(|name| name == needed),
            "the backup lacks {needed}; use another snapshot"
        );
    }
    sync_parent(&into.join("x"))?;
    Ok(sync_parent(&into.join(LISTS).join("x"))?)
}

fn put_item(
    items: &FolderItems,
    entry: &ItemEntry,
    from: &mut dyn Read,
    runtime: &Handle,
) -> anyhow::Result<()> {
    let (reservation, root) = entry.parts()?;
    ensure!(
        (1..=BULK_MESSAGE as u32).contains(&reservation.chunk),
        "chunks of {} bytes",
        reservation.chunk
    );
    runtime.block_on(items.reserve(reservation))?;
    for index in 0..u32::try_from(reservation.chunks())? {
        let length = reservation.chunk_len(index).unwrap_or(0) as usize;
        let mut chunk = vec![0; length];
        from.read_exact(&mut chunk)?;
        runtime.block_on(items.put(reservation.item, index, Bytes::from(chunk)))?;
    }
    ensure!(from.read(&mut [0])? == 0, "it is longer than its list says");
    Ok(runtime.block_on(items.commit(reservation.item, root))?)
}
