//! Positions, versions, look-ups, and what a statement may say.

use super::super::{testing::*, *};

#[test]
fn entries_are_linked_and_found_again() {
    let mut board = Board::new(3);
    let one = board.ledger.head();
    let two = board.say(admit(10));
    assert_eq!((one.seq.0, two.seq.0), (1, 2));
    let entry = board.ledger.entry(two.seq).unwrap().to_vec();
    assert_eq!(two.hash, entry_hash(NETWORK, two.seq, &one.hash, &entry));
    assert_eq!(board.ledger.head_at(one.seq), Some(one));
    assert_eq!(board.ledger.head_at(LedgerSeq(0)), Some(LedgerHead::EMPTY));
    assert_eq!(board.ledger.head_at(LedgerSeq(3)), None);
    assert_eq!(board.ledger.entry(LedgerSeq(0)), None);
    assert_eq!(board.ledger.entries_after(one.seq).count(), 1);

    // The same statement with other signatures is the same statement.
    let statement = board.ledger.statement(two.seq).unwrap();
    let again = signed(&statement, &[&board.keys[1], &board.keys[2]]);
    assert_ne!(again, entry);
    assert_eq!(board.ledger.find(&again), Some(two.seq));
    assert_eq!(
        board.ledger.append(&again),
        Err(LedgerError::Known { seq: two.seq })
    );

    // Read again from its entries it is the same ledger.
    let mut copy = Ledger::new(NETWORK, board.ledger.root1());
    for (_, entry) in board.ledger.entries_after(LedgerSeq(0)) {
        copy.append(entry).unwrap();
    }
    assert_eq!(copy.head(), board.ledger.head());
}

#[test]
fn several_statements_collect_signatures_at_once() {
    let mut board = Board::new(3);
    let batch = [admit(10), admit(11), Body::Policy(Policy::default())];
    let signed = batch.map(|body| board.signed(body, &[0, 2]));
    for one in signed.iter().rev() {
        board.ledger.append(one).unwrap();
    }
    assert_eq!(board.ledger.members().count(), 2);
}

#[test]
fn versions_count_up_one_by_one() {
    let mut board = Board::new(3);
    board.say(admit(10));
    let all: Vec<_> = board.keys.iter().collect();
    let mut statement = board.ledger.draft(admit(10), NOW);
    assert_eq!(statement.version, 2);
    for got in [0, 3] {
        statement.version = got;
        assert_eq!(
            board.ledger.check(&signed(&statement, &all)),
            Err(LedgerError::Version {
                kind: Kind::Admit,
                subject: Subject::Member(member_id(10)),
                expected: 2,
                got
            })
        );
    }
}

#[test]
fn two_different_statements_of_one_version_are_proof_only_if_signed() {
    let mut board = Board::new(3);
    board.say(admit(10));
    let mut other = board.ledger.draft(admit(10), UnixMillis(NOW.0 + 5));
    other.version = 1;
    assert!(matches!(
        board.ledger.check(&signed(&other, &[&board.keys[0]])),
        Err(LedgerError::TooFew { .. })
    ));
    let both = [&board.keys[0], &board.keys[1]];
    assert_eq!(
        board.ledger.check(&signed(&other, &both)),
        Err(LedgerError::Conflicting {
            kind: Kind::Admit,
            subject: Subject::Member(member_id(10)),
            version: 1,
            seq: LedgerSeq(2),
        })
    );
}

#[test]
fn keys_are_one_each_and_for_life() {
    let mut board = Board::with_member();
    let with = |n, keys| {
        Body::Device(DeviceBody {
            device: device_id(n),
            member: member_id(10),
            voucher: Voucher::Board,
            keys,
        })
    };
    assert_eq!(
        board.try_say(with(10, device_keys(11))),
        Err(LedgerError::KeysChanged(device_id(10)))
    );
    let mut taken = device_keys(11);
    taken.custody = device_keys(10).mls;
    assert_eq!(
        board.try_say(with(11, taken.clone())),
        Err(LedgerError::KeyReused(taken.custody))
    );
    let mut one_for_all = device_keys(11);
    one_for_all.mls = one_for_all.authentication;
    assert_eq!(
        board.try_say(with(11, one_for_all.clone())),
        Err(LedgerError::KeyReused(one_for_all.mls))
    );
    let mut of_the_board = device_keys(11);
    of_the_board.mls = board.keys[0].public();
    assert_eq!(
        board.try_say(with(11, of_the_board.clone())),
        Err(LedgerError::KeyReused(of_the_board.mls))
    );
    board.say(with(11, device_keys(11)));
    let ids: Vec<_> = board
        .ledger
        .devices_of(member_id(10))
        .map(|d| d.id)
        .collect();
    assert_eq!(ids, [device_id(10), device_id(11)]);
}

#[test]
fn a_member_has_so_many_devices() {
    let mut board = Board::with_member();
    for n in 11..26 {
        board.vouch(n, 10, 10).unwrap();
    }
    assert_eq!(
        board.vouch(26, 10, 10),
        Err(LedgerError::TooManyDevices(member_id(10)))
    );
    board.say(revoke(Target::Device(device_id(20))));
    board.vouch(26, 10, 10).unwrap();
}

#[test]
fn channels_and_grants_over_time() {
    let mut board = Board::with_member();
    let at = |board: &Board| board.ledger.head().seq;
    assert_eq!(
        board.try_say(channel(1, EntryRule::Granted, 50)),
        Err(LedgerError::UnknownMember(member_id(50)))
    );
    let none = at(&board);
    board.say(channel(1, EntryRule::Granted, 10));
    assert_eq!(
        board.try_say(channel(1, EntryRule::Open, 10)),
        Err(LedgerError::RuleChanged(channel_id(1)))
    );
    let opened = at(&board);
    assert_eq!(board.ledger.channel_at(channel_id(1), none), None);
    let owner = board
        .ledger
        .channel_at(channel_id(1), opened)
        .unwrap()
        .owner;
    assert_eq!(owner, member_id(10));

    let grant = |granted| {
        Body::Grant(Grant {
            channel: channel_id(1),
            member: member_id(10),
            granted,
        })
    };
    board.say(grant(true));
    let granted = at(&board);
    board.say(grant(false));
    let is = |seq| board.ledger.granted(channel_id(1), member_id(10), seq);
    assert_eq!(
        (is(opened), is(granted), is(at(&board))),
        (false, true, false)
    );
    let elsewhere = Body::Grant(Grant {
        channel: channel_id(2),
        member: member_id(10),
        granted: true,
    });
    assert_eq!(
        board.try_say(elsewhere),
        Err(LedgerError::UnknownChannel(channel_id(2)))
    );
}

#[test]
fn policy_and_server_are_what_was_said_last() {
    let mut board = Board::new(3);
    assert_eq!(board.ledger.policy(), Policy::default());
    assert_eq!(board.ledger.server_key(), None);
    let policy = Policy {
        suite: 3,
        retention_days: 30,
        ..Policy::default()
    };
    board.say(Body::Policy(policy));
    assert_eq!(board.ledger.policy(), policy);
    for n in 0..2 {
        board.say(Body::Server(Server {
            key: key(9, n).public(),
        }));
        assert_eq!(board.ledger.server_key(), Some(key(9, n).public()));
    }
    let unknown = Policy { suite: 2, ..policy };
    assert_eq!(
        board.try_say(Body::Policy(unknown)),
        Err(LedgerError::UnknownSuite(2))
    );
}
