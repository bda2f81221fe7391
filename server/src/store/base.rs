//! The base: all rows as of one frame. With the journal since it, sled can be made anew.
//!
//! sled cannot be trusted to survive a power loss: between two checkpoints it overwrites what it no
//! longer needs and counts on a disk that keeps the order of writes without being asked to. So the
//! journal is kept back to a base, not only to the last checkpoint, and a start that finds sled torn
//! makes it anew from both. The torn one stays beside it, for examination.
//!
//! A base is frames in segments, as the journal's, in a folder of its own. It is read from sled while
//! nothing is applied there, and counts only if the totals say that no row is missing: what sled lost
//! without a word must not replace what is right. Its rows may be newer than the frame that it is a
//! base for; those changes are in the journal, which is applied over it.
//!
//! A new base is made once the journal kept is larger than the base and some segments, so that what
//! is written for it is no more than what was written to the journal. Room on disk: sled, the base,
//! and about as much journal.

use std::{fs, io, path::Path};

use plenary_core::store::StoreError;

use super::{
    Shared, StoreOptions, checkpoint,
    fault::{damaged, io as io_fault},
    folder::{Folder, make_dir, open_small, sync_dir, write_small},
    journal::{
        AppendError, Journal, Position, drop_through, frame::write_change, scan::scan, segments,
    },
    open::{Gathered, replay},
    rows::{APPLIED, Fields},
    sum::Totals,
    tree::Tree,
    verify::{applied_row, verify_record_total},
};

const NAME: &str = "base";
const MAGIC: &[u8; 8] = b"plenbase";

/// Says that sled is to be made anew at the next start.
const TORN: &str = "sled.torn";

/// Bytes of rows in one frame.
const FRAME: usize = 4 << 20;

/// Bytes of one of its segments: each is read back whole.
const SEGMENT: u64 = 64 << 20;

/// Segments of the journal kept at most, however small.
const SEGMENTS: usize = 64;

/// Which base there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Base {
    /// The journal's frame that it is a base for; a segment begins right after.
    pub at: Position,
    /// The base's own last frame.
    end: Position,
    /// Bytes of its files.
    bytes: u64,
}

impl Base {
    /// Of a store that has all its journal.
    pub const EMPTY: Self = Self {
        at: Position::START,
        end: Position::START,
        bytes: 0,
    };
}

/// The base in the store's folder. `None` if there is none, or none that can be read: then sled
/// cannot be made anew, and nothing else is amiss. The next checkpoint makes one.
pub(super) fn read(dir: &Path, id: &[u8; 16]) -> Option<Base> {
    let bytes = fs::read(dir.join(NAME)).ok()?;
    let payload = open_small(MAGIC, &bytes)?;
    let (found, rest) = payload.split_first_chunk::<16>()?;
    let (at, rest) = rest.split_at_checked(checkpoint::POSITION)?;
    let (end, rest) = rest.split_at_checked(checkpoint::POSITION)?;
    let base = Base {
        at: checkpoint::decode(at).ok()?,
        end: checkpoint::decode(end).ok()?,
        bytes: Fields(rest).u64().ok()?,
    };
    (found == id).then_some(base)
}

/// Notes which base there is.
pub(super) fn write(dir: &Path, id: &[u8; 16], base: &Base) -> Result<(), StoreError> {
    let payload = [
        &id[..],
        &checkpoint::encode(&base.at),
        &checkpoint::encode(&base.end),
        &base.bytes.to_be_bytes(),
    ];
    write_small(dir, NAME, MAGIC, &payload.concat())
}

/// After a checkpoint at `at`: makes a new base if it is time, and drops the journal that no base
/// needs.
///
/// Errors: [`StoreError::Damaged`] if a row in sled does not verify; the next start makes sled anew.
pub(super) fn keep(
    shared: &Shared,
    base: &mut Option<Base>,
    at: &Position,
    segment_bytes: u64,
) -> Result<(), StoreError> {
    let dir = shared.journal();
    let mut kept = 0;
    let mut count = 0;
    for (first, path) in segments(&dir)? {
        if first <= at.frame {
            kept += fs::metadata(&path).map_or(0, |found| found.len());
            count += 1;
        }
    }
    let enough = |base: &Base| base.bytes.saturating_add(segment_bytes.saturating_mul(4));
    if base.is_some_and(|base| kept <= enough(&base) && count <= SEGMENTS) {
        return Ok(());
    }
    match make(shared, at) {
        Ok(made) => *base = Some(made),
        Err(error @ StoreError::Damaged(_)) => return Err(error),
        Err(error) => {
            // The journal just grows; a full disk may get room again.
            tracing::warn!(%error, "cannot make a base");
            return Ok(());
        }
    }
    drop_through(&dir, at.frame)
}

fn make(shared: &Shared, at: &Position) -> Result<Base, StoreError> {
    shared.layers.hold(|expected| make_of(shared, at, expected))
}

fn make_of(shared: &Shared, at: &Position, expected: Totals) -> Result<Base, StoreError> {
    let mut totals = Totals::default();
    let dir = shared.path.join(name(at.frame));
    remove(&dir)?;
    make_dir(&dir)?;
    let mut journal = Journal::start(&dir, shared.id, Position::START)?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    let mut put = |rows: &mut Vec<u8>| {
        bytes += rows.len() as u64;
        let written = journal.append(Totals::default(), |out| out.append(rows));
        let rotated = written.and_then(|()| match journal.len() {
            len if len < SEGMENT => Ok(()),
            _ => journal.rotate(),
        });
        rotated.map_err(|error| match error {
            AppendError::Refused(error) | AppendError::Unknown(error) => error,
        })
    };
    for row in shared.tree.range_sealed(..) {
        let (key, sealed) = row?;
        shared.tree.verify(&key, &sealed)?;
        if key.first() == Some(&APPLIED) {
            continue;
        }
        if let Some(sum) = sealed.first_chunk() {
            totals.add(&key, *sum);
        }
        write_change(&mut rows, (&key, Some(&sealed)));
        if rows.len() >= FRAME {
            put(&mut rows)?;
        }
    }
    put(&mut rows)?;
    if totals != expected {
        note_torn(&shared.path);
        return Err(damaged("sled has lost rows; the next start makes it anew"));
    }
    let base = Base {
        at: *at,
        end: journal.position(),
        bytes,
    };
    write(&shared.path, &shared.id, &base)?;
    sweep(&shared.path, Some(&base))?;
    tracing::info!(frame = at.frame, bytes, "made a base of the store");
    Ok(base)
}

/// Removes the folders of other bases, as a crash while making one leaves.
pub(super) fn sweep(dir: &Path, base: Option<&Base>) -> Result<(), StoreError> {
    let current = base.map(|base| name(base.at.frame));
    let fault = |error| io_fault("list", dir, &error);
    for entry in fs::read_dir(dir).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with("base-") && Some(&*found) != current.as_deref() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes sled anew from `base` and the journal since.
///
/// Errors: [`StoreError::Damaged`] if one of them is not what was written; then nothing has changed.
pub(super) fn rebuild(
    folder: &Folder,
    journal: &Path,
    base: &Base,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let fresh = folder.path.join("sled.new");
    remove(&fresh)?;
    let tree = Tree::open(&fresh, options.cache_bytes)?;
    let from = folder.path.join(name(base.at.frame));
    if *base != Base::EMPTY {
        let mut gathered = Gathered::default();
        let scanned = scan(
            &from,
            folder.id,
            Position::START,
            |_, changes| gathered.take_in(changes, &tree),
            |_| Ok(()),
        )?;
        if scanned.end != base.end || scanned.torn > 0 {
            return Err(damaged(format_args!("{} is incomplete", from.display())));
        }
        gathered.put(&tree)?;
    }
    let (key, row) = applied_row(&folder.id, base.at.frame);
    tree.apply([(&key[..], Some(&row[..]))].into_iter())?;
    let end = replay(folder, &tree, journal, base.at)?;
    verify_record_total(&tree, end.totals)?;
    tree.persist()?;
    drop(tree);

    let (sled, torn) = (folder.path.join("sled"), folder.path.join("sled.old"));
    remove(&torn)?;
    let rename = |from: &Path, to: &Path| match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_fault("rename", from, &error))
        }
        _ => Ok(()),
    };
    rename(&sled, &torn)?;
    rename(&fresh, &sled)?;
    sync_dir(&folder.path)?;
    remove(&folder.path.join(TORN))?;
    tracing::warn!(
        kept = %torn.display(),
        frames = end.frame,
        "sled was torn and has been made anew from the journal; the torn one may be removed"
    );
    Ok(())
}

/// Whether sled was found to be torn while it served.
pub(super) fn is_torn(dir: &Path) -> bool {
    dir.join(TORN).exists()
}

/// Has the next start make sled anew. Best effort: without it that start finds the same damage, or
/// the first reader.
pub(super) fn note_torn(dir: &Path) {
    if let Err(error) = fs::write(dir.join(TORN), b"") {
        tracing::warn!(%error, "cannot note that sled is torn");
    }
}

fn name(frame: u64) -> String {
    format!("base-{frame:016x}")
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_fault("remove", path, &error))
        }
        _ => Ok(()),
    }
}
