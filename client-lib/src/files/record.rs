//! What journals keep of a chunk, either way.
//!
//! ```text
//! record  random nonce (12), AES-256-GCM of { index (4), hash of the sealed chunk (32), SHA-256 state }, tag (16)
//! ```
//!
//! The state is the file's digest behind the chunk. Whoever reads the chunk's plaintext again and comes
//! to the same state has read the same bytes: so it stands for a hash of the plaintext, and costs none.
//! Sealed under a key derived from the item's: a state tells what file it is, and a stolen device's disk
//! must not.

use plenary_proto::ids::{Digest, ItemId};
use ring::aead::{Aad, LessSafeKey, Nonce};
use zeroize::Zeroizing;

use super::{ItemError, ItemKey, key::random, layout::TAG, running::Running};

/// Bytes of a nonce.
pub(super) const NONCE: usize = 12;
const PLAIN: usize = 4 + 32 + Running::SAVED;

/// Bytes of a record.
pub(super) const RECORD: usize = NONCE + PLAIN + TAG;

/// What is kept of a chunk.
pub(super) struct Record {
    pub(super) index: u32,
    pub(super) sealed: Digest,
    /// The digest's state behind this chunk.
    pub(super) running: Zeroizing<[u8; Running::SAVED]>,
}

/// Which journal: none passes for the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    Sending,
    Receiving,
}

/// Seals and opens what one journal or checkpoint of an item keeps: nonce, ciphertext, tag.
pub(super) struct JournalSeal {
    key: LessSafeKey,
    about: Vec<u8>,
}

impl JournalSeal {
    /// `context` tells one kind from another: they have the same key.
    pub(super) fn of(context: &[u8], item: ItemId, key: &ItemKey) -> Result<Self, ItemError> {
        Ok(Self {
            key: key.journal_seal(item)?,
            about: [context, item.as_bytes()].concat(),
        })
    }

    /// Leaves ciphertext in `plain`.
    pub(super) fn seal(&self, plain: &mut [u8]) -> Result<Vec<u8>, ItemError> {
        let nonce: [u8; NONCE] = random()?;
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&self.about),
                plain,
            )
            .map_err(|_| ItemError::Journal)?;
        Ok([&nonce, &*plain, tag.as_ref()].concat())
    }

    /// What was sealed, if it was so by this key and of this kind.
    pub(super) fn open<'a>(&self, sealed: &'a mut [u8]) -> Result<&'a mut [u8], ItemError> {
        let (nonce, sealed) = sealed
            .split_at_mut_checked(NONCE)
            .ok_or(ItemError::Journal)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| ItemError::Journal)?;
        self.key
            .open_in_place(nonce, Aad::from(&self.about), sealed)
            .map_err(|_| ItemError::Journal)
    }
}

/// Writes and reads the records of one journal.
pub(super) struct Records(JournalSeal);

impl Records {
    pub(super) fn of(way: Way, item: ItemId, key: &ItemKey) -> Result<Self, ItemError> {
        let context: &[u8] = match way {
            Way::Sending => b"plenary sending record v1\0",
            Way::Receiving => b"plenary receiving record v1\0",
        };
        JournalSeal::of(context, item, key).map(Self)
    }

    pub(super) fn write(&self, record: &Record) -> Result<Vec<u8>, ItemError> {
        let mut plain = Zeroizing::new([0; PLAIN]);
        plain[..4].copy_from_slice(&record.index.to_be_bytes());
        plain[4..36].copy_from_slice(record.sealed.as_bytes());
        plain[36..].copy_from_slice(&*record.running);
        self.0.seal(&mut *plain)
    }

    /// A record, if it is one of this journal.
    pub(super) fn read(&self, record: &mut [u8; RECORD]) -> Result<Record, ItemError> {
        let plain = self.0.open(record)?;
        let mut read = Record {
            index: 0,
            sealed: Digest([0; 32]),
            running: Zeroizing::new([0; Running::SAVED]),
        };
        let mut index = [0; 4];
        index.copy_from_slice(&plain[..4]);
        read.index = u32::from_be_bytes(index);
        read.sealed.0.copy_from_slice(&plain[4..36]);
        read.running.copy_from_slice(&plain[36..]);
        Ok(read)
    }
}
