//! A batch under way: the rows as they will be, over the rows as sled has them.
//!
//! Operations read through it and see those before them in the batch. An operation first gathers
//! its [`Changes`]; they enter all together or, on any error, not at all.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use plenary_core::store::StoreError;

use super::{
    big::Big,
    fault::damaged,
    journal::frame::write_change,
    rows::{Content, INLINE, Malformed, Slot, decode_shared, encode_shared, shared_key},
    sum::{SUM, Totals},
    tree::{Tree, seal},
};

/// What one operation wants to change.
#[derive(Default)]
pub(super) struct Changes {
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

struct Entry {
    /// Checksum of the row that sled has.
    durable: Option<[u8; SUM]>,
    /// Checksum and value as they will be.
    now: Option<Vec<u8>>,
}

/// A batch under way.
pub(super) struct Batch<'a> {
    tree: &'a Tree,
    big: &'a Big,
    entries: HashMap<Vec<u8>, Entry>,
    written: Vec<Content>,
    released: Vec<Content>,
}

impl<'a> Batch<'a> {
    pub fn new(tree: &'a Tree, big: &'a Big) -> Self {
        Self {
            tree,
            big,
            entries: HashMap::new(),
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
            None => self.tree.get(key),
        }
    }

    /// A row as it will be, decoded.
    pub fn get_as<T>(
        &self,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<Option<T>, StoreError> {
        self.get(key)?
            .map(|value| self.tree.decoded(key, decode(&value)))
            .transpose()
    }

    /// The error for a row that must be there and is not.
    pub fn missing(&self, key: &[u8]) -> StoreError {
        self.tree.broken(key, "is missing")
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
        // The fallible part first: what sled has now.
        let mut loaded = Vec::with_capacity(changes.rows.len());
        for (key, value, new) in changes.rows {
            let durable = match self.entries.get(&key) {
                Some(entry) => entry.durable,
                None if new => None,
                None => {
                    let sealed = self.tree.get_sealed(&key)?;
                    sealed.and_then(|sealed| sealed.first_chunk().copied())
                }
            };
            loaded.push((key, value, durable));
        }
        for (key, value, durable) in loaded {
            let now = value.map(|value| seal(&key, &value));
            self.entries.insert(key, Entry { durable, now });
        }
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
            Some(row) => self.tree.decoded(&key, decode_shared(row))?,
            None => (0, &reference.content[..]),
        };
        let after = (before + reference.more)
            .checked_sub(reference.fewer)
            .ok_or_else(|| self.tree.broken(&key, "counts too few references"))?;
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
            if let Some(sum) = entry.durable {
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

    /// Applies the rows to sled, with the row `applied` that says how far it is.
    pub fn apply(&self, applied: (&[u8], &[u8])) -> Result<(), StoreError> {
        let rows = self
            .entries
            .iter()
            .map(|(key, entry)| (&key[..], entry.now.as_deref()));
        self.tree.apply(rows.chain([(applied.0, Some(applied.1))]))
    }

    /// After the batch is durable and applied, or failed and left no trace: removes what was
    /// written or released in it and is named by no row.
    pub fn remove_unnamed(&self) -> Result<(), StoreError> {
        for shared in self.released.iter().chain(&self.written) {
            if self.tree.get(&shared_key(&shared.hash))?.is_none() {
                self.big.remove(shared);
            }
        }
        Ok(())
    }
}
