//! Where each (channel, device, client id) lies: in memory, so that telling a repeat costs no
//! look-up in sled and a mark no row of its own there.
//!
//! Rebuilt at each start from the mark rows. About 50 bytes a record kept.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Seq};

use super::sum::sum;

const TAG: &[u8] = b"plenary store mark v1\0";

/// Stands for a (channel, device, client id): 16 bytes of BLAKE3.
pub(super) type Mark = u128;

/// The mark of a sender's message.
pub(super) fn mark(channel: ChannelId, device: DeviceId, client: ClientId) -> Mark {
    u128::from_be_bytes(sum(&[
        TAG,
        channel.as_bytes(),
        device.as_bytes(),
        client.as_bytes(),
    ]))
}

/// All marks of durable records.
#[derive(Default)]
pub(super) struct Marks(RwLock<HashMap<Mark, Seq>>);

impl Marks {
    /// Where the record of a mark lies.
    pub fn get(&self, mark: Mark) -> Option<Seq> {
        let marks = self.0.read().unwrap_or_else(PoisonError::into_inner);
        marks.get(&mark).copied()
    }

    /// Takes many in at once.
    pub fn take_all(&self, all: Vec<(Mark, Seq)>) {
        let mut marks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        marks.reserve(all.len());
        marks.extend(all);
    }

    /// Takes changes in: `None` forgets.
    pub fn take(&self, changes: impl IntoIterator<Item = (Mark, Option<Seq>)>) {
        let mut marks = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (mark, seq) in changes {
            match seq {
                Some(seq) => marks.insert(mark, seq),
                None => marks.remove(&mark),
            };
        }
    }
}
