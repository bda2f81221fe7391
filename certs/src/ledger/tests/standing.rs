//! Who is in, and who was in at an earlier position.

use super::super::{testing::*, *};

#[test]
fn revocation_is_for_ever_and_judged_by_position() {
    let mut board = Board::with_member();
    let before = board.ledger.head().seq;
    let LedgerHead { seq, .. } = board.say(revoke(Target::Member(member_id(10))));
    let ledger = &board.ledger;
    assert_eq!(
        ledger.standing(device_id(10), LedgerSeq(1), NOW),
        Standing::Unknown
    );
    assert_eq!(ledger.standing(device_id(10), before, NOW), Standing::Live);
    assert_eq!(
        ledger.standing(device_id(10), seq, NOW),
        Standing::Revoked { seq }
    );
    assert_eq!(
        ledger.member_standing(member_id(10), seq, NOW),
        Standing::Revoked { seq }
    );
    assert_eq!(
        ledger.member_standing(member_id(10), before, NOW),
        Standing::Live
    );

    // Said again, later: told where it was said.
    let target = Target::Member(member_id(10));
    assert_eq!(
        board.try_say(Body::Revoke(Revoke {
            target,
            reason: Reason::Left
        })),
        Err(LedgerError::Known { seq })
    );
}

#[test]
fn nothing_brings_the_revoked_back() {
    let mut board = Board::with_member();
    board.say(admit(11));
    board.say(channel(1, EntryRule::Granted, 11));
    let target = Target::Member(member_id(10));
    board.say(revoke(target));
    let grant = Body::Grant(Grant {
        channel: channel_id(1),
        member: member_id(10),
        granted: true,
    });
    for body in [
        admit(10),
        device(10, 10, Voucher::Board),
        device(12, 10, Voucher::Board),
        channel(2, EntryRule::Open, 10),
        suspend(target),
        grant,
    ] {
        let kind = body.kind();
        assert_eq!(
            board.try_say(body),
            Err(LedgerError::Revoked(target)),
            "{kind}"
        );
    }
}

#[test]
fn a_revocation_before_the_admission_holds() {
    let mut board = Board::with_member();
    board.say(revoke(Target::Device(device_id(12))));
    assert_eq!(
        board.try_say(device(12, 10, Voucher::Board)),
        Err(LedgerError::Revoked(Target::Device(device_id(12))))
    );
    board.say(revoke(Target::Member(member_id(20))));
    assert_eq!(
        board.try_say(admit(20)),
        Err(LedgerError::Revoked(Target::Member(member_id(20))))
    );
}

#[test]
fn a_device_takes_those_it_vouched_for_with_it() {
    let mut board = Board::with_member();
    board.vouch(11, 10, 10).unwrap();
    board.vouch(12, 10, 11).unwrap();
    board.vouch(13, 10, 12).unwrap();
    board.say(device(14, 10, Voucher::Board));
    let before = board.ledger.head().seq;
    let LedgerHead { seq, .. } = board.say(revoke(Target::Device(device_id(11))));
    assert_eq!(board.standing(10), Standing::Live);
    assert_eq!(board.standing(14), Standing::Live);
    for n in [11, 12, 13] {
        assert_eq!(board.standing(n), Standing::Revoked { seq }, "{n}");
        assert_eq!(
            board.ledger.standing(device_id(n), before, NOW),
            Standing::Live
        );
    }
    // One of them vouching for another helps nobody.
    assert!(matches!(
        board.vouch(13, 10, 12),
        Err(LedgerError::VoucherNotLive { .. })
    ));
    // Another live device vouches anew for 12; 13 hangs on 12; 11 stays out.
    board.vouch(12, 10, 14).unwrap();
    assert_eq!(board.standing(12), Standing::Live);
    assert_eq!(board.standing(13), Standing::Live);
    assert_eq!(board.standing(11), Standing::Revoked { seq });
    assert_eq!(
        board.ledger.standing(device_id(12), seq, NOW),
        Standing::Revoked { seq }
    );
    assert_eq!(
        board.vouch(11, 10, 14),
        Err(LedgerError::Revoked(Target::Device(device_id(11))))
    );
}

#[test]
fn two_devices_cannot_hold_up_one_another() {
    let mut board = Board::with_member();
    board.vouch(11, 10, 10).unwrap();
    board.vouch(12, 10, 11).unwrap();
    board.vouch(11, 10, 12).unwrap();
    let LedgerHead { seq, .. } = board.say(revoke(Target::Device(device_id(10))));
    assert_eq!(board.standing(11), Standing::Revoked { seq });
    assert_eq!(board.standing(12), Standing::Revoked { seq });
}

#[test]
fn suspension_ends_where_it_is_ended() {
    let mut board = Board::with_member();
    board.vouch(11, 10, 10).unwrap();
    let target = Target::Device(device_id(10));
    let resume = Body::Resume(Resume { target });
    assert_eq!(
        board.try_say(resume.clone()),
        Err(LedgerError::NotSuspended(target))
    );
    let LedgerHead { seq, .. } = board.say(suspend(target));
    board.say(suspend(target));
    let suspended = board.ledger.head().seq;
    assert_eq!(board.standing(10), Standing::Suspended { seq });
    assert_eq!(board.standing(11), Standing::Suspended { seq });
    assert!(matches!(
        board.vouch(12, 10, 10),
        Err(LedgerError::VoucherNotLive { .. })
    ));
    board.say(resume);
    assert_eq!(board.standing(10), Standing::Live);
    assert_eq!(board.standing(11), Standing::Live);
    assert_eq!(
        board.ledger.standing(device_id(11), suspended, NOW),
        Standing::Suspended { seq }
    );
    // Revocation is the stronger.
    board.say(suspend(Target::Member(member_id(10))));
    assert!(matches!(
        board
            .ledger
            .member_standing(member_id(10), board.ledger.head().seq, NOW),
        Standing::Suspended { .. }
    ));
    let LedgerHead { seq, .. } = board.say(revoke(target));
    assert_eq!(board.standing(10), Standing::Revoked { seq });
}

#[test]
fn an_admission_ends_on_its_day_and_is_renewed() {
    let mut board = Board::new(3);
    let until = |days| {
        Body::Admit(Admit {
            member: member_id(10),
            capacity: Capacity::Expert,
            ends: Some(NOW.plus(days * DAY)),
            profile: Digest([1; 32]),
        })
    };
    board.say(until(2));
    board.say(device(10, 10, Voucher::Board));
    let first = board.ledger.head().seq;
    let at = |board: &Board, seq, days| {
        let now = NOW.plus(days * DAY);
        (
            board.ledger.standing(device_id(10), seq, now),
            board.ledger.member_standing(member_id(10), seq, now),
        )
    };
    assert_eq!(at(&board, first, 1), (Standing::Live, Standing::Live));
    assert_eq!(at(&board, first, 2), (Standing::Lapsed, Standing::Lapsed));
    board.say(until(10));
    let second = board.ledger.head().seq;
    assert_eq!(at(&board, second, 2), (Standing::Live, Standing::Live));
    assert_eq!(at(&board, first, 2), (Standing::Lapsed, Standing::Lapsed));
}
