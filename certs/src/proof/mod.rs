//! Proof files: what somebody shows to a third party, who checks it offline with the network's
//! ROOT 1 hash and nothing else.
//!
//! ```text
//! file = [ "plenary proof", version 1, kind, body ]     deterministic CBOR (RFC 8949 section 4.2)
//! ```
//!
//! A kind is a number, a module with its body and its own verification, one variant of [`Proven`]
//! and one arm in [`verify`].

pub mod clean_break;
mod two_logs;
mod view;
mod whole_ledger;

#[cfg(test)]
mod tests;

use std::fmt;

use plenary_proto::ids::{Digest, LedgerSeq, NetworkId, Seq};

pub use two_logs::TwoLogs;
pub use view::{ChannelView, Contradiction, Piece, View};
pub use whole_ledger::{ledger_file, read_ledger_file};

use crate::{
    cbor::{self, Bytes, CborError, cbor_struct},
    ledger::{Ledger, LedgerError},
    misuse::{self, MisuseError},
};

/// Bytes of a proof file that are read at all.
pub const LARGEST: usize = 256 * 1024 * 1024;

const MAGIC: &str = "plenary proof";
const VERSION: u8 = 1;
const TWO_LOGS: u8 = 1;
const CLEAN_BREAK: u8 = 10;
const MISUSE: u8 = 2;
const LEDGER: u8 = 3;

struct File {
    magic: String,
    version: u8,
    kind: u8,
    body: Bytes,
}

cbor_struct!(File {
    magic,
    version,
    kind,
    body
});

/// What a file proves. Its `Display` says it in words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proven {
    /// The server signed two different logs of one channel.
    TwoLogs(two_logs::Proven),
    /// Since a statement of the Board somebody is out of these channels.
    CleanBreak(Box<clean_break::Proven>),
    /// Enough of the Board, or a device, signed two different statements in one place.
    Misuse(Box<misuse::Proven>),
    /// The Board said all this.
    Ledger(whole_ledger::Proven),
}

impl Proven {
    /// A stable name of the kind, for scripts.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TwoLogs(_) => "two-logs",
            Self::CleanBreak(_) => "clean-break",
            Self::Misuse(_) => "misuse",
            Self::Ledger(_) => "ledger",
        }
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoLogs(proven) => proven.fmt(f),
            Self::CleanBreak(proven) => proven.fmt(f),
            Self::Misuse(proven) => proven.fmt(f),
            Self::Ledger(proven) => proven.fmt(f),
        }
    }
}

/// Why a file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ProofError {
    #[error("no proof file: {0}")]
    Shape(#[from] CborError),
    #[error("no proof file: it does not begin as one")]
    Magic,
    #[error("a proof file of version {0}; this program knows {VERSION}: update it")]
    Version(u8),
    #[error("a proof of kind {0}, which this program does not know: update it")]
    Kind(u8),
    #[error("statement {} of the ledger in it does not hold: {error}", seq.0)]
    Ledger { seq: LedgerSeq, error: LedgerError },
    #[error("a proof of something else than a ledger: `plenary ledger export` writes one")]
    NoLedger,
    #[error("the ledger in it names no server key")]
    NoServer,
    #[error("no server key of the ledger signed the {which} head")]
    Head { which: &'static str },
    #[error("the heads are of different channels")]
    Channels,
    #[error("between positions {} and {} it has {links} links", first.0, second.0)]
    Links {
        first: Seq,
        second: Seq,
        links: usize,
    },
    #[error("its links do not lead to the second head")]
    Broken,
    #[error("both heads are of one log: nothing is proven")]
    OneLog,
    #[error("the certificate of a clean break does not hold: {0}")]
    CleanBreak(&'static str),
    #[error(transparent)]
    Misuse(#[from] MisuseError),
}

/// The file of a proof of misuse.
pub(crate) fn pack_misuse(body: Vec<u8>) -> Vec<u8> {
    pack(MISUSE, body)
}

fn pack(kind: u8, body: Vec<u8>) -> Vec<u8> {
    cbor::encode(&File {
        magic: MAGIC.to_owned(),
        version: VERSION,
        kind,
        body: Bytes(body),
    })
}

/// Whether bytes are meant as a proof file.
pub fn is_proof(file: &[u8]) -> bool {
    // An array of four, then a text of so many bytes.
    file.first() == Some(&0x84)
        && file.get(1) == Some(&(0x60 | MAGIC.len() as u8))
        && file.get(2..2 + MAGIC.len()) == Some(MAGIC.as_bytes())
}

/// Checks a proof file. `root1` is the hash of the network's ROOT 1, known from elsewhere: an
/// invitation, a profile, the Board.
///
/// # Errors
/// Any [`ProofError`]: what in it does not hold.
pub fn verify(file: &[u8], root1: Digest) -> Result<Proven, ProofError> {
    let (kind, body) = unpack(file)?;
    match kind {
        TWO_LOGS => two_logs::verify(&body, root1).map(Proven::TwoLogs),
        CLEAN_BREAK => {
            clean_break::verify(&body, root1).map(|proven| Proven::CleanBreak(Box::new(proven)))
        }
        MISUSE => Ok(Proven::Misuse(Box::new(
            misuse::Misuse::decode(&body, root1)?.verify()?,
        ))),
        LEDGER => whole_ledger::verify(&body, root1).map(Proven::Ledger),
        other => Err(ProofError::Kind(other)),
    }
}

/// Kind and body of a proof file.
fn unpack(file: &[u8]) -> Result<(u8, Vec<u8>), ProofError> {
    let file: File = cbor::decode(file)?;
    if file.magic != MAGIC {
        return Err(ProofError::Magic);
    }
    if file.version != VERSION {
        return Err(ProofError::Version(file.version));
    }
    Ok((file.kind, file.body.0))
}

/// The ledger that statements make, each verified.
fn read_ledger(
    network: NetworkId,
    root1: Digest,
    statements: &[Bytes],
) -> Result<Ledger, ProofError> {
    let mut ledger = Ledger::new(network, root1);
    for Bytes(signed) in statements {
        let seq = LedgerSeq(ledger.head().seq.0 + 1);
        ledger
            .append(signed)
            .map_err(|error| ProofError::Ledger { seq, error })?;
    }
    Ok(ledger)
}
