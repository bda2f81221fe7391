//! Items handed over, and every statement of custody seen about them.

use plenary_proto::ids::{ChannelId, DeviceId, Digest, ItemId, MemberId, Seq};
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, column};
use crate::error::Error;

/// An item as it was first handed over in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ItemRow {
    pub(crate) item: ItemId,
    pub(crate) channel: ChannelId,
    /// The message that did.
    pub(crate) seq: Seq,
    /// By which device.
    pub(crate) device: DeviceId,
    /// The manifest without its key.
    pub(crate) described: Vec<u8>,
    /// Members who had a device in the channel then.
    pub(crate) offered: Vec<MemberId>,
}

/// A statement of custody as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustodyRow {
    pub(crate) id: Digest,
    pub(crate) item: ItemId,
    pub(crate) channel: ChannelId,
    /// Encoded entry.
    pub(crate) entry: Vec<u8>,
    /// This device's own, not in the outbox yet.
    pub(crate) waits: bool,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<CustodyRow> {
    Ok(CustodyRow {
        id: column(row, 0)?,
        item: column(row, 1)?,
        channel: column(row, 2)?,
        entry: row.get(3)?,
        waits: row.get(4)?,
    })
}

impl Store {
    /// Keeps an item; the first one of an id in a channel stays.
    pub(crate) fn add_item(&self, row: &ItemRow) -> Result<(), Error> {
        let offered: Vec<u8> = row.offered.iter().flat_map(|member| member.0).collect();
        self.lock()
            .prepare_cached("INSERT OR IGNORE INTO item VALUES(?, ?, ?, ?, ?, ?)")?
            .execute(params![
                row.item.0,
                row.channel.0,
                row.seq.0 as i64,
                row.device.0,
                row.described,
                offered,
            ])?;
        Ok(())
    }

    pub(crate) fn item(&self, channel: ChannelId, item: ItemId) -> Result<Option<ItemRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT item, channel, seq, device, described, offered FROM item
             WHERE item = ? AND channel = ?",
        )?;
        let row = query.query_row(params![item.0, channel.0], |row| {
            let offered: Vec<u8> = row.get(5)?;
            Ok(ItemRow {
                item: column(row, 0)?,
                channel: column(row, 1)?,
                seq: Seq(row.get::<_, i64>(2)? as u64),
                device: column(row, 3)?,
                described: row.get(4)?,
                offered: offered
                    .chunks_exact(MemberId::LEN)
                    .filter_map(|id| MemberId::try_from(id).ok())
                    .collect(),
            })
        });
        Ok(row.optional()?)
    }

    /// Keeps a statement, or what became of one.
    pub(crate) fn put_custody(&self, row: &CustodyRow) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "INSERT INTO custody(id, item, channel, entry, waits) VALUES(?, ?, ?, ?, ?)
                 ON CONFLICT(id) DO UPDATE SET entry = excluded.entry, waits = excluded.waits",
            )?
            .execute(params![
                row.id.0,
                row.item.0,
                row.channel.0,
                row.entry,
                row.waits
            ])?;
        Ok(())
    }

    /// A statement of this device is in the log.
    pub(crate) fn custody_said(&self, id: &Digest, at: Seq) -> Result<(), Error> {
        self.lock()
            .prepare_cached("UPDATE custody SET said = ? WHERE id = ?")?
            .execute(params![at.0 as i64, id.0])?;
        Ok(())
    }

    /// All statements about an item in a channel, in the order learned.
    pub(crate) fn custody(
        &self,
        channel: ChannelId,
        item: ItemId,
    ) -> Result<Vec<CustodyRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT id, item, channel, entry, waits FROM custody
             WHERE item = ? AND channel = ? ORDER BY position",
        )?;
        let rows = query.query_map(params![item.0, channel.0], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// This device's statements that wait to be sent in a channel, the oldest first.
    pub(crate) fn custody_waiting(
        &self,
        channel: ChannelId,
        limit: usize,
    ) -> Result<Vec<CustodyRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT id, item, channel, entry, waits FROM custody
             WHERE waits AND channel = ? ORDER BY position LIMIT ?",
        )?;
        let rows = query.query_map(params![channel.0, limit as i64], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many of this device's statements wait to be sent, over all channels.
    pub(crate) fn custody_waits(&self) -> Result<u64, Error> {
        let count: i64 = self
            .lock()
            .prepare_cached("SELECT count(*) FROM custody WHERE waits")?
            .query_row([], |row| row.get(0))?;
        Ok(count as u64)
    }
}
