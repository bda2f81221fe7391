//! What lies where in a backup folder, and what its lists say.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use plenary_core::items::Reservation;
use plenary_proto::ids::{Digest, ItemId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::key::BackupKey;
use super::sealed::Sum;

const MARK: &str = "plenary-backup.json";
const FORMAT: &str = "plenary backup";
/// Of folder, lists and sealed files. A higher one is refused.
const VERSION: u32 = 1;

/// Sealed: small files of the data folder, as a tar archive.
pub const FOLDER: &str = "folder";
/// Sealed: the store's export.
pub const STORE: &str = "store";
/// Sealed: [`Contents`].
pub const CONTENTS: &str = "contents";
const MANIFEST: &str = "manifest.json";

#[derive(Serialize, Deserialize)]
struct Mark {
    format: String,
    version: u32,
    backup_key: String,
}

/// A file of a snapshot, as it lies on the medium.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Below the backup folder.
    pub path: String,
    /// Sealed bytes.
    pub bytes: u64,
    /// BLAKE3 of them, in hex.
    pub blake3: String,
}

/// What a snapshot consists of, readable without a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: String,
    version: u32,
    /// The snapshot's name: when it was begun.
    pub name: String,
    /// Version of the server's program.
    pub software: String,
    /// Which key it is sealed to.
    pub backup_key: String,
    /// Every file.
    pub files: Vec<FileEntry>,
}

/// The same, sealed, with what is nobody's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The snapshot's name.
    pub name: String,
    /// Every file but this one.
    pub files: Vec<FileEntry>,
    /// Items that could be fetched.
    pub items: Vec<ItemEntry>,
    /// Of them, those whose bytes are not in the backup: left out, or gone meanwhile.
    pub without_bytes: Vec<String>,
}

/// An item, as reserved and committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemEntry {
    /// Which.
    pub item: String,
    /// Where it was handed over.
    pub channel: String,
    /// Who put it up.
    pub device: String,
    /// Sealed bytes.
    pub size: u64,
    /// Of every chunk but the last.
    pub chunk: u32,
    /// When it was reserved, in milliseconds since 1970.
    pub time: u64,
    /// Root over its chunks.
    pub root: String,
}

impl ItemEntry {
    /// Of a committed item.
    pub fn new(reservation: &Reservation, root: Digest) -> Self {
        Self {
            item: reservation.item.to_string(),
            channel: reservation.channel.to_string(),
            device: reservation.device.to_string(),
            size: reservation.size,
            chunk: reservation.chunk,
            time: reservation.time.0,
            root: root.to_string(),
        }
    }

    /// The item's name.
    ///
    /// # Errors
    /// It is none.
    pub fn id(&self) -> anyhow::Result<ItemId> {
        Ok(self.item.parse()?)
    }

    /// What to reserve and what to commit.
    ///
    /// # Errors
    /// A field that is none.
    pub fn parts(&self) -> anyhow::Result<(Reservation, Digest)> {
        let reservation = Reservation {
            item: self.item.parse()?,
            channel: self.channel.parse()?,
            device: self.device.parse()?,
            size: self.size,
            chunk: self.chunk,
            time: UnixMillis(self.time),
        };
        Ok((reservation, self.root.parse()?))
    }
}

impl FileEntry {
    /// Of a file written just now.
    pub fn new(path: String, sum: Sum) -> Self {
        Self {
            path,
            bytes: sum.bytes,
            blake3: HEXLOWER.encode(&sum.blake3),
        }
    }
}

impl Manifest {
    /// Of a new snapshot.
    pub fn new(name: &str, key: &BackupKey, files: Vec<FileEntry>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            name: name.to_owned(),
            software: env!("CARGO_PKG_VERSION").to_owned(),
            backup_key: key.id(),
            files,
        }
    }

    /// Reads that of a snapshot.
    ///
    /// # Errors
    /// None there, damaged, or of a newer version.
    pub fn read(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = snapshot(folder, name).join(MANIFEST);
        let text = fs::read(&path)
            .with_context(|| format!("cannot read {}: is there a snapshot?", path.display()))?;
        let manifest: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; use another snapshot", path.display()))?;
        check_version(&path, &manifest.format, manifest.version)?;
        ensure!(
            manifest.name == name,
            "{} is of another snapshot",
            path.display()
        );
        Ok(manifest)
    }

    /// Writes it into a folder that is becoming a snapshot.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, into: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(write_durably(&into.join(MANIFEST), text.as_bytes())?)
    }
}

fn check_version(path: &Path, format: &str, version: u32) -> anyhow::Result<()> {
    ensure!(
        format == FORMAT,
        "{} is no Plenary backup's",
        path.display()
    );
    ensure!(
        version <= VERSION,
        "{} is of backup version {version}, this program knows {VERSION}: use the version that made it, or a newer one",
        path.display()
    );
    Ok(())
}

/// A snapshot's folder.
pub fn snapshot(folder: &Path, name: &str) -> PathBuf {
    folder.join("snapshots").join(name)
}

/// The folder of items' bytes.
pub fn items(folder: &Path) -> PathBuf {
    folder.join("items")
}

/// An item's file, below the backup folder.
pub fn item_path(item: &str) -> String {
    format!("items/{item}")
}

/// A snapshot's file, below the backup folder.
pub fn snapshot_path(name: &str, file: &str) -> String {
    format!("snapshots/{name}/{file}")
}

/// All whole snapshots, oldest first: their names are moments.
///
/// # Errors
/// A folder that cannot be read.
pub fn snapshots(folder: &Path) -> anyhow::Result<Vec<String>> {
    let at = folder.join("snapshots");
    let mut names = Vec::new();
    for entry in fs::read_dir(&at).with_context(|| {
        format!(
            "{} holds no backups; name the folder that `plenary-server backup` wrote to",
            folder.display()
        )
    })? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && entry.path().join(MANIFEST).exists()
            && !is_unfinished(&name)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The newest whole snapshot, or the one that is asked for.
///
/// # Errors
/// There is none.
pub fn newest(folder: &Path, wanted: Option<&str>) -> anyhow::Result<String> {
    let mut names = snapshots(folder)?;
    match wanted {
        Some(wanted) if names.iter().any(|name| name == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => bail!(
            "{} has no whole snapshot {wanted}; there are: {}",
            folder.display(),
            names.join(", ")
        ),
        None => names
            .pop()
            .with_context(|| format!("{} has no whole snapshot", folder.display())),
    }
}

/// Of a snapshot that is being made.
pub fn unfinished(name: &str) -> String {
    format!("{name}.part")
}

/// Whether a folder is of a snapshot that was never completed.
pub fn is_unfinished(name: &str) -> bool {
    name.ends_with(".part")
}

/// Makes the folder a backup folder for this key, or makes sure that it is one, and locks it.
///
/// # Errors
/// It is another key's, somebody else's, of a newer version, or another backup is being written.
pub fn claim(folder: &Path, key: &BackupKey) -> anyhow::Result<File> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join(MARK);
    if !path.exists() {
        let mut there = fs::read_dir(folder)?;
        ensure!(
            there.next().is_none(),
            "{} holds other things: name a new or an empty folder for backups",
            folder.display()
        );
        let mark = Mark {
            format: FORMAT.to_owned(),
            version: VERSION,
            backup_key: key.id(),
        };
        write_durably(&path, (serde_json::to_string(&mark)? + "\n").as_bytes())?;
    }
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!(
            "another backup into {} is under way; wait for its end",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let mark: Mark =
        serde_json::from_reader(&file).with_context(|| format!("{} is damaged", path.display()))?;
    check_version(&path, &mark.format, mark.version)?;
    ensure!(
        mark.backup_key == key.id(),
        "{} is of backup key {}, not of {}: name another folder for another key",
        folder.display(),
        mark.backup_key,
        key.id()
    );
    for part in [items(folder), folder.join("snapshots")] {
        fs::create_dir_all(part)?;
    }
    Ok(file)
}

/// Files of items that earlier snapshots name.
pub fn known_items(folder: &Path) -> anyhow::Result<HashMap<String, FileEntry>> {
    let mut known = HashMap::new();
    for name in snapshots(folder)? {
        // A damaged one only makes its items be read again.
        let Ok(manifest) = Manifest::read(folder, &name) else {
            continue;
        };
        let files = manifest.files.into_iter();
        let files = files.filter(|file| file.path.starts_with("items/"));
        known.extend(files.map(|file| (file.path.clone(), file)));
    }
    Ok(known)
}

/// Writes a whole file or nothing, durably.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    sync_parent(path)
}

/// Makes a name durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Length and BLAKE3 of a file.
pub fn sum_of(path: &Path) -> io::Result<Sum> {
    let mut hasher = blake3::Hasher::new();
    let bytes = io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(Sum {
        bytes,
        blake3: *hasher.finalize().as_bytes(),
    })
}
