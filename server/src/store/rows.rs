//! The rows of the one sled tree: keys by a leading letter, values in fixed layout.
//!
//! Integers are big-endian. A [`Slot`] always comes last, so no length is ambiguous.

use bytes::Bytes;
pub(super) use plenary_core::fields::{Fields, Malformed};
use plenary_core::store::{Append, Record};
use plenary_proto::ids::{
    ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, Seq, UnixMillis,
};

/// Bytes up to which a value lies in its row. sled keeps 16 rows on a page and a page must fit
/// its 512 KiB segment, or it goes to a file that sled never syncs.
pub(super) const INLINE: usize = 16 * 1024;

/// `a`: which store this is and how far its journal is applied.
pub(super) const APPLIED: u8 = b'a';
/// `b` hash: references to large content, and the content itself where it fits.
pub(super) const SHARED: u8 = b'b';
/// `c` channel: head, trim, epoch.
pub(super) const CHANNEL: u8 = b'c';
/// `d` channel seq: who sent the record, for the marks to be rebuilt without reading it.
pub(super) const MARK: u8 = b'd';
/// `e` length queue index: one entry of a queue.
pub(super) const ENTRY: u8 = b'e';
/// `g` channel part: one part of the group.
pub(super) const GROUP: u8 = b'g';
/// `k` key: a versioned value.
pub(super) const VALUE: u8 = b'k';
/// `q` queue: where the queue begins and ends.
pub(super) const QUEUE: u8 = b'q';
/// `r` channel seq: a record.
pub(super) const RECORD: u8 = b'r';
/// `w` device channel: a waiting welcome.
pub(super) const WELCOME: u8 = b'w';

/// Key of one of the kinds above.
pub(super) fn key(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(super) fn channel_key(channel: ChannelId) -> Vec<u8> {
    key(CHANNEL, &[channel.as_bytes()])
}

pub(super) fn group_key(channel: ChannelId, part: u8) -> Vec<u8> {
    key(GROUP, &[channel.as_bytes(), &[part]])
}

pub(super) fn record_key(channel: ChannelId, seq: Seq) -> Vec<u8> {
    key(RECORD, &[channel.as_bytes(), &seq.0.to_be_bytes()])
}

pub(super) fn mark_key(channel: ChannelId, seq: Seq) -> Vec<u8> {
    key(MARK, &[channel.as_bytes(), &seq.0.to_be_bytes()])
}

pub(super) fn welcome_key(device: DeviceId, channel: ChannelId) -> Vec<u8> {
    key(WELCOME, &[device.as_bytes(), channel.as_bytes()])
}

pub(super) fn value_key(name: &[u8]) -> Vec<u8> {
    key(VALUE, &[name])
}

pub(super) fn queue_key(queue: &[u8]) -> Vec<u8> {
    key(QUEUE, &[queue])
}

pub(super) fn entry_key(queue: &[u8], index: u64) -> Vec<u8> {
    let length = (queue.len() as u64).to_be_bytes();
    key(ENTRY, &[&length, queue, &index.to_be_bytes()])
}

pub(super) fn shared_key(hash: &[u8; 32]) -> Vec<u8> {
    key(SHARED, &[hash])
}

/// Content kept once, however many rows name it: by BLAKE3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub hash: [u8; 32],
    pub len: u64,
}

impl Content {
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            hash: *blake3::hash(bytes).as_bytes(),
            len: bytes.len() as u64,
        }
    }

    /// Whether the content lies in a file of its own and not in its `b` row.
    pub fn in_file(&self) -> bool {
        self.len > INLINE as u64
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.hash);
        out.extend_from_slice(&self.len.to_be_bytes());
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            hash: fields.array()?,
            len: fields.u64()?,
        })
    }
}

/// A value in a row: itself, or where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Slot {
    Here(Bytes),
    Elsewhere(Content),
}

impl Slot {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Here(bytes) => {
                out.push(0);
                out.extend_from_slice(bytes);
            }
            Self::Elsewhere(shared) => {
                out.push(1);
                shared.write(out);
            }
        }
    }

    fn read(mut fields: Fields<'_>) -> Result<Self, Malformed> {
        match fields.array()? {
            [0] => Ok(Self::Here(Bytes::copy_from_slice(fields.0))),
            [1] => {
                let shared = Content::read(&mut fields)?;
                fields.end()?;
                Ok(Self::Elsewhere(shared))
            }
            _ => Err(Malformed),
        }
    }
}

/// Value of a `c` row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChannelRow {
    pub head: ChannelHead,
    /// The last record trimmed, and the chain head there: what the first kept one links to.
    pub trimmed: ChannelHead,
    pub epoch: Epoch,
}

impl ChannelRow {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(88);
        write_head(&mut out, &self.head);
        write_head(&mut out, &self.trimmed);
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        let row = Self {
            head: read_head(&mut fields)?,
            trimmed: read_head(&mut fields)?,
            epoch: Epoch(fields.u64()?),
        };
        fields.end()?;
        Ok(row)
    }
}

/// Value of an `r` row: all of a record but its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordRow {
    pub device: DeviceId,
    pub client_id: ClientId,
    pub time: UnixMillis,
    pub hash: Digest,
    pub slot: Slot,
}

impl RecordRow {
    pub fn new(append: &Append, hash: Digest, slot: Slot) -> Self {
        Self {
            device: append.device,
            client_id: append.client_id,
            time: append.time,
            hash,
            slot,
        }
    }

    pub fn record(&self, seq: Seq, bytes: Bytes) -> Record {
        Record {
            seq,
            device: self.device,
            client_id: self.client_id,
            time: self.time,
            bytes,
            hash: self.hash,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let here = match &self.slot {
            Slot::Here(bytes) => bytes.len(),
            Slot::Elsewhere(_) => 40,
        };
        let mut out = Vec::with_capacity(73 + here);
        out.extend_from_slice(self.device.as_bytes());
        out.extend_from_slice(self.client_id.as_bytes());
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(self.hash.as_bytes());
        self.slot.write(&mut out);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        Ok(Self {
            device: DeviceId(fields.array()?),
            client_id: ClientId(fields.array()?),
            time: UnixMillis(fields.u64()?),
            hash: Digest(fields.array()?),
            slot: Slot::read(fields)?,
        })
    }
}

/// Value of a `w` row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WelcomeRow {
    pub head: ChannelHead,
    pub tree: Content,
    pub slot: Slot,
}

impl WelcomeRow {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_head(&mut out, &self.head);
        self.tree.write(&mut out);
        self.slot.write(&mut out);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        Ok(Self {
            head: read_head(&mut fields)?,
            tree: Content::read(&mut fields)?,
            slot: Slot::read(fields)?,
        })
    }
}

/// A number and a slot: value of a `g` row (the epoch), a `k` row (the version).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NumberedRow {
    pub number: u64,
    pub slot: Slot,
}

impl NumberedRow {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.number.to_be_bytes().to_vec();
        self.slot.write(&mut out);
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields(bytes);
        Ok(Self {
            number: fields.u64()?,
            slot: Slot::read(fields)?,
        })
    }
}

/// Value of an `e` row.
pub(super) fn encode_entry(slot: &Slot) -> Vec<u8> {
    let mut out = Vec::new();
    slot.write(&mut out);
    out
}

pub(super) fn decode_entry(bytes: &[u8]) -> Result<Slot, Malformed> {
    Slot::read(Fields(bytes))
}

/// Two numbers: value of a `q` row (first entry, one past the last).
pub(super) fn encode_pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

pub(super) fn decode_pair(bytes: &[u8]) -> Result<(u64, u64), Malformed> {
    let mut fields = Fields(bytes);
    let pair = (fields.u64()?, fields.u64()?);
    fields.end()?;
    Ok(pair)
}

/// Value of a `d` row.
pub(super) fn encode_mark(device: DeviceId, client: ClientId) -> Vec<u8> {
    [device.as_bytes(), &client.as_bytes()[..]].concat()
}

pub(super) fn decode_mark(bytes: &[u8]) -> Result<(DeviceId, ClientId), Malformed> {
    let mut fields = Fields(bytes);
    let mark = (DeviceId(fields.array()?), ClientId(fields.array()?));
    fields.end()?;
    Ok(mark)
}

/// Value of a `b` row: how many name it, and the content unless it lies in a file.
pub(super) fn encode_shared(count: u64, content: &[u8]) -> Vec<u8> {
    [&count.to_be_bytes(), content].concat()
}

pub(super) fn decode_shared(bytes: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let mut fields = Fields(bytes);
    Ok((fields.u64()?, fields.0))
}

/// Value of the `a` row: the store's identity, the last journal frame applied.
pub(super) fn encode_applied(id: &[u8; 16], frame: u64) -> Vec<u8> {
    [&id[..], &frame.to_be_bytes()].concat()
}

pub(super) fn decode_applied(bytes: &[u8]) -> Result<([u8; 16], u64), Malformed> {
    let mut fields = Fields(bytes);
    let applied = (fields.array()?, fields.u64()?);
    fields.end()?;
    Ok(applied)
}

/// The position in a key of a kind that has it right after the channel.
pub(super) fn seq_in(key: &[u8]) -> Option<Seq> {
    let bytes = key.get(17..25).filter(|_| key.len() == 25)?;
    Fields(bytes).u64().ok().map(Seq)
}

/// The channel in a key of a kind that has it right after its letter.
pub(super) fn channel_in(key: &[u8]) -> Option<ChannelId> {
    let kind = *key.first()?;
    let at = match kind {
        CHANNEL | MARK | GROUP | RECORD => 1,
        WELCOME => 17,
        _ => return None,
    };
    ChannelId::try_from(key.get(at..at + 16)?).ok()
}

fn write_head(out: &mut Vec<u8>, head: &ChannelHead) {
    out.extend_from_slice(&head.seq.0.to_be_bytes());
    out.extend_from_slice(head.hash.as_bytes());
}

fn read_head(fields: &mut Fields<'_>) -> Result<ChannelHead, Malformed> {
    Ok(ChannelHead {
        seq: Seq(fields.u64()?),
        hash: Digest(fields.array()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn head(n: u8) -> ChannelHead {
        ChannelHead {
            seq: Seq(n.into()),
            hash: Digest([n; 32]),
        }
    }

    const fn shared() -> Content {
        Content {
            hash: [0xee; 32],
            len: 20_000,
        }
    }

    /// Comes back as it went, and in no other length than it must.
    fn check<T: PartialEq + std::fmt::Debug>(
        row: &T,
        bytes: &[u8],
        decode: fn(&[u8]) -> Result<T, Malformed>,
        vector: &str,
    ) {
        assert_eq!(hex(bytes), vector);
        assert_eq!(decode(bytes).as_ref(), Ok(row));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), Err(Malformed), "cut at {cut}");
        }
        assert_eq!(decode(&[bytes, &[0]].concat()), Err(Malformed));
    }

    #[test]
    fn the_bytes_on_disk_stay_as_they_are() {
        let channel = ChannelRow {
            head: head(2),
            trimmed: head(1),
            epoch: Epoch(3),
        };
        let decode = ChannelRow::decode;
        check(&channel, &channel.encode(), decode, VECTORS[0]);
        let record = RecordRow {
            device: DeviceId([4; 16]),
            client_id: ClientId([5; 16]),
            time: UnixMillis(6),
            hash: Digest([7; 32]),
            slot: Slot::Elsewhere(shared()),
        };
        check(&record, &record.encode(), RecordRow::decode, VECTORS[1]);
        let welcome = WelcomeRow {
            head: head(8),
            tree: shared(),
            slot: Slot::Elsewhere(shared()),
        };
        check(&welcome, &welcome.encode(), WelcomeRow::decode, VECTORS[2]);
        let value = NumberedRow {
            number: 9,
            slot: Slot::Elsewhere(shared()),
        };
        check(&value, &value.encode(), NumberedRow::decode, VECTORS[3]);
        check(&(1, 2), &encode_pair(1, 2), decode_pair, VECTORS[4]);
        let applied = ([0xaa; 16], 5);
        let bytes = encode_applied(&applied.0, applied.1);
        check(&applied, &bytes, decode_applied, VECTORS[5]);
        let mark = (record.device, record.client_id);
        check(&mark, &encode_mark(mark.0, mark.1), decode_mark, VECTORS[6]);

        // A value in its row: the rest of it, whatever it is.
        let here = NumberedRow {
            number: 1,
            slot: Slot::Here(Bytes::from_static(b"value")),
        };
        assert_eq!(hex(&here.encode()), "00000000000000010076616c7565");
        assert_eq!(NumberedRow::decode(&here.encode()), Ok(here));
        assert_eq!(hex(&encode_shared(2, b"x")), "000000000000000278");
        assert_eq!(
            hex(&entry_key(b"q", 1)),
            "650000000000000001710000000000000001"
        );
        assert_eq!(
            hex(&record_key(ChannelId([0xcc; 16]), Seq(1))),
            "72cccccccccccccccccccccccccccccccc0000000000000001"
        );
    }

    const VECTORS: [&str; 7] = [
        "00000000000000020202020202020202020202020202020202020202020202020202020202020202000000000000000101010101010101010101010101010101010101010101010101010101010101010000000000000003",
        "04040404040404040404040404040404050505050505050505050505050505050000000000000006070707070707070707070707070707070707070707070707070707070707070701eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee0000000000004e20",
        "00000000000000080808080808080808080808080808080808080808080808080808080808080808eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee0000000000004e2001eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee0000000000004e20",
        "000000000000000901eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee0000000000004e20",
        "00000000000000010000000000000002",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0000000000000005",
        "0404040404040404040404040404040405050505050505050505050505050505",
    ];
}
