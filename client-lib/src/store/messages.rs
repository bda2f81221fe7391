//! Messages as read, in the channel's order; and how far each consumer has come.

use std::collections::HashMap;

use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Epoch, Seq, Signature, UnixMillis};
use rusqlite::{OptionalExtension, Row, params, types::ValueRef};

use super::{Store, column};
use crate::error::Error;

/// A message as stored, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRow {
    /// Over all channels, in the order this device learned them. 0 before it is stored.
    pub(crate) position: u64,
    pub(crate) channel: ChannelId,
    pub(crate) seq: Seq,
    pub(crate) client_id: ClientId,
    pub(crate) device: DeviceId,
    /// The server's clock.
    pub(crate) time: UnixMillis,
    pub(crate) epoch: Epoch,
    /// MIMI content.
    pub(crate) content: Vec<u8>,
    /// By its device.
    pub(crate) signature: Signature,
    /// What its sender had read by then, where it came by MLS.
    pub(crate) seen: Option<Seq>,
    /// Who handed it on, where it did not come from the log.
    pub(crate) handed_by: Option<DeviceId>,
}

pub(super) const COLUMNS: &str = "position, channel, seq, client_id, device, time, epoch, content, \
                       signature, seen, handed_by";

pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        position: row.get::<_, i64>(0)? as u64,
        channel: column(row, 1)?,
        seq: Seq(row.get::<_, i64>(2)? as u64),
        client_id: column(row, 3)?,
        device: column(row, 4)?,
        time: UnixMillis(row.get::<_, i64>(5)? as u64),
        epoch: Epoch(row.get::<_, i64>(6)? as u64),
        content: row.get(7)?,
        signature: column(row, 8)?,
        seen: row.get::<_, Option<i64>>(9)?.map(|seq| Seq(seq as u64)),
        handed_by: match row.get_ref(10)? {
            ValueRef::Null => None,
            _ => Some(column(row, 10)?),
        },
    })
}

impl Store {
    pub(crate) fn add_message(&self, message: &MessageRow) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "INSERT INTO message(channel, seq, client_id, device, time, epoch, content, signature,
                                     seen, handed_by)
                 VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                message.channel.0,
                message.seq.0 as i64,
                message.client_id.0,
                message.device.0,
                message.time.0 as i64,
                message.epoch.0 as i64,
                message.content,
                message.signature.0,
                message.seen.map(|seq| seq.0 as i64),
                message.handed_by.map(|device| device.0),
            ])?;
        Ok(())
    }

    /// Messages of a channel after a record, oldest first.
    pub(crate) fn messages(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<MessageRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?"
        ))?;
        let rows = query.query_map(params![channel.0, after.0 as i64, limit], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Messages of all channels after a position, in the order learned.
    pub(crate) fn messages_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message WHERE position > ? ORDER BY position LIMIT ?"
        ))?;
        let rows = query.query_map(params![position as i64, limit], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn has_message(&self, channel: ChannelId, seq: Seq) -> Result<bool, Error> {
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("SELECT 1 FROM message WHERE channel = ? AND seq = ?")?;
        Ok(query.exists(params![channel.0, seq.0 as i64])?)
    }

    /// The epoch of the last message before a position.
    pub(crate) fn epoch_before(
        &self,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<Option<Epoch>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT epoch FROM message WHERE channel = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
        )?;
        let epoch: Option<i64> = query
            .query_row(params![channel.0, seq.0 as i64], |row| row.get(0))
            .optional()?;
        Ok(epoch.map(|epoch| Epoch(epoch as u64)))
    }

    pub(crate) fn message_of(&self, client_id: ClientId) -> Result<Option<MessageRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM message WHERE client_id = ? LIMIT 1"
        ))?;
        Ok(query.query_row([client_id.0], from_row).optional()?)
    }

    /// How many messages are stored, over all channels.
    /// When each device's newest message came, by the server's clock.
    pub(crate) fn last_messages(&self) -> Result<HashMap<DeviceId, UnixMillis>, Error> {
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("SELECT device, max(time) FROM message GROUP BY device")?;
        let rows = query.query_map([], |row| {
            Ok((column(row, 0)?, UnixMillis(row.get::<_, i64>(1)? as u64)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn message_count(&self) -> Result<u64, Error> {
        let count: i64 = self
            .lock()
            .query_row("SELECT count(*) FROM message", [], |row| row.get(0))?;
        Ok(count as u64)
    }

    /// Where a consumer is; a new one starts at the end unless `from_start`.
    pub(crate) fn consumer(&self, name: &str, from_start: bool) -> Result<u64, Error> {
        let connection = self.lock();
        let known: Option<i64> = connection
            .query_row(
                "SELECT position FROM consumer WHERE name = ?",
                [name],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(position) = known {
            return Ok(position as u64);
        }
        let start: i64 = if from_start {
            0
        } else {
            connection.query_row(
                "SELECT coalesce(max(position), 0) FROM message",
                [],
                |row| row.get(0),
            )?
        };
        connection.execute("INSERT INTO consumer VALUES(?, ?)", params![name, start])?;
        Ok(start as u64)
    }

    /// Remembers that a consumer has dealt with everything up to a position.
    pub(crate) fn put_consumer(&self, name: &str, position: u64) -> Result<(), Error> {
        self.lock().execute(
            "UPDATE consumer SET position = max(position, ?) WHERE name = ?",
            params![position as i64, name],
        )?;
        Ok(())
    }
}
