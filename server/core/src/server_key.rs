//! Another identity key for the server: by the Board's SERVER statement, while nobody is connected.
//!
//! A running server has signed HELLO with its key on every open connection, and signs heads there. A
//! key that changed under them would look like another server's; so the change is a step of its own
//! between two runs, and every client meets the new key at a HELLO.

use bytes::Bytes;
use plenary_certs::ledger::{Body, Ledger, LedgerError};
use plenary_proto::ids::{LedgerHead, PublicKey};

use crate::{
    network::LoadError,
    store::{Store, StoreError},
    stored_ledger::{AppendError, StoredLedger},
};

/// Why a key was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The ledger in the store cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The statement could not be stored; nothing has changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The statement does not hold at the ledger's end.
    #[error("the ledger refuses the statement: {0}")]
    Ledger(#[from] LedgerError),
    /// Something else than one SERVER statement for this key.
    #[error(
        "it is no statement that names {own} as the server's key: have the Board sign one (`plenary board request server {own}`)"
    )]
    OtherStatement {
        /// The key that is to be named.
        own: PublicKey,
    },
}

impl From<AppendError> for ReplaceError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => Self::Store(error),
            AppendError::Ledger(error) => Self::Ledger(error),
        }
    }
}

/// What a store's ledger says of the server's key.
///
/// # Errors
/// The ledger cannot be read.
pub async fn stated(store: &dyn Store) -> Result<Option<PublicKey>, LoadError> {
    let ledger = StoredLedger::default();
    ledger.catch_up(store).await?;
    Ok(ledger.read(Ledger::server_key).flatten())
}

/// Puts the Board's statement that `own` is the server's key at the end of a store's ledger. Durable
/// when this returns; done again, it changes nothing.
///
/// # Errors
/// See [`ReplaceError`]; nothing is stored then.
pub async fn replace(
    store: &dyn Store,
    signed: &Bytes,
    own: PublicKey,
) -> Result<LedgerHead, ReplaceError> {
    let ledger = StoredLedger::default();
    ledger.catch_up(store).await?;
    match ledger.check(signed) {
        Ok(statement) if matches!(&statement.body, Body::Server(server) if server.key == own) => {
            ledger.append(store, signed).await?;
        }
        Err(LedgerError::Known { .. })
            if ledger.read(Ledger::server_key).flatten() == Some(own) => {}
        Ok(_) | Err(LedgerError::Known { .. }) => return Err(ReplaceError::OtherStatement { own }),
        Err(error) => return Err(error.into()),
    }
    Ok(ledger.head())
}

#[cfg(test)]
mod tests {
    use plenary_certs::ledger::Server;
    use plenary_proto::request::Request;

    use super::*;
    use crate::{
        config::Config,
        fixture::{Rig, done, key, revoke, server_key},
    };

    #[test]
    fn only_the_boards_word_for_this_very_key_counts() {
        let rig = Rig::new();
        let next = key(9, 1).public();
        let server = |key| rig.draft(Body::Server(Server { key }));
        let refused = |signed: Bytes| done(replace(&*rig.store, &signed, next)).unwrap_err();
        let head = rig.network.ledger_head();

        assert!(matches!(
            refused(server(key(9, 2).public())),
            ReplaceError::OtherStatement { .. }
        ));
        assert!(matches!(
            refused(rig.draft(revoke(11))),
            ReplaceError::OtherStatement { .. }
        ));
        let mut forged = server(next).to_vec();
        *forged.last_mut().unwrap() ^= 1;
        assert!(matches!(refused(forged.into()), ReplaceError::Ledger(_)));
        // Running servers do not change their key.
        assert!(
            rig.ask(1, Request::LedgerSubmit(vec![server(next)]))
                .is_err()
        );
        assert_eq!(done(stated(&*rig.store)), Ok(Some(server_key().public())));

        let signed = server(next);
        let after = done(replace(&*rig.store, &signed, next)).unwrap();
        assert_eq!(after.seq.0, head.seq.0 + 1);
        assert_eq!(done(replace(&*rig.store, &signed, next)).unwrap(), after);
        assert_eq!(done(stated(&*rig.store)), Ok(Some(next)));
        assert!(matches!(
            Rig::over(rig.store, Config::default()).err(),
            Some(LoadError::OtherKey { stated, .. }) if stated == next
        ));
    }
}
