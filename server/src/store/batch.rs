//! A batch under way: the rows as they will be, over the durable ones.
//!
//! Operations read through it and see those before them in the batch. An operation first gathers
//! its [`Changes`]; they enter all together or, on any error, not at all.

use std::collections::{BTreeMap, HashMap};

use plenary_proto::ids::Seq;

use bytes::Bytes;
use plenary_core::store::StoreError;

use super::{
    big::Big,
    fault::damaged,
    journal::frame::write_change,
    layers::{Entry, View},
    marks::{Mark, Marks},
    rows::{Content, INLINE, Malformed, Slot, decode_shared, encode_shared, shared_key},
    sum::{SUM, Totals},
    tree::seal,
};

/// What one operation wants to change.
#[derive(Default)]
pub(super) struct Changes {
    marks: Vec<(Mark, Option<Seq>)>,
    rows: Vec<(Vec<u8>, Option<Vec<u8>>, bool)>,
    shared: BTreeMap<[u8; 32], Reference>,
}

struct Reference {
    shared: Content,
    more: u64,
    fewer: u64,
    content: Bytes,
}

impl Changes {
    /// Sets a row.
    pub fn set(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.push((key, Some(value), false));
    }

    /// Sets a row that cannot exist yet: saves looking it up.
    pub fn set_new(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.push((key, Some(value), true));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.rows.push((key, None, false));
    }

    /// Notes where the record of a mark lies; `None` forgets.
    pub fn mark(&mut self, mark: Mark, seq: Option<Seq>) {
        self.marks.push((mark, seq));
    }

    /// Where `content` will lie: in the row itself if small, else shared.
    pub fn slot(&mut self, content: Bytes) -> Slot {
        if content.len() <= INLINE {
            Slot::Here(content)
        } else {
            Slot::Elsewhere(self.share(content, 1))
        }
    }

    /// `content` named by `count` more rows, kept once.
    pub fn share(&mut self, content: Bytes, count: u64) -> Content {
        let shared = Content::of(&content);
        let reference = self.reference(shared);
        reference.more += count;
        reference.content = content;
        shared
    }

    /// What lay in `slot` is named by one row less.
    pub fn release(&mut self, slot: &Slot) {
        if let Slot::Elsewhere(shared) = slot {
            self.release_shared(*shared);
        }
    }

    /// `shared` is named by one row less.
    pub fn release_shared(&mut self, shared: Content) {
        self.reference(shared).fewer += 1;
    }

    fn reference(&mut self, shared: Content) -> &mut Reference {
        self.shared.entry(shared.hash).or_insert(Reference {
            shared,
            more: 0,
            fewer: 0,
            content: Bytes::new(),
        })
    }
}

/// A batch under way.
pub(super) struct Batch<'a> {
    rows: View<'a>,
    big: &'a Big,
    durable_marks: &'a Marks,
    entries: BTreeMap<Vec<u8>, Entry>,
    marks: HashMap<Mark, Option<Seq>>,
    written: Vec<Content>,
    released: Vec<Content>,
}

impl<'a> Batch<'a> {
    pub fn new(rows: View<'a>, big: &'a Big, marks: &'a Marks) -> Self {
        Self {
            rows,
            big,
            durable_marks: marks,
            entries: BTreeMap::new(),
            marks: HashMap::new(),
            written: Vec::new(),
            released: Vec::new(),
        }
    }

    /// Nothing to write.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A row as it will be.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.entries.get(key) {
            Some(entry) => Ok(entry.now.as_ref().map(|sealed| sealed[SUM..].to_vec())),
            None => self.rows.get(key),
        }
    }

    /// A row as it will be, decoded.
    pub fn get_as<T>(
        &self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, StoreError> {
        self.get(key)?
            .map(|value| self.rows.tree.decoded(key, decode(&value)))
            .transpose()
    }

    /// Where the record of a mark lies.
    pub fn find(&self, mark: Mark) -> Option<Seq> {
        match self.marks.get(&mark) {
            Some(seq) => *seq,
            None => self.durable_marks.get(mark),
        }
    }

    /// The error for a row that must be there and is not.
    pub fn missing(&self, key: &[u8]) -> StoreError {
        self.rows.tree.broken(key, "is missing")
    }

    /// The bytes of a slot.
    pub fn content(&self, slot: &Slot) -> Result<Bytes, StoreError> {
        let shared = match slot {
            Slot::Here(bytes) => return Ok(bytes.clone()),
            Slot::Elsewhere(shared) => shared,
        };
        let found = if shared.in_file() {
            self.big.read(shared)?
        } else {
            self.get_as(&shared_key(&shared.hash), |row| {
                decode_shared(row).map(|(_, content)| Bytes::copy_from_slice(content))
            })?
        };
        found.ok_or_else(|| {
            damaged(format_args!(
                "content {} is missing",
                blake3::Hash::from_bytes(shared.hash)
            ))
        })
    }

    /// Takes an operation's changes in: all of them, or none on an error.
    pub fn take(&mut self, mut changes: Changes) -> Result<(), StoreError> {
        let mut released = Vec::new();
        for reference in std::mem::take(&mut changes.shared).into_values() {
            self.count(&reference, &mut changes, &mut released)?;
        }
        // The fallible part first.
        let mut loaded = Vec::with_capacity(changes.rows.len());
        for (key, value, new) in changes.rows {
            let before = match self.entries.get(&key) {
                Some(entry) => entry.before,
                None if new => None,
                None => self.rows.sum(&key)?,
            };
            loaded.push((key, value, before));
        }
        for (key, value, before) in loaded {
            let now = value.map(|value| seal(&key, &value));
            self.entries.insert(key, Entry { before, now });
        }
        self.marks.extend(changes.marks);
        self.released.extend(released);
        Ok(())
    }

    fn count(
        &mut self,
        reference: &Reference,
        changes: &mut Changes,
        released: &mut Vec<Content>,
    ) -> Result<(), StoreError> {
        let shared = reference.shared;
        let key = shared_key(&shared.hash);
        let row = self.get(&key)?;
        let (before, kept) = match &row {
            Some(row) => self.rows.tree.decoded(&key, decode_shared(row))?,
            None => (0, &reference.content[..]),
        };
        let after = (before + reference.more)
            .checked_sub(reference.fewer)
            .ok_or_else(|| self.rows.tree.broken(&key, "counts too few references"))?;
        if after == 0 {
            if before > 0 {
                changes.remove(key);
            }
            if shared.in_file() {
                released.push(shared);
            }
            return Ok(());
        }
        if before == 0 && shared.in_file() {
            self.big.write(&shared, &reference.content)?;
            self.written.push(shared);
        }
        let content = if shared.in_file() { &[][..] } else { kept };
        changes.set(key, encode_shared(after, content));
        Ok(())
    }

    /// Makes the names of large content durable: before the frame that names it.
    pub fn sync_content(&self) -> Result<(), StoreError> {
        if self.written.is_empty() {
            return Ok(());
        }
        self.big.sync()
    }

    /// The totals once this batch is applied.
    pub fn totals(&self, mut totals: Totals) -> Totals {
        for (key, entry) in &self.entries {
            if let Some(sum) = entry.before {
                totals.take(key, sum);
            }
            if let Some(sum) = entry.now.as_ref().and_then(|now| now.first_chunk()) {
                totals.add(key, *sum);
            }
        }
        totals
    }

    /// Writes the rows into a frame's body.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (key, entry) in &self.entries {
            write_change(out, (key, entry.now.as_deref()));
        }
    }

    /// After the batch failed and left no trace: removes the content that it brought.
    pub fn undo(self) -> Result<(), StoreError> {
        remove_unnamed(&self.rows, self.big, &self.written)
    }

    /// After the batch is durable: its rows, its marks, and the content to look at with
    /// [`remove_unnamed`] once they can be read.
    pub fn done(self) -> Done {
        let mut content = self.released;
        content.extend(self.written);
        Done {
            entries: self.entries,
            marks: self.marks,
            content,
        }
    }
}

/// What a durable batch changed.
pub(super) struct Done {
    pub entries: BTreeMap<Vec<u8>, Entry>,
    pub marks: HashMap<Mark, Option<Seq>>,
    pub content: Vec<Content>,
}

/// Removes the files of content that no row names any more. By the writer only: nobody else can
/// know that no row is about to name it.
pub(super) fn remove_unnamed(
    rows: &View<'_>,
    big: &Big,
    content: &[Content],
) -> Result<(), StoreError> {
    for shared in content {
        if shared.in_file() && rows.get(&shared_key(&shared.hash))?.is_none() {
            big.remove(shared);
        }
    }
    Ok(())
}
