//! From one ROOT to the next: by the Board, and by the recovery role.

use super::super::{testing::*, *};
use crate::signing::SigningKey;

/// Three new people, none of the old.
fn successors() -> (Root, Vec<SigningKey>) {
    let keys: Vec<_> = (50..53).map(board_key).collect();
    let mut next = root(3);
    next.board = keys
        .iter()
        .zip(50..)
        .map(|(key, n)| Person {
            member: member_id(n),
            key: key.public(),
        })
        .collect();
    (next, keys)
}

#[test]
fn a_new_root_needs_the_old_and_the_new() {
    let mut board = Board::new(3);
    let (next, new) = successors();
    let statement = board.ledger.draft(Body::Root(next), NOW);
    assert_eq!((statement.version, statement.root_version), (2, 1));
    let old: Vec<_> = board.keys.iter().take(2).collect();
    let new: Vec<_> = new.iter().take(2).collect();
    let too_few = |got| {
        Err(LedgerError::TooFew {
            kind: Kind::Root,
            needed: 2,
            got,
        })
    };
    for (keys, got) in [
        (old.clone(), 0),
        (new.clone(), 0),
        (vec![old[0], old[1], new[0]], 1),
        (vec![old[0], new[0], new[1]], 1),
    ] {
        assert_eq!(board.ledger.check(&signed(&statement, &keys)), too_few(got));
    }
    // A statement signed under the old ROOT, submitted late.
    let late = board.signed(admit(10), &[0, 1]);
    let all = [&old[..], &new[..]].concat();
    board.ledger.append(&signed(&statement, &all)).unwrap();
    assert_eq!(board.ledger.root_version(), 2);
    assert!(board.ledger.is_board(member_id(50)) && !board.ledger.is_board(member_id(0)));
    assert_eq!(
        board.ledger.append(&late),
        Err(LedgerError::StaleRoot { got: 1, current: 2 })
    );
    let again = board.ledger.draft(admit(10), NOW);
    assert!(matches!(
        board.ledger.check(&signed(&again, &old)),
        Err(LedgerError::ForeignSignature(_))
    ));
    board.ledger.append(&signed(&again, &new)).unwrap();
}

#[test]
fn a_root_keeps_the_recovery_role() {
    let mut board = Board::new(3);
    let mut next = root(3);
    next.recovery.threshold = 1;
    assert_eq!(
        board.try_say(Body::Root(next)),
        Err(LedgerError::Root(RootError::RecoveryMoved))
    );
    let mut broken = root(3);
    broken.thresholds.admit = 4;
    assert!(matches!(
        board.try_say(Body::Root(broken)),
        Err(LedgerError::Root(RootError::Threshold { .. }))
    ));
}

/// A recovery step, signed by so many of the recovery role.
fn step(board: &Board, step: RecoverStep, root: &Root, days: u64, signers: usize) -> Vec<u8> {
    let body = Body::Recover(Recover {
        step,
        root: root.clone(),
    });
    let bytes = board.ledger.draft(body, NOW.plus(days * DAY)).encode();
    let keys = board.recovery.iter().take(signers);
    let signatures = keys.map(|key| sign_as_recovery(&bytes, key)).collect();
    SignedStatement::new(bytes, signatures).encode()
}

#[test]
fn recovery_takes_two_steps_and_seven_days() {
    use RecoverStep::{Announce, Complete};
    let mut board = Board::new(3);
    let (next, new) = successors();

    assert_eq!(
        board.ledger.append(&step(&board, Announce, &next, 0, 1)),
        Err(LedgerError::TooFew {
            kind: Kind::Recover,
            needed: 2,
            got: 1
        })
    );
    assert_eq!(
        board.ledger.append(&step(&board, Complete, &next, 8, 2)),
        Err(LedgerError::NotAnnounced)
    );
    board
        .ledger
        .append(&step(&board, Announce, &next, 0, 2))
        .unwrap();
    assert_eq!(board.ledger.announced_recovery().unwrap().root, next);
    assert!(matches!(
        board.ledger.append(&step(&board, Complete, &next, 6, 2)),
        Err(LedgerError::TooSoon { .. })
    ));
    assert_eq!(
        board.ledger.append(&step(&board, Complete, &root(2), 8, 2)),
        Err(LedgerError::NotAnnounced)
    );
    board
        .ledger
        .append(&step(&board, Complete, &next, 7, 2))
        .unwrap();
    assert_eq!(board.ledger.root_version(), 2);
    assert_eq!(board.ledger.announced_recovery(), None);
    let by_new = signed(&board.ledger.draft(admit(10), NOW), &[&new[0], &new[1]]);
    board.ledger.append(&by_new).unwrap();

    // The recovery role signs nothing else.
    let bytes = board.ledger.draft(admit(11), NOW).encode();
    let signatures = board
        .recovery
        .iter()
        .map(|key| sign_as_recovery(&bytes, key));
    let signed = SignedStatement::new(bytes.clone(), signatures.collect()).encode();
    assert!(matches!(
        board.ledger.append(&signed),
        Err(LedgerError::ForeignSignature(Signer::Recovery(_)))
    ));
}

#[test]
fn the_board_ends_a_recovery_by_a_root() {
    let mut board = Board::new(3);
    let (next, _) = successors();
    let announce = step(&board, RecoverStep::Announce, &next, 0, 2);
    board.ledger.append(&announce).unwrap();
    board.say(Body::Root(root(3)));
    assert_eq!(board.ledger.announced_recovery(), None);
    let complete = step(&board, RecoverStep::Complete, &next, 8, 2);
    assert_eq!(
        board.ledger.append(&complete),
        Err(LedgerError::NotAnnounced)
    );
}

#[test]
fn a_heartbeat_vouches_for_a_head() {
    let board = Board::with_member();
    let beat = |seq, time| {
        let head = board.ledger.head_at(LedgerSeq(seq)).unwrap();
        let network = NETWORK;
        Heartbeat {
            network,
            head,
            time,
        }
    };
    let fresh = beat(3, NOW);
    let bytes = fresh.sign(&key(5, 0));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, HEARTBEAT);
    let verify = |bytes: &[u8], now| Heartbeat::verify(bytes, &board.ledger, now);
    assert_eq!(verify(&bytes, NOW.plus(300 * DAY)), Ok(fresh.clone()));
    let early = UnixMillis(NOW.0 - DAY);
    assert_eq!(
        verify(&bytes, early),
        Err(HeartbeatError::Early { time: NOW })
    );
    assert_eq!(Heartbeat::recall(&bytes, &board.ledger), Ok(fresh.clone()));
    let file = Heartbeat::to_text(&bytes);
    assert_eq!(Heartbeat::parse_text(&file).as_deref(), Ok(&bytes[..]));
    assert!(beat(3, NOW.plus(1)).replaces(&fresh));
    assert!(!fresh.replaces(&fresh), "the same is not newer");
    assert!(!beat(2, NOW.plus(1)).replaces(&fresh), "going back");
    let by_the_board = fresh.sign(&board.keys[0]);
    assert_eq!(
        verify(&by_the_board, NOW),
        Err(HeartbeatError::Foreign(board.keys[0].public()))
    );
    let mut fork = fresh.clone();
    fork.head.hash = Digest([9; 32]);
    assert_eq!(
        verify(&fork.sign(&key(5, 0)), NOW),
        Err(HeartbeatError::Fork { at: LedgerSeq(3) })
    );
    let mut ahead = fresh;
    ahead.head.seq = LedgerSeq(4);
    assert!(matches!(
        verify(&ahead.sign(&key(5, 0)), NOW),
        Err(HeartbeatError::Behind { .. })
    ));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(verify(&flipped, NOW).is_err(), "{at}");
    }
}

const HEARTBEAT: &str = "838450aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa035820a679cf26f42e06475d4be7ce93c8cdef2c2369108c1fdfaeb83e7ad6883e055e1b000001a3185c500058204ccb281708c62fa64e20bc24f0f1d0e2224cbe86416a44418420609d11b1d0ea584031fb5e6344f87ad3feb9f50ce570f91e012d0dfae1ac8ddcd971bc0a97bf72471bca767146218106af80e2e9c8414924fed0807fc18839d3d51d7d39f0d14d0d";
