//! The outbox: what is to be sent, durable before `send` returns.

use plenary_proto::ids::{ChannelId, ClientId, Epoch, Seq, Signature};
use rusqlite::{OptionalExtension, Row, params, types::ValueRef};

use super::{Store, column};
use crate::{content::Carries, error::Error};

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutboxRow {
    pub(crate) client_id: ClientId,
    pub(crate) channel: ChannelId,
    /// MIMI content.
    pub(crate) content: Vec<u8>,
    /// Once sealed: in which epoch, the device's signature inside, and the bytes that go out, always the same.
    pub(crate) sealed: Option<SealedRow>,
    /// Once acknowledged.
    pub(crate) seq: Option<Seq>,
    /// Why it will not be sent.
    pub(crate) failed: Option<String>,
    /// For members, or for devices.
    pub(crate) carries: Carries,
}

/// See [`OutboxRow::sealed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedRow {
    pub(crate) epoch: Epoch,
    pub(crate) signature: Signature,
    pub(crate) bytes: Vec<u8>,
}

const COLUMNS: &str = "client_id, channel, content, epoch, signature, sealed, seq, failed, \
                       carries";

fn from_row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let epoch: Option<i64> = row.get(3)?;
    let signature: Option<Signature> = match row.get_ref(4)? {
        ValueRef::Null => None,
        _ => Some(column(row, 4)?),
    };
    let bytes: Option<Vec<u8>> = row.get(5)?;
    Ok(OutboxRow {
        client_id: column(row, 0)?,
        channel: column(row, 1)?,
        content: row.get(2)?,
        sealed: match (epoch, signature, bytes) {
            (Some(epoch), Some(signature), Some(bytes)) => Some(SealedRow {
                epoch: Epoch(epoch as u64),
                signature,
                bytes,
            }),
            _ => None,
        },
        seq: row.get::<_, Option<i64>>(6)?.map(|seq| Seq(seq as u64)),
        failed: row.get(7)?,
        carries: Carries::from_code(row.get(8)?).unwrap_or(Carries::Content),
    })
}

impl Store {
    /// Within a transaction of the caller's: durable once that is.
    pub(crate) fn queue(
        &self,
        client_id: ClientId,
        channel: ChannelId,
        carries: Carries,
        content: &[u8],
    ) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "INSERT INTO outbox(client_id, channel, content, carries) VALUES(?, ?, ?, ?)",
            )?
            .execute(params![client_id.0, channel.0, content, carries.code()])?;
        Ok(())
    }

    /// The oldest message of a channel that is neither acknowledged nor failed.
    pub(crate) fn next_outgoing(&self, channel: ChannelId) -> Result<Option<OutboxRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM outbox
             WHERE channel = ? AND seq IS NULL AND failed IS NULL ORDER BY position LIMIT 1"
        ))?;
        Ok(query.query_row([channel.0], from_row).optional()?)
    }

    pub(crate) fn outgoing(&self, client_id: ClientId) -> Result<Option<OutboxRow>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM outbox WHERE client_id = ?"))?;
        Ok(query.query_row([client_id.0], from_row).optional()?)
    }

    /// Whether there are bytes of it that go out: they are durable.
    pub(crate) fn is_sealed(&self, client_id: ClientId) -> Result<bool, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT 1 FROM outbox WHERE client_id = ? AND sealed IS NOT NULL")?;
        Ok(query.exists([client_id.0])?)
    }

    /// Messages that the server said to be at or before a position.
    pub(crate) fn acknowledged(
        &self,
        channel: ChannelId,
        through: Seq,
    ) -> Result<Vec<OutboxRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM outbox WHERE channel = ? AND seq <= ? ORDER BY seq"
        ))?;
        let rows = query.query_map(params![channel.0, through.0 as i64], from_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many wait to be acknowledged, in one channel or in all. What devices tell one another does
    /// not count.
    pub(crate) fn queued(&self, channel: Option<ChannelId>) -> Result<u64, Error> {
        let count: i64 = self.lock().query_row(
            "SELECT count(*) FROM outbox
             WHERE seq IS NULL AND failed IS NULL AND carries = 0 AND (?1 IS NULL OR channel = ?1)",
            [channel.map(|channel| channel.0)],
            |row| row.get(0),
        )?;
        Ok(count as u64)
    }

    /// Remembers the bytes that go out; `None` takes them back: the epoch they were for is over
    /// and the server never took them.
    pub(crate) fn put_sealed(
        &self,
        client_id: ClientId,
        sealed: Option<&SealedRow>,
    ) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "UPDATE outbox SET epoch = ?, signature = ?, sealed = ? WHERE client_id = ?",
            )?
            .execute(params![
                sealed.map(|sealed| sealed.epoch.0 as i64),
                sealed.map(|sealed| sealed.signature.0),
                sealed.map(|sealed| &sealed.bytes),
                client_id.0,
            ])?;
        Ok(())
    }

    /// What was sealed for a group that this device is no longer in is sealed again: the next
    /// group's epochs may have the same numbers.
    pub(crate) fn unseal(&self, channel: ChannelId) -> Result<(), Error> {
        self.lock().execute(
            "UPDATE outbox SET epoch = NULL, signature = NULL, sealed = NULL WHERE channel = ?",
            [channel.0],
        )?;
        Ok(())
    }

    /// Remembers where the server says that a message is.
    pub(crate) fn put_acknowledged(&self, client_id: ClientId, seq: Seq) -> Result<(), Error> {
        self.lock()
            .prepare_cached("UPDATE outbox SET seq = ? WHERE client_id = ?")?
            .execute(params![seq.0 as i64, client_id.0])?;
        Ok(())
    }

    /// What the server said to be at a position is not there: those messages wait again.
    pub(crate) fn deny_acknowledged(&self, channel: ChannelId, seq: Seq) -> Result<bool, Error> {
        let changed = self
            .lock()
            .prepare_cached("UPDATE outbox SET seq = NULL WHERE channel = ? AND seq = ?")?
            .execute(params![channel.0, seq.0 as i64])?;
        Ok(changed > 0)
    }

    pub(crate) fn put_failed(&self, client_id: ClientId, reason: &str) -> Result<(), Error> {
        self.lock().execute(
            "UPDATE outbox SET failed = ? WHERE client_id = ?",
            params![reason, client_id.0],
        )?;
        Ok(())
    }

    /// The same for all positions after one; how many messages.
    pub(crate) fn deny_acknowledged_after(
        &self,
        channel: ChannelId,
        after: Seq,
    ) -> Result<usize, Error> {
        Ok(self
            .lock()
            .prepare_cached("UPDATE outbox SET seq = NULL WHERE channel = ? AND seq > ?")?
            .execute(params![channel.0, after.0 as i64])?)
    }

    /// Forgets a message that is in the log now.
    pub(crate) fn unqueue(&self, client_id: ClientId) -> Result<(), Error> {
        self.lock()
            .prepare_cached("DELETE FROM outbox WHERE client_id = ?")?
            .execute([client_id.0])?;
        Ok(())
    }
}
