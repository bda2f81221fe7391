//! Frames too large for one message: a commit or tree of a large group.
//!
//! Each part is an ordinary message, so pushes and pings pass between the parts of one frame.

use bytes::{Bytes, BytesMut};

use super::WireError;
use crate::{limits, reply::Part};

/// Room for the envelope of a part: two integers, a tag and a length, each twice over.
const ENVELOPE: usize = 64;

/// Cuts an encoded frame into parts that fit messages of `message` bytes. `None` if it fits as it is.
pub fn parts(frame: &Bytes, message: usize) -> Option<impl Iterator<Item = Part> + use<>> {
    if frame.len() <= message {
        return None;
    }
    let size = message.saturating_sub(ENVELOPE).max(1);
    let count = frame.len().div_ceil(size);
    let frame = frame.clone();
    Some((0..count).map(move |index| Part {
        index: index as u32,
        last: index + 1 == count,
        bytes: frame.slice(index * size..frame.len().min((index + 1) * size)),
    }))
}

/// Joins the parts of one frame at a time, in order, up to [`limits::FRAME_IN_PARTS`] bytes.
#[derive(Debug, Default)]
pub struct Assembler {
    joined: BytesMut,
    next: u32,
}

impl Assembler {
    /// Takes the next part; returns the whole frame with the last one.
    ///
    /// Errors: [`WireError::PartOrder`], [`WireError::PartsTooLarge`]; what was joined is dropped.
    pub fn push(&mut self, part: &Part) -> Result<Option<Bytes>, WireError> {
        let expected = self.next;
        if part.index != expected {
            *self = Self::default();
            return Err(WireError::PartOrder {
                expected,
                got: part.index,
            });
        }
        if self.joined.len() + part.bytes.len() > limits::FRAME_IN_PARTS {
            *self = Self::default();
            return Err(WireError::PartsTooLarge {
                limit: limits::FRAME_IN_PARTS,
            });
        }
        self.joined.extend_from_slice(&part.bytes);
        self.next += 1;
        Ok(part.last.then(|| std::mem::take(self).joined.freeze()))
    }

    /// A frame that is no part came: fine only if none was begun.
    pub fn idle(&self) -> Result<(), WireError> {
        if self.next == 0 {
            Ok(())
        } else {
            Err(WireError::PartsInterrupted)
        }
    }
}
