//! Channels of this device: where it stands in each, and what each sender said last.

use plenary_certs::mls::judge::Basis;
use plenary_proto::ids::{ChannelHead, ChannelId, DeviceId, LedgerSeq, Seq, UnixMillis};
use rusqlite::{OptionalExtension, params};

use super::{Store, column};
use crate::error::Error;

/// Where this device stands in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Asked to enter; not in yet.
    Entering,
    /// In.
    In,
    /// Was in; removed or left.
    Out,
    /// Out because the ledger had this device out: comes back by itself once it is live again.
    Parted,
}

/// A channel of this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChannelRow {
    pub(crate) id: ChannelId,
    pub(crate) standing: Standing,
    /// The last record processed, and the chain up to it.
    pub(crate) head: ChannelHead,
    /// As of when the last commit was judged.
    pub(crate) basis: Option<Basis>,
    /// Why it is out, or why entering waits.
    pub(crate) note: Option<String>,
}

impl ChannelRow {
    pub(crate) fn entering(id: ChannelId) -> Self {
        Self {
            id,
            standing: Standing::Entering,
            head: ChannelHead::EMPTY,
            basis: None,
            note: None,
        }
    }
}

impl Store {
    pub(crate) fn put_channel(&self, row: &ChannelRow) -> Result<(), Error> {
        let standing = match row.standing {
            Standing::Entering => 0,
            Standing::In => 1,
            Standing::Out => 2,
            Standing::Parted => 3,
        };
        self.lock()
            .prepare_cached("INSERT OR REPLACE INTO channel VALUES(?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                row.id.0,
                standing,
                row.head.seq.0 as i64,
                row.head.hash.0,
                row.basis.map(|basis| basis.seq.0 as i64),
                row.basis.map(|basis| basis.time.0 as i64),
                row.note,
            ])?;
        Ok(())
    }

    pub(crate) fn channels(&self) -> Result<Vec<ChannelRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT * FROM channel")?;
        let rows = query.query_map([], |row| {
            let basis_seq: Option<i64> = row.get(4)?;
            let basis_time: Option<i64> = row.get(5)?;
            Ok(ChannelRow {
                id: column(row, 0)?,
                standing: match row.get::<_, i64>(1)? {
                    0 => Standing::Entering,
                    1 => Standing::In,
                    3 => Standing::Parted,
                    _ => Standing::Out,
                },
                head: ChannelHead {
                    seq: Seq(row.get::<_, i64>(2)? as u64),
                    hash: column(row, 3)?,
                },
                basis: basis_seq.zip(basis_time).map(|(seq, time)| Basis {
                    seq: LedgerSeq(seq as u64),
                    time: UnixMillis(time as u64),
                }),
                note: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What a sender named last: its ledger and the record it had seen.
    pub(crate) fn sender(
        &self,
        channel: ChannelId,
        device: DeviceId,
    ) -> Result<Option<(LedgerSeq, Seq)>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT ledger_seq, seen_seq FROM sender WHERE channel = ? AND device = ?",
        )?;
        let found = query
            .query_row(params![channel.0, device.0], |row| {
                Ok((
                    LedgerSeq(row.get::<_, i64>(0)? as u64),
                    Seq(row.get::<_, i64>(1)? as u64),
                ))
            })
            .optional()?;
        Ok(found)
    }

    /// What a device knew with its newest record, and when the server took that.
    pub(crate) fn put_sender(
        &self,
        channel: ChannelId,
        device: DeviceId,
        (ledger, seen): (LedgerSeq, Seq),
        time: UnixMillis,
    ) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "INSERT INTO sender VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(channel, device)
                 DO UPDATE SET ledger_seq = ?3, seen_seq = ?4, heard = max(heard, ?5)",
            )?
            .execute(params![
                channel.0,
                device.0,
                ledger.0 as i64,
                seen.0 as i64,
                time.0 as i64
            ])?;
        Ok(())
    }

    /// The server took a record of this device itself, whose knowledge is not to be judged.
    pub(crate) fn put_heard(
        &self,
        channel: ChannelId,
        own: DeviceId,
        time: UnixMillis,
    ) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "INSERT INTO sender VALUES(?1, ?2, 0, 0, ?3) ON CONFLICT(channel, device)
                 DO UPDATE SET heard = max(heard, ?3)",
            )?
            .execute(params![channel.0, own.0, time.0 as i64])?;
        Ok(())
    }

    /// When a device said something in a channel last, or entered it; zero if neither is known.
    pub(crate) fn last_heard(
        &self,
        channel: ChannelId,
        device: DeviceId,
    ) -> Result<UnixMillis, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT max(
                 ifnull((SELECT heard FROM sender WHERE channel = ?1 AND device = ?2), 0),
                 ifnull((SELECT max(entered_time) FROM stay
                     WHERE channel = ?1 AND device = ?2), 0))",
        )?;
        let time: i64 = query.query_row(params![channel.0, device.0], |row| row.get(0))?;
        Ok(UnixMillis(time as u64))
    }
}
