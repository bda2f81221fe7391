//! Another Board: who comes, who goes, how many must agree.

use std::collections::BTreeSet;

use plenary_certs::ledger::{Kind, Ledger, Person, Root, Thresholds};
use plenary_proto::ids::{MemberId, PublicKey};

use crate::{
    client::BoardPerson,
    error::{Error, ErrorKind},
};

/// What a new ROOT changes. Nothing: the same Board once more, which ends an announced recovery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RootChange {
    /// People that come, or further keys of people that are there.
    pub add: Vec<BoardPerson>,
    /// People that go, with all their keys.
    pub remove: Vec<MemberId>,
    /// New keys of people that are there: their former keys go.
    pub replace: Vec<BoardPerson>,
    /// How many people must sign each of these kinds. If the number of people changes and nothing
    /// is said, thresholds that were the default stay the default; others stay as they are.
    pub thresholds: Vec<(Kind, u8)>,
    /// All thresholds as they are by default for that many people.
    pub default_thresholds: bool,
    /// Heartbeat keys that come.
    pub add_heartbeat: Vec<PublicKey>,
    /// Heartbeat keys that go.
    pub remove_heartbeat: Vec<PublicKey>,
}

impl RootChange {
    /// The ROOT in force with these changes.
    pub(super) fn apply(&self, ledger: &Ledger) -> Result<Root, Error> {
        let current = ledger.root().ok_or_else(unfounded)?;
        let mut next = current.clone();
        let is_there = |root: &Root, member| root.board.iter().any(|one| one.member == member);
        for member in self
            .remove
            .iter()
            .chain(self.replace.iter().map(|person| &person.member))
        {
            if !is_there(current, *member) {
                return Err(refused(format!("member {member} is not on the Board")));
            }
            next.board.retain(|person| person.member != *member);
        }
        let come = self.add.iter().chain(&self.replace);
        next.board.extend(come.map(|person| Person {
            member: person.member,
            key: person.key,
        }));
        for key in &self.remove_heartbeat {
            if !next.heartbeat.contains(key) {
                return Err(refused(format!("{key} is no heartbeat key of this ROOT")));
            }
        }
        next.heartbeat
            .retain(|key| !self.remove_heartbeat.contains(key));
        next.heartbeat.extend(&self.add_heartbeat);
        let people = next.people();
        let usual = current.thresholds == Thresholds::for_board(current.people());
        if self.default_thresholds || (usual && people != current.people()) {
            next.thresholds = Thresholds::for_board(people);
        }
        for (kind, needed) in &self.thresholds {
            next.thresholds.set(*kind, *needed);
        }
        valid(next)
    }
}

/// A whole new Board, as a recovery puts it in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBoard {
    /// Its people; somebody may hold several keys.
    pub people: Vec<BoardPerson>,
    /// How many people must sign each of these kinds; the others have the default.
    pub thresholds: Vec<(Kind, u8)>,
    /// Its heartbeat keys; `None` keeps those in force.
    pub heartbeat: Option<Vec<PublicKey>>,
}

impl NewBoard {
    /// As a ROOT; the recovery role stays what ROOT 1 says.
    pub(super) fn root(&self, ledger: &Ledger) -> Result<Root, Error> {
        let current = ledger.root().ok_or_else(unfounded)?;
        let people: BTreeSet<_> = self.people.iter().map(|person| person.member).collect();
        let mut thresholds = Thresholds::for_board(people.len());
        for (kind, needed) in &self.thresholds {
            thresholds.set(*kind, *needed);
        }
        valid(Root {
            board: self
                .people
                .iter()
                .map(|person| Person {
                    member: person.member,
                    key: person.key,
                })
                .collect(),
            thresholds,
            heartbeat: self
                .heartbeat
                .clone()
                .unwrap_or_else(|| current.heartbeat.clone()),
            recovery: current.recovery.clone(),
        })
    }
}

fn valid(root: Root) -> Result<Root, Error> {
    root.validate().map_err(|error| {
        refused(format!(
            "such a Board cannot work: {error}. Say other thresholds, or all by default"
        ))
    })?;
    Ok(root)
}

fn unfounded() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "the ledger is empty: the network is not founded yet",
    )
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Input, why)
}
