//! The server signed two different logs of one channel.
//!
//! Two signed heads, the second at the same or a later position. From the hash that the second's log
//! has at the first's position, links (one entry hash a record) lead to the second head. Each hash
//! determines what comes before it, so the second signature commits the server to that hash; if it is
//! not the one that the first signature names, the server vouched for two logs. No record is needed,
//! and nothing of what was said is shown.

use std::fmt;

use plenary_proto::{
    ids::{ChannelHead, ChannelId, Digest, LedgerSeq, NetworkId, PublicKey, Seq, UnixMillis},
    reply::SignedHead,
};

use super::{ProofError, TWO_LOGS, pack, read_ledger, view::Contradiction};
use crate::{
    cbor::{self, Bytes, cbor_struct},
    chain::link,
    ledger::Ledger,
    proof::view::Head,
    signed_head::check_head,
};

/// Everything that a third party needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoLogs {
    network: NetworkId,
    /// The ledger from ROOT 1 up to the statement of the server's key.
    ledger: Vec<Bytes>,
    channel: ChannelId,
    first: Head,
    second: Head,
    /// What the second's log has at the first's position.
    start: Digest,
    /// From there to the second.
    links: Vec<Digest>,
}

cbor_struct!(TwoLogs {
    network,
    ledger,
    channel,
    first,
    second,
    start,
    links,
});

/// What it proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proven {
    /// The network.
    pub network: NetworkId,
    /// The channel with two logs.
    pub channel: ChannelId,
    /// The server's key, and the statement of the ledger that names it.
    pub server: (LedgerSeq, PublicKey),
    /// What it signed, and when by its own clock.
    pub first: (ChannelHead, UnixMillis),
    /// What else it signed, and when.
    pub second: (ChannelHead, UnixMillis),
    /// What the second log has at the first's position.
    pub there: Digest,
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, at) = &self.first;
        let (second, later) = &self.second;
        writeln!(
            f,
            "The server of network {} vouched for two different logs of channel {}.",
            self.network, self.channel
        )?;
        writeln!(
            f,
            "Its key {} is named by statement {} of the Board's ledger.",
            self.server.1, self.server.0.0
        )?;
        writeln!(
            f,
            "It signed, at {}, that the log has hash {} at record {}.",
            moment(*at),
            first.hash,
            first.seq.0
        )?;
        writeln!(
            f,
            "It signed, at {}, that the log has hash {} at record {}",
            moment(*later),
            second.hash,
            second.seq.0
        )?;
        write!(
            f,
            "and by that hash {} at record {}: another one.",
            self.there, first.seq.0
        )
    }
}

pub(super) fn moment(at: UnixMillis) -> String {
    i64::try_from(at.0)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(
            || format!("{} ms after 1970", at.0),
            |time| time.to_string(),
        )
}

impl TwoLogs {
    /// The proof file of a contradiction, with as much of the ledger as names the server's keys.
    pub fn file(ledger: &Ledger, channel: ChannelId, found: &Contradiction) -> Vec<u8> {
        let last = ledger.server_keys().last().map_or(0, |(seq, _)| seq.0);
        let statements = ledger
            .entries_after(LedgerSeq(0))
            .take_while(|(seq, _)| seq.0 <= last)
            .map(|(_, signed)| Bytes(signed.to_vec()))
            .collect();
        let proof = Self {
            network: ledger.network(),
            ledger: statements,
            channel,
            first: Head::from(&found.first),
            second: Head::from(&found.second),
            start: found.start,
            links: found.links.clone(),
        };
        pack(TWO_LOGS, cbor::encode(&proof))
    }
}

pub(super) fn verify(body: &[u8], root1: Digest) -> Result<Proven, ProofError> {
    let proof: TwoLogs = cbor::decode(body)?;
    let ledger = read_ledger(proof.network, root1, &proof.ledger)?;
    let first = proof.first.signed(proof.channel);
    let second = proof.second.signed(proof.channel);
    signer(&ledger, &first, "first")?;
    let server = signer(&ledger, &second, "second")?;
    let steps = second.head.seq.0.checked_sub(first.head.seq.0);
    if steps != Some(proof.links.len() as u64) {
        return Err(ProofError::Links {
            first: first.head.seq,
            second: second.head.seq,
            links: proof.links.len(),
        });
    }
    let reached = (first.head.seq.0..)
        .zip(&proof.links)
        .fold(proof.start, |hash, (seq, entry)| {
            link(&hash, proof.channel, Seq(seq).next(), entry)
        });
    if reached != second.head.hash {
        return Err(ProofError::Broken);
    }
    if proof.start == first.head.hash {
        return Err(ProofError::OneLog);
    }
    Ok(Proven {
        network: proof.network,
        channel: proof.channel,
        server,
        first: (first.head, first.time),
        second: (second.head, second.time),
        there: proof.start,
    })
}

/// Which of the ledger's server keys signed a head: the server may have changed its key.
fn signer(
    ledger: &Ledger,
    head: &SignedHead,
    which: &'static str,
) -> Result<(LedgerSeq, PublicKey), ProofError> {
    let mut keys = ledger.server_keys().peekable();
    if keys.peek().is_none() {
        return Err(ProofError::NoServer);
    }
    keys.find(|(_, key)| check_head(key, ledger.network(), head).is_ok())
        .ok_or(ProofError::Head { which })
}
