//! Reading the journal back at a start: every frame verified, the torn end told from damage.
//!
//! Only what was never acknowledged may go: a frame at the very end of the last segment that the
//! file has no room for, or of which whole sectors were never written. Everything else that does
//! not verify is damage, also a single flipped bit in the very last frame.

use std::{fs, ops::Range, path::Path};

use plenary_core::store::StoreError;

use super::{
    Position,
    frame::{FrameHeader, HEADER, SEGMENT_HEADER, SegmentHeader, read_changes},
    segments,
};
use crate::store::{
    fault::{damaged, io as io_fault},
    sum::{SUM, sum},
    tree::Change,
};

/// The least that a disk writes at once.
const SECTOR: usize = 512;

/// What a start found.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Scanned {
    /// After the last whole frame.
    pub end: Position,
    /// Bytes of a torn end, not taken.
    pub torn: usize,
}

/// Verifies the journal in `dir` after the checkpoint `from` and hands every frame's rows to
/// `apply`, in order. `seen` is called with every position passed.
///
/// Errors: [`StoreError::Damaged`] naming file and offset; what `apply` and `seen` return.
pub(in super::super) fn scan(
    dir: &Path,
    id: [u8; 16],
    from: Position,
    mut apply: impl FnMut(u64, &[Change<'_>]) -> Result<(), StoreError>,
    mut seen: impl FnMut(Position) -> Result<(), StoreError>,
) -> Result<Scanned, StoreError> {
    // A segment begins right after `from`; those before it are kept for a base.
    let mut segments = segments(dir)?;
    segments.retain(|(first, _)| *first > from.frame);
    let mut scanned = Scanned { end: from, torn: 0 };
    seen(from)?;
    if segments.is_empty() {
        return Err(damaged(format_args!(
            "{} holds no segment from frame {} on",
            dir.display(),
            from.frame + 1
        )));
    }
    for (index, (first, path)) in segments.iter().enumerate() {
        let last = index + 1 == segments.len();
        if *first != scanned.end.frame + 1 {
            return Err(damaged(format_args!(
                "frames {} to {} are missing before {}",
                scanned.end.frame + 1,
                first.saturating_sub(1),
                path.display()
            )));
        }
        let bytes = fs::read(path).map_err(|error| io_fault("read", path, &error))?;
        let segment = Segment { path, bytes, last };
        let Some(mut at) = segment.header(id, scanned.end)? else {
            scanned.torn = segment.bytes.len();
            break;
        };
        while at < segment.bytes.len() {
            let Some((header, body, tag)) = segment.frame(at, scanned.end)? else {
                scanned.torn = segment.bytes.len() - at;
                break;
            };
            let changes = read_changes(&segment.bytes[body.clone()])
                .map_err(|_| segment.damaged(at, "a frame with rows that do not add up"))?;
            apply(header.number, &changes)?;
            scanned.end = Position {
                frame: header.number,
                tag,
                totals: header.totals,
            };
            seen(scanned.end)?;
            at = body.end + SUM;
        }
    }
    Ok(scanned)
}

struct Segment<'a> {
    path: &'a Path,
    bytes: Vec<u8>,
    last: bool,
}

impl Segment<'_> {
    /// Length of a good header, `None` if it is torn.
    fn header(&self, id: [u8; 16], before: Position) -> Result<Option<usize>, StoreError> {
        let Some(bytes) = self.bytes.first_chunk() else {
            return self.torn(0, "a segment shorter than its header");
        };
        let Some(header) = SegmentHeader::decode(bytes) else {
            if self.absent(0..SEGMENT_HEADER) && self.bytes.len() == SEGMENT_HEADER {
                return self.torn(0, "a segment header that was never written");
            }
            return Err(self.damaged(0, "a segment header that does not verify"));
        };
        if header.id != id {
            return Err(self.damaged(0, "a segment of another store"));
        }
        if (header.first, header.before) != (before.frame + 1, before.tag) {
            return Err(self.damaged(0, "a segment that does not follow the one before"));
        }
        Ok(Some(SEGMENT_HEADER))
    }

    /// The frame at `at`: header, where its body lies, its tag. `None` if it is the torn end.
    #[allow(
        clippy::type_complexity,
        reason = "three values, used once, right above"
    )]
    fn frame(
        &self,
        at: usize,
        before: Position,
    ) -> Result<Option<(FrameHeader, Range<usize>, [u8; SUM])>, StoreError> {
        let rest = &self.bytes[at..];
        let Some(bytes) = rest.first_chunk::<HEADER>() else {
            return self.torn(at, "half a frame header");
        };
        let Some(header) = FrameHeader::decode(bytes) else {
            if self.absent(at..at + HEADER) {
                return self.torn(at, "a frame header that was never written");
            }
            return Err(self.damaged(at, "a frame header that does not verify"));
        };
        if (header.number, header.before) != (before.frame + 1, before.tag) {
            return Err(self.damaged(at, "a frame that does not follow the one before"));
        }
        let body = at + HEADER..at + HEADER + header.body as usize;
        let end = body.end + SUM;
        let Some(tag) = self.bytes.get(body.end..end) else {
            return self.torn(at, "half a frame");
        };
        if sum(&[&self.bytes[at..body.end]]) != tag {
            // More after it: then it was once whole.
            let nothing_follows = self.bytes[end..].iter().all(|byte| *byte == 0);
            if self.absent(at..end) && nothing_follows {
                return self.torn(at, "a frame that was written in part");
            }
            return Err(self.damaged(at, "a frame that does not verify"));
        }
        let mut found = [0; SUM];
        found.copy_from_slice(tag);
        Ok(Some((header, body, found)))
    }

    /// Whether some sector with a part of `range` was never written: it reads as zeros from
    /// `range.start` on. Frames begin with letters and end with a checksum, so a written one has
    /// no such sector, unless its content has 512 zeros in a row.
    fn absent(&self, range: Range<usize>) -> bool {
        let mut at = range.start;
        while at < range.end {
            let next = ((at / SECTOR + 1) * SECTOR).min(self.bytes.len());
            if self.bytes[at..next].iter().all(|byte| *byte == 0) {
                return true;
            }
            at = next;
        }
        false
    }

    /// The end of the journal, if this is where it may end.
    fn torn<T>(&self, at: usize, what: &str) -> Result<Option<T>, StoreError> {
        if self.last {
            Ok(None)
        } else {
            Err(self.damaged(at, what))
        }
    }

    fn damaged(&self, at: usize, what: &str) -> StoreError {
        damaged(format_args!(
            "{} has {what} at byte {at}",
            self.path.display()
        ))
    }
}
