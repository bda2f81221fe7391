//! Opening: sealed chunk in, verified plaintext out, constant memory.

use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_proto::ids::Digest;
use ring::aead::{Aad, LessSafeKey};

use super::{
    ItemError, Layout, Manifest,
    key::ChunkNonce,
    layout::{COMMITMENT, TAG},
    running::Running,
};

/// A chunk that was verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Bytes of the file; none where there is only padding.
    pub data: &'a [u8],
    /// Hash of the sealed chunk.
    pub hash: Digest,
}

impl std::fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opened({} bytes)", self.data.len())
    }
}

/// Opens one item, chunk by chunk, in order. A refused chunk changes nothing: fetch it again.
/// Nothing is proved of the whole before [`Opener::finish`].
pub struct Opener {
    layout: Layout,
    commitment: Digest,
    payload: LessSafeKey,
    next: u32,
    running: Running,
    root: ItemRoot,
    expected_root: Digest,
    expected_sha256: Digest,
    list: Option<Vec<Digest>>,
}

impl Opener {
    /// Begins.
    ///
    /// # Errors
    /// When no key can be derived.
    pub fn new(manifest: &Manifest) -> Result<Self, ItemError> {
        let plan = &manifest.plan;
        let layout = plan.layout;
        Ok(Self {
            layout,
            commitment: plan.key.commitment(plan.item, plan.cipher)?,
            payload: plan.key.payload(plan.item, plan.cipher)?,
            next: 0,
            running: Running::default(),
            root: ItemRoot::new(layout.sealed_size(), layout.sealed_chunk()),
            expected_root: manifest.root,
            expected_sha256: manifest.sha256,
            list: None,
        })
    }

    /// Gives the list of all chunks' hashes, from whoever has it: a foreign chunk is then refused
    /// when it comes, not at the end.
    ///
    /// # Errors
    /// When its root is not the manifest's.
    pub fn with_list(mut self, list: Vec<Digest>) -> Result<Self, ItemError> {
        let mut root = ItemRoot::new(self.layout.sealed_size(), self.layout.sealed_chunk());
        list.iter().for_each(|hash| root.push(hash));
        if list.len() != self.layout.chunks() as usize || root.finish() != self.expected_root {
            return Err(ItemError::Root);
        }
        self.list = Some(list);
        Ok(self)
    }

    /// The chunk that is due; the number of chunks once all were there.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Opens the chunk that is due, in place.
    ///
    /// # Errors
    /// When it is another one, altered, of another item or another key. `sealed` is then of no use.
    pub fn open<'a>(&mut self, index: u32, sealed: &'a mut [u8]) -> Result<Opened<'a>, ItemError> {
        if index != self.next || index >= self.layout.chunks() {
            return Err(ItemError::OutOfOrder {
                expected: self.next,
                got: index,
            });
        }
        let expected = self.layout.sealed_len(index);
        if sealed.len() != expected {
            return Err(ItemError::ChunkLength {
                index,
                expected,
                got: sealed.len(),
            });
        }
        let hash = chunk_hash(sealed);
        let listed = self.list.as_ref().map(|list| list[index as usize]);
        if listed.is_some_and(|listed| listed != hash) {
            return Err(ItemError::ChunkRefused { index });
        }
        let sealed = match index {
            0 => {
                let (commitment, sealed) = sealed.split_at_mut(COMMITMENT);
                if commitment != self.commitment.as_bytes() {
                    return Err(ItemError::WrongKey);
                }
                sealed
            }
            _ => sealed,
        };
        let nonce = ChunkNonce::new(index, self.layout.is_last(index));
        let plain = self
            .payload
            .open_in_place(nonce.into(), Aad::empty(), sealed)
            .map_err(|_| ItemError::ChunkRefused { index })?;
        let (data, padding) = plain.split_at(self.layout.data_len(index));
        if padding.iter().any(|byte| *byte != 0) {
            return Err(ItemError::Padding { index });
        }
        self.count(&hash, data);
        Ok(Opened { data, hash })
    }

    /// Whether all chunks were there, and together are what the manifest says.
    ///
    /// # Errors
    /// When not.
    pub fn finish(&self) -> Result<(), ItemError> {
        if self.next < self.layout.chunks() {
            return Err(ItemError::Incomplete {
                have: self.next,
                of: self.layout.chunks(),
            });
        }
        if self.root.finish() != self.expected_root {
            return Err(ItemError::Root);
        }
        if self.running.digest() != self.expected_sha256 {
            return Err(ItemError::Digest);
        }
        Ok(())
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The digest so far.
    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// Takes up the first chunks, verified and on disk before a stop: their hashes, and the digest
    /// behind them.
    pub(super) fn skip(&mut self, hashes: &[Digest], running: Running) {
        hashes.iter().for_each(|hash| self.root.push(hash));
        self.next = hashes.len() as u32;
        self.running = running;
    }

    /// Takes up a chunk that was verified before a stop.
    pub(super) fn count(&mut self, hash: &Digest, data: &[u8]) {
        self.root.push(hash);
        self.running.update(data);
        self.next += 1;
    }
}

// A chunk is never shorter than its commitment and tag.
const _: () = assert!(COMMITMENT + TAG < 4096);
