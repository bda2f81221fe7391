//! Making a snapshot.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use plenary_proto::ids::UnixMillis;

use super::key::BackupKey;
use super::layout::{
    CONTENTS, Contents, FOLDER, FileEntry, ItemEntry, Manifest, STORE, claim, is_unfinished,
    item_path, items, known_items, snapshot, snapshot_path, snapshots, sum_of, sync_parent,
    unfinished,
};
use super::sealed::SealedWriter;
use super::{NamedFile, Source};

/// What to make.
#[derive(Debug, Clone)]
pub struct Plan<'a> {
    /// Where backups are.
    pub folder: &'a Path,
    /// For whom.
    pub key: &'a BackupKey,
    /// Copy the items' bytes; otherwise they are listed only, for items that lie elsewhere (S3).
    pub with_items: bool,
    /// Snapshots to keep, this one included; `None`: all.
    pub keep: Option<usize>,
    /// Now.
    pub now: UnixMillis,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Made {
    /// The snapshot's name.
    pub name: String,
    /// Sealed bytes written.
    pub written: u64,
    /// Items in it.
    pub items: u64,
    /// Of them, those that lay in the folder already.
    pub reused: u64,
    /// Of them, those without bytes: left out, or gone while the backup was made.
    pub without_bytes: u64,
    /// Older snapshots removed.
    pub removed: u64,
}

/// Makes a snapshot of everything. Blocks.
///
/// # Errors
/// What the source or the disk refuses; what was copied so far serves the next try.
pub fn make(source: &mut dyn Source, plan: &Plan<'_>) -> anyhow::Result<Made> {
    let _lock = claim(plan.folder, plan.key)?;
    remove_unfinished(plan.folder)?;
    let name = name_of(plan)?;
    let part = snapshot(plan.folder, &unfinished(&name));
    fs::create_dir(&part).with_context(|| format!("cannot make {}", part.display()))?;
    let seal = |file: &str, fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>| {
        seal_file(
            &part.join(file),
            &snapshot_path(&name, file),
            plan.key,
            fill,
        )
    };
    let mut files = vec![seal(STORE, &mut |out| source.store(out))?];
    let named = source.folder(!plan.with_items)?;
    files.push(seal(FOLDER, &mut |out| archive(&named, out))?);
    let mut made = Made {
        name: name.clone(),
        written: files.iter().map(|file| file.bytes).sum(),
        items: 0,
        reused: 0,
        without_bytes: 0,
        removed: 0,
    };
    // After the store: every item that it names was there, unless it was removed since.
    let listed = source.items()?;
    made.items = listed.len() as u64;
    let mut without_bytes = Vec::new();
    let known = known_items(plan.folder)?;
    for entry in &listed {
        let copied = match plan.with_items {
            true => copy_item(source, plan, entry, &known)?,
            false => None,
        };
        match copied {
            Some((file, reused)) => {
                made.reused += u64::from(reused);
                made.written += if reused { 0 } else { file.bytes };
                files.push(file);
            }
            None => without_bytes.push(entry.item.clone()),
        }
    }
    made.without_bytes = without_bytes.len() as u64;
    let contents = Contents {
        name: name.clone(),
        files: files.clone(),
        items: listed,
        without_bytes,
    };
    let text = serde_json::to_vec(&contents)?;
    files.push(seal(CONTENTS, &mut |out| Ok(out.write_all(&text)?))?);
    sync_parent(&items(plan.folder).join("x"))?;
    Manifest::new(&name, plan.key, files).write(&part)?;
    let whole = snapshot(plan.folder, &name);
    fs::rename(&part, &whole)?;
    sync_parent(&whole)?;
    if let Some(keep) = plan.keep {
        made.removed = prune(plan.folder, keep)?;
    }
    source.done()?;
    Ok(made)
}

/// The moment, and a count should two be made in one second.
fn name_of(plan: &Plan<'_>) -> anyhow::Result<String> {
    let millis = i64::try_from(plan.now.0)?;
    let base = jiff::Timestamp::from_millisecond(millis)?
        .strftime("%Y-%m-%dT%H-%M-%SZ")
        .to_string();
    let taken = |name: &str| snapshot(plan.folder, name).exists();
    let mut names = (2..).map(|count| format!("{base}-{count}"));
    Ok(match taken(&base) {
        true => names.find(|name| !taken(name)).unwrap_or(base),
        false => base,
    })
}

/// What a try that broke off left: nothing in it can be used but items, which lie elsewhere.
fn remove_unfinished(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder.join("snapshots"))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_unfinished) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    for entry in fs::read_dir(items(folder))? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_unfinished) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn seal_file(
    path: &Path,
    place: &str,
    key: &BackupKey,
    fill: &mut dyn FnMut(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<FileEntry> {
    let what = || format!("cannot write {}", path.display());
    let file = File::create(path).with_context(what)?;
    let mut out =
        SealedWriter::new(BufWriter::new(file), key.public(), place).with_context(what)?;
    fill(&mut out)?;
    let (out, sum) = out.finish().with_context(what)?;
    let file = out.into_inner().map_err(|error| error.into_error());
    file.and_then(|file| file.sync_all()).with_context(what)?;
    Ok(FileEntry::new(place.to_owned(), sum))
}

fn archive(named: &[NamedFile], out: &mut dyn Write) -> anyhow::Result<()> {
    let mut archive = tar::Builder::new(out);
    for (name, bytes) in named {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, &bytes[..])?;
    }
    Ok(archive.finish()?)
}

/// The item's file, and whether it was there before. `None`: it is gone by now.
fn copy_item(
    source: &mut dyn Source,
    plan: &Plan<'_>,
    entry: &ItemEntry,
    known: &std::collections::HashMap<String, FileEntry>,
) -> anyhow::Result<Option<(FileEntry, bool)>> {
    let place = item_path(&entry.item);
    let path = plan.folder.join(&place);
    if let Ok(there) = fs::metadata(&path) {
        // Of a snapshot, or of a try that broke off after the item was whole.
        return Ok(Some((
            match known.get(&place) {
                Some(file) if file.bytes == there.len() => file.clone(),
                _ => FileEntry::new(place, sum_of(&path)?),
            },
            true,
        )));
    }
    let id = entry.id()?;
    let part = path.with_file_name(unfinished(&entry.item));
    let mut there = false;
    let file = seal_file(&part, &place, plan.key, &mut |out| {
        there = source.item(id, entry.size, out)?;
        Ok(())
    })?;
    if !there {
        fs::remove_file(&part)?;
        return Ok(None);
    }
    fs::rename(&part, &path)?;
    Ok(Some((file, false)))
}

/// Removes all but the newest snapshots, then items that none names.
fn prune(folder: &Path, keep: usize) -> anyhow::Result<u64> {
    let names = snapshots(folder)?;
    let (old, kept) = names.split_at(names.len().saturating_sub(keep.max(1)));
    let mut named = HashSet::new();
    for name in kept {
        // One that cannot be read may name anything: nothing is removed then.
        let manifest = Manifest::read(folder, name)?;
        named.extend(manifest.files.into_iter().map(|file| file.path));
    }
    for name in old {
        fs::remove_dir_all(snapshot(folder, name))?;
    }
    for entry in fs::read_dir(items(folder))? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| !named.contains(&item_path(name)))
        {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(old.len() as u64)
}
