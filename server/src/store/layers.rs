//! What is durable in the journal and not yet in sled: one layer a frame, over sled's rows.
//!
//! An operation is answered once its frame is on disk; sled is applied behind, several frames at
//! once, because sled pays by the row and a hot channel then costs it few. Readers look through the
//! layers first, so they see everything answered, in sled or not.

use std::{
    collections::BTreeMap,
    ops::{Bound, RangeBounds},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

use plenary_core::store::StoreError;

use super::{
    sum::{SUM, Totals},
    tree::{Change, Row, Tree},
};

/// A row of a batch.
pub(super) struct Entry {
    /// Checksum of the row before the batch.
    pub before: Option<[u8; SUM]>,
    /// Checksum and value after it.
    pub now: Option<Vec<u8>>,
}

/// The rows of one frame.
pub(super) struct Layer {
    pub frame: u64,
    /// Of all rows once it is applied.
    pub totals: Totals,
    pub entries: BTreeMap<Vec<u8>, Entry>,
}

impl Layer {
    fn bytes(&self) -> usize {
        let entries = self.entries.iter();
        entries
            .map(|(key, entry)| key.len() + entry.now.as_ref().map_or(0, Vec::len))
            .sum()
    }
}

/// Bytes in layers at which sled is applied at once.
const ENOUGH: usize = 512 * 1024;

/// Bytes in layers at which the writer waits for sled.
const TOO_MUCH: usize = 16 << 20;

/// The same while sled is held: reading all of it takes seconds.
const TOO_MUCH_HELD: usize = 96 << 20;

/// How long a layer may wait for more.
const DELAY: Duration = Duration::from_millis(25);

/// All layers.
#[derive(Default)]
pub(super) struct Layers {
    /// Oldest first. Replaced as a whole, so that a reader's copy is one pointer.
    stack: RwLock<Arc<Vec<Arc<Layer>>>>,
    progress: Mutex<Progress>,
    moved: Condvar,
}

#[derive(Default)]
struct Progress {
    bytes: usize,
    /// The last frame in sled.
    applied: u64,
    /// Of the rows in sled.
    totals: Totals,
    /// Somebody reads sled and nothing may be applied.
    held: bool,
    /// It is being applied to right now.
    applying: bool,
    /// When the oldest layer came.
    since: Option<Instant>,
    /// Somebody waits for sled: no delay.
    hurry: bool,
    /// No more layers will come.
    closed: bool,
    /// sled takes no more.
    failed: bool,
}

impl Progress {
    fn too_much(&self) -> usize {
        if self.held { TOO_MUCH_HELD } else { TOO_MUCH }
    }
}

impl Layers {
    /// The layers now, oldest first.
    pub fn now(&self) -> Arc<Vec<Arc<Layer>>> {
        Arc::clone(&self.stack.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the newest. Waits while there is too much, unless sled has failed.
    pub fn push(&self, layer: Layer) {
        let bytes = layer.bytes();
        // Stack and progress change together, or a layer could come that nobody is told of.
        let mut progress = self.progress();
        self.replace(|stack| stack.push(Arc::new(layer)));
        // Only what changes when sled is applied wakes who applies.
        let first = progress.since.is_none();
        let enough = progress.bytes < ENOUGH && progress.bytes + bytes >= ENOUGH;
        progress.bytes += bytes;
        progress.since.get_or_insert_with(Instant::now);
        if first || enough {
            self.moved.notify_all();
        }
        while progress.bytes > progress.too_much() && !progress.failed {
            progress = self.wait(progress);
        }
    }

    /// Applies layers to sled until [`close`](Self::close), or until sled fails.
    pub fn run(&self, tree: &Tree, applied_row: impl Fn(u64) -> Row) -> Result<(), StoreError> {
        while self.wait_for_work() {
            let layers = self.now();
            self.apply(tree, &layers, &applied_row)?;
        }
        Ok(())
    }

    /// sled takes no more: nobody may wait for it.
    pub fn fail(&self) {
        let mut progress = self.progress();
        progress.failed = true;
        progress.applying = false;
        drop(progress);
        self.moved.notify_all();
    }

    /// Waits until sled has `frame`. `false` if it never will.
    pub fn wait_applied(&self, frame: u64) -> bool {
        let mut progress = self.progress();
        while progress.applied < frame && !progress.failed {
            progress.hurry = true;
            self.moved.notify_all();
            progress = self.wait(progress);
        }
        progress.applied >= frame
    }

    /// Says where sled stands at a start.
    pub fn start_at(&self, frame: u64, totals: Totals) {
        let mut progress = self.progress();
        progress.applied = frame;
        progress.totals = totals;
    }

    /// Runs `read` while nothing is applied to sled; it is given the totals of the rows there.
    pub fn hold<T>(&self, read: impl FnOnce(Totals) -> T) -> T {
        let mut progress = self.progress();
        progress.held = true;
        while progress.applying {
            progress = self.wait(progress);
        }
        let totals = progress.totals;
        drop(progress);
        let read = read(totals);
        self.progress().held = false;
        self.moved.notify_all();
        read
    }

    /// No more layers will come: [`run`](Self::run) applies what is there and ends.
    pub fn close(&self) {
        self.progress().closed = true;
        self.moved.notify_all();
    }

    /// Waits until it is time to apply. `false` at the end.
    fn wait_for_work(&self) -> bool {
        let mut progress = self.progress();
        loop {
            let due = progress.since.map(|since| since + DELAY);
            let now = Instant::now();
            match due {
                _ if progress.held => progress = self.wait(progress),
                None if progress.closed => return false,
                None => progress = self.wait(progress),
                Some(_) if progress.hurry || progress.closed => break,
                Some(due) if progress.bytes >= ENOUGH || due <= now => break,
                Some(due) => {
                    let waited = self.moved.wait_timeout(progress, due - now);
                    progress = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
        progress.hurry = false;
        progress.applying = true;
        true
    }

    fn apply(
        &self,
        tree: &Tree,
        layers: &[Arc<Layer>],
        applied_row: &impl Fn(u64) -> Row,
    ) -> Result<(), StoreError> {
        let Some(last) = layers.last() else {
            self.progress().applying = false;
            return Ok(());
        };
        let (key, row) = applied_row(last.frame);
        let mut rows = merged(layers, &(Bound::Unbounded, Bound::Unbounded));
        rows.insert(&key, Some(&row));
        tree.apply(rows.into_iter())?;
        let frame = last.frame;
        let mut progress = self.progress();
        self.replace(|stack| stack.retain(|layer| layer.frame > frame));
        let left = self.now();
        progress.applied = frame;
        progress.totals = last.totals;
        progress.applying = false;
        let bytes: usize = layers.iter().map(|layer| layer.bytes()).sum();
        progress.bytes = progress.bytes.saturating_sub(bytes);
        progress.since = (!left.is_empty()).then(Instant::now);
        self.moved.notify_all();
        Ok(())
    }

    fn replace(&self, change: impl FnOnce(&mut Vec<Arc<Layer>>)) {
        let mut stack = self.stack.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::clone(&stack);
        change(&mut new);
        *stack = Arc::new(new);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, progress: MutexGuard<'a, Progress>) -> MutexGuard<'a, Progress> {
        self.moved
            .wait(progress)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rows of several layers within a range, the newest of each.
fn merged<'a>(
    layers: &'a [Arc<Layer>],
    range: &(Bound<Vec<u8>>, Bound<Vec<u8>>),
) -> BTreeMap<&'a [u8], Option<&'a [u8]>> {
    let mut rows: BTreeMap<&[u8], Option<&[u8]>> = BTreeMap::new();
    for layer in layers {
        let entries = layer.entries.range::<Vec<u8>, _>(range.clone());
        rows.extend(entries.map(|(key, entry)| -> Change<'_> { (key, entry.now.as_deref()) }));
    }
    rows
}

/// All rows as of one moment: layers over sled. sled may move on meanwhile, so rows that belong
/// together can be of two moments; who reads several looks twice.
pub(super) struct View<'a> {
    pub tree: &'a Tree,
    layers: Arc<Vec<Arc<Layer>>>,
}

impl<'a> View<'a> {
    pub fn new(tree: &'a Tree, layers: &Layers) -> Self {
        // The layers first: what leaves them later is in sled by then.
        Self {
            layers: layers.now(),
            tree,
        }
    }

    /// The value of a row.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.layered(key) {
            Some(now) => Ok(now.map(|sealed| sealed[SUM..].to_vec())),
            None => self.tree.get(key),
        }
    }

    /// Checksum of a row.
    pub fn sum(&self, key: &[u8]) -> Result<Option<[u8; SUM]>, StoreError> {
        let first = |sealed: &[u8]| sealed.first_chunk().copied();
        match self.layered(key) {
            Some(now) => Ok(now.and_then(first)),
            None => Ok(self.tree.get_sealed(key)?.as_deref().and_then(first)),
        }
    }

    /// Rows in byte order of their keys.
    pub fn range(
        &self,
        range: impl RangeBounds<Vec<u8>>,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let value = |sealed: &[u8]| sealed[SUM..].to_vec();
        let mut over = merged(&self.layers, &range).into_iter().peekable();
        let mut under = self.tree.range(range).peekable();
        std::iter::from_fn(move || {
            loop {
                let next_under = match under.peek() {
                    Some(Ok((key, _))) => Some(key),
                    Some(Err(_)) => return under.next(),
                    None => None,
                };
                let Some((key, _)) = over.peek() else {
                    return under.next();
                };
                match next_under {
                    Some(below) if below.as_slice() < *key => return under.next(),
                    Some(below) if below.as_slice() == *key => drop(under.next()),
                    _ => {}
                }
                if let Some((key, Some(sealed))) = over.next() {
                    return Some(Ok((key.to_vec(), value(sealed))));
                }
            }
        })
    }

    /// Rows whose keys start with `prefix`.
    pub fn prefix(&self, prefix: &[u8]) -> impl Iterator<Item = Result<Row, StoreError>> + '_ {
        let prefix = prefix.to_vec();
        self.range(prefix.clone()..)
            .take_while(move |row| match row {
                Ok((key, _)) => key.starts_with(&prefix),
                Err(_) => true,
            })
    }

    fn layered(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        let mut newest = self.layers.iter().rev();
        newest.find_map(|layer| layer.entries.get(key).map(|entry| entry.now.as_deref()))
    }
}
