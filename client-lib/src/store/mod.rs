//! The profile's store: SQLCipher under a key derived from the passphrase by Argon2id.
//!
//! One connection, used by one thread at a time. Group state, message, cursor and outbox row change
//! in one transaction. What leaves this device, or was promised, is on disk before ([`Store::atomic`]
//! returns after fsync). What was only read from the server need not be ([`Store::relaxed`]): after a
//! power loss the store is as it was a moment before, and the server has the rest.
//! One file a table, each with its rows and queries.

pub(crate) mod alarms;
pub(crate) mod channels;
pub(crate) mod custody;
pub(crate) mod downloads;
pub(crate) mod heads;
pub(crate) mod identity;
pub(crate) mod ledger;
pub(crate) mod messages;
pub(crate) mod outbox;
pub(crate) mod pending;
pub(crate) mod returns;
pub(crate) mod search;
pub(crate) mod stays;
#[cfg(any(test, feature = "simulation"))]
mod trial;
pub(crate) mod uploads;

#[cfg(any(test, feature = "simulation"))]
pub use trial::Loss;
#[cfg(any(test, feature = "simulation"))]
pub(crate) use trial::{Fault, Trial};

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use argon2::{Algorithm, Argon2, Params, Version};
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, config::DbConfig};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind};

/// The database's file name in a profile folder.
const DATABASE: &str = "profile.db";
/// The file that says how the key is derived. Not secret.
const KDF: &str = "profile.kdf";
/// Prepared statements kept: a message takes some twenty of them.
const STATEMENTS: usize = 128;
/// Version of the tables below.
const SCHEMA: i64 = 1;

/// How the key is derived from the passphrase: Argon2id (RFC 9106). Kept beside the database, so that
/// a later version may ask for more.
#[derive(Debug, minicbor::Encode, minicbor::Decode)]
#[cbor(array)]
struct Kdf {
    /// Of this shape.
    #[n(0)]
    version: u8,
    #[n(1)]
    memory_kib: u32,
    #[n(2)]
    passes: u32,
    #[n(3)]
    lanes: u32,
    #[cbor(n(4), with = "minicbor::bytes")]
    salt: [u8; 16],
}

/// RFC 9106's second recommended choice: 64 MiB, three passes, four lanes. Tests have no secrets.
const MEMORY_KIB: u32 = if cfg!(test) { 64 } else { 64 * 1024 };
/// What a damaged file may not make this machine allocate.
const MOST_MEMORY_KIB: u32 = 1024 * 1024;

const TABLES: &str = "
CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE ledger(seq INTEGER PRIMARY KEY, signed BLOB NOT NULL);
CREATE TABLE roster_key(
    generation INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    key BLOB NOT NULL
);
CREATE TABLE profile(hash BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE channel(
    id BLOB PRIMARY KEY,
    state INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    basis_seq INTEGER,
    basis_time INTEGER,
    note TEXT
) WITHOUT ROWID;
CREATE TABLE mls_group(id BLOB PRIMARY KEY NOT NULL, state BLOB NOT NULL);
CREATE TABLE mls_tree(id BLOB PRIMARY KEY NOT NULL, tree BLOB NOT NULL);
CREATE TABLE mls_used(position INTEGER PRIMARY KEY, id BLOB NOT NULL, record BLOB);
CREATE INDEX mls_used_group ON mls_used(id);
CREATE TABLE mls_key_package(id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sender(
    channel BLOB NOT NULL,
    device BLOB NOT NULL,
    ledger_seq INTEGER NOT NULL,
    seen_seq INTEGER NOT NULL,
    heard INTEGER NOT NULL,
    PRIMARY KEY(channel, device)
) WITHOUT ROWID;
CREATE TABLE message(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    channel BLOB NOT NULL,
    seq INTEGER NOT NULL,
    client_id BLOB NOT NULL,
    device BLOB NOT NULL,
    time INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    content BLOB NOT NULL,
    signature BLOB NOT NULL,
    seen INTEGER,
    handed_by BLOB,
    UNIQUE(channel, seq)
);
CREATE INDEX message_mark ON message(client_id);
CREATE TABLE outbox(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id BLOB NOT NULL UNIQUE,
    channel BLOB NOT NULL,
    content BLOB NOT NULL,
    epoch INTEGER,
    signature BLOB,
    sealed BLOB,
    seq INTEGER,
    failed TEXT,
    carries INTEGER NOT NULL
);
CREATE INDEX outbox_channel ON outbox(channel, position);
CREATE TABLE pending(
    channel BLOB PRIMARY KEY NOT NULL,
    kind INTEGER NOT NULL,
    client_id BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    basis_seq INTEGER NOT NULL,
    basis_time INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    group_info BLOB NOT NULL,
    welcome BLOB,
    welcomed BLOB,
    secrets BLOB,
    tree BLOB
);
CREATE TABLE gap(
    id INTEGER PRIMARY KEY,
    channel BLOB NOT NULL,
    after INTEGER NOT NULL,
    before INTEGER,
    tries INTEGER NOT NULL,
    at INTEGER NOT NULL,
    ask BLOB
);
CREATE TABLE healing(
    channel BLOB PRIMARY KEY,
    tries INTEGER NOT NULL,
    last INTEGER NOT NULL,
    why TEXT NOT NULL,
    given_up INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE leaf(
    channel BLOB NOT NULL,
    device BLOB NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY(channel, device, since)
) WITHOUT ROWID;
CREATE TABLE chain(
    id INTEGER PRIMARY KEY,
    channel BLOB NOT NULL,
    first INTEGER NOT NULL,
    before BLOB NOT NULL,
    after BLOB NOT NULL,
    entries BLOB NOT NULL,
    aside INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX chain_first ON chain(channel, first);
CREATE TABLE signed_head(
    channel BLOB NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL,
    agrees INTEGER NOT NULL,
    aside INTEGER NOT NULL DEFAULT 0,
    time INTEGER NOT NULL,
    signature BLOB NOT NULL,
    idx INTEGER NOT NULL,
    path BLOB NOT NULL,
    PRIMARY KEY(channel, seq, hash)
) WITHOUT ROWID;
CREATE TABLE alarm(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    channel BLOB NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    UNIQUE(channel, kind, what)
);
CREATE TABLE item(
    item BLOB NOT NULL,
    channel BLOB NOT NULL,
    seq INTEGER NOT NULL,
    device BLOB NOT NULL,
    described BLOB NOT NULL,
    offered BLOB NOT NULL,
    PRIMARY KEY(item, channel)
) WITHOUT ROWID;
CREATE TABLE custody(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    item BLOB NOT NULL,
    channel BLOB NOT NULL,
    entry BLOB NOT NULL,
    waits INTEGER NOT NULL,
    said INTEGER
);
CREATE INDEX custody_item ON custody(item, channel, position);
CREATE INDEX custody_waiting ON custody(channel, position) WHERE waits;
CREATE TABLE stay(
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    channel BLOB NOT NULL,
    device BLOB NOT NULL,
    entered INTEGER,
    entered_time INTEGER,
    left_seq INTEGER,
    left_hash BLOB,
    left_epoch INTEGER,
    left_time INTEGER,
    left_by BLOB,
    left_basis INTEGER,
    left_silent INTEGER
);
CREATE INDEX stay_device ON stay(device, channel, position);
CREATE TABLE consumer(name TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
";

/// The profile's store. Clones share the connection.
#[derive(Clone)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
    /// What the connection's `synchronous` is set to.
    synced: Arc<AtomicBool>,
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) trial: Trial,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Makes a new profile in an empty or absent folder.
    pub(crate) fn create(folder: &Path, passphrase: &SecretString) -> Result<Self, Error> {
        Self::create_with(folder, passphrase, MEMORY_KIB)
    }

    /// As [`Self::create`], for tests that open many: nothing secret is in them.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn create_cheaply(folder: &Path, passphrase: &SecretString) -> Result<Self, Error> {
        Self::create_with(folder, passphrase, 64)
    }

    fn create_with(
        folder: &Path,
        passphrase: &SecretString,
        memory_kib: u32,
    ) -> Result<Self, Error> {
        if folder.join(DATABASE).exists() {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{} holds a profile already: choose another folder",
                    folder.display()
                ),
            ));
        }
        create_private_folder(folder)?;
        let mut kdf = Kdf {
            version: 1,
            memory_kib,
            passes: 3,
            lanes: 4,
            salt: [0; 16],
        };
        SystemRandom::new()
            .fill(&mut kdf.salt)
            .map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))?;
        let bytes = minicbor::to_vec(&kdf)
            .map_err(|error| Error::new(ErrorKind::Store, error.to_string()))?;
        let mut file = fs::File::create(folder.join(KDF))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        let store = Self::connect(folder, &kdf, passphrase)?;
        store.atomic(|| Ok(create_tables(&store.lock())?))?;
        fs::File::open(folder)?.sync_all()?;
        Ok(store)
    }

    /// Takes away a profile that nothing will come of, and its folder if nothing else is in it.
    pub(crate) fn discard(folder: &Path) -> Result<(), Error> {
        for name in [DATABASE, "profile.db-wal", "profile.db-shm", KDF] {
            match fs::remove_file(folder.join(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        // It may hold more than the profile.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    /// Opens a profile.
    ///
    /// Errors: `NotAProfile`, `WrongPassphrase`, `InUse`, `Store`.
    pub(crate) fn open(folder: &Path, passphrase: &SecretString) -> Result<Self, Error> {
        let kdf = fs::read(folder.join(KDF))
            .ok()
            .filter(|_| folder.join(DATABASE).exists());
        let Some(kdf) = kdf else {
            return Err(Error::new(
                ErrorKind::NotAProfile,
                format!(
                    "{} holds no Plenary profile: join a network first",
                    folder.display()
                ),
            ));
        };
        let kdf: Kdf = minicbor::decode(&kdf).map_err(|_| {
            Error::new(
                ErrorKind::NotAProfile,
                format!("{KDF} is damaged or of a newer program: restore it from your backup"),
            )
        })?;
        let store = Self::connect(folder, &kdf, passphrase)?;
        let version: i64 = store
            .lock()
            .pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != SCHEMA {
            return Err(Error::new(
                ErrorKind::NotAProfile,
                format!(
                    "{} is of version {version}; this program knows {SCHEMA}",
                    folder.display()
                ),
            ));
        }
        Ok(store)
    }

    fn connect(folder: &Path, kdf: &Kdf, passphrase: &SecretString) -> Result<Self, Error> {
        let key = derive(passphrase, kdf)?;
        let connection = Connection::open(folder.join(DATABASE))?;
        let pragma = Zeroizing::new(format!("x'{}'", *hex(key.as_ref())));
        // It tells of a wrong key on standard error by itself, as if that were an accident.
        connection.pragma_update(None, "cipher_log_level", "NONE")?;
        connection.pragma_update(None, "key", pragma.as_str())?;
        // SHA-512, the default, took 40 % of storing a group of 500; processors have SHA-256 built in.
        connection.pragma_update(None, "cipher_hmac_algorithm", "HMAC_SHA256")?;
        connection.busy_timeout(Duration::from_secs(2))?;
        make_ready(&connection)?;
        // One process a profile: two engines on one group state would use a key twice.
        let opened = connection
            .pragma_update(None, "locking_mode", "EXCLUSIVE")
            .and_then(|()| connection.pragma_update(None, "journal_mode", "WAL"))
            .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
            .and_then(|()| connection.pragma_update(None, "secure_delete", "ON"))
            .and_then(|()| connection.execute_batch("BEGIN IMMEDIATE; COMMIT;"));
        match opened {
            Ok(()) => Ok(Self {
                connection: Arc::new(Mutex::new(connection)),
                synced: Arc::new(AtomicBool::new(true)),
                #[cfg(any(test, feature = "simulation"))]
                trial: Trial::default(),
            }),
            Err(error) => Err(match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::NotADatabase) => Error::new(
                    ErrorKind::WrongPassphrase,
                    "the passphrase does not open this profile: try again",
                ),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    Error::new(
                        ErrorKind::InUse,
                        format!("another process has {} open: close it", folder.display()),
                    )
                }
                _ => error.into(),
            }),
        }
    }

    /// The connection, for one statement.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` in one transaction, all of it or nothing; on disk when this returns. Does not nest.
    pub(crate) fn atomic<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.transaction(true, work)
    }

    /// As [`Self::atomic`], but on disk only after a while, or with the next durable transaction.
    pub(crate) fn relaxed<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.transaction(false, work)
    }

    /// Makes durable what was not yet.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        // A transaction that writes nothing would not be synced.
        self.atomic(|| self.put_meta("settled", &[]))
    }

    fn transaction<T>(
        &self,
        synced: bool,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        #[cfg(any(test, feature = "simulation"))]
        if self.trial.in_memory {
            return self.transaction_in_memory(synced, work);
        }
        if self.synced.swap(synced, Ordering::Relaxed) != synced {
            let level = if synced { "FULL" } else { "NORMAL" };
            self.lock().pragma_update(None, "synchronous", level)?;
        }
        self.lock().execute_batch("BEGIN IMMEDIATE")?;
        let result = work().and_then(|value| {
            #[cfg(any(test, feature = "simulation"))]
            self.trial.die(false)?;
            self.lock().execute_batch("COMMIT")?;
            #[cfg(any(test, feature = "simulation"))]
            self.trial.die(true)?;
            Ok(value)
        });
        if result.is_err() && !self.lock().is_autocommit() {
            self.lock().execute_batch("ROLLBACK")?;
        }
        result
    }
}

/// What every connection needs, wherever the profile lies.
fn make_ready(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Else whatever has a `LIMIT ?` is compiled anew each time it is asked: for a better plan, by the
    // number. That was a fifth of what a client in many channels did.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    search::register(connection)
}

fn create_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.execute_batch(search::TABLES)?;
    connection.pragma_update(None, "user_version", SCHEMA)
}

pub(crate) fn create_private_folder(folder: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| {
        Error::new(
            ErrorKind::Io,
            format!("cannot make {}: {error}", folder.display()),
        )
    })
}

fn derive(passphrase: &SecretString, kdf: &Kdf) -> Result<Zeroizing<[u8; 32]>, Error> {
    if kdf.version != 1 || kdf.memory_kib > MOST_MEMORY_KIB {
        return Err(Error::new(
            ErrorKind::NotAProfile,
            format!("{KDF} is damaged or of a newer program: restore it from your backup"),
        ));
    }
    let mut key = Zeroizing::new([0; 32]);
    Params::new(kdf.memory_kib, kdf.passes, kdf.lanes, Some(32))
        .and_then(|params| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                passphrase.expose_secret().as_bytes(),
                &kdf.salt,
                key.as_mut(),
            )
        })
        .map_err(|error| Error::new(ErrorKind::Store, format!("deriving the key: {error}")))?;
    Ok(key)
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// An identifier out of a column of its length.
pub(crate) fn column<T>(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T: for<'a> TryFrom<&'a [u8]>,
{
    let bytes = row.get_ref(index)?.as_blob()?;
    T::try_from(bytes).map_err(|_| {
        rusqlite::Error::InvalidColumnType(index, "identifier".into(), rusqlite::types::Type::Blob)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    #[test]
    fn opens_with_its_passphrase_only_and_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile");
        let kind = |result: Result<Store, Error>| result.err().map(|error| error.kind());
        assert_eq!(
            kind(Store::open(&path, &secret("a"))),
            Some(ErrorKind::NotAProfile)
        );
        let store = Store::create(&path, &secret("a")).unwrap();
        assert_eq!(
            kind(Store::open(&path, &secret("a"))),
            Some(ErrorKind::InUse)
        );
        drop(store);
        assert_eq!(
            kind(Store::open(&path, &secret("b"))),
            Some(ErrorKind::WrongPassphrase)
        );
        assert_eq!(
            kind(Store::create(&path, &secret("a"))),
            Some(ErrorKind::Input)
        );
        assert_eq!(kind(Store::open(&path, &secret("a"))), None);
    }

    #[test]
    fn a_failed_transaction_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&folder.path().join("p"), &secret("a")).unwrap();
        let refused = store.atomic(|| {
            store
                .lock()
                .execute("INSERT INTO meta VALUES('k', x'00')", [])?;
            Err::<(), _>(Error::new(ErrorKind::Input, "no"))
        });
        assert!(refused.is_err());
        let count: i64 = store
            .lock()
            .query_row("SELECT count(*) FROM meta", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 0);
        store.atomic(|| Ok(())).unwrap();
    }
}
