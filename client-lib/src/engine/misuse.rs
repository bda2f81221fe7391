//! Two different statements in one place: told, kept with the proof, and the stricter one counts for
//! what this device seals until the Board has said something newer about the same.
//!
//! The ledger has one of them and goes on; nobody judges commits by the other one.

use plenary_certs::{
    ledger::{Body, Kind, Ledger, LedgerError},
    misuse::{Misuse, Proven, Stricter},
    proof,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, LedgerSeq, MemberId, UnixMillis},
    label::Label,
};

use super::{AlarmKind, Engine};
use crate::{error::Error, store::Store};

/// Where proofs lie in the store.
const MISUSE: &str = "misuse:";
/// Proofs that are kept: who signs more of them has made the point.
const MOST: usize = 64;

/// What is proven, and what is still to be told.
#[derive(Debug, Default)]
pub(super) struct Disputes {
    proven: Vec<Proven>,
    found: Vec<Misuse>,
}

/// A statement that came by another way than the server's ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aside {
    /// The ledger has it.
    Known(LedgerSeq),
    /// It holds, and the ledger lacks it: nobody submitted it, or the server keeps it back.
    Missing(Digest),
    /// The ledger has another one in its place.
    Misuse {
        /// Both in words, and which is the stricter.
        words: Vec<String>,
        /// The proof, as `plenary verify` takes it.
        proof: Vec<u8>,
    },
    /// It does not hold.
    Refused(String),
}

impl Disputes {
    pub(super) fn load(store: &Store, root1: Digest) -> Result<Self, Error> {
        let kept = store.metas(MISUSE)?;
        let proven = kept
            .iter()
            .filter_map(|(_, file)| match proof::verify(file, root1) {
                Ok(proof::Proven::Misuse(proven)) => Some(*proven),
                _ => None,
            });
        Ok(Self {
            proven: proven.collect(),
            found: Vec::new(),
        })
    }

    /// A statement was refused for another one in its place: to be told once it is safe to write.
    pub(super) fn found(&mut self, misuse: Misuse) {
        if self.found.len() < MOST {
            self.found.push(misuse);
        }
    }

    /// Those about which the Board has not said more since.
    pub(super) fn open<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = &'a Proven> {
        self.proven.iter().filter(|proven| {
            let first = &proven.first;
            let next = ledger.next_version(first.kind(), first.subject());
            next == first.version.saturating_add(1)
        })
    }

    /// Devices that are not relied on meanwhile.
    pub(super) fn out(&self, ledger: &Ledger, now: UnixMillis) -> Vec<DeviceId> {
        let open = self.open(ledger);
        open.flat_map(|proven| match (&proven.second.body, proven.stricter()) {
            // Which keys are theirs, or who answers for them, is not certain.
            (Body::Device(device), _) => vec![device.device],
            (Body::Admit(admit), Stricter::Second) if admit.ends.is_some_and(|end| end <= now) => {
                let devices = ledger.devices_of(admit.member);
                devices.map(|device| device.id).collect()
            }
            _ => Vec::new(),
        })
        .collect()
    }

    /// Whether the stricter GRANT lets a member into a channel no longer.
    pub(super) fn denies(&self, ledger: &Ledger, channel: ChannelId, member: MemberId) -> bool {
        self.open(ledger).any(|proven| {
            matches!(&proven.second.body, Body::Grant(grant)
                if !grant.granted && (grant.channel, grant.member) == (channel, member))
        })
    }

    /// A channel's ceiling by the other one of two CHANNEL statements.
    pub(super) fn ceiling(&self, ledger: &Ledger, channel: ChannelId) -> Option<Label> {
        let stated = self
            .open(ledger)
            .filter_map(|proven| match &proven.second.body {
                Body::Channel(body) if body.channel == channel => Some(body.ceiling),
                _ => None,
            });
        stated.min()
    }

    /// Who the Board is, or the server, is not certain.
    pub(super) fn about_everything(&self, ledger: &Ledger) -> Option<Kind> {
        let mut kinds = self.open(ledger).map(|proven| proven.first.kind());
        kinds.find(|kind| matches!(kind, Kind::Root | Kind::Server | Kind::Recover))
    }

    /// Days of grace by the stricter POLICY.
    pub(super) fn grace_days(&self, ledger: &Ledger) -> Option<u16> {
        self.open(ledger)
            .find_map(|proven| match &proven.second.body {
                Body::Policy(policy) if proven.stricter() == Stricter::Second => {
                    Some(policy.heartbeat_grace_days)
                }
                _ => None,
            })
    }
}

impl Engine {
    /// Holds a statement that came by another way against the ledger.
    pub(crate) fn check_aside(&mut self, signed: &[u8]) -> Result<Aside, Error> {
        let (checked, misuse) = self.ledger.read(|ledger| {
            let checked = ledger.check(signed);
            let misuse = match &checked {
                Err(LedgerError::Conflicting { .. }) => Misuse::find(ledger, signed),
                _ => None,
            };
            (checked, misuse)
        });
        match (checked, misuse) {
            (Ok(statement), _) => Ok(Aside::Missing(statement.id())),
            (Err(LedgerError::Known { seq }), _) => Ok(Aside::Known(seq)),
            (Err(_), Some(misuse)) => {
                let proof = misuse.to_file();
                let words = misuse
                    .verify()
                    .map(|proven| proven.words(&plenary_certs::board::NoFacts))
                    .unwrap_or_default();
                self.disputes.found(misuse);
                self.raise_misuse()?;
                Ok(Aside::Misuse { words, proof })
            }
            (Err(error), None) => Ok(Aside::Refused(error.to_string())),
        }
    }

    /// Tells and keeps what was found.
    pub(super) fn raise_misuse(&mut self) -> Result<(), Error> {
        for misuse in std::mem::take(&mut self.disputes.found) {
            let Ok(proven) = misuse.verify() else {
                continue;
            };
            let known = self.disputes.proven.contains(&proven);
            if known || self.disputes.proven.len() >= MOST {
                continue;
            }
            let key = format!("{MISUSE}{}", proven.second.id());
            self.store.put_meta(&key, &misuse.to_file())?;
            self.alarm(None, AlarmKind::Misuse, proven.to_string());
            self.disputes.proven.push(proven);
        }
        Ok(())
    }
}
