//! Backup, restore, and the way to another engine: everything in the store as one stream.
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
//! of sled or of the journal. Each channel, value and queue is of one moment, different ones of
//! different moments, as everywhere in the store; a channel is at or after its welcomes.

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{Read, Write},
    path::Path,
};

use bytes::Bytes;
use plenary_core::store::{GroupState, Record, StoreError, WaitingWelcome};
use plenary_proto::ids::{
    ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, Seq, UnixMillis,
};
use tokio::sync::oneshot;

use super::{
    EmbeddedStore, Shared, StoreOptions,
    fault::io as io_fault,
    folder::sync_dir,
    rows::{self, Fields, Malformed},
    writer::Job,
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

/// Restored items in flight: what one batch of the writer takes.
const WINDOW: usize = 1_024;

/// One thing of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Welcome(DeviceId, WaitingWelcome),
    /// A channel with all its records still to come, after the trimmed ones.
    Channel(ChannelId, ChannelHead, Epoch, GroupState),
    Record(ChannelId, Record),
    Value(Bytes, u64, Bytes),
    Entry(Bytes, Bytes),
}

impl EmbeddedStore {
    /// Writes everything into `out` while the store goes on; trims wait meanwhile. Blocks.
    ///
    /// Errors: [`StoreError::Unavailable`] if `out` refuses, [`StoreError::Damaged`] if the store is.
    pub fn export(&self, out: &mut dyn Write) -> Result<(), StoreError> {
        let _no_trims = self.trims.blocking_write();
        let mut writer = Writer {
            out,
            hasher: blake3::Hasher::new(),
        };
        writer.bytes(MAGIC)?;
        self.shared.export(|item| writer.item(&item))?;
        let hash = *writer.hasher.finalize().as_bytes();
        writer.raw(END, &hash)?;
        writer.out.flush().map_err(|error| cannot("write", &error))
    }

    /// Makes a new store in `folder`, which must not exist or be empty, out of an export. Blocks,
    /// and must not run on a thread that drives asynchronous tasks.
    ///
    /// All or nothing: `folder` is only there afterwards if every byte verified. Errors:
    /// [`StoreError::Damaged`] if the export is not whole, [`StoreError::Unavailable`] if the disk
    /// or `from` refuses.
    pub fn import(folder: &Path, from: &mut dyn Read) -> Result<(), StoreError> {
        let name = folder.file_name().ok_or_else(|| {
            StoreError::Unavailable(format!("{} names no folder", folder.display()))
        })?;
        let mut beside = name.to_os_string();
        beside.push(".import");
        let beside = folder.with_file_name(beside);
        if beside.exists() {
            return Err(StoreError::Unavailable(format!(
                "{} is left from an import that did not end; remove it",
                beside.display()
            )));
        }
        if folder.exists() {
            // Refuses what is not empty, before the long work.
            fs::remove_dir(folder).map_err(|error| io_fault("replace", folder, &error))?;
        }
        let imported = import_into(&beside, from);
        if imported.is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
        imported?;
        fs::rename(&beside, folder).map_err(|error| io_fault("make", folder, &error))?;
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
            _ => sync_dir(Path::new(".")),
        }
    }
}

fn import_into(folder: &Path, from: &mut dyn Read) -> Result<(), StoreError> {
    let store = EmbeddedStore::open(folder, StoreOptions::default())?;
    let mut reader = Reader {
        from,
        hasher: blake3::Hasher::new(),
    };
    let mut magic = [0; MAGIC.len()];
    reader.bytes(&mut magic)?;
    if magic != *MAGIC {
        return Err(StoreError::Damaged(
            "this is no export, or one of another version".into(),
        ));
    }
    let mut waiting: VecDeque<oneshot::Receiver<Result<(), StoreError>>> = VecDeque::new();
    let gone = || StoreError::Unavailable("the new store stopped".into());
    while let Some(item) = reader.item()? {
        if waiting.len() >= WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.blocking_recv().map_err(|_| gone())??;
        }
        let (done, answer) = oneshot::channel();
        store
            .jobs
            .send(Job::Restore(Box::new(item), done))
            .map_err(|_| gone())?;
        waiting.push_back(answer);
    }
    for answer in waiting {
        answer.blocking_recv().map_err(|_| gone())??;
    }
    store.close()
}

impl Shared {
    /// Hands every thing in the store to `out`.
    fn export(
        &self,
        mut out: impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut devices = HashMap::new();
        for row in self.view().prefix(&[rows::WELCOME]) {
            let (key, _) = row?;
            if let Some(device) = key.get(1..17).and_then(|id| DeviceId::try_from(id).ok()) {
                devices.insert(device, ());
            }
        }
        for device in devices.into_keys() {
            for welcome in self.welcomes(device)? {
                out(Item::Welcome(device, welcome))?;
            }
        }
        for channel in self.channels()? {
            self.export_channel(channel, &mut out)?;
        }
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.list(b"", after.as_deref(), 256)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in page {
                out(Item::Value(key, value.version, value.value))?;
            }
        }
        for queue in self.queues()? {
            for value in self.queue(&queue)? {
                out(Item::Entry(queue.clone(), value))?;
            }
        }
        Ok(())
    }

    fn export_channel(
        &self,
        channel: ChannelId,
        out: &mut impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some((state, trimmed)) = self.channel_and_trim(channel)? else {
            return Ok(());
        };
        out(Item::Channel(channel, trimmed, state.epoch, state.group))?;
        let mut after = trimmed.seq;
        while after < state.head.seq {
            let limit = u32::try_from(state.head.seq.0 - after.0).unwrap_or(u32::MAX);
            let (records, _) = self.read(channel, after, limit.min(1_000), 4 << 20)?;
            for record in records {
                after = record.seq;
                out(Item::Record(channel, record))?;
            }
        }
        Ok(())
    }
}

fn cannot(doing: &str, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {doing} the export: {error}"))
}

fn not_whole() -> StoreError {
    StoreError::Damaged("the export is not whole; use another one".into())
}

struct Writer<'a> {
    out: &'a mut dyn Write,
    hasher: blake3::Hasher,
}

impl Writer<'_> {
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

    fn item(&mut self, item: &Item) -> Result<(), StoreError> {
        let (kind, body) = encode(item);
        self.raw(kind, &body)
    }
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

struct Reader<'a> {
    from: &'a mut dyn Read,
    hasher: blake3::Hasher,
}

impl Reader<'_> {
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

    /// The next item; `None` at a good end.
    fn item(&mut self) -> Result<Option<Item>, StoreError> {
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
            let (tree, bytes) = (take(&mut fields)?, take(&mut fields)?);
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
                snapshot: take(&mut fields)?,
                group_info: take(&mut fields)?,
                tree: take(&mut fields)?,
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
                bytes: take(&mut fields)?,
            };
            Item::Record(channel, record)
        }
        VALUE => {
            let version = fields.u64()?;
            Item::Value(take(&mut fields)?, version, take(&mut fields)?)
        }
        ENTRY => Item::Entry(take(&mut fields)?, take(&mut fields)?),
        _ => return Err(Malformed),
    };
    fields.end()?;
    Ok(item)
}

fn take(fields: &mut Fields<'_>) -> Result<Bytes, Malformed> {
    let length = usize::try_from(fields.u64()?).map_err(|_| Malformed)?;
    let (bytes, rest) = fields.0.split_at_checked(length).ok_or(Malformed)?;
    fields.0 = rest;
    Ok(Bytes::copy_from_slice(bytes))
}

fn take_head(fields: &mut Fields<'_>) -> Result<ChannelHead, Malformed> {
    Ok(ChannelHead {
        seq: Seq(fields.u64()?),
        hash: Digest(fields.array()?),
    })
}
