//! Room for chunks, used again: the system clears every page that it gives, and an allocator gives back
//! what lies at its end.

use std::{
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use crate::limits::{BULK_MESSAGE, CREDIT_CHUNKS};

/// Rooms that nobody needs for now, up to a number; none by default. Cheap to clone: the clones share
/// them.
#[derive(Debug, Clone, Default)]
pub struct Rooms(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    rooms: Mutex<Vec<Vec<u8>>>,
    most: usize,
}

impl Rooms {
    /// As many as so many transfers use at full speed.
    pub fn for_transfers(transfers: usize) -> Self {
        Self::of(transfers * CREDIT_CHUNKS)
    }

    /// None yet, and never more than so many.
    pub(crate) fn of(most: usize) -> Self {
        Self(Arc::new(Kept {
            rooms: Mutex::default(),
            most,
        }))
    }

    /// An empty one with room for [`BULK_MESSAGE`] bytes: one that was given back, or a new one.
    pub fn take(&self) -> Vec<u8> {
        let mut room = self.kept().pop().unwrap_or_default();
        room.reserve_exact(BULK_MESSAGE);
        room
    }

    /// Takes one back. A much larger one is let go.
    pub fn give(&self, mut room: Vec<u8>) {
        room.clear();
        let mut kept = self.kept();
        if kept.len() < self.0.most && room.capacity() <= 2 * BULK_MESSAGE {
            kept.push(room);
        }
    }

    /// These bytes, whose room comes back by itself once nobody holds any of them.
    pub fn lend(&self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent {
            bytes,
            rooms: self.clone(),
        })
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Lent {
    bytes: Vec<u8>,
    rooms: Rooms,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.rooms.give(take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lent_comes_back_with_its_last_piece() {
        let rooms = Rooms::of(2);
        let mut room = rooms.take();
        room.extend_from_slice(b"abc");
        let place = room.as_ptr();
        let lent = rooms.lend(room);
        let piece = lent.slice(1..2);
        drop(lent);
        let other = rooms.take();
        assert_ne!(other.as_ptr(), place);
        assert_eq!(&piece[..], b"b");
        drop(piece);
        let again = rooms.take();
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
    }

    #[test]
    fn no_more_are_kept_than_were_said_and_none_that_is_huge() {
        let rooms = Rooms::of(2);
        for capacity in [BULK_MESSAGE, 3 * BULK_MESSAGE, BULK_MESSAGE, BULK_MESSAGE] {
            rooms.give(Vec::with_capacity(capacity));
        }
        let kept: Vec<_> = rooms.kept().iter().map(Vec::capacity).collect();
        assert_eq!(kept, [BULK_MESSAGE; 2]);
    }
}
