//! Whatever is said in whatever order: what a ledger says of an earlier position is what it said
//! there, and it agrees with a slow reading of the design.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{testing::*, *};

#[derive(Debug, Clone, Copy)]
enum Act {
    BoardVouches(u8),
    Vouches(u8, u8),
    Revokes(u8),
    Suspends(u8),
    Resumes(u8),
    SuspendsMember,
    ResumesMember,
    RevokesMember,
}

const DEVICES: std::ops::Range<u8> = 20..26;

fn acts() -> impl Strategy<Value = Act> {
    let one = || DEVICES;
    prop_oneof![
        3 => one().prop_map(Act::BoardVouches),
        8 => (one(), one()).prop_map(|(device, by)| Act::Vouches(device, by)),
        2 => one().prop_map(Act::Revokes),
        2 => one().prop_map(Act::Suspends),
        2 => one().prop_map(Act::Resumes),
        1 => Just(Act::SuspendsMember),
        1 => Just(Act::ResumesMember),
        1 => Just(Act::RevokesMember),
    ]
}

fn act(board: &mut Board, act: Act) -> Result<LedgerHead, LedgerError> {
    let one = |n| Target::Device(device_id(n));
    let member = Target::Member(member_id(10));
    match act {
        Act::BoardVouches(n) => board.try_say(device(n, 10, Voucher::Board)),
        Act::Vouches(n, by) => board.vouch(n, 10, by),
        Act::Revokes(n) => board.try_say(revoke(one(n))),
        Act::Suspends(n) => board.try_say(suspend(one(n))),
        Act::Resumes(n) => board.try_say(Body::Resume(Resume { target: one(n) })),
        Act::SuspendsMember => board.try_say(suspend(member)),
        Act::ResumesMember => board.try_say(Body::Resume(Resume { target: member })),
        Act::RevokesMember => board.try_say(revoke(member)),
    }
}

/// What the accepted statements say of the devices, read from the beginning each time.
#[derive(Default)]
struct Slow {
    vouches: Vec<(u8, Option<u8>)>,
    revoked: BTreeSet<Option<u8>>,
    suspended: BTreeSet<Option<u8>>,
}

impl Slow {
    fn accept(&mut self, act: Act) {
        match act {
            Act::BoardVouches(n) => self.vouches.push((n, None)),
            Act::Vouches(n, by) => self.vouches.push((n, Some(by))),
            Act::Revokes(n) => drop(self.revoked.insert(Some(n))),
            Act::Suspends(n) => drop(self.suspended.insert(Some(n))),
            Act::Resumes(n) => drop(self.suspended.remove(&Some(n))),
            Act::SuspendsMember => drop(self.suspended.insert(None)),
            Act::ResumesMember => drop(self.suspended.remove(&None)),
            Act::RevokesMember => drop(self.revoked.insert(None)),
        }
    }

    /// A way of vouches leads to the Board over devices that are `fit`.
    fn backed(&self, n: u8, fit: &dyn Fn(u8) -> bool, way: &mut Vec<u8>) -> bool {
        if !fit(n) || way.contains(&n) {
            return false;
        }
        way.push(n);
        let backed = self
            .vouches
            .iter()
            .any(|(device, by)| *device == n && by.is_none_or(|by| self.backed(by, fit, way)));
        way.pop();
        backed
    }

    fn standing(&self, n: u8) -> &'static str {
        let revoked = |n| self.revoked.contains(&None) || self.revoked.contains(&Some(n));
        let suspended = |n| self.suspended.contains(&None) || self.suspended.contains(&Some(n));
        if !self.vouches.iter().any(|(device, _)| *device == n) {
            "unknown"
        } else if self.backed(n, &|n| !revoked(n) && !suspended(n), &mut vec![]) {
            "live"
        } else if self.backed(n, &|n| !revoked(n), &mut vec![]) {
            "suspended"
        } else {
            "revoked"
        }
    }
}

fn name(standing: Standing) -> &'static str {
    match standing {
        Standing::Live => "live",
        Standing::Unknown => "unknown",
        Standing::Revoked { .. } => "revoked",
        Standing::Suspended { .. } => "suspended",
        Standing::Lapsed => "lapsed",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_past_stays_as_it_was(list in prop::collection::vec(acts(), 1..40)) {
        let mut board = Board::new(3);
        board.say(admit(10));
        let mut slow = Slow::default();
        let mut past = vec![];
        for one in list {
            if act(&mut board, one).is_ok() {
                slow.accept(one);
            }
            let at = board.ledger.head().seq;
            for n in DEVICES {
                let standing = board.standing(n);
                prop_assert_eq!(name(standing), slow.standing(n), "device {} at {:?}", n, at);
                past.push((n, at, standing));
            }
        }
        for (n, at, standing) in past {
            prop_assert_eq!(board.ledger.standing(device_id(n), at, NOW), standing);
            if let Standing::Revoked { seq } | Standing::Suspended { seq } = standing {
                // It began there, not before.
                let before = LedgerSeq(seq.0 - 1);
                let earlier = board.ledger.standing(device_id(n), before, NOW);
                prop_assert_ne!(name(earlier), name(standing));
            }
        }
    }
}
