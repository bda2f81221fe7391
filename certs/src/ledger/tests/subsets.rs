//! Every subset of signers, in every order, with every kind of key that is not one: exactly those
//! pass in which enough distinct people of the ROOT in force signed.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{testing::*, *};
use crate::signing::SigningKey;

/// One statement of each kind that the Board signs, all acceptable at once.
fn bodies(board: &mut Board) -> Vec<Body> {
    board.say(admit(10));
    board.say(device(10, 10, Voucher::Board));
    board.say(channel(1, EntryRule::Granted, 10));
    board.say(admit(20));
    board.say(suspend(Target::Member(member_id(20))));
    let mut policy = Policy::default();
    policy.idle_days += 1;
    vec![
        Body::Root(board.ledger.root().unwrap().clone()),
        admit(11),
        device(12, 10, Voucher::Board),
        revoke(Target::Device(device_id(10))),
        suspend(Target::Member(member_id(10))),
        Body::Resume(Resume {
            target: Target::Member(member_id(20)),
        }),
        channel(2, EntryRule::Open, 10),
        Body::Grant(Grant {
            channel: channel_id(1),
            member: member_id(10),
            granted: true,
        }),
        Body::Policy(policy),
        Body::Server(Server {
            key: key(9, 0).public(),
        }),
    ]
}

fn chosen(keys: &[SigningKey], mask: u32) -> Vec<&SigningKey> {
    let bit = |n: &usize| mask & (1 << n) != 0;
    (0..keys.len()).filter(bit).map(|n| &keys[n]).collect()
}

#[test]
fn every_subset_of_every_board_passes_exactly_from_its_threshold_on() {
    for people in [1u8, 2, 3, 5, 7] {
        let mut board = Board::new(people);
        let all = bodies(&mut board);
        for body in all {
            let statement = board.ledger.draft(body, NOW);
            let needed = root(people).thresholds.of(statement.kind());
            for mask in 0u32..1 << people {
                let keys = chosen(&board.keys, mask);
                let result = board.ledger.check(&signed(&statement, &keys));
                let enough = keys.len() >= usize::from(needed);
                assert_eq!(result.is_ok(), enough, "{people} {mask:b} {result:?}");
            }
        }
    }
}

/// A Board of seven in which every threshold is as given.
fn board_with(threshold: u8) -> Board {
    let mut board = Board::new(7);
    let mut next = root(7);
    for kind in Kind::ALL {
        next.thresholds.set(kind, threshold);
    }
    board.say(Body::Root(next));
    board
}

#[test]
fn every_threshold_of_seven_counts_every_subset() {
    for threshold in 1..=7 {
        let board = board_with(threshold);
        let statement = board.ledger.draft(admit(10), NOW);
        for mask in 0u32..128 {
            let keys = chosen(&board.keys, mask);
            let result = board.ledger.check(&signed(&statement, &keys));
            let enough = mask.count_ones() >= u32::from(threshold);
            assert_eq!(result.is_ok(), enough, "{threshold} {mask:b}");
        }
    }
}

/// Seven people of whom three must sign; the first holds two keys, the second three.
fn many_keys() -> (Board, Vec<SigningKey>, Vec<u8>) {
    let mut board = board_with(3);
    let mut next = board.ledger.root().unwrap().clone();
    for (n, holder) in [(20, 0), (21, 1), (22, 1)] {
        next.board.push(Person {
            member: member_id(holder),
            key: board_key(n).public(),
        });
    }
    board.say(Body::Root(next));
    let numbers = (0..7).chain(20..23);
    let holders = (0..7).chain([0, 1, 1]).collect();
    (board, numbers.map(board_key).collect(), holders)
}

#[test]
fn several_keys_of_one_person_count_once_in_every_subset() {
    let (board, keys, holders) = many_keys();
    let statement = board.ledger.draft(admit(10), NOW);
    for mask in 0u32..1 << keys.len() {
        let people: BTreeSet<_> = (0..keys.len())
            .filter(|n| mask & (1 << n) != 0)
            .map(|n| holders[n])
            .collect();
        // All 1,024 would say the same of the larger ones.
        if people.len() > 4 {
            continue;
        }
        let result = board
            .ledger
            .check(&signed(&statement, &chosen(&keys, mask)));
        assert_eq!(result.is_ok(), people.len() >= 3, "{mask:b} {result:?}");
    }
}

#[test]
fn a_retired_key_spoils_every_subset_that_it_is_in() {
    let mut board = board_with(3);
    let mut next = board.ledger.root().unwrap().clone();
    next.board[6].key = board_key(26).public();
    let statement = board.ledger.draft(Body::Root(next), NOW);
    let mut keys: Vec<_> = board.keys.iter().collect();
    let new = board_key(26);
    keys.push(&new);
    board.ledger.append(&signed(&statement, &keys)).unwrap();
    let statement = board.ledger.draft(admit(10), NOW);
    for mask in 0u32..128 {
        let keys = chosen(&board.keys, mask);
        let result = board.ledger.check(&signed(&statement, &keys));
        let retired = Signer::Board(board_key(6).public());
        match mask & (1 << 6) {
            0 => assert_eq!(result.is_ok(), mask.count_ones() >= 3, "{mask:b}"),
            _ => assert_eq!(result, Err(LedgerError::ForeignSignature(retired))),
        }
    }
}

#[test]
fn keys_of_a_new_root_say_nothing_before_its_position() {
    let mut board = board_with(3);
    let before = board.ledger.clone();
    let mut next = board.ledger.root().unwrap().clone();
    for (person, n) in next.board.iter_mut().zip(30..) {
        person.key = board_key(n).public();
    }
    let new: Vec<_> = (30..37).map(board_key).collect();
    let both: Vec<_> = board.keys.iter().chain(&new).collect();
    let statement = board.ledger.draft(Body::Root(next), NOW);
    board.ledger.append(&signed(&statement, &both)).unwrap();
    let early = board.ledger.draft(admit(10), NOW);
    let mut under_the_old = early.clone();
    under_the_old.root_version = before.root_version();
    for mask in 1u32..128 {
        let keys = chosen(&new, mask);
        // As of the new ROOT, which is not there yet; and as of the old one, by keys not in it.
        assert!(matches!(
            before.check(&signed(&early, &keys)),
            Err(LedgerError::StaleRoot { .. })
        ));
        assert!(matches!(
            before.check(&signed(&under_the_old, &keys)),
            Err(LedgerError::ForeignSignature(_))
        ));
        // And the old ones say nothing any more, however many, however early they signed.
        let old = chosen(&board.keys, mask);
        assert!(matches!(
            board.ledger.check(&signed(&under_the_old, &old)),
            Err(LedgerError::StaleRoot { got: 2, current: 3 })
        ));
        assert!(matches!(
            board.ledger.check(&signed(&early, &old)),
            Err(LedgerError::ForeignSignature(_))
        ));
        let enough = mask.count_ones() >= 3;
        assert_eq!(board.ledger.check(&signed(&early, &keys)).is_ok(), enough);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Statements that do not build on one another may come in any order, and signatures too:
    /// what stands is the same.
    #[test]
    fn order_does_not_matter(
        order in Just((0usize..6).collect::<Vec<_>>()).prop_shuffle(),
        signers in Just((0usize..7).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let mut board = board_with(3);
        let bodies = [
            admit(10),
            admit(11),
            revoke(Target::Member(member_id(12))),
            Body::Server(Server { key: key(9, 0).public() }),
            Body::Policy(Policy::default()),
            revoke(Target::Device(device_id(13))),
        ];
        // All drafted and signed offline at once.
        let drafts = bodies.map(|body| board.ledger.draft(body, NOW));
        let in_order: Vec<_> = (0..7).map(|n| &board.keys[n]).collect();
        let shuffled: Vec<_> = signers.iter().map(|n| &board.keys[*n]).collect();
        for index in order {
            let bytes = signed(&drafts[index], &shuffled);
            prop_assert_eq!(&bytes, &signed(&drafts[index], &in_order));
            board.ledger.append(&bytes).unwrap();
        }
        let at = board.ledger.head().seq;
        let standing = |n| board.ledger.member_standing(member_id(n), at, NOW);
        prop_assert_eq!(standing(10), Standing::Live);
        prop_assert_eq!(standing(11), Standing::Live);
        prop_assert_eq!(board.ledger.server_key(), Some(key(9, 0).public()));
        let out = board.signed(admit(12), &[0, 1, 2]);
        let target = Target::Member(member_id(12));
        prop_assert_eq!(board.ledger.check(&out), Err(LedgerError::Revoked(target)));
    }

    /// A signature twice, at any place: refused as such, whoever else signed.
    #[test]
    fn a_doubled_signature_is_refused(mask in 1u32..128, which in any::<prop::sample::Index>()) {
        let board = board_with(3);
        let statement = board.ledger.draft(admit(10), NOW);
        let mut keys = chosen(&board.keys, mask);
        let twice = keys[which.index(keys.len())];
        keys.push(twice);
        prop_assert_eq!(
            board.ledger.check(&signed(&statement, &keys)),
            Err(LedgerError::DoubledSignature(Signer::Board(twice.public())))
        );
    }
}

/// Forty times another Board: nobody of the first is left. Who has read up to any of them goes on
/// from there; who skips one does not.
#[test]
fn forty_roots_are_walked_one_by_one() {
    let mut board = Board::new(3);
    let mut behind = board.ledger.clone();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    for round in 0..40u8 {
        let mut next = board.ledger.root().unwrap().clone();
        let seat = usize::from(round % 3);
        let new = board_key(100 + round);
        next.board[seat] = Person {
            member: member_id(100 + round),
            key: new.public(),
        };
        let statement = board.ledger.draft(Body::Root(next), NOW);
        let stays: Vec<_> = (0..3).filter(|n| *n != seat).collect();
        let keys: Vec<_> = stays.iter().map(|n| &board.keys[*n]).collect();
        let bytes = signed(&statement, &keys);
        board.ledger.append(&bytes).unwrap();
        board.keys[seat] = new;
        entries.push(bytes);
        let admitted = board.signed(admit(10 + round), &[0, 1]);
        board.ledger.append(&admitted).unwrap();
        entries.push(admitted);
    }
    assert_eq!(board.ledger.root_version(), 41);
    // What the 40th Board says means nothing to who has read half of it.
    let mut half = behind.clone();
    for entry in &entries[..40] {
        half.append(entry).unwrap();
    }
    assert!(half.append(&entries[42]).is_err());
    for entry in &entries {
        behind.append(entry).unwrap();
    }
    assert_eq!(behind.head(), board.ledger.head());
    assert_eq!(behind.members().count(), 40);
}
