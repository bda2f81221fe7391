//! Who must sign, and what a statement's bytes may be.

use proptest::prelude::*;

use super::super::{testing::*, *};
use crate::signing::SigningKey;

fn people(root: &Root, keys: &[&SigningKey]) -> usize {
    let mut people: Vec<_> = keys
        .iter()
        .filter_map(|key| root.person(&key.public()))
        .collect();
    people.sort();
    people.dedup();
    people.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Seven people; whatever subset signs, the statement counts exactly if enough did.
    #[test]
    fn any_subset_of_the_board_counts_by_its_size(mask in 0u8..128, kind in 0usize..5) {
        let mut board = Board::new(7);
        board.say(admit(10));
        board.say(device(10, 10, Voucher::Board));
        let body = match kind {
            0 => admit(11),
            1 => Body::Server(Server { key: key(9, 0).public() }),
            2 => suspend(Target::Member(member_id(10))),
            3 => revoke(Target::Device(device_id(10))),
            _ => Body::Policy(Policy::default()),
        };
        let needed = root(7).thresholds.of(body.kind());
        let statement = board.ledger.draft(body, NOW);
        let keys: Vec<_> = (0..7).filter(|n| mask & (1 << n) != 0).map(|n| &board.keys[n]).collect();
        let result = board.ledger.check(&signed(&statement, &keys));
        if people(&root(7), &keys) >= usize::from(needed) {
            prop_assert_eq!(result, Ok(statement));
        } else {
            prop_assert_eq!(result, Err(LedgerError::TooFew {
                kind: statement.kind(), needed, got: keys.len(),
            }));
        }
    }

    /// Any byte of a signed statement changed: refused, and nothing happened.
    #[test]
    fn a_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut board = Board::new(3);
        let before = board.ledger.head();
        let mut bytes = board.signed(admit(10), &[0, 1]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(board.ledger.append(&bytes).is_err());
        prop_assert_eq!(board.ledger.head(), before);
        prop_assert_eq!(board.ledger.members().count(), 0);
    }

    /// Noise never panics and never counts.
    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Board::new(1).ledger.append(&bytes).is_err());
    }
}

#[test]
fn every_cut_is_refused() {
    let board = Board::new(3);
    let bytes = board.signed(admit(10), &[0, 1]);
    for len in 0..bytes.len() {
        assert!(board.ledger.check(&bytes[..len]).is_err(), "{len}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(
        board.ledger.check(&longer),
        Err(LedgerError::Malformed(CborError::NotCanonical))
    );
    assert_eq!(
        board.ledger.check(&vec![0; 20_000]),
        Err(LedgerError::TooLong(20_000))
    );
}

#[test]
fn doubled_and_foreign_signatures_are_refused() {
    let board = Board::with_member();
    let statement = board.ledger.draft(admit(11), NOW);
    let (one, two, outsider) = (&board.keys[0], &board.keys[1], key(7, 7));

    assert_eq!(
        board.ledger.check(&signed(&statement, &[one, one])),
        Err(LedgerError::DoubledSignature(Signer::Board(one.public())))
    );
    // Even where enough others signed.
    assert_eq!(
        board
            .ledger
            .check(&signed(&statement, &[one, two, &outsider])),
        Err(LedgerError::ForeignSignature(Signer::Board(
            outsider.public()
        )))
    );
    let bytes = statement.encode();
    for foreign in [
        sign_as_device(&bytes, device_id(10), &authentication_key(10)),
        sign_as_recovery(&bytes, &board.recovery[0]),
    ] {
        let all = vec![
            sign_as_board(&bytes, one),
            sign_as_board(&bytes, two),
            foreign,
        ];
        assert_eq!(
            board
                .ledger
                .check(&SignedStatement::new(bytes.clone(), all).encode()),
            Err(LedgerError::ForeignSignature(foreign.signer))
        );
    }
    // Another's signature under one's name.
    let mut stolen = sign_as_board(&bytes, one);
    stolen.signer = Signer::Board(two.public());
    let all = vec![sign_as_board(&bytes, one), stolen];
    assert_eq!(
        board
            .ledger
            .check(&SignedStatement::new(bytes, all).encode()),
        Err(LedgerError::BadSignature(stolen.signer))
    );
}

#[test]
fn two_keys_of_one_person_count_once() {
    let mut two_keys = root(3);
    two_keys.board.push(Person {
        member: member_id(0),
        key: key(1, 3).public(),
    });
    let mut board = Board::new(3);
    board.say(Body::Root(two_keys));
    let statement = board.ledger.draft(admit(10), NOW);
    let same = [&board.keys[0], &key(1, 3)];
    assert_eq!(
        board.ledger.check(&signed(&statement, &same)),
        Err(LedgerError::TooFew {
            kind: Kind::Admit,
            needed: 2,
            got: 1
        })
    );
    let two = [&board.keys[1], &key(1, 3)];
    assert_eq!(board.ledger.check(&signed(&statement, &two)), Ok(statement));
}

#[test]
fn unsorted_signatures_are_a_second_spelling() {
    let board = Board::new(3);
    let bytes = board.ledger.draft(admit(10), NOW).encode();
    let mut both: Vec<_> = [0, 1].map(|n| sign_as_board(&bytes, &board.keys[n])).into();
    let sorted = SignedStatement::new(bytes.clone(), both.clone()).encode();
    both.reverse();
    assert_eq!(SignedStatement::new(bytes, both).encode(), sorted);
    // Swap the two on the wire.
    let (_, one) = sorted.split_at(sorted.len() - 2 * 103);
    let (one, two) = one.split_at(103);
    let swapped = [&sorted[..sorted.len() - 206], two, one].concat();
    assert_eq!(
        board.ledger.check(&swapped),
        Err(LedgerError::Malformed(CborError::NotCanonical))
    );
}

#[test]
fn another_network_and_another_root_1_are_refused() {
    let board = Board::new(3);
    let mut statement = board.ledger.draft(admit(10), NOW);
    statement.network = NetworkId([0xBB; 16]);
    let keys: Vec<_> = board.keys.iter().collect();
    assert_eq!(
        board.ledger.check(&signed(&statement, &keys)),
        Err(LedgerError::OtherNetwork(statement.network))
    );

    let mut empty = Ledger::new(NETWORK, board.ledger.root1());
    assert_eq!(
        empty.append(&signed(&empty.draft(admit(10), NOW), &keys)),
        Err(LedgerError::NoRoot)
    );
    // The same Board a millisecond later is another ROOT 1.
    let other = empty.draft(Body::Root(root(3)), UnixMillis(NOW.0 + 1));
    assert_eq!(
        empty.append(&signed(&other, &keys)),
        Err(LedgerError::OtherRoot1)
    );
    let root1 = board.ledger.statement(LedgerSeq(1)).unwrap();
    assert_eq!(
        empty.append(&signed(&root1, &keys[..1])),
        Err(LedgerError::TooFew {
            kind: Kind::Root,
            needed: 2,
            got: 1
        })
    );
    assert_eq!(empty.append(&signed(&root1, &keys[1..])).unwrap().seq.0, 1);
}

#[test]
fn a_key_of_a_device_signs_for_no_other() {
    let mut board = Board::with_member();
    let bytes = board
        .ledger
        .draft(device(12, 10, Voucher::Device(device_id(10))), NOW)
        .encode();
    let wrong = sign_as_device(&bytes, device_id(10), &authentication_key(11));
    let by = |signatures| SignedStatement::new(bytes.clone(), signatures).encode();
    assert_eq!(
        board.ledger.check(&by(vec![wrong])),
        Err(LedgerError::BadSignature(wrong.signer))
    );
    // Nor does the Board sign in its place: who vouches is what was said.
    let board_signed = sign_as_board(&bytes, &board.keys[0]);
    assert_eq!(
        board.ledger.check(&by(vec![board_signed])),
        Err(LedgerError::ForeignSignature(board_signed.signer))
    );
    assert!(matches!(
        board.ledger.check(&by(vec![])),
        Err(LedgerError::TooFew {
            needed: 1,
            got: 0,
            ..
        })
    ));
    assert!(board.vouch(12, 10, 10).is_ok());
    // Another member's device, an unknown one, itself.
    board.say(admit(20));
    assert_eq!(
        board.vouch(21, 20, 10),
        Err(LedgerError::OtherMember(device_id(10)))
    );
    assert_eq!(
        board.vouch(13, 10, 99),
        Err(LedgerError::UnknownDevice(device_id(99)))
    );
    assert!(matches!(
        board.vouch(12, 10, 12),
        Err(LedgerError::VoucherNotLive { .. })
    ));
}
