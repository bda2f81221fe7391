//! Receiving into a stream: verified chunks straight to a writer, all of them or those of a range.
//!
//! A stream cannot take back what it was given. So each byte is authenticated before it goes out, and
//! whether the whole is the sender's is told at the end, if it was the whole.

use std::{io::Write, ops::Range};

use plenary_proto::ids::Digest;
use ring::aead::{Aad, LessSafeKey};

use super::{ItemError, Layout, Manifest, Opener, error::io, key::ChunkNonce, layout::COMMITMENT};

/// An item on its way into a writer.
pub(crate) struct Streamed<W> {
    to: W,
    layout: Layout,
    /// Bytes of the file that are wanted.
    range: Range<u64>,
    next: u32,
    end: u32,
    way: Way,
}

enum Way {
    /// From the first chunk to the last: compared with the manifest at the end.
    Whole(Box<Opener>),
    /// Chunks from somewhere within.
    Part {
        commitment: Digest,
        payload: Box<LessSafeKey>,
    },
}

impl<W: Write> Streamed<W> {
    /// Begins. `range`: bytes of the file; what lies beyond its end is none.
    pub(crate) fn new(manifest: &Manifest, range: Range<u64>, to: W) -> Result<Self, ItemError> {
        let layout = *manifest.layout();
        let range = range.start.min(layout.size())..range.end.min(layout.size());
        let whole = range == (0..layout.size());
        let (next, end) = match (whole, range.is_empty()) {
            (true, _) => (0, layout.chunks()),
            (_, true) => (0, 0),
            _ => (
                layout.chunk_of(range.start),
                layout.chunk_of(range.end - 1) + 1,
            ),
        };
        let plan = &manifest.plan;
        let way = match whole {
            true => Way::Whole(Box::new(Opener::new(manifest)?)),
            false => Way::Part {
                commitment: plan.key.commitment(plan.item, plan.cipher)?,
                payload: Box::new(plan.key.payload(plan.item, plan.cipher)?),
            },
        };
        Ok(Self {
            to,
            layout,
            range,
            next,
            end,
            way,
        })
    }

    /// The chunk that is due, and the one after the last.
    pub(crate) fn due(&self) -> (u32, u32) {
        (self.next, self.end)
    }

    /// Bytes given to the writer so far.
    pub(crate) fn given(&self) -> u64 {
        let at = self.layout.data_start(self.next);
        at.clamp(self.range.start, self.range.end.max(self.range.start)) - self.range.start
    }

    /// Opens the chunk that is due, in place, and writes what of it is wanted.
    pub(crate) fn write(&mut self, index: u32, sealed: &mut [u8]) -> Result<(), ItemError> {
        if index != self.next || index >= self.end {
            return Err(ItemError::OutOfOrder {
                expected: self.next,
                got: index,
            });
        }
        let start = self.layout.data_start(index);
        let data = match &mut self.way {
            Way::Whole(opener) => opener.open(index, sealed)?.data,
            Way::Part {
                commitment,
                payload,
            } => open(&self.layout, commitment, payload, index, sealed)?,
        };
        let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX);
        let from = within(self.range.start).min(data.len());
        let to = within(self.range.end).min(data.len());
        self.to
            .write_all(&data[from..to])
            .map_err(io("writing the received bytes"))?;
        self.next += 1;
        Ok(())
    }

    /// All chunks are there; the whole item is what the manifest says.
    pub(crate) fn finish(mut self) -> Result<(), ItemError> {
        if self.next < self.end {
            return Err(ItemError::Incomplete {
                have: self.next,
                of: self.end,
            });
        }
        self.to.flush().map_err(io("writing the received bytes"))?;
        match self.way {
            Way::Whole(opener) => opener.finish(),
            Way::Part { .. } => Ok(()),
        }
    }
}

fn open<'a>(
    layout: &Layout,
    commitment: &Digest,
    payload: &LessSafeKey,
    index: u32,
    sealed: &'a mut [u8],
) -> Result<&'a [u8], ItemError> {
    let expected = layout.sealed_len(index);
    if sealed.len() != expected {
        return Err(ItemError::ChunkLength {
            index,
            expected,
            got: sealed.len(),
        });
    }
    let sealed = match index {
        0 => {
            let (told, sealed) = sealed.split_at_mut(COMMITMENT);
            if told != commitment.as_bytes() {
                return Err(ItemError::WrongKey);
            }
            sealed
        }
        _ => sealed,
    };
    let nonce = ChunkNonce::new(index, layout.is_last(index));
    let plain = payload
        .open_in_place(nonce.into(), Aad::empty(), sealed)
        .map_err(|_| ItemError::ChunkRefused { index })?;
    Ok(&plain[..layout.data_len(index)])
}
