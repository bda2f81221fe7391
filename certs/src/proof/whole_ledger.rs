//! A ledger as a file: every statement with its signatures, from ROOT 1 on.
//!
//! Whoever holds one shows a third party what the Board said, and gives a server that was restored from
//! an older backup the statements that it lacks.

use std::fmt;

use plenary_proto::ids::{Digest, LedgerHead, LedgerSeq, NetworkId};

use super::{LEDGER, ProofError, pack, read_ledger, unpack};
use crate::{
    cbor::{self, Bytes, cbor_struct},
    ledger::Ledger,
};

struct File {
    network: NetworkId,
    statements: Vec<Bytes>,
}

cbor_struct!(File {
    network,
    statements
});

/// What it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proven {
    /// The network.
    pub network: NetworkId,
    /// Its ledger up to here holds; more may have been said since.
    pub head: LedgerHead,
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "The ledger of network {} holds from ROOT 1 to statement {}; its head is {}.\n\
             What the Board may have said since is not in the file.",
            self.network, self.head.seq.0, self.head.hash
        )
    }
}

/// The file of a ledger.
pub fn ledger_file(ledger: &Ledger) -> Vec<u8> {
    let file = File {
        network: ledger.network(),
        statements: ledger
            .entries_after(LedgerSeq(0))
            .map(|(_, signed)| Bytes(signed.to_vec()))
            .collect(),
    };
    pack(LEDGER, cbor::encode(&file))
}

/// The network that a ledger's file is of, and its statements as they were signed, unverified.
///
/// # Errors
/// It is no file of a ledger.
pub fn read_ledger_file(file: &[u8]) -> Result<(NetworkId, Vec<Vec<u8>>), ProofError> {
    let (kind, body) = unpack(file)?;
    if kind != LEDGER {
        return Err(ProofError::NoLedger);
    }
    let file: File = cbor::decode(&body)?;
    let statements = file.statements.into_iter().map(|Bytes(signed)| signed);
    Ok((file.network, statements.collect()))
}

pub(super) fn verify(body: &[u8], root1: Digest) -> Result<Proven, ProofError> {
    let file: File = cbor::decode(body)?;
    let ledger = read_ledger(file.network, root1, &file.statements)?;
    Ok(Proven {
        network: file.network,
        head: ledger.head(),
    })
}
