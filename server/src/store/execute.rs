//! The writing operations, each on the rows as they will be once the batch before it is applied.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use plenary_core::store::{Append, Appended, GroupState, Moved, StoreError, Transition, chain};
use plenary_proto::ids::{ChannelHead, ChannelId, DeviceId, Epoch, Seq};

use super::{
    batch::{Batch, Changes},
    marks::mark,
    rows::{
        ChannelRow, NumberedRow, RecordRow, WelcomeRow, channel_key, decode_entry, decode_pair,
        encode_entry, encode_mark, encode_pair, entry_key, group_key, mark_key, queue_key,
        record_key, value_key, welcome_key,
    },
};

/// Records that one step of a trim removes: a long trim must not hold up everybody else.
const TRIM_STEP: u64 = 1_000;

/// Opens a channel's log.
pub(super) fn found(
    batch: &mut Batch<'_>,
    channel: ChannelId,
    epoch: Epoch,
    group: GroupState,
) -> Result<(), StoreError> {
    let key = channel_key(channel);
    if batch.get(&key)?.is_some() {
        return Err(StoreError::ChannelExists);
    }
    let mut changes = Changes::default();
    let row = ChannelRow {
        head: ChannelHead::EMPTY,
        trimmed: ChannelHead::EMPTY,
        epoch,
    };
    changes.set(key, row.encode());
    set_group(&mut changes, channel, epoch, group);
    batch.take(changes)
}

/// Appends one record. The hint is `None` for a repeat.
pub(super) fn append(
    batch: &mut Batch<'_>,
    append: Append,
) -> Result<(Appended, Option<Moved>), StoreError> {
    let channel = append.channel;
    let key = channel_key(channel);
    let mut row = batch
        .get_as(&key, ChannelRow::decode)?
        .ok_or(StoreError::NoChannel)?;
    let mark = mark(channel, append.device, append.client_id);
    if let Some(seq) = batch.find(mark) {
        let at = record_key(channel, seq);
        let record = batch.get_as(&at, RecordRow::decode)?;
        let hash = record.ok_or_else(|| batch.missing(&at))?.hash;
        let appended = Appended {
            head: ChannelHead { seq, hash },
            repeated: true,
        };
        return Ok((appended, None));
    }
    append.check_epoch(row.epoch)?;

    let seq = row.head.seq.next();
    let hash = chain(
        &row.head.hash,
        channel,
        seq,
        append.device,
        append.client_id,
        append.time,
        &append.bytes,
    );
    let head = ChannelHead { seq, hash };
    row.head = head;
    let mut changes = Changes::default();
    let slot = changes.slot(append.bytes.clone());
    let record = RecordRow::new(&append, hash, slot);
    changes.set_new(record_key(channel, seq), record.encode());
    let sender = encode_mark(append.device, append.client_id);
    changes.set_new(mark_key(channel, seq), sender);
    changes.mark(mark, Some(seq));
    if let Some(transition) = append.transition {
        row.epoch = transition.to;
        transit(batch, &mut changes, channel, head, transition)?;
    }
    changes.set(key, row.encode());
    batch.take(changes)?;
    let appended = Appended {
        head,
        repeated: false,
    };
    let record = Arc::new(record.record(seq, append.bytes));
    Ok((appended, Some(Moved { channel, record })))
}

fn transit(
    batch: &Batch<'_>,
    changes: &mut Changes,
    channel: ChannelId,
    head: ChannelHead,
    transition: Transition,
) -> Result<(), StoreError> {
    for part in 0..3 {
        let key = group_key(channel, part);
        let old = batch.get_as(&key, NumberedRow::decode)?;
        changes.release(&old.ok_or_else(|| batch.missing(&key))?.slot);
    }
    let epoch = transition.to;
    // Two for one device: the later is the newer.
    let welcomes: BTreeMap<DeviceId, Bytes> = transition.welcomes.into_iter().collect();
    if !welcomes.is_empty() {
        let tree = changes.share(transition.state.tree.clone(), welcomes.len() as u64);
        for (device, bytes) in welcomes {
            let key = welcome_key(device, channel);
            if let Some(old) = batch.get_as(&key, WelcomeRow::decode)? {
                changes.release(&old.slot);
                changes.release_shared(old.tree);
            }
            let slot = changes.slot(bytes);
            changes.set(key, WelcomeRow { head, tree, slot }.encode());
        }
    }
    set_group(changes, channel, epoch, transition.state);
    Ok(())
}

fn set_group(changes: &mut Changes, channel: ChannelId, epoch: Epoch, group: GroupState) {
    let parts = [group.snapshot, group.group_info, group.tree];
    for (part, content) in (0..).zip(parts) {
        let row = NumberedRow {
            number: epoch.0,
            slot: changes.slot(content),
        };
        changes.set(group_key(channel, part), row.encode());
    }
}

/// Drops some of the records up to `through`. `true` once none is left to drop.
pub(super) fn trim(
    batch: &mut Batch<'_>,
    channel: ChannelId,
    through: Seq,
) -> Result<bool, StoreError> {
    let key = channel_key(channel);
    let mut row = batch
        .get_as(&key, ChannelRow::decode)?
        .ok_or(StoreError::NoChannel)?;
    let first = row.trimmed.seq;
    let end = through.min(row.head.seq);
    if end <= first {
        return Ok(true);
    }
    let last = Seq(end.0.min(first.0 + TRIM_STEP));
    let mut changes = Changes::default();
    for seq in (first.0 + 1..=last.0).map(Seq) {
        let at = record_key(channel, seq);
        let record = batch.get_as(&at, RecordRow::decode)?;
        let record = record.ok_or_else(|| batch.missing(&at))?;
        changes.release(&record.slot);
        changes.remove(mark_key(channel, seq));
        changes.mark(mark(channel, record.device, record.client_id), None);
        changes.remove(at);
        row.trimmed = ChannelHead {
            seq,
            hash: record.hash,
        };
    }
    changes.set(key, row.encode());
    batch.take(changes)?;
    Ok(last == end)
}

/// Forgets a welcome unless a newer one took its place.
pub(super) fn drop_welcome(
    batch: &mut Batch<'_>,
    device: DeviceId,
    channel: ChannelId,
    seq: Seq,
) -> Result<(), StoreError> {
    let key = welcome_key(device, channel);
    match batch.get_as(&key, WelcomeRow::decode)? {
        Some(row) if row.head.seq == seq => {
            let mut changes = Changes::default();
            changes.release(&row.slot);
            changes.release_shared(row.tree);
            changes.remove(key);
            batch.take(changes)
        }
        _ => Ok(()),
    }
}

/// Sets or removes a value at a version.
pub(super) fn put_if(
    batch: &mut Batch<'_>,
    name: &[u8],
    version: u64,
    value: Option<Bytes>,
) -> Result<u64, StoreError> {
    let key = value_key(name);
    let old = batch.get_as(&key, NumberedRow::decode)?;
    let current = old.as_ref().map_or(0, |old| old.number);
    if current != version {
        return Err(StoreError::WrongVersion { current });
    }
    let mut changes = Changes::default();
    if let Some(old) = &old {
        changes.release(&old.slot);
    }
    let version = match value {
        Some(value) => {
            let row = NumberedRow {
                number: version + 1,
                slot: changes.slot(value),
            };
            changes.set(key, row.encode());
            row.number
        }
        None if old.is_none() => return Ok(0),
        None => {
            changes.remove(key);
            0
        }
    };
    batch.take(changes)?;
    Ok(version)
}

/// Adds to the end of a queue.
pub(super) fn push(batch: &mut Batch<'_>, queue: &[u8], value: Bytes) -> Result<(), StoreError> {
    let key = queue_key(queue);
    let (first, end) = batch.get_as(&key, decode_pair)?.unwrap_or_default();
    let mut changes = Changes::default();
    let slot = changes.slot(value);
    changes.set(entry_key(queue, end), encode_entry(&slot));
    changes.set(key, encode_pair(first, end + 1));
    batch.take(changes)
}

/// Takes the oldest of a queue.
pub(super) fn pop_one(batch: &mut Batch<'_>, queue: &[u8]) -> Result<Option<Bytes>, StoreError> {
    let key = queue_key(queue);
    let Some((first, end)) = batch.get_as(&key, decode_pair)? else {
        return Ok(None);
    };
    let at = entry_key(queue, first);
    let slot = batch.get_as(&at, decode_entry)?;
    let slot = slot.ok_or_else(|| batch.missing(&at))?;
    let content = batch.content(&slot)?;
    let mut changes = Changes::default();
    changes.release(&slot);
    changes.remove(at);
    if first + 1 == end {
        changes.remove(key);
    } else {
        changes.set(key, encode_pair(first + 1, end));
    }
    batch.take(changes)?;
    Ok(Some(content))
}
