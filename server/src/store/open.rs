//! A start: lock, recognise, replay the journal, verify, checkpoint.
//!
//! | found | done |
//! |---|---|
//! | an empty folder, or one whose making was cut off | made anew |
//! | a torn frame at the journal's end | cut off: it was never acknowledged |
//! | frames after the checkpoint | applied to sled again, which changes nothing twice |
//! | less in the journal than was acknowledged, or than sled has | refused: damaged |
//! | less in sled than the checkpoint says, or other rows than the totals say | refused: damaged |

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use plenary_core::store::StoreError;

use super::{
    StoreOptions,
    big::Big,
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
    for part in [&dir.join("db"), &journal, &big] {
        if !part.exists() {
            return Err(damaged(format_args!("{} is missing", part.display())));
        }
    }
    let from = checkpoint::read(&folder.path, &folder.id)?;
    let tree = Tree::open(&dir, options.cache_bytes)?;
    let big = Big::open(&big)?;
    let end = replay(&folder, &tree, &journal, from)?;
    let marks = verify_rows(&tree, &big, end.totals)?;
    if options.verify_records {
        verify_record_total(&tree, end.totals)?;
    }
    // From here on nothing depends on frames that an earlier process may have failed to sync: what
    // they brought is written again, by sled.
    if end != from {
        tree.persist()?;
    }
    let open_end = Journal::start(&journal, folder.id, end)?;
    if end != from {
        checkpoint::write(&folder.path, &folder.id, &end)?;
        drop_through(&journal, end.frame)?;
    }
    let mark = open_mark(&folder.path, &end)?;
    Ok(Opened {
        folder,
        tree,
        big,
        journal: open_end,
        mark,
        marks,
    })
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
    sync_dir(&folder.path)
}

/// Applies the journal after `from` to sled. Returns where it ends.
fn replay(
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
    }
    if scanned.torn > 0 {
        cut(journal, scanned.torn)?;
        tracing::warn!(
            bytes = scanned.torn,
            "cut off the journal's torn end; it was never acknowledged"
        );
    }
    Ok(end)
}

/// Rows of several frames on their way into sled.
#[derive(Default)]
struct Gathered {
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

/// Takes `torn` bytes off the last segment's end.
fn cut(journal: &Path, torn: usize) -> Result<(), StoreError> {
    let Some((_, path)) = segments(journal)?.pop() else {
        return Ok(());
    };
    let fault = |error| io_fault("cut", &path, &error);
    let file = File::options().write(true).open(&path).map_err(fault)?;
    let len = file.metadata().map_err(fault)?.len();
    file.set_len(len.saturating_sub(torn as u64))
        .map_err(fault)?;
    file.sync_all().map_err(fault)
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
