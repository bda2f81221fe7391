//! Putting the things of an export into a new store, each verified as far as it can be.

use plenary_core::{
    export::{Item, follow},
    store::{Record, StoreError, WaitingWelcome},
};
use plenary_proto::ids::{ChannelHead, ChannelId, DeviceId, Epoch};

use super::{
    batch::{Batch, Changes},
    execute,
    marks::mark,
    rows::{
        ChannelRow, NumberedRow, RecordRow, WelcomeRow, channel_key, encode_mark, mark_key,
        record_key, value_key, welcome_key,
    },
};

/// Puts one thing into the store. The store must be new and be made of one export.
pub(super) fn restore(batch: &mut Batch<'_>, item: Item) -> Result<(), StoreError> {
    match item {
        Item::Welcome(device, welcome) => restore_welcome(batch, device, welcome),
        Item::Channel(channel, trimmed, epoch, group) => {
            execute::found(batch, channel, epoch, group)?;
            restore_trimmed(batch, channel, trimmed, epoch)
        }
        Item::Record(channel, record) => restore_record(batch, channel, record),
        Item::Value(key, version, value) => {
            let mut changes = Changes::default();
            let row = NumberedRow {
                number: version,
                slot: changes.slot(value),
            };
            changes.set(value_key(&key), row.encode());
            batch.take(changes)
        }
        Item::Entry(queue, value) => execute::push(batch, &queue, value),
    }
}

fn restore_trimmed(
    batch: &mut Batch<'_>,
    channel: ChannelId,
    trimmed: ChannelHead,
    epoch: Epoch,
) -> Result<(), StoreError> {
    let row = ChannelRow {
        head: trimmed,
        trimmed,
        epoch,
    };
    let mut changes = Changes::default();
    changes.set(channel_key(channel), row.encode());
    batch.take(changes)
}

fn restore_welcome(
    batch: &mut Batch<'_>,
    device: DeviceId,
    welcome: WaitingWelcome,
) -> Result<(), StoreError> {
    let mut changes = Changes::default();
    let row = WelcomeRow {
        head: welcome.head,
        tree: changes.share(welcome.tree, 1),
        slot: changes.slot(welcome.bytes),
    };
    changes.set(welcome_key(device, welcome.channel), row.encode());
    batch.take(changes)
}

fn restore_record(
    batch: &mut Batch<'_>,
    channel: ChannelId,
    record: Record,
) -> Result<(), StoreError> {
    let key = channel_key(channel);
    let row = batch.get_as(&key, ChannelRow::decode)?;
    let mut row = row.ok_or(StoreError::NoChannel)?;
    let (seq, device, client) = (record.seq, record.device, record.client_id);
    row.head = follow(&row.head, channel, &record)?;
    let mut changes = Changes::default();
    let kept = RecordRow {
        device,
        client_id: client,
        time: record.time,
        hash: record.hash,
        slot: changes.slot(record.bytes),
    };
    changes.set_new(record_key(channel, seq), kept.encode());
    changes.set_new(mark_key(channel, seq), encode_mark(device, client));
    changes.mark(mark(channel, device, client), Some(seq));
    changes.set(key, row.encode());
    batch.take(changes)
}
