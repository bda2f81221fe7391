//! Sealing: plaintext chunk in, sealed chunk out, constant memory.

use std::io::Read;

use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_proto::ids::Digest;
use ring::aead::{Aad, LessSafeKey};
use zeroize::Zeroizing;

use super::{
    ItemError, Layout, Manifest, Plan,
    error::io,
    key::ChunkNonce,
    layout::{COMMITMENT, TAG},
    running::Running,
};

/// One chunk as it travels.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedChunk {
    /// From 0.
    pub index: u32,
    /// The sealed bytes.
    pub bytes: Vec<u8>,
    /// BLAKE3 over them, as in the list.
    pub hash: Digest,
}

impl std::fmt::Debug for SealedChunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedChunk({}, {} bytes)", self.index, self.bytes.len())
    }
}

/// Seals one item, chunk by chunk, once. For a file that may have to be resumed use
/// [`super::Outgoing`], which keeps the rule that no nonce seals two plaintexts.
///
/// Call [`Sealer::seal`] with [`Sealer::wants`] bytes until that is `None`, then
/// [`Sealer::finish`].
pub struct Sealer {
    plan: Plan,
    commitment: Digest,
    payload: LessSafeKey,
    next: u32,
    running: Running,
    root: ItemRoot,
}

impl Sealer {
    /// Begins.
    ///
    /// # Errors
    /// When no key can be derived.
    pub fn new(plan: Plan) -> Result<Self, ItemError> {
        let layout = plan.layout;
        Ok(Self {
            commitment: plan.key.commitment(plan.item, plan.cipher)?,
            payload: plan.key.payload(plan.item, plan.cipher)?,
            next: 0,
            running: Running::default(),
            root: ItemRoot::new(layout.sealed_size(), layout.sealed_chunk()),
            plan,
        })
    }

    /// How the item is cut.
    pub fn layout(&self) -> &Layout {
        &self.plan.layout
    }

    /// Bytes of the file that the next chunk takes: none where only padding is left. `None` when
    /// all chunks are sealed.
    pub fn wants(&self) -> Option<usize> {
        (self.next < self.layout().chunks()).then(|| self.layout().data_len(self.next))
    }

    /// Seals the next bytes of the file.
    ///
    /// # Errors
    /// When they are not as many as [`Sealer::wants`] says: the file changed.
    pub fn seal(&mut self, data: &[u8]) -> Result<SealedChunk, ItemError> {
        let mut chunk = self.prepared(Vec::new());
        if self.wants() != Some(data.len()) {
            return Err(ItemError::SourceChanged);
        }
        chunk.extend_from_slice(data);
        self.seal_prepared(chunk)
    }

    /// An empty room for the next chunk, and in it what comes before the file's bytes.
    pub(super) fn prepared(&self, mut chunk: Vec<u8>) -> Zeroizing<Vec<u8>> {
        chunk.reserve_exact(self.layout().sealed_len(self.next));
        chunk.extend_from_slice(&self.commitment.as_bytes()[..clear(self.next)]);
        Zeroizing::new(chunk)
    }

    /// The digest as it will be behind a chunk that is ready to be sealed.
    pub(super) fn running_behind(&self, chunk: &[u8]) -> Running {
        let mut running = self.running.clone();
        running.update(chunk.get(clear(self.next)..).unwrap_or_default());
        running
    }

    /// Seals, in place, what [`Sealer::prepared`] gave with the file's bytes behind it.
    pub(super) fn seal_prepared(
        &mut self,
        mut chunk: Zeroizing<Vec<u8>>,
    ) -> Result<SealedChunk, ItemError> {
        let (index, layout) = (self.next, *self.layout());
        let clear = clear(index);
        if chunk.len() != clear + layout.data_len(index) || index >= layout.chunks() {
            return Err(ItemError::SourceChanged);
        }
        self.running.update(&chunk[clear..]);
        chunk.resize(layout.sealed_len(index) - TAG, 0);
        let nonce = ChunkNonce::new(index, layout.is_last(index));
        let tag = self
            .payload
            .seal_in_place_separate_tag(nonce.into(), Aad::empty(), &mut chunk[clear..])
            // ring refuses only sizes far above a chunk's.
            .map_err(|_| ItemError::ChunkRefused { index })?;
        let mut bytes = std::mem::take(&mut *chunk);
        bytes.extend_from_slice(tag.as_ref());
        let hash = chunk_hash(&bytes);
        self.count(&hash);
        Ok(SealedChunk { index, bytes, hash })
    }

    /// The manifest.
    ///
    /// # Errors
    /// When not all chunks are sealed.
    pub fn finish(self) -> Result<Manifest, ItemError> {
        if self.next < self.layout().chunks() {
            return Err(ItemError::Incomplete {
                have: self.next,
                of: self.layout().chunks(),
            });
        }
        Ok(Manifest {
            sha256: self.running.digest(),
            root: self.root.finish(),
            plan: self.plan,
        })
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn running(&self) -> &Running {
        &self.running
    }

    /// Takes up a chunk that was sealed before the stop.
    pub(super) fn count(&mut self, hash: &Digest) {
        self.root.push(hash);
        self.next += 1;
    }

    /// Takes up the digest as it was at the stop.
    pub(super) fn set_running(&mut self, running: Running) {
        self.running = running;
    }
}

/// Bytes of a chunk before the file's.
fn clear(index: u32) -> usize {
    match index {
        0 => COMMITMENT,
        _ => 0,
    }
}

impl Manifest {
    /// Whether a file in the clear is the one of this manifest: of its size and SHA-256 and, sealed
    /// again under its key, of its root. Constant memory.
    ///
    /// # Errors
    /// [`ItemError::SourceChanged`] for another size, [`ItemError::Root`], [`ItemError::Digest`], or
    /// what reading says.
    pub fn check_file(&self, source: &mut impl Read) -> Result<(), ItemError> {
        let mut sealer = Sealer::new(self.plan.clone())?;
        let read = io("reading the file");
        while let Some(len) = sealer.wants() {
            let mut chunk = sealer.prepared(Vec::new());
            let got = source.by_ref().take(len as u64).read_to_end(&mut chunk);
            if got.map_err(&read)? < len {
                return Err(ItemError::SourceChanged);
            }
            sealer.seal_prepared(chunk)?;
        }
        if source.read(&mut [0]).map_err(&read)? != 0 {
            return Err(ItemError::SourceChanged);
        }
        let found = sealer.finish()?;
        match (found.sha256 == self.sha256, found.root == self.root) {
            (false, _) => Err(ItemError::Digest),
            (true, false) => Err(ItemError::Root),
            (true, true) => Ok(()),
        }
    }
}
