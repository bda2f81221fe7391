//! MLS state in the profile's store: written inside the engine's transaction, never beside it.

use mls_rs_codec::{MlsDecode, MlsEncode};
use mls_rs_core::{
    error::IntoAnyError,
    group::{EpochRecord, GroupState, GroupStateStorage},
    key_package::{KeyPackageData, KeyPackageStorage},
};
use rusqlite::{OptionalExtension, params};
use zeroize::Zeroizing;

use crate::store::Store;

/// The store failed under MLS.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StorageError {
    /// The database: nothing can go on.
    #[error("the profile's store failed under MLS: {0}")]
    Database(String),
    /// What lies there is not what was stored.
    #[error("stored MLS state that cannot be read: {0}")]
    Codec(String),
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl From<mls_rs_codec::Error> for StorageError {
    fn from(error: mls_rs_codec::Error) -> Self {
        Self::Codec(error.to_string())
    }
}

impl IntoAnyError for StorageError {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(Box::new(self))
    }
}

/// Group states and trees as of a commit, and what used keys since. The log is ordered, so no past
/// epoch is kept.
#[derive(Debug, Clone)]
pub(crate) struct Groups(pub(crate) Store);

/// What used a key of the current epoch's secret tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Used {
    /// A message of this device: its own next key.
    Own,
    /// Another's message, as it came. Only mls-rs knows which key that is, and tells with
    /// `export_key_generation`, which does not build without `prior_epoch`.
    Other(Vec<u8>),
}

impl GroupStateStorage for Groups {
    type Error = StorageError;

    fn state(&self, group: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let connection = self.0.lock();
        let mut query = connection.prepare_cached("SELECT state FROM mls_group WHERE id = ?")?;
        Ok(query
            .query_row([group], |row| row.get(0))
            .optional()?
            .map(Zeroizing::new))
    }

    fn epoch(&self, _: &[u8], _: u64) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        Ok(None)
    }

    fn write(
        &mut self,
        state: GroupState,
        _: Vec<EpochRecord>,
        _: Vec<EpochRecord>,
    ) -> Result<(), StorageError> {
        let connection = self.0.lock();
        connection
            .prepare_cached(
                "INSERT INTO mls_group(id, state) VALUES(?1, ?2)
                 ON CONFLICT(id) DO UPDATE SET state = ?2",
            )?
            .execute(params![state.id, state.data.as_slice()])?;
        // A state written whole has used them.
        connection
            .prepare_cached("DELETE FROM mls_used WHERE id = ?")?
            .execute([state.id])?;
        Ok(())
    }

    fn max_epoch_id(&self, _: &[u8]) -> Result<Option<u64>, StorageError> {
        Ok(None)
    }
}

impl Groups {
    pub(crate) fn tree(&self, group: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let connection = self.0.lock();
        let mut query = connection.prepare_cached("SELECT tree FROM mls_tree WHERE id = ?")?;
        Ok(query.query_row([group], |row| row.get(0)).optional()?)
    }

    pub(crate) fn put_tree(&self, group: &[u8], tree: &[u8]) -> Result<(), StorageError> {
        self.0.lock().execute(
            "INSERT INTO mls_tree VALUES(?1, ?2) ON CONFLICT(id) DO UPDATE SET tree = ?2",
            params![group, tree],
        )?;
        Ok(())
    }

    /// Notes what used keys since the state was written.
    pub(crate) fn put_used(&self, group: &[u8], all: &[Used]) -> Result<(), StorageError> {
        let connection = self.0.lock();
        let mut insert =
            connection.prepare_cached("INSERT INTO mls_used(id, record) VALUES(?, ?)")?;
        for used in all {
            let record = match used {
                Used::Own => None,
                Used::Other(record) => Some(record),
            };
            insert.execute(params![group, record])?;
        }
        Ok(())
    }

    /// In the order of their use.
    pub(crate) fn used(&self, group: &[u8]) -> Result<Vec<Used>, StorageError> {
        let connection = self.0.lock();
        let mut query = connection
            .prepare_cached("SELECT record FROM mls_used WHERE id = ? ORDER BY position")?;
        let rows = query.query_map([group], |row| {
            let record: Option<Vec<u8>> = row.get(0)?;
            Ok(record.map_or(Used::Own, Used::Other))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn remove(&self, group: &[u8]) -> Result<(), StorageError> {
        let connection = self.0.lock();
        connection.execute("DELETE FROM mls_used WHERE id = ?", [group])?;
        connection.execute("DELETE FROM mls_group WHERE id = ?", [group])?;
        connection.execute("DELETE FROM mls_tree WHERE id = ?", [group])?;
        Ok(())
    }
}

/// Secrets of key packages, each erased when it is used.
#[derive(Debug, Clone)]
pub(crate) struct KeyPackages(pub(crate) Store);

impl KeyPackageStorage for KeyPackages {
    type Error = StorageError;

    fn delete(&mut self, id: &[u8]) -> Result<(), StorageError> {
        self.0
            .lock()
            .execute("DELETE FROM mls_key_package WHERE id = ?", [id])?;
        Ok(())
    }

    fn insert(&mut self, id: Vec<u8>, package: KeyPackageData) -> Result<(), StorageError> {
        let data = Zeroizing::new(package.mls_encode_to_vec()?);
        self.0.lock().execute(
            "INSERT INTO mls_key_package VALUES(?, ?)",
            params![id, data.as_slice()],
        )?;
        Ok(())
    }

    fn get(&self, id: &[u8]) -> Result<Option<KeyPackageData>, StorageError> {
        let connection = self.0.lock();
        let mut query =
            connection.prepare_cached("SELECT data FROM mls_key_package WHERE id = ?")?;
        let data: Option<Zeroizing<Vec<u8>>> = query
            .query_row([id], |row| row.get(0))
            .optional()?
            .map(Zeroizing::new);
        Ok(data
            .map(|data| KeyPackageData::mls_decode(&mut data.as_slice()))
            .transpose()?)
    }
}
