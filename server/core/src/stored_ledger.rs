//! The Board's ledger as it lies in the store, verified as it is read and then kept in memory.

use std::sync::OnceLock;

use bytes::Bytes;
use plenary_certs::{
    ledger::{Ledger, LedgerError, SignedStatement, Statement, root1_hash},
    mls::judge::LedgerHandle,
};
use plenary_proto::ids::{LedgerHead, LedgerSeq};

use crate::{
    error::OpError,
    keys,
    network::LoadError,
    pages::Pages,
    store::{Store, StoreError},
};

/// Set by ROOT 1, at the founding or from the store.
#[derive(Default)]
pub(crate) struct StoredLedger(OnceLock<LedgerHandle>);

impl StoredLedger {
    pub(crate) fn handle(&self) -> Option<&LedgerHandle> {
        self.0.get()
    }

    pub(crate) fn read<T>(&self, f: impl FnOnce(&Ledger) -> T) -> Option<T> {
        self.0.get().map(|ledger| ledger.read(f))
    }

    pub(crate) fn head(&self) -> LedgerHead {
        self.read(Ledger::head).unwrap_or(LedgerHead::EMPTY)
    }

    /// Takes in what is in the store beyond what is in memory: at the start, and after an append
    /// that was stored while its connection went away.
    pub(crate) async fn catch_up(&self, store: &dyn Store) -> Result<(), LoadError> {
        let after = keys::ledger(self.head().seq);
        let mut pages = Pages::after(store, keys::LEDGER, Some(after));
        while let Some(page) = pages.next().await? {
            for (key, value) in page {
                let seq = LedgerSeq(self.head().seq.0 + 1);
                if key != keys::ledger(seq) {
                    return Err(LoadError::Ledger {
                        seq,
                        why: "the entry is missing".into(),
                    });
                }
                self.take(&value.value).map_err(|error| LoadError::Ledger {
                    seq,
                    why: error.to_string(),
                })?;
            }
        }
        Ok(())
    }

    /// Whether a statement would hold at the end.
    pub(crate) fn check(&self, signed: &[u8]) -> Result<Statement, LedgerError> {
        match self.read(|ledger| ledger.check(signed)) {
            Some(checked) => checked,
            None => begun_by(signed)?.check(signed),
        }
    }

    /// Appends a checked statement: in the store before it is in memory. Writers exclude each other.
    pub(crate) async fn append(
        &self,
        store: &dyn Store,
        signed: &Bytes,
    ) -> Result<(), AppendError> {
        let seq = LedgerSeq(self.head().seq.0 + 1);
        let key = keys::ledger(seq);
        store.put_if(key, 0, Some(signed.clone())).await?;
        self.take(signed)?;
        Ok(())
    }

    /// Puts a stored statement at the end of the ledger in memory; ROOT 1 begins it.
    pub(crate) fn take(&self, signed: &[u8]) -> Result<LedgerHead, LedgerError> {
        match self.0.get() {
            Some(ledger) => ledger.write(|ledger| ledger.append(signed)),
            None => {
                let mut ledger = begun_by(signed)?;
                let head = ledger.append(signed)?;
                // Writers exclude each other, so nobody else has set it.
                let _ = self.0.set(LedgerHandle::new(ledger));
                Ok(head)
            }
        }
    }
}

/// Why a statement could not be appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<AppendError> for OpError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Store(error) => error.into(),
            AppendError::Ledger(error) => error.into(),
        }
    }
}

/// The empty ledger that a first statement would begin. Participants pin ROOT 1 by their
/// invitations; the server, which nobody trusts for it, takes the founder's.
fn begun_by(signed: &[u8]) -> Result<Ledger, LedgerError> {
    let (signed, statement) = SignedStatement::decode(signed)?;
    Ok(Ledger::new(
        statement.network,
        root1_hash(signed.statement()),
    ))
}
