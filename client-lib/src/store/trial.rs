//! A store in memory, and deaths at its transactions: for tests and the simulation.
//!
//! It loses what a disk would. What was only read from the server ([`Store::relaxed`]) stays in one open
//! transaction until the next durable one ([`Store::atomic`]) that writes something ends it: so a power
//! loss takes back everything after the last durable transaction, and the death of the process alone
//! takes nothing that was committed.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rusqlite::Connection;

use super::{Store, create_tables, make_ready};
use crate::error::{Error, ErrorKind};

/// The process dies at a transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    /// How many transactions still work.
    pub(crate) after: u32,
    /// Whether the fatal one reaches the disk.
    pub(crate) committed: bool,
}

/// What a store under trial has beside its connection.
#[derive(Clone, Default)]
pub(crate) struct Trial {
    pub(crate) fault: Arc<Mutex<Option<Fault>>>,
    pub(super) in_memory: bool,
}

/// What is left of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Everything that was committed.
    Process,
    /// What was durable.
    Power,
}

impl Trial {
    /// Fails as a process does that dies right before or right after a commit.
    pub(super) fn die(&self, committed: bool) -> Result<(), Error> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        match fault.as_mut() {
            Some(due) if due.committed == committed && due.after == 0 => {
                Err(Error::new(ErrorKind::Store, "the process died"))
            }
            Some(due) if due.committed == committed => {
                due.after -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// A new store in memory, unsealed: nothing secret is in it.
    pub(crate) fn in_memory() -> Result<Self, Error> {
        let connection = Connection::open_in_memory()?;
        make_ready(&connection)?;
        create_tables(&connection)?;
        Ok(Self {
            connection: Arc::new(Mutex::new(connection)),
            synced: Arc::new(AtomicBool::new(true)),
            trial: Trial {
                in_memory: true,
                ..Trial::default()
            },
        })
    }

    /// Whoever used this store in memory is gone, and so is what the loss takes with it.
    pub(crate) fn after(&self, loss: Loss) -> Result<Self, Error> {
        if !self.lock().is_autocommit() {
            self.lock().execute_batch(match loss {
                Loss::Process => "COMMIT",
                Loss::Power => "ROLLBACK",
            })?;
        }
        Ok(Self {
            trial: Trial {
                fault: Arc::default(),
                ..self.trial.clone()
            },
            synced: Arc::new(AtomicBool::new(true)),
            ..self.clone()
        })
    }

    pub(super) fn transaction_in_memory<T>(
        &self,
        synced: bool,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.synced.store(synced, Ordering::Relaxed);
        if self.lock().is_autocommit() {
            self.lock().execute_batch("BEGIN")?;
        }
        self.lock().execute_batch("SAVEPOINT step")?;
        let before = self.lock().total_changes();
        let result = work().and_then(|value| {
            self.trial.die(false)?;
            Ok(value)
        });
        // As on a disk: where nothing is written nothing is synced.
        let synced = synced && self.lock().total_changes() != before;
        let end = match (&result, synced) {
            (Err(_), _) => "ROLLBACK TO step; RELEASE step",
            (Ok(_), true) => "RELEASE step; COMMIT",
            (Ok(_), false) => "RELEASE step",
        };
        self.lock().execute_batch(end)?;
        let value = result?;
        self.trial.die(true)?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &Store, key: &str) {
        let sql = "INSERT INTO meta VALUES(?, x'00')";
        store.lock().execute(sql, [key]).unwrap();
    }

    fn keys(store: &Store) -> Vec<String> {
        let connection = store.lock();
        let mut query = connection
            .prepare("SELECT key FROM meta ORDER BY key")
            .unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_power_loss_takes_what_was_not_durable_and_a_dead_process_takes_nothing_committed() {
        let done = |store: &Store, key: &str| {
            put(store, key);
            Ok::<_, Error>(())
        };
        let fill = || {
            let store = Store::in_memory().unwrap();
            store.relaxed(|| done(&store, "a")).unwrap();
            store.atomic(|| done(&store, "b")).unwrap();
            store.relaxed(|| done(&store, "c")).unwrap();
            let failed = store.relaxed(|| {
                put(&store, "d");
                Err::<(), _>(Error::new(ErrorKind::Input, "no"))
            });
            assert!(failed.is_err());
            store
        };
        assert_eq!(keys(&fill().after(Loss::Power).unwrap()), ["a", "b"]);
        let store = fill().after(Loss::Process).unwrap();
        assert_eq!(keys(&store), ["a", "b", "c"]);
        // What is durable takes with it what was written before.
        let store = fill();
        store.atomic(|| done(&store, "d")).unwrap();
        let all = ["a", "b", "c", "d"];
        assert_eq!(keys(&store.after(Loss::Power).unwrap()), all);
        // But not where it writes nothing; to settle writes something.
        let store = fill();
        store.atomic(|| Ok(())).unwrap();
        assert_eq!(keys(&store.after(Loss::Power).unwrap()), ["a", "b"]);
        let store = fill();
        store.settle().unwrap();
        let kept = keys(&store.after(Loss::Power).unwrap());
        assert!(kept.contains(&"c".to_owned()), "{kept:?}");
    }

    #[test]
    fn it_dies_at_the_transaction_that_was_named() {
        for (committed, left) in [(false, vec!["a"]), (true, vec!["a", "b"])] {
            let store = Store::in_memory().unwrap();
            *store.trial.fault.lock().unwrap() = Some(Fault {
                after: 1,
                committed,
            });
            let step = |key| {
                store.atomic(|| {
                    put(&store, key);
                    Ok(())
                })
            };
            step("a").unwrap();
            assert_eq!(step("b").unwrap_err().to_string(), "the process died");
            assert_eq!(keys(&store.after(Loss::Power).unwrap()), left);
        }
    }
}
