//! A change of a group that waits for the server's word: one a channel.

use plenary_certs::mls::judge::Basis;
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Epoch, LedgerSeq, UnixMillis};
use rusqlite::{OptionalExtension, params};

use super::{Store, column};
use crate::error::Error;

/// What is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The group's founding; nothing goes to the log.
    Found,
    /// An external commit; the group stored under the channel's id is the one after it.
    Enter,
    /// The founding of a group in the place of one without a live leaf.
    Anew,
    /// A commit of a member; `secrets` bring the group there.
    Commit,
}

/// A pending change: what goes to the server, always the same bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PendingRow {
    pub(crate) kind: Kind,
    pub(crate) client_id: ClientId,
    /// The epoch it starts from.
    pub(crate) epoch: Epoch,
    /// As of when it is judged.
    pub(crate) basis: Basis,
    /// The commit, or the record of a founding anew; empty for a first founding.
    pub(crate) bytes: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
    /// One welcome for all devices added.
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) welcomed: Vec<DeviceId>,
    pub(crate) secrets: Option<Vec<u8>>,
    /// Of a group that is founded: the ratchet tree.
    pub(crate) tree: Option<Vec<u8>>,
}

impl PendingRow {
    /// A change that brings nobody else in and needs no secrets to be applied.
    pub(crate) fn alone(
        kind: Kind,
        client_id: ClientId,
        (epoch, basis): (Epoch, Basis),
        bytes: Vec<u8>,
        group_info: Vec<u8>,
    ) -> Self {
        Self {
            kind,
            client_id,
            epoch,
            basis,
            bytes,
            group_info,
            welcome: None,
            welcomed: Vec::new(),
            secrets: None,
            tree: None,
        }
    }
}

impl Store {
    pub(crate) fn put_pending(&self, channel: ChannelId, row: &PendingRow) -> Result<(), Error> {
        let kind = match row.kind {
            Kind::Found => 0,
            Kind::Enter => 1,
            Kind::Commit => 2,
            Kind::Anew => 3,
        };
        let welcomed: Vec<u8> = row.welcomed.iter().flat_map(|device| device.0).collect();
        self.lock().execute(
            "INSERT OR REPLACE INTO pending VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                channel.0,
                kind,
                row.client_id.0,
                row.epoch.0 as i64,
                row.basis.seq.0 as i64,
                row.basis.time.0 as i64,
                row.bytes,
                row.group_info,
                row.welcome,
                welcomed,
                row.secrets,
                row.tree,
            ],
        )?;
        Ok(())
    }

    /// Whether something is pending, without reading it.
    pub(crate) fn is_pending(&self, channel: ChannelId) -> Result<bool, Error> {
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("SELECT EXISTS(SELECT 1 FROM pending WHERE channel = ?)")?;
        Ok(query.query_row([channel.0], |row| row.get(0))?)
    }

    pub(crate) fn pending(&self, channel: ChannelId) -> Result<Option<PendingRow>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT * FROM pending WHERE channel = ?")?;
        let found = query
            .query_row([channel.0], |row| {
                let welcomed: Vec<u8> = row.get(9)?;
                Ok(PendingRow {
                    kind: match row.get::<_, i64>(1)? {
                        0 => Kind::Found,
                        1 => Kind::Enter,
                        3 => Kind::Anew,
                        _ => Kind::Commit,
                    },
                    client_id: column(row, 2)?,
                    epoch: Epoch(row.get::<_, i64>(3)? as u64),
                    basis: Basis {
                        seq: LedgerSeq(row.get::<_, i64>(4)? as u64),
                        time: UnixMillis(row.get::<_, i64>(5)? as u64),
                    },
                    bytes: row.get(6)?,
                    group_info: row.get(7)?,
                    welcome: row.get(8)?,
                    welcomed: welcomed
                        .chunks_exact(DeviceId::LEN)
                        .filter_map(|id| DeviceId::try_from(id).ok())
                        .collect(),
                    secrets: row.get(10)?,
                    tree: row.get(11)?,
                })
            })
            .optional()?;
        Ok(found)
    }

    pub(crate) fn drop_pending(&self, channel: ChannelId) -> Result<(), Error> {
        self.lock()
            .execute("DELETE FROM pending WHERE channel = ?", [channel.0])?;
        Ok(())
    }
}
