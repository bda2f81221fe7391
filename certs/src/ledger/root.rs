//! ROOT: who the Board is, how many of it must agree, and who may recover from its loss.

use std::collections::BTreeSet;

use plenary_proto::ids::{MemberId, PublicKey};

use super::Kind;
use crate::cbor::cbor_struct;

/// People a Board may have. A statement with all their signatures stays far below the limit.
pub const BOARD: usize = 32;

/// The keys that everything else hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Board keys by person. Somebody may hold several keys and still counts once.
    pub board: Vec<Person>,
    /// Distinct people that must sign, by kind.
    pub thresholds: Thresholds,
    /// Keys that sign heartbeats, and nothing else.
    pub heartbeat: Vec<PublicKey>,
    /// Fixed in ROOT 1.
    pub recovery: Recovery,
}

/// A key of a person on the Board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub member: MemberId,
    /// Their signing key.
    pub key: PublicKey,
}

/// Distinct people of the Board that must sign each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each field is the kind of that name")]
pub struct Thresholds {
    pub root: u8,
    pub policy: u8,
    pub server: u8,
    pub admit: u8,
    /// Of a device that the Board vouches for.
    pub device: u8,
    pub channel: u8,
    pub grant: u8,
    pub revoke: u8,
    pub resume: u8,
    /// Low: it must be fast, and it is undone by RESUME.
    pub suspend: u8,
}

/// Keys that may sign RECOVER and nothing else. Without keys there is no recovery.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Each counts once.
    pub keys: Vec<PublicKey>,
    /// How many of them must sign.
    pub threshold: u8,
}

/// What makes a ROOT unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RootError {
    #[error("a Board has 1 to {BOARD} keys, not {0}")]
    Size(usize),
    #[error("the key {0} is named twice: every role needs its own")]
    KeyTwice(PublicKey),
    #[error("the threshold of {kind} is {threshold}, but the Board has {people} people")]
    Threshold {
        kind: Kind,
        threshold: u8,
        people: usize,
    },
    #[error("the recovery threshold is {threshold}, with {keys} recovery keys")]
    RecoveryThreshold { threshold: u8, keys: usize },
    #[error("the recovery role is fixed in ROOT 1")]
    RecoveryMoved,
}

impl Thresholds {
    /// The default for a Board of so many people: a majority for ROOT, POLICY and SERVER, fewer
    /// for daily work, two to suspend. Seven: 4, 3 and 2; three: 2 for all. One person decides
    /// alone, which is for trying things out.
    pub fn for_board(people: usize) -> Self {
        let people = people.clamp(1, BOARD) as u8;
        let two = people.min(2);
        let major = people / 2 + 1;
        let daily = (people / 2).max(two);
        Self {
            root: major,
            policy: major,
            server: major,
            admit: daily,
            device: daily,
            channel: daily,
            grant: daily,
            revoke: daily,
            resume: daily,
            suspend: two,
        }
    }

    /// Sets how many people must sign a kind; RECOVER is not the Board's.
    pub fn set(&mut self, kind: Kind, needed: u8) {
        match kind {
            Kind::Root => self.root = needed,
            Kind::Policy => self.policy = needed,
            Kind::Server => self.server = needed,
            Kind::Admit => self.admit = needed,
            Kind::Device => self.device = needed,
            Kind::Channel => self.channel = needed,
            Kind::Grant => self.grant = needed,
            Kind::Revoke => self.revoke = needed,
            Kind::Resume => self.resume = needed,
            Kind::Suspend => self.suspend = needed,
            Kind::Recover => {}
        }
    }

    /// People that must sign a kind. RECOVER is not the Board's: zero.
    pub fn of(&self, kind: Kind) -> u8 {
        match kind {
            Kind::Root => self.root,
            Kind::Policy => self.policy,
            Kind::Server => self.server,
            Kind::Admit => self.admit,
            Kind::Device => self.device,
            Kind::Channel => self.channel,
            Kind::Grant => self.grant,
            Kind::Revoke => self.revoke,
            Kind::Resume => self.resume,
            Kind::Suspend => self.suspend,
            Kind::Recover => 0,
        }
    }
}

impl Root {
    /// How many people the Board has, however many keys they hold.
    pub fn people(&self) -> usize {
        let people: BTreeSet<_> = self.board.iter().map(|person| person.member).collect();
        people.len()
    }

    /// Whose Board key this is.
    pub fn person(&self, key: &PublicKey) -> Option<MemberId> {
        let person = self.board.iter().find(|person| person.key == *key)?;
        Some(person.member)
    }

    /// Refuses what could not work or would count somebody twice.
    ///
    /// # Errors
    /// Any [`RootError`] but [`RootError::RecoveryMoved`].
    pub fn validate(&self) -> Result<(), RootError> {
        if self.board.is_empty() || self.board.len() > BOARD {
            return Err(RootError::Size(self.board.len()));
        }
        let mut seen = BTreeSet::new();
        let board = self.board.iter().map(|person| &person.key);
        for key in board.chain(&self.heartbeat).chain(&self.recovery.keys) {
            if !seen.insert(key) {
                return Err(RootError::KeyTwice(*key));
            }
        }
        let people = self.people();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Recover) {
            let threshold = self.thresholds.of(kind);
            if threshold == 0 || usize::from(threshold) > people {
                return Err(RootError::Threshold {
                    kind,
                    threshold,
                    people,
                });
            }
        }
        let Recovery { keys, threshold } = &self.recovery;
        if usize::from(*threshold) > keys.len() || (*threshold == 0) != keys.is_empty() {
            return Err(RootError::RecoveryThreshold {
                threshold: *threshold,
                keys: keys.len(),
            });
        }
        Ok(())
    }
}

cbor_struct!(Person { member, key });
cbor_struct!(Recovery { keys, threshold });
cbor_struct!(Root {
    board,
    thresholds,
    heartbeat,
    recovery
});
cbor_struct!(Thresholds {
    root,
    policy,
    server,
    admit,
    device,
    channel,
    grant,
    revoke,
    resume,
    suspend,
});

#[cfg(test)]
mod tests {
    use super::*;

    fn root(people: u8) -> Root {
        Root {
            board: (0..people)
                .map(|i| Person {
                    member: MemberId([i; 16]),
                    key: PublicKey([i; 32]),
                })
                .collect(),
            thresholds: Thresholds::for_board(people.into()),
            heartbeat: vec![PublicKey([200; 32])],
            recovery: Recovery::default(),
        }
    }

    #[test]
    fn defaults_are_the_design_s() {
        let seven = Thresholds::for_board(7);
        assert_eq!((seven.root, seven.policy, seven.server), (4, 4, 4));
        assert_eq!((seven.admit, seven.device, seven.channel), (3, 3, 3));
        assert_eq!((seven.grant, seven.revoke, seven.resume), (3, 3, 3));
        assert_eq!(seven.suspend, 2);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Recover) {
            assert_eq!(Thresholds::for_board(3).of(kind), 2, "{kind}");
            assert_eq!(Thresholds::for_board(1).of(kind), 1, "{kind}");
        }
        for people in 1..=BOARD {
            assert_eq!(root(people as u8).validate(), Ok(()), "{people}");
        }
    }

    #[test]
    fn every_threshold_is_set_by_its_kind() {
        let mut thresholds = Thresholds::for_board(3);
        for (kind, number) in Kind::ALL.into_iter().zip(10..) {
            thresholds.set(kind, number);
        }
        for (kind, number) in Kind::ALL.into_iter().zip(10..) {
            let wanted = if kind == Kind::Recover { 0 } else { number };
            assert_eq!(thresholds.of(kind), wanted, "{kind}");
        }
    }

    #[test]
    fn refuses_a_root_that_counts_somebody_twice_or_nobody() {
        let mut twice = root(3);
        twice.board[1].key = twice.board[0].key;
        assert_eq!(
            twice.validate(),
            Err(RootError::KeyTwice(PublicKey([0; 32])))
        );

        let mut same_person = root(3);
        same_person.board[1].member = same_person.board[0].member;
        same_person.board[2].member = same_person.board[0].member;
        assert!(matches!(
            same_person.validate(),
            Err(RootError::Threshold {
                threshold: 2,
                people: 1,
                ..
            })
        ));

        let mut heartbeat = root(3);
        heartbeat.heartbeat.push(PublicKey([1; 32]));
        assert!(matches!(heartbeat.validate(), Err(RootError::KeyTwice(_))));

        let mut zero = root(3);
        zero.thresholds.grant = 0;
        assert!(matches!(
            zero.validate(),
            Err(RootError::Threshold {
                kind: Kind::Grant,
                ..
            })
        ));

        let mut recovery = root(3);
        recovery.recovery.threshold = 1;
        assert!(matches!(
            recovery.validate(),
            Err(RootError::RecoveryThreshold { .. })
        ));
        assert_eq!(root(0).validate(), Err(RootError::Size(0)));
        assert_eq!(root(33).validate(), Err(RootError::Size(33)));
    }
}
