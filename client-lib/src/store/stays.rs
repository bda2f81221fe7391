//! Who came to a channel and left it, as its commits said: what a clean break is certified from.

use plenary_proto::ids::{ChannelHead, ChannelId, DeviceId, Epoch, LedgerSeq, Seq, UnixMillis};
use rusqlite::params;

use super::{Store, column};
use crate::error::Error;

/// A device's time in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StayRow {
    /// The record that brought it in, and when; `None`: it was there when this device came.
    pub(crate) entered: Option<(Seq, UnixMillis)>,
    /// How it ended.
    pub(crate) left: Option<LeftRow>,
}

/// The commit that took a device out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeftRow {
    /// The log up to the commit.
    pub(crate) head: ChannelHead,
    /// The epoch before it.
    pub(crate) epoch: Epoch,
    /// The server's clock.
    pub(crate) time: UnixMillis,
    pub(crate) by: DeviceId,
    /// The ledger that it named.
    pub(crate) basis: LedgerSeq,
    /// The device had been silent for too long.
    pub(crate) silent: bool,
}

impl Store {
    pub(crate) fn put_entered(
        &self,
        channel: ChannelId,
        device: DeviceId,
        (seq, time): (Seq, UnixMillis),
    ) -> Result<(), Error> {
        self.lock()
            .prepare_cached(
                "INSERT INTO stay(channel, device, entered, entered_time) VALUES(?, ?, ?, ?)",
            )?
            .execute(params![channel.0, device.0, seq.0 as i64, time.0 as i64])?;
        Ok(())
    }

    pub(crate) fn put_left(
        &self,
        channel: ChannelId,
        device: DeviceId,
        left: &LeftRow,
    ) -> Result<(), Error> {
        let values = params![
            channel.0,
            device.0,
            left.head.seq.0 as i64,
            left.head.hash.0,
            left.epoch.0 as i64,
            left.time.0 as i64,
            left.by.0,
            left.basis.0 as i64,
            left.silent,
        ];
        let connection = self.lock();
        let known = connection
            .prepare_cached(
                "UPDATE stay SET left_seq = ?3, left_hash = ?4, left_epoch = ?5, left_time = ?6,
                     left_by = ?7, left_basis = ?8, left_silent = ?9
                 WHERE position = (SELECT max(position) FROM stay
                     WHERE channel = ?1 AND device = ?2 AND left_seq IS NULL)",
            )?
            .execute(values)?;
        if known == 0 {
            connection
                .prepare_cached(
                    "INSERT INTO stay(channel, device, left_seq, left_hash, left_epoch, left_time,
                         left_by, left_basis, left_silent)
                     VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                )?
                .execute(values)?;
        }
        Ok(())
    }

    /// Who left a channel, and how; a device as often as it did.
    pub(crate) fn departures(&self, channel: ChannelId) -> Result<Vec<(DeviceId, LeftRow)>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT DISTINCT device FROM stay WHERE channel = ? AND left_seq > 0",
        )?;
        let devices = query.query_map([channel.0], |row| column(row, 0))?;
        let devices: Vec<DeviceId> = devices.collect::<Result<_, _>>()?;
        drop(query);
        drop(connection);
        let mut departures = Vec::new();
        for device in devices {
            let stays = self.stays(channel, device)?;
            let left = stays.into_iter().filter_map(|stay| stay.left);
            departures.extend(left.map(|left| (device, left)));
        }
        Ok(departures)
    }

    /// A device's stays in a channel, the oldest first.
    pub(crate) fn stays(
        &self,
        channel: ChannelId,
        device: DeviceId,
    ) -> Result<Vec<StayRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT entered, entered_time, left_seq, left_hash, left_epoch, left_time, left_by,
                 left_basis, left_silent
             FROM stay WHERE channel = ? AND device = ? ORDER BY position",
        )?;
        let rows = query.query_map(params![channel.0, device.0], |row| {
            let number = |index| row.get::<_, Option<i64>>(index);
            let entered = number(0)?.zip(number(1)?);
            let left = match number(2)? {
                None => None,
                Some(seq) => Some(LeftRow {
                    head: ChannelHead {
                        seq: Seq(seq as u64),
                        hash: column(row, 3)?,
                    },
                    epoch: Epoch(row.get::<_, i64>(4)? as u64),
                    time: UnixMillis(row.get::<_, i64>(5)? as u64),
                    by: column(row, 6)?,
                    basis: LedgerSeq(row.get::<_, i64>(7)? as u64),
                    silent: row.get(8)?,
                }),
            };
            Ok(StayRow {
                entered: entered.map(|(seq, time)| (Seq(seq as u64), UnixMillis(time as u64))),
                left,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
