//! Verifying a snapshot: without the secret key the medium, with it everything.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use data_encoding::HEXLOWER;
use plenary_certs::profile::SealingKey;
use serde::Serialize;

use super::key::BackupKey;
use super::layout::{CONTENTS, Contents, Manifest, newest, snapshot_path, sum_of};
use super::sealed::SealedReader;

/// What was found good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The snapshot.
    pub name: String,
    /// Files read to their end.
    pub files: u64,
    /// Sealed bytes of them.
    pub bytes: u64,
    /// Everything was opened with the secret key, too.
    pub opened: bool,
    /// Items in it; known with the key only.
    pub items: Option<u64>,
    /// Of them, those without bytes.
    pub without_bytes: Option<u64>,
}

/// Reads every file of a snapshot, the newest unless one is named, and compares it with the
/// manifest. With the secret key every file is opened as well. Blocks.
///
/// # Errors
/// The first file that is missing, damaged, or sealed to another key.
pub fn check(
    folder: &Path,
    wanted: Option<&str>,
    key: Option<&(BackupKey, SealingKey)>,
) -> anyhow::Result<Checked> {
    let name = newest(folder, wanted)?;
    let manifest = Manifest::read(folder, &name)?;
    let mut checked = Checked {
        name,
        files: 0,
        bytes: 0,
        opened: key.is_some(),
        items: None,
        without_bytes: None,
    };
    for file in &manifest.files {
        let path = folder.join(safe(&file.path)?);
        let sum = sum_of(&path)
            .with_context(|| format!("{} is missing; use another snapshot", path.display()))?;
        if sum.bytes != file.bytes || HEXLOWER.encode(&sum.blake3) != file.blake3 {
            bail!(
                "{} is damaged: its bytes are not those that were written; use another snapshot",
                path.display()
            );
        }
        checked.files += 1;
        checked.bytes += sum.bytes;
    }
    if let Some((public, secret)) = key {
        ensure!(
            public.id() == manifest.backup_key,
            "snapshot {} is sealed to backup key {}, this is {}",
            manifest.name,
            manifest.backup_key,
            public.id()
        );
        let contents = read_contents(folder, &manifest, secret)?;
        for file in &contents.files {
            let mut from = open(folder, &file.path, secret)?;
            io::copy(&mut from, &mut io::sink()).with_context(|| file.path.clone())?;
        }
        checked.items = Some(contents.items.len() as u64);
        checked.without_bytes = Some(contents.without_bytes.len() as u64);
    }
    Ok(checked)
}

/// What is in a snapshot, by its sealed list, which the open one must equal.
///
/// # Errors
/// Another key, damage, or an open list that was altered.
pub(super) fn read_contents(
    folder: &Path,
    manifest: &Manifest,
    secret: &SealingKey,
) -> anyhow::Result<Contents> {
    let place = snapshot_path(&manifest.name, CONTENTS);
    let contents: Contents = serde_json::from_reader(open(folder, &place, secret)?)
        .with_context(|| format!("{place} cannot be read"))?;
    let open_list = manifest.files.iter().filter(|file| file.path != place);
    ensure!(
        contents.name == manifest.name && open_list.eq(&contents.files),
        "the manifest of snapshot {} is not what was sealed with it; use another snapshot",
        manifest.name
    );
    Ok(contents)
}

/// Opens a sealed file of the backup.
pub(super) fn open(
    folder: &Path,
    place: &str,
    secret: &SealingKey,
) -> anyhow::Result<SealedReader<BufReader<File>>> {
    let path = folder.join(safe(place)?);
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    SealedReader::new(BufReader::new(file), secret, place)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// A path that a list names, if it stays below the folder.
fn safe(place: &str) -> anyhow::Result<&Path> {
    let path = Path::new(place);
    let plain = |part| matches!(part, std::path::Component::Normal(_));
    ensure!(
        path.components().all(plain),
        "the manifest names {place:?}, which is no file of a backup"
    );
    Ok(path)
}
