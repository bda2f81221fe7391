//! The Board's ledger as this profile has verified it, whole.

use plenary_certs::{ledger::Ledger, mls::judge::LedgerHandle};
use plenary_proto::ids::LedgerSeq;
use rusqlite::params;

use super::{Store, identity::Identity};
use crate::error::{Error, ErrorKind};

impl Store {
    /// Reads and verifies the whole ledger.
    pub(crate) fn ledger(&self, identity: &Identity) -> Result<LedgerHandle, Error> {
        let mut ledger = Ledger::new(identity.network(), identity.root1());
        let connection = self.lock();
        let mut query = connection.prepare("SELECT signed FROM ledger ORDER BY seq")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            ledger
                .append(row.get_ref(0)?.as_blob().unwrap_or_default())
                .map_err(|error| {
                    Error::new(
                        ErrorKind::Store,
                        format!(
                            "the profile's copy of the ledger is damaged at {}: {error}",
                            ledger.len() + 1
                        ),
                    )
                })?;
        }
        Ok(LedgerHandle::new(ledger))
    }

    /// Signed statements after a position, as stored.
    pub(crate) fn statements(
        &self,
        after: LedgerSeq,
        limit: u32,
    ) -> Result<Vec<(LedgerSeq, Vec<u8>)>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT seq, signed FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?")?;
        let rows = query.query_map(params![after.0 as i64, limit], |row| {
            Ok((LedgerSeq(row.get::<_, i64>(0)? as u64), row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn put_statement(&self, seq: LedgerSeq, signed: &[u8]) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO ledger VALUES(?, ?)",
            params![seq.0 as i64, signed],
        )?;
        Ok(())
    }
}
