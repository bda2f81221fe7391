//! A clean break: since a statement of the Board, somebody is out of these channels, and could read
//! this much before.
//!
//! The ledger and the server's signed heads are checked by whoever reads the file. What the issuing
//! device says of epochs, of times and of what could be read, it answers for with its custody key:
//! only those who were in a channel know.

mod form;
#[cfg(test)]
mod tests;
mod words;

use plenary_proto::{
    ids::{
        ChannelHead, ChannelId, DeviceId, Digest, Epoch, LedgerHead, LedgerSeq, MemberId,
        NetworkId, PublicKey, Seq, Signature, UnixMillis,
    },
    reply::SignedHead,
};

use super::{CLEAN_BREAK, ProofError, pack, read_ledger};
use crate::{
    cbor::{self, Bytes, cbor_struct},
    ledger::{Body, Ledger, Standing, Target},
    signed_head::check_head,
    signing::{self, SigningKey},
};

const SIGN_TAG: &[u8] = b"plenary clean break v1\0";

/// What a device says of somebody's leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanBreak {
    /// The network.
    pub network: NetworkId,
    /// Who says so.
    pub issuer: DeviceId,
    /// When, by its clock.
    pub issued: UnixMillis,
    /// The ledger as of then.
    pub ledger: LedgerHead,
    /// Who is out.
    pub member: MemberId,
    /// By which statement: a REVOKE, a SUSPEND, or the ADMIT that ended.
    pub statement: LedgerHead,
    /// Since when: the statement's time, or the end that it set.
    pub since: UnixMillis,
    /// Channels that it has left.
    pub gone: Vec<Gone>,
    /// Devices of it that are still in a channel: to be removed by the next commit there.
    pub pending: Vec<(ChannelId, DeviceId)>,
    /// Channels that the issuer could not examine: those inside can.
    pub unexamined: Vec<ChannelId>,
    /// What it could read, by channel.
    pub exposure: Vec<Exposure>,
}

/// A leaf that is gone from a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Where.
    pub channel: ChannelId,
    /// Whose leaf.
    pub device: DeviceId,
    /// The record that brought it in; `None`: it was there before the issuer.
    pub entered: Option<Seq>,
    /// The epoch of the last record that it could read: the record before the removal.
    pub epoch: Epoch,
    /// The removal commit, and the log's hash there. The epoch after is `epoch + 1`.
    pub removal: ChannelHead,
    /// When the server took it.
    pub time: UnixMillis,
    /// Who removed it.
    pub by: DeviceId,
    /// The ledger that the removal was made with.
    pub basis: LedgerSeq,
    /// The server's signature on the log up to there, if it could be had.
    pub signed: Option<SignedHead>,
}

/// What could be read in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Where.
    pub channel: ChannelId,
    /// After this record, which brought it or, if later, the issuer in.
    pub after: Seq,
    /// Up to this one.
    pub through: Seq,
    /// Whether `after` is where its own reading began; else it may have read more before.
    pub whole: bool,
    /// How many messages.
    pub messages: u64,
    /// Files handed over in them.
    pub items: Vec<Item>,
}

/// A file that could be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// Its name, where the issuer chose to show it.
    pub name: Option<String>,
}

/// What a file proves, and under which key of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proven {
    /// What was said.
    pub said: CleanBreak,
    /// The statement in words of the ledger: `REVOKE`, `SUSPEND` or `ADMIT`.
    pub kind: &'static str,
}

struct File {
    said: Bytes,
    signature: Signature,
    /// From ROOT 1 up to the position that it names.
    ledger: Vec<Bytes>,
}

cbor_struct!(File {
    said,
    signature,
    ledger
});
cbor_struct!(Item { sha256, name });

impl CleanBreak {
    /// Whether nothing is left to be done: removed everywhere that the issuer knows of.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// The proof file: signed by the issuer's custody key, with the ledger up to the head named.
    pub fn file(&self, ledger: &Ledger, custody: &SigningKey) -> Vec<u8> {
        let said = cbor::encode(self);
        let signature = custody.sign(&to_be_signed(self.network, &said));
        let ledger = ledger
            .entries_after(LedgerSeq(0))
            .take_while(|(seq, _)| *seq <= self.ledger.seq)
            .map(|(_, signed)| Bytes(signed.to_vec()))
            .collect();
        let file = File {
            said: Bytes(said),
            signature,
            ledger,
        };
        pack(CLEAN_BREAK, cbor::encode(&file))
    }
}

pub(super) fn verify(body: &[u8], root1: Digest) -> Result<Proven, ProofError> {
    let file: File = cbor::decode(body)?;
    let said: CleanBreak = cbor::decode(&file.said.0)?;
    let ledger = read_ledger(said.network, root1, &file.ledger)?;
    if ledger.head() != said.ledger {
        return Err(ProofError::CleanBreak(
            "it names another ledger than it holds",
        ));
    }
    let issuer = ledger
        .device(said.issuer)
        .filter(|_| standing(&ledger, said.issuer, said.issued) == Standing::Live)
        .ok_or(ProofError::CleanBreak(
            "its issuer is no live device of the ledger",
        ))?;
    signing::verify(
        &issuer.keys.custody,
        &to_be_signed(said.network, &file.said.0),
        &file.signature,
    )
    .map_err(|_| ProofError::CleanBreak("the issuer's signature does not hold"))?;
    let kind = check_statement(&said, &ledger)?;
    for gone in &said.gone {
        check_gone(gone, &said, &ledger)?;
    }
    Ok(Proven { said, kind })
}

fn standing(ledger: &Ledger, device: DeviceId, now: UnixMillis) -> Standing {
    ledger.standing(device, ledger.head().seq, now)
}

fn check_statement(said: &CleanBreak, ledger: &Ledger) -> Result<&'static str, ProofError> {
    let at = said.statement;
    let statement = ledger
        .statement(at.seq)
        .filter(|_| ledger.head_at(at.seq) == Some(at))
        .ok_or(ProofError::CleanBreak("the ledger has no such statement"))?;
    let member = Target::Member(said.member);
    let (kind, since) = match &statement.body {
        Body::Revoke(revoke) if revoke.target == member => ("REVOKE", Some(statement.time)),
        Body::Suspend(suspend) if suspend.target == member => ("SUSPEND", Some(statement.time)),
        Body::Admit(admit) if admit.member == said.member => ("ADMIT", admit.ends),
        _ => return Err(ProofError::CleanBreak("the statement puts nobody out")),
    };
    let out = ledger.member_standing(said.member, said.ledger.seq, said.issued) != Standing::Live;
    if since != Some(said.since) || !out {
        return Err(ProofError::CleanBreak(
            "the member is not out by that statement",
        ));
    }
    Ok(kind)
}

fn check_gone(gone: &Gone, said: &CleanBreak, ledger: &Ledger) -> Result<(), ProofError> {
    let refused = |why| Err(ProofError::CleanBreak(why));
    let member = ledger.device(gone.device).map(|device| device.member);
    if member != Some(said.member) {
        return refused("a device in it is not the member's");
    }
    if gone.removal.seq.0 == 0 || gone.basis > said.ledger.seq {
        return refused("a removal in it cannot be");
    }
    if let Some(signed) = &gone.signed {
        let covers = signed.channel == gone.channel && signed.head == gone.removal;
        let holds = ledger
            .server_keys()
            .any(|(_, key): (_, PublicKey)| check_head(&key, said.network, signed).is_ok());
        if !covers || !holds {
            return refused("the server's signature on a removal does not hold");
        }
    }
    Ok(())
}

fn to_be_signed(network: NetworkId, said: &[u8]) -> Vec<u8> {
    [SIGN_TAG, network.as_bytes(), said].concat()
}
