//! Everything in a store as one stream: for backup, restore, and the way to another engine.
//!
//! ```text
//! file   "plenary export\0\1", items, end item
//! item   kind:1 length:8 body
//!   1    welcome  device:16 channel:16 seq:8 hash:32 tree bytes
//!   2    channel  channel:16 trimmed seq:8 hash:32 epoch:8 snapshot group-info tree
//!   3    record   channel:16 seq:8 device:16 client:16 time:8 hash:32 bytes
//!   4    value    version:8 key bytes
//!   5    entry    queue bytes
//!   0    end      BLAKE3 of all before it
//! ```
//! What has no length here is preceded by one, 8 bytes; integers are big-endian. Nothing in it is
//! of an engine. Each channel, value and queue is of one moment, different ones of different
//! moments, as everywhere in a store; a channel is at or after its welcomes.

use std::io::{Read, Write};

use bytes::Bytes;
use plenary_proto::ids::{
    ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, Seq, UnixMillis,
};

use crate::{
    fields::{Fields, Malformed},
    store::{GroupState, Record, StoreError, WaitingWelcome, chain},
};

const MAGIC: &[u8; 16] = b"plenary export\0\x01";
const END: u8 = 0;
const WELCOME: u8 = 1;
const CHANNEL: u8 = 2;
const RECORD: u8 = 3;
const VALUE: u8 = 4;
const ENTRY: u8 = 5;

/// An item longer than this is refused before it is read: a commit of the largest group with its
/// tree is a hundredth of it.
const ITEM: u64 = 256 << 20;

/// One thing of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A waiting welcome, and for whom.
    Welcome(DeviceId, WaitingWelcome),
    /// A channel with all its records still to come, after the trimmed ones.
    Channel(ChannelId, ChannelHead, Epoch, GroupState),
    /// The next record of a channel.
    Record(ChannelId, Record),
    /// A key, the version of its value, and the value.
    Value(Bytes, u64, Bytes),
    /// The last of a queue so far.
    Entry(Bytes, Bytes),
}

/// Writes an export.
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl<'a> Writer<'a> {
    /// Begins one. Errors: [`StoreError::Unavailable`] if `out` refuses, as everywhere here.
    pub fn new(out: &'a mut dyn Write) -> Result<Self, StoreError> {
        let hasher = blake3::Hasher::new();
        let mut writer = Self { out, hasher };
        writer.bytes(MAGIC)?;
        Ok(writer)
    }

    /// One thing more.
    pub fn item(&mut self, item: &Item) -> Result<(), StoreError> {
        let (kind, body) = encode(item);
        self.raw(kind, &body)
    }

    /// All things are written. An export without this end is refused.
    pub fn end(mut self) -> Result<(), StoreError> {
        let hash = *self.hasher.finalize().as_bytes();
        self.raw(END, &hash)?;
        self.out.flush().map_err(|error| cannot("write", &error))
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hasher.update(bytes);
        self.out
            .write_all(bytes)
            .map_err(|error| cannot("write", &error))
    }

    fn raw(&mut self, kind: u8, body: &[u8]) -> Result<(), StoreError> {
        self.bytes(&[kind])?;
        self.bytes(&(body.len() as u64).to_be_bytes())?;
        self.bytes(body)
    }
}

/// The head after a channel's next record.
///
/// Errors: [`StoreError::Damaged`] if the record does not follow `head`.
pub fn follow(
    head: &ChannelHead,
    channel: ChannelId,
    record: &Record,
) -> Result<ChannelHead, StoreError> {
    let hash = chain(
        &head.hash,
        channel,
        record.seq,
        record.device,
        record.client_id,
        record.time,
        &record.bytes,
    );
    let seq = record.seq;
    if seq == head.seq.next() && hash == record.hash {
        return Ok(ChannelHead { seq, hash });
    }
    Err(StoreError::Damaged(format!(
        "record {} of channel {channel} in the export breaks the channel's chain; use another export",
        seq.0
    )))
}

fn encode(item: &Item) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    let kind = match item {
        Item::Welcome(device, welcome) => {
            out.extend_from_slice(device.as_bytes());
            out.extend_from_slice(welcome.channel.as_bytes());
            put_head(&mut out, &welcome.head);
            put(&mut out, &welcome.tree);
            put(&mut out, &welcome.bytes);
            WELCOME
        }
        Item::Channel(channel, trimmed, epoch, group) => {
            out.extend_from_slice(channel.as_bytes());
            put_head(&mut out, trimmed);
            out.extend_from_slice(&epoch.0.to_be_bytes());
            put(&mut out, &group.snapshot);
            put(&mut out, &group.group_info);
            put(&mut out, &group.tree);
            CHANNEL
        }
        Item::Record(channel, record) => {
            out.extend_from_slice(channel.as_bytes());
            out.extend_from_slice(&record.seq.0.to_be_bytes());
            out.extend_from_slice(record.device.as_bytes());
            out.extend_from_slice(record.client_id.as_bytes());
            out.extend_from_slice(&record.time.0.to_be_bytes());
            out.extend_from_slice(record.hash.as_bytes());
            put(&mut out, &record.bytes);
            RECORD
        }
        Item::Value(key, version, value) => {
            out.extend_from_slice(&version.to_be_bytes());
            put(&mut out, key);
            put(&mut out, value);
            VALUE
        }
        Item::Entry(queue, value) => {
            put(&mut out, queue);
            put(&mut out, value);
            ENTRY
        }
    };
    (kind, out)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_head(out: &mut Vec<u8>, head: &ChannelHead) {
    out.extend_from_slice(&head.seq.0.to_be_bytes());
    out.extend_from_slice(head.hash.as_bytes());
}

/// Reads an export.
pub struct Reader<'a> {
    from: &'a mut dyn Read,
    hasher: blake3::Hasher,
}

impl<'a> Reader<'a> {
    /// Begins to read one. Errors: [`StoreError::Damaged`] if it is none, [`StoreError::Unavailable`]
    /// if `from` refuses.
    pub fn new(from: &'a mut dyn Read) -> Result<Self, StoreError> {
        let hasher = blake3::Hasher::new();
        let mut reader = Self { from, hasher };
        let mut magic = [0; MAGIC.len()];
        reader.bytes(&mut magic)?;
        if magic == *MAGIC {
            return Ok(reader);
        }
        Err(StoreError::Damaged(
            "this is no export, or one of another version".into(),
        ))
    }

    fn bytes(&mut self, into: &mut [u8]) -> Result<(), StoreError> {
        self.from.read_exact(into).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                not_whole()
            } else {
                cannot("read", &error)
            }
        })?;
        self.hasher.update(into);
        Ok(())
    }

    /// The next thing; `None` at a good end. What was read before may only be kept if it comes.
    ///
    /// Errors: [`StoreError::Damaged`] if the export is not whole, [`StoreError::Unavailable`] if
    /// `from` refuses.
    pub fn item(&mut self) -> Result<Option<Item>, StoreError> {
        let expected = *self.hasher.finalize().as_bytes();
        let (mut kind, mut length) = ([0], [0; 8]);
        self.bytes(&mut kind)?;
        self.bytes(&mut length)?;
        let length = u64::from_be_bytes(length);
        if length > ITEM {
            return Err(not_whole());
        }
        let mut body = Vec::new();
        let read = self.from.take(length).read_to_end(&mut body);
        read.map_err(|error| cannot("read", &error))?;
        if body.len() as u64 != length {
            return Err(not_whole());
        }
        self.hasher.update(&body);
        if kind == [END] {
            let mut more = [0];
            let trailing = self.from.read(&mut more);
            let trailing = trailing.map_err(|error| cannot("read", &error))?;
            return if body == expected && trailing == 0 {
                Ok(None)
            } else {
                Err(not_whole())
            };
        }
        decode(kind[0], &body).map(Some).map_err(|_| not_whole())
    }
}

fn decode(kind: u8, body: &[u8]) -> Result<Item, Malformed> {
    let mut fields = Fields(body);
    let item = match kind {
        WELCOME => {
            let device = DeviceId(fields.array()?);
            let channel = ChannelId(fields.array()?);
            let head = take_head(&mut fields)?;
            let (tree, bytes) = (fields.bytes()?, fields.bytes()?);
            let welcome = WaitingWelcome {
                channel,
                head,
                bytes,
                tree,
            };
            Item::Welcome(device, welcome)
        }
        CHANNEL => Item::Channel(
            ChannelId(fields.array()?),
            take_head(&mut fields)?,
            Epoch(fields.u64()?),
            GroupState {
                snapshot: fields.bytes()?,
                group_info: fields.bytes()?,
                tree: fields.bytes()?,
            },
        ),
        RECORD => {
            let channel = ChannelId(fields.array()?);
            let record = Record {
                seq: Seq(fields.u64()?),
                device: DeviceId(fields.array()?),
                client_id: ClientId(fields.array()?),
                time: UnixMillis(fields.u64()?),
                hash: Digest(fields.array()?),
                bytes: fields.bytes()?,
            };
            Item::Record(channel, record)
        }
        VALUE => {
            let version = fields.u64()?;
            Item::Value(fields.bytes()?, version, fields.bytes()?)
        }
        ENTRY => Item::Entry(fields.bytes()?, fields.bytes()?),
        _ => return Err(Malformed),
    };
    fields.end()?;
    Ok(item)
}

fn take_head(fields: &mut Fields<'_>) -> Result<ChannelHead, Malformed> {
    Ok(ChannelHead {
        seq: Seq(fields.u64()?),
        hash: Digest(fields.array()?),
    })
}

fn cannot(doing: &str, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {doing} the export: {error}"))
}

fn not_whole() -> StoreError {
    StoreError::Damaged("the export is not whole; use another one".into())
}
