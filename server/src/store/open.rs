//! A start: lock, recognise, replay the journal, verify, checkpoint.
//!
//! Records are read only if the machine started anew since, see [`boot`]; else when they are asked for.
//!
//! | found | done |
//! |---|---|
//! | an empty folder, or one whose making was cut off | made anew |
//! | a torn frame at the journal's end | cut off: it was never acknowledged |
//! | frames after the checkpoint | applied to sled again, which changes nothing twice |
//! | less in the journal than was acknowledged, or than sled has | refused: damaged |
//! | less in sled than the checkpoint says, other rows than the totals say, no sled | made anew: see [`base`] |
//! | the same without a base, or a base that does not verify | refused: damaged |

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
};

use plenary_core::store::StoreError;

use super::{
    StoreOptions,
    base::{self, Base},
    big::Big,
    boot,
    checkpoint::{self, MARK, encode_mark, read_mark},
    fault::{damaged, io as io_fault},
    folder::{Folder, make_dir, sync_dir},
    journal::{Journal, Position, drop_through, scan::scan, segments},
    marks::Marks,
    tree::Change,
    tree::Tree,
    verify::{applied, applied_row, verify_record_total, verify_rows},
};

/// Bytes of rows given to sled at once at a start.
const REPLAY_BYTES: usize = 4 << 20;

/// The parts of an opened store.
pub(super) struct Opened {
    pub folder: Folder,
    pub tree: Tree,
    pub big: Big,
    pub journal: Journal,
    pub base: Option<Base>,
    pub mark: File,
    pub marks: Marks,
}

/// Opens the store in `path`, or makes one in a new or empty folder.
pub(super) fn open(path: &Path, options: &StoreOptions) -> Result<Opened, StoreError> {
    let mut folder = Folder::open(path)?;
    let (dir, journal, big) = (
        folder.path.join("sled"),
        folder.path.join("journal"),
        folder.path.join("big"),
    );
    if folder.fresh {
        make(&folder, [&dir, &journal, &big], options)?;
        folder.completed()?;
    }
    for part in [&journal, &big] {
        if !part.exists() {
            return Err(damaged(format_args!("{} is missing", part.display())));
        }
    }
    let from = checkpoint::read(&folder.path, &folder.id)?;
    let big = Big::open(&big)?;
    let base = base::read(&folder.path, &folder.id);
    let load = || load(&folder, &big, &journal, from, options);
    let loaded = match (base, load_unless_torn(&folder.path, load)) {
        (Some(base), Err(error @ StoreError::Damaged(_))) => {
            tracing::warn!(%error, "sled is torn; making it anew from the journal");
            base::rebuild(&folder, &journal, &base, options)?;
            load()?
        }
        (_, loaded) => loaded?,
    };
    let Loaded { tree, end, marks } = loaded;
    if base.is_none() {
        tracing::warn!("the store has no base: until the next checkpoint a torn sled is for good");
    }
    base::sweep(&folder.path, base.as_ref())?;
    // From here on nothing depends on frames that an earlier process may have failed to sync: what
    // they brought is written again, by sled.
    if end != from {
        tree.persist()?;
    }
    let open_end = Journal::start(&journal, folder.id, end)?;
    if end != from {
        checkpoint::write(&folder.path, &folder.id, &end)?;
    }
    drop_through(&journal, base.map_or(end, |base| base.at).frame)?;
    boot::note(&folder.path)?;
    let mark = open_mark(&folder.path, &end)?;
    Ok(Opened {
        folder,
        tree,
        big,
        journal: open_end,
        base,
        mark,
        marks,
    })
}

/// sled, brought up to the journal's end and verified.
struct Loaded {
    tree: Tree,
    end: Position,
    marks: Marks,
}

fn load(
    folder: &Folder,
    big: &Big,
    journal: &Path,
    from: Position,
    options: &StoreOptions,
) -> Result<Loaded, StoreError> {
    let dir = folder.path.join("sled");
    let db = dir.join("db");
    if !db.exists() {
        return Err(damaged(format_args!("{} is missing", db.display())));
    }
    let tree = Tree::open(&dir, options.cache_bytes)?;
    let end = replay(folder, &tree, journal, from)?;
    let marks = verify_rows(&tree, big, end.totals)?;
    if options.verify_records || !boot::is_same(&folder.path) {
        verify_record_total(&tree, end.totals)?;
    }
    Ok(Loaded { tree, end, marks })
}

fn load_unless_torn(
    dir: &Path,
    load: impl FnOnce() -> Result<Loaded, StoreError>,
) -> Result<Loaded, StoreError> {
    if base::is_torn(dir) {
        return Err(damaged("a row in sled did not verify when it was read"));
    }
    load()
}

fn make(folder: &Folder, parts: [&Path; 3], options: &StoreOptions) -> Result<(), StoreError> {
    // Nothing in here was ever acknowledged: `completed` was not reached.
    for part in parts {
        if part.exists() {
            fs::remove_dir_all(part).map_err(|error| io_fault("remove", part, &error))?;
        }
    }
    let [dir, journal, big] = parts;
    make_dir(big)?;
    make_dir(journal)?;
    let tree = Tree::open(dir, options.cache_bytes)?;
    let (key, row) = applied_row(&folder.id, 0);
    tree.apply([(&key[..], Some(&row[..]))].into_iter())?;
    tree.persist()?;
    Journal::start(journal, folder.id, Position::START)?;
    checkpoint::write(&folder.path, &folder.id, &Position::START)?;
    base::write(&folder.path, &folder.id, &Base::EMPTY)?;
    sync_dir(&folder.path)
}

/// Applies the journal after `from` to sled. Returns where it ends.
pub(super) fn replay(
    folder: &Folder,
    tree: &Tree,
    journal: &Path,
    from: Position,
) -> Result<Position, StoreError> {
    let sled = tree_position(folder, tree, from)?;
    let acknowledged = read_mark(&folder.path);
    if acknowledged.is_none() && from != Position::START {
        tracing::warn!(
            "the mark of the last acknowledged frame is gone; the journal is taken as it is"
        );
    }
    let mut gathered = Gathered::default();
    let scanned = scan(
        journal,
        folder.id,
        from,
        |frame, changes| {
            gathered.take(changes);
            if gathered.bytes < REPLAY_BYTES {
                return Ok(());
            }
            std::mem::take(&mut gathered).apply(tree, &folder.id, frame)
        },
        |position| match acknowledged {
            Some(mark) if mark.frame == position.frame && mark != position => {
                Err(damaged(format_args!(
                    "frame {} in {} is not the one that was acknowledged",
                    mark.frame,
                    journal.display()
                )))
            }
            _ => Ok(()),
        },
    )?;
    let end = scanned.end;
    // Only now that the whole journal is known to be good.
    let known = acknowledged.map_or(0, |mark| mark.frame).max(sled);
    if end.frame < known {
        return Err(damaged(format_args!(
            "{} ends after frame {}, but frames up to {known} were acknowledged",
            journal.display(),
            end.frame
        )));
    }
    if end.frame > from.frame {
        gathered.apply(tree, &folder.id, end.frame)?;
        settle(journal, &end, scanned.torn)?;
    }
    if scanned.torn > 0 {
        tracing::warn!(
            bytes = scanned.torn,
            "cut off the journal's torn end; it was never acknowledged"
        );
    }
    Ok(end)
}

/// Rows of several frames on their way into sled.
#[derive(Default)]
pub(super) struct Gathered {
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl Gathered {
    fn take(&mut self, changes: &[Change<'_>]) {
        for (key, sealed) in changes {
            self.bytes += key.len() + sealed.map_or(0, <[u8]>::len);
            let sealed = sealed.map(<[u8]>::to_vec);
            self.rows.insert(key.to_vec(), sealed);
        }
    }

    fn apply(mut self, tree: &Tree, id: &[u8; 16], frame: u64) -> Result<(), StoreError> {
        let (key, row) = applied_row(id, frame);
        self.rows.insert(key, Some(row));
        self.put(tree)
    }

    /// Rows of a base: put into sled as soon as there are enough.
    pub fn take_in(&mut self, changes: &[Change<'_>], tree: &Tree) -> Result<(), StoreError> {
        self.take(changes);
        if self.bytes < REPLAY_BYTES {
            return Ok(());
        }
        std::mem::take(self).put(tree)
    }

    /// Puts the rows into sled.
    pub fn put(self, tree: &Tree) -> Result<(), StoreError> {
        let rows = self.rows.iter();
        tree.apply(rows.map(|(key, sealed)| (&key[..], sealed.as_deref())))
    }
}

/// The last frame that sled has, checked against the checkpoint.
fn tree_position(folder: &Folder, tree: &Tree, from: Position) -> Result<u64, StoreError> {
    let at = folder.path.join("sled");
    match applied(tree)? {
        None => Err(damaged(format_args!(
            "sled in {} has lost its rows",
            at.display()
        ))),
        Some((id, _)) if id != folder.id => Err(damaged(format_args!(
            "sled in {} is of another store",
            at.display()
        ))),
        Some((_, frame)) if frame < from.frame => Err(damaged(format_args!(
            "sled in {} has frames up to {frame}, but {} were on disk",
            at.display(),
            from.frame
        ))),
        Some((_, frame)) => Ok(frame),
    }
}

/// Writes the last segment that has frames anew, without `torn` bytes at its end.
///
/// After a failed fsync what is read back is only in memory, and a second fsync proves nothing.
fn settle(journal: &Path, end: &Position, torn: usize) -> Result<(), StoreError> {
    let Some((first, path)) = segments(journal)?.pop() else {
        return Ok(());
    };
    if first > end.frame {
        // No frame in it: a new one takes its place.
        return Ok(());
    }
    let beside = journal.join("settled.new");
    let mut bytes = fs::read(&path).map_err(|error| io_fault("read", &path, &error))?;
    bytes.truncate(bytes.len().saturating_sub(torn));
    File::create(&beside)
        .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, &path))
        .map_err(|error| io_fault("write", &path, &error))?;
    sync_dir(journal)
}

fn open_mark(dir: &Path, end: &Position) -> Result<File, StoreError> {
    use std::os::unix::fs::FileExt;

    let path = dir.join(MARK);
    let fault = |error| io_fault("write", &path, &error);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(fault)?;
    file.write_all_at(&encode_mark(end), 0).map_err(fault)?;
    file.sync_all().map_err(fault)?;
    sync_dir(dir)?;
    Ok(file)
}
