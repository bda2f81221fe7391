//! The Board's statements that a store lacks, taken from somebody who has them: after the restore of a
//! backup older than the Board's last word. While nobody is connected.

use bytes::Bytes;
use plenary_certs::{
    ledger::{Ledger, LedgerError},
    proof::{ProofError, read_ledger_file},
};
use plenary_proto::ids::{LedgerHead, LedgerSeq, NetworkId};

use crate::{
    network::LoadError,
    store::{Store, StoreError},
    stored_ledger::{AppendError, StoredLedger},
};

/// Why a ledger was not completed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// The ledger in the store cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The file is none of a ledger.
    #[error(transparent)]
    File(#[from] ProofError),
    /// There is no ledger to complete.
    #[error("this server has no network yet: found one (`plenary network found`)")]
    Fresh,
    /// Another network's.
    #[error("the file is the ledger of network {theirs}; this server's is {own}")]
    OtherNetwork {
        /// Of the file.
        theirs: NetworkId,
        /// Of the store.
        own: NetworkId,
    },
    /// Two ledgers of one network: the Board's statements tell which one counts, not the operator.
    #[error(
        "statement {} of the file is not the one in the store: one of the two ledgers was forked. \
         Nothing was changed; show both to the Board", .0.0
    )]
    Differs(LedgerSeq),
    /// It cannot be what the Board said.
    #[error("statement {} of the file does not hold: {error}", seq.0)]
    Statement {
        /// Which.
        seq: LedgerSeq,
        /// Why.
        error: LedgerError,
    },
    /// A statement could not be stored; those before it are.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// The ledger ended here.
    pub before: LedgerHead,
    /// It ends here now.
    pub after: LedgerHead,
}

/// Appends what a ledger's file has beyond the store's ledger. Each statement is verified, and durable
/// before the next; done again, or with a shorter file, it changes nothing.
///
/// # Errors
/// See [`CompleteError`]. What does not belong together is refused before anything is stored.
pub async fn complete(store: &dyn Store, file: &[u8]) -> Result<Completed, CompleteError> {
    let (theirs, statements) = read_ledger_file(file)?;
    let stored = StoredLedger::default();
    stored.catch_up(store).await?;
    let before = stored.head();
    let mut whole = stored.read(Ledger::clone).ok_or(CompleteError::Fresh)?;
    let own = whole.network();
    if theirs != own {
        return Err(CompleteError::OtherNetwork { theirs, own });
    }
    let mut missing: Vec<Bytes> = Vec::new();
    for (seq, signed) in (1..).map(LedgerSeq).zip(statements) {
        match whole.entry(seq) {
            Some(known) if known == signed => {}
            Some(_) => return Err(CompleteError::Differs(seq)),
            None => {
                whole
                    .append(&signed)
                    .map_err(|error| CompleteError::Statement { seq, error })?;
                missing.push(signed.into());
            }
        }
    }
    for signed in &missing {
        stored
            .append(store, signed)
            .await
            .map_err(|error| match error {
                AppendError::Store(error) => CompleteError::Store(error),
                AppendError::Ledger(error) => CompleteError::Statement {
                    seq: LedgerSeq(stored.head().seq.0 + 1),
                    error,
                },
            })?;
    }
    Ok(Completed {
        before,
        after: stored.head(),
    })
}

#[cfg(test)]
mod tests {
    use plenary_certs::proof::ledger_file;

    use super::*;
    use crate::{
        config::Config,
        fixture::{Rig, done, revoke, suspend_member},
        memory::MemoryStore,
    };

    /// A file of what a network's ledger says by now.
    fn file(rig: &Rig) -> Vec<u8> {
        let ledger = rig.network.ledger.read(Ledger::clone).unwrap();
        ledger_file(&ledger)
    }

    fn copy(rig: &Rig) -> MemoryStore {
        let mut export = Vec::new();
        rig.store.export(&mut export).unwrap();
        MemoryStore::import(&mut &export[..]).unwrap()
    }

    #[test]
    fn an_older_ledger_gets_what_the_board_said_since_and_nothing_else() {
        let rig = Rig::new();
        let (older, at) = (copy(&rig), rig.network.ledger_head());
        let early = file(&rig);
        rig.say(revoke(11));
        let head = rig.say(suspend_member(2));

        let completed = done(complete(&older, &file(&rig))).unwrap();
        let expected = Completed {
            before: at,
            after: head,
        };
        assert_eq!(completed, expected);
        let nothing = Completed {
            before: head,
            after: head,
        };
        // Again, and with what was known before.
        for file in [file(&rig), early] {
            assert_eq!(done(complete(&older, &file)).unwrap(), nothing);
        }
        // A server starts with it.
        let served = Rig::over(std::sync::Arc::new(older), Config::default()).unwrap();
        assert_eq!(served.network.ledger_head(), head);
    }

    #[test]
    fn forged_forked_foreign_and_broken_files_change_nothing() {
        let rig = Rig::new();
        let (one, other) = (copy(&rig), copy(&rig));
        let fork = Rig::over(std::sync::Arc::new(other), Config::default()).unwrap();
        rig.say(revoke(11));
        fork.say(suspend_member(2));
        let forked = copy(&fork);
        let before = fork.network.ledger_head();
        assert!(matches!(
            done(complete(&forked, &file(&rig))),
            Err(CompleteError::Differs(seq)) if seq == before.seq
        ));

        let whole = file(&rig);
        let mut forged = whole.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(
            done(complete(&one, &forged)),
            Err(CompleteError::Statement { .. })
        ));
        assert!(matches!(
            done(complete(&one, &whole[..whole.len() - 1])),
            Err(CompleteError::File(_))
        ));
        assert!(matches!(
            done(complete(&MemoryStore::new(), &whole)),
            Err(CompleteError::Fresh)
        ));
        // The last of all this still completes.
        assert_eq!(
            done(complete(&one, &whole)).unwrap().after,
            rig.network.ledger_head()
        );
    }
}
