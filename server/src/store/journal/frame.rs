//! Bytes of the journal: segment header, frame header, rows of a frame.
//!
//! ```text
//! segment  "plenjrnl" version:4 zero:4 store:16 first:8 before:16 sum:16
//! frame    "PLFR" body:4 number:8 before:16 records:16 others:16 sum:16, body, tag:16
//! row      key length:4 value length:4 (all ones: removed) key sum:16 value
//! ```
//! `before` is the tag of the previous frame; `sum` covers its header, `tag` the whole frame.

use super::super::{
    rows::{Fields, Malformed},
    sum::{SUM, Totals, sum},
    tree::Change,
};

const SEGMENT_MAGIC: &[u8; 8] = b"plenjrnl";
const SEGMENT_VERSION: u32 = 1;
const FRAME_MAGIC: &[u8; 4] = b"PLFR";
const REMOVED: u32 = u32::MAX;

/// Bytes of a segment's header.
pub(in super::super) const SEGMENT_HEADER: usize = 72;

/// Bytes of a frame's header.
pub(in super::super) const HEADER: usize = 80;

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SegmentHeader {
    pub id: [u8; 16],
    pub first: u64,
    pub before: [u8; SUM],
}

impl SegmentHeader {
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(SEGMENT_MAGIC);
        out[8..12].copy_from_slice(&SEGMENT_VERSION.to_be_bytes());
        out[16..32].copy_from_slice(&self.id);
        out[32..40].copy_from_slice(&self.first.to_be_bytes());
        out[40..56].copy_from_slice(&self.before);
        let sum = sum(&[&out[..56]]);
        out[56..].copy_from_slice(&sum);
        out
    }

    /// `None`: not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER]) -> Option<Self> {
        let mut fields = Fields(&bytes[16..56]);
        let header = Self {
            id: fields.array().ok()?,
            first: fields.u64().ok()?,
            before: fields.array().ok()?,
        };
        (header.encode() == *bytes).then_some(header)
    }
}

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct FrameHeader {
    /// Bytes of the body.
    pub body: u32,
    pub number: u64,
    pub before: [u8; SUM],
    /// The totals once this frame is applied.
    pub totals: Totals,
}

impl FrameHeader {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..4].copy_from_slice(FRAME_MAGIC);
        out[4..8].copy_from_slice(&self.body.to_be_bytes());
        out[8..16].copy_from_slice(&self.number.to_be_bytes());
        out[16..32].copy_from_slice(&self.before);
        out[32..48].copy_from_slice(&self.totals.records.to_be_bytes());
        out[48..64].copy_from_slice(&self.totals.others.to_be_bytes());
        let sum = sum(&[&out[..64]]);
        out[64..].copy_from_slice(&sum);
        out
    }

    /// `None`: not what [`encode`](Self::encode) writes.
    pub fn decode(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut fields = Fields(&bytes[4..64]);
        let header = Self {
            body: fields.u32().ok()?,
            number: fields.u64().ok()?,
            before: fields.array().ok()?,
            totals: Totals {
                records: u128::from_be_bytes(fields.array().ok()?),
                others: u128::from_be_bytes(fields.array().ok()?),
            },
        };
        (header.encode() == *bytes).then_some(header)
    }
}

/// Adds a row to a frame's body. `sealed` is checksum and value as sled keeps them.
pub(in super::super) fn write_change(out: &mut Vec<u8>, (key, sealed): Change<'_>) {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(REMOVED - 1);
    out.extend_from_slice(&len(key).to_be_bytes());
    let value = sealed.map_or(REMOVED, len);
    out.extend_from_slice(&value.to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(sealed.unwrap_or_default());
}

/// The rows of a frame's body, in the order written.
pub(in super::super) fn read_changes(mut body: &[u8]) -> Result<Vec<Change<'_>>, Malformed> {
    let mut changes = Vec::new();
    while !body.is_empty() {
        let mut fields = Fields(body);
        let (key, value) = (fields.u32()?, fields.u32()?);
        let (key, rest) = split(fields.0, key)?;
        let (value, rest) = if value == REMOVED {
            (None, rest)
        } else {
            let (value, rest) = split(rest, value)?;
            (Some(value), rest)
        };
        changes.push((key, value));
        body = rest;
    }
    Ok(changes)
}

fn split(bytes: &[u8], at: u32) -> Result<(&[u8], &[u8]), Malformed> {
    let at = usize::try_from(at).map_err(|_| Malformed)?;
    bytes.split_at_checked(at).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_on_disk_stay_as_they_are() {
        let segment = SegmentHeader {
            id: [0xaa; 16],
            first: 7,
            before: [0xbb; 16],
        };
        let frame = FrameHeader {
            body: 0x0102,
            number: 9,
            before: [0xcc; 16],
            totals: Totals {
                records: 1,
                others: 2,
            },
        };
        let mut rows = Vec::new();
        write_change(&mut rows, (b"key", Some(b"value")));
        write_change(&mut rows, (b"gone", None));
        assert_eq!(hex(&segment.encode()), SEGMENT_VECTOR);
        assert_eq!(hex(&frame.encode()), FRAME_VECTOR);
        assert_eq!(
            hex(&rows),
            "00000003000000056b657976616c756500000004ffffffff676f6e65"
        );
        assert_eq!(SegmentHeader::decode(&segment.encode()), Some(segment));
        assert_eq!(FrameHeader::decode(&frame.encode()), Some(frame));
        let changes = read_changes(&rows).unwrap();
        assert_eq!(
            changes,
            [(&b"key"[..], Some(&b"value"[..])), (b"gone", None)]
        );
        for cut in 1..rows.len() {
            // A cut between two rows is a body like another; the frame's checksum is what finds it.
            assert!(cut == 16 || read_changes(&rows[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_header_with_any_bit_flipped_is_none() {
        let whole = FrameHeader {
            body: 1,
            number: 2,
            before: [3; 16],
            totals: Totals::default(),
        }
        .encode();
        for at in 0..whole.len() * 8 {
            let mut flipped = whole;
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(FrameHeader::decode(&flipped), None, "bit {at}");
        }
    }

    const SEGMENT_VECTOR: &str = "706c656e6a726e6c0000000100000000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0000000000000007bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbf3efe4c154f377562099cda7b52aef62";
    const FRAME_VECTOR: &str = "504c4652000001020000000000000009cccccccccccccccccccccccccccccccc0000000000000000000000000000000100000000000000000000000000000002e123412abbc6a134df4c88743d748b4f";
}
