//! What devices may do to one another, and what a stolen one may not.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::{testing::*, *};

/// Laptop 10 by the Board; phone 11 by the laptop; watch 12 by the phone; office 14 by the Board.
fn household() -> Board {
    let mut board = Board::with_member();
    board.vouch(11, 10, 10).unwrap();
    board.vouch(12, 10, 11).unwrap();
    board.say(device(14, 10, Voucher::Board));
    board
}

fn not_in_its_hands(n: u8, by: u8) -> Result<LedgerHead, LedgerError> {
    Err(LedgerError::NotInItsHands {
        device: device_id(n),
        by: device_id(by),
    })
}

fn live(board: &Board) -> Vec<u8> {
    (10..=14)
        .filter(|n| board.standing(*n) == Standing::Live)
        .collect()
}

#[test]
fn a_device_puts_out_what_hangs_on_it_with_all_that_hangs_on_that() {
    let mut board = household();
    assert_eq!(
        board.ledger.hanging_on(device_id(10)),
        [11, 12].map(device_id)
    );
    let seq = board.put_out(11, 10).unwrap().seq;
    assert_eq!(live(&board), [10, 14]);
    assert_eq!(board.standing(12), Standing::Revoked { seq });
    assert_eq!(
        board.ledger.revoked_at(Target::Device(device_id(11))),
        Some(seq)
    );
    assert_eq!(board.ledger.revoked_at(Target::Device(device_id(12))), None);
    assert_eq!(board.ledger.signers(seq), [Signer::Device(device_id(10))]);
    // Said again, by whomever.
    assert_eq!(board.put_out(11, 14), Err(LedgerError::Known { seq }));
    // What fell with it comes back by another's word, not what was named.
    board.vouch(12, 10, 14).unwrap();
    assert_eq!(live(&board), [10, 12, 14]);
    assert!(board.vouch(11, 10, 14).is_err());
}

#[test]
fn a_device_puts_out_what_it_hangs_on_and_falls_too() {
    let mut board = household();
    board.put_out(10, 12).unwrap();
    assert_eq!(live(&board), [14]);
    // The Board picks up what is in honest hands.
    board.say(device(12, 10, Voucher::Board));
    assert_eq!(live(&board), [12, 14]);
}

#[test]
fn a_device_puts_itself_out() {
    let mut board = household();
    board.put_out(14, 14).unwrap();
    assert_eq!(live(&board), [10, 11, 12]);
}

#[test]
fn a_stolen_device_shuts_nobody_out_and_stays() {
    // Neither hangs on the other.
    let mut board = household();
    for n in [10, 11, 12] {
        assert_eq!(board.put_out(n, 14), not_in_its_hands(n, 14));
        assert_eq!(board.put_out(14, n), not_in_its_hands(14, n));
    }
    // Vouching first for whom one wants to put out gains nothing.
    board.vouch(10, 10, 14).unwrap();
    assert_eq!(board.put_out(10, 14), not_in_its_hands(10, 14));
    // Who hangs on two is in the hands of neither.
    board.vouch(11, 10, 14).unwrap();
    assert_eq!(board.put_out(11, 10), not_in_its_hands(11, 10));
    assert_eq!(board.put_out(11, 14), not_in_its_hands(11, 14));
    // Nor does vouching around in a circle.
    board.vouch(10, 10, 12).unwrap();
    assert_eq!(board.put_out(10, 12), not_in_its_hands(10, 12));
    assert_eq!(live(&board), [10, 11, 12, 14]);
}

#[test]
fn another_member_a_suspended_and_a_revoked_one_have_no_say() {
    let mut board = household();
    board.say(admit(20));
    board.say(device(20, 20, Voucher::Board));
    assert_eq!(board.put_out(11, 20), not_in_its_hands(11, 20));
    assert_eq!(board.put_out(99, 10), not_in_its_hands(99, 10));
    assert_eq!(
        board.put_out(10, 99),
        Err(LedgerError::UnknownDevice(device_id(99)))
    );
    board.say(suspend(Target::Device(device_id(10))));
    for by in [10, 11] {
        assert!(
            matches!(
                board.put_out(12, by),
                Err(LedgerError::VoucherNotLive { .. })
            ),
            "{by}"
        );
    }
    board.say(Body::Resume(Resume {
        target: Target::Device(device_id(10)),
    }));
    board.put_out(11, 10).unwrap();
    assert!(matches!(
        board.put_out(12, 12),
        Err(LedgerError::VoucherNotLive { .. })
    ));
    // A member is not a device's to revoke, nor is anything else the Board's.
    let bytes = board
        .ledger
        .draft(revoke(Target::Member(member_id(10))), NOW)
        .encode();
    let signature = sign_as_device(&bytes, device_id(10), &authentication_key(10));
    let signed = SignedStatement::new(bytes, vec![signature]).encode();
    assert_eq!(
        board.ledger.check(&signed),
        Err(LedgerError::ForeignSignature(signature.signer))
    );
}

#[test]
fn one_device_signs_and_nobody_else() {
    let board = household();
    let bytes = board
        .ledger
        .draft(revoke(Target::Device(device_id(11))), NOW)
        .encode();
    let by = |signatures| SignedStatement::new(bytes.clone(), signatures).encode();
    let own = sign_as_device(&bytes, device_id(10), &authentication_key(10));
    let other = sign_as_device(&bytes, device_id(12), &authentication_key(12));
    assert_eq!(
        board.ledger.check(&by(vec![own, other])),
        Err(LedgerError::ForeignSignature(other.signer))
    );
    // One of the Board and a device are not two of the Board.
    let of_the_board = sign_as_board(&bytes, &board.keys[0]);
    assert_eq!(
        board.ledger.check(&by(vec![own, of_the_board])),
        Err(LedgerError::ForeignSignature(own.signer))
    );
    let forged = sign_as_device(&bytes, device_id(10), &authentication_key(12));
    assert_eq!(
        board.ledger.check(&by(vec![forged])),
        Err(LedgerError::BadSignature(forged.signer))
    );
    assert!(matches!(
        board.ledger.check(&by(vec![])),
        Err(LedgerError::TooFew { needed: 2, .. })
    ));
    assert!(board.ledger.check(&by(vec![own])).is_ok());
}

#[test]
fn to_vouch_twice_says_nothing() {
    let mut board = household();
    assert_eq!(
        board.vouch(11, 10, 10),
        Err(LedgerError::VouchesAlready {
            device: device_id(11),
            by: device_id(10),
        })
    );
    board.vouch(11, 10, 14).unwrap();
    assert!(board.vouch(11, 10, 14).is_err());
}

/// What somebody says: by whom, about whom.
#[derive(Debug, Clone, Copy)]
enum Said {
    Vouch(u8, u8),
    PutOut(u8, u8),
}

fn said(
    by: impl Strategy<Value = u8> + Clone,
    about: std::ops::Range<u8>,
) -> impl Strategy<Value = Said> {
    prop_oneof![
        (by.clone(), about.clone()).prop_map(|(by, n)| Said::Vouch(by, n)),
        (by, about).prop_map(|(by, n)| Said::PutOut(by, n)),
    ]
}

fn take(board: &mut Board, said: Said) -> Result<LedgerHead, LedgerError> {
    match said {
        Said::Vouch(by, n) => board.vouch(n, 10, by),
        Said::PutOut(by, n) => board.put_out(n, by),
    }
}

/// All live devices, by walking from the Board over vouches, without those named.
fn reached(board: &Board, without: &[DeviceId]) -> BTreeSet<DeviceId> {
    let mut found = BTreeSet::new();
    loop {
        let more: Vec<_> = board
            .ledger
            .devices_of(member_id(10))
            .filter(|device| {
                !found.contains(&device.id)
                    && !without.contains(&device.id)
                    && board.ledger.revoked_at(Target::Device(device.id)).is_none()
                    && device.vouchers.iter().any(|(_, voucher)| match voucher {
                        Voucher::Board => true,
                        Voucher::Device(by) => found.contains(by),
                    })
            })
            .map(|device| device.id)
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever devices say: who is live is who is reached from the Board; a revocation is taken
    /// exactly if one of the two hangs on the other.
    #[test]
    fn hanging_on_is_what_a_walk_finds(all in prop::collection::vec(said(10u8..16, 10..16), 1..25)) {
        let mut board = Board::with_member();
        board.say(device(15, 10, Voucher::Board));
        for one in all {
            let before = reached(&board, &[]);
            let taken = take(&mut board, one);
            if let Said::PutOut(by, n) = one {
                let (by, n) = (device_id(by), device_id(n));
                // Two states: as it was before the statement.
                let mut earlier = Ledger::new(NETWORK, board.ledger.root1());
                let end = board.ledger.len() - usize::from(taken.is_ok());
                for (_, entry) in board.ledger.entries_after(LedgerSeq(0)).take(end) {
                    earlier.append(entry).unwrap();
                }
                let earlier = Board { ledger: earlier, keys: vec![], recovery: vec![] };
                let falls = |one, with| !reached(&earlier, &[with]).contains(&one);
                let may = before.contains(&by)
                    && before.contains(&n)
                    && (by == n || falls(n, by) || falls(by, n));
                let known = matches!(taken, Err(LedgerError::Known { .. }));
                prop_assert_eq!(taken.is_ok(), may && !known, "{:?}", taken);
            }
            let live: BTreeSet<_> = board
                .ledger
                .devices_of(member_id(10))
                .filter(|device| device.standing.latest() == Some(&Standing::Live))
                .map(|device| device.id)
                .collect();
            prop_assert_eq!(live, reached(&board, &[]));
        }
    }

    /// One device is stolen. Whatever it and those that it links say, either every device that the
    /// owner still holds and that did not hang on it stays, or the thief is out altogether.
    #[test]
    fn a_thief_never_shuts_out_and_stays(
        vouchers in prop::collection::vec(0u8..3, 4),
        stolen in 10u8..15,
        all in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), 10u8..20), 1..20),
    ) {
        let mut board = Board::with_member();
        for (n, voucher) in (11..).zip(vouchers) {
            match voucher {
                0 => { board.say(device(n, 10, Voucher::Board)); }
                back => { board.vouch(n, 10, (n - back).max(10)).unwrap(); }
            }
        }
        let hung = board.ledger.hanging_on(device_id(stolen));
        let honest: Vec<_> = (10..15)
            .filter(|n| *n != stolen && !hung.contains(&device_id(*n)))
            .collect();
        let mut thief = vec![stolen];
        for (by, vouches, n) in all {
            let by = *by.get(&thief);
            let one = if vouches { Said::Vouch(by, n) } else { Said::PutOut(by, n) };
            let new = board.ledger.device(device_id(n)).is_none();
            if take(&mut board, one).is_ok() && vouches && new {
                thief.push(n);
            }
            let in_now = |n: &u8| board.standing(*n) == Standing::Live;
            prop_assert!(
                honest.iter().all(in_now) || !thief.iter().any(in_now),
                "honest {:?}, thief {:?}", honest, thief
            );
        }
    }
}
