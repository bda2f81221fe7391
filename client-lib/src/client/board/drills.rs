//! The Board's drills, as its runbook has them: keys are lost, people leave, a recovery is made
//! and one is stolen. By request and signature files, on the world's clock.

use plenary_certs::{
    board::{BoardKey, RecoveryKey, Request as BoardRequest, SignatureFile, combine, tally},
    ledger::{Body, Kind, Reason, RecoverStep, Standing, Subject, Target},
    signing::SigningKey,
};
use plenary_proto::{
    ids::{LedgerSeq, MemberId, UnixMillis},
    reply::{Failure, Reply},
    request::Request,
};

use super::{NewBoard, PolicyChange, Requested, RootChange, draft};
use crate::{
    client::{BoardPerson, ledger::notices},
    error::{Error, ErrorKind},
    simulation::{World, connected, recovery_keys},
};

const DAY: u64 = 24 * 3600 * 1000;

/// A key in somebody's hands.
enum Hand {
    Board(BoardKey),
    Recovery(RecoveryKey),
}

/// The key of the nth of the Board.
fn hand(world: &World, n: usize) -> Hand {
    let key = SigningKey::from_seed(world.board[n].seed()).unwrap();
    let member = MemberId([n as u8 + 1; 16]);
    Hand::Board(BoardKey { member, key })
}

fn fresh(member: u8, seed: u8) -> BoardKey {
    BoardKey {
        member: MemberId([member; 16]),
        key: SigningKey::from_seed(&[seed; 32]).unwrap(),
    }
}

fn person(key: &BoardKey) -> BoardPerson {
    BoardPerson {
        member: key.member,
        key: key.key.public(),
    }
}

fn copy(key: &BoardKey) -> Hand {
    Hand::Board(BoardKey {
        member: key.member,
        key: SigningKey::from_seed(key.key.seed()).unwrap(),
    })
}

fn recovery(n: usize) -> Hand {
    let key = recovery_keys().swap_remove(n);
    Hand::Recovery(key.into())
}

/// Drafts on a party's machine: the text of the request file.
fn drafted(world: &mut World, by: usize, asked: Vec<Requested>) -> Result<String, Error> {
    let now = world.now;
    let engine = &mut world.parties[by].engine;
    Ok(draft::request(engine, &[], asked, now)?.to_text())
}

/// Signs a request file on machines that have nothing else.
fn signatures(file: &str, hands: &[Hand]) -> Vec<SignatureFile> {
    let request = BoardRequest::parse(file).unwrap();
    let sign = |hand: &Hand| match hand {
        Hand::Board(key) => request.sign(key),
        Hand::Recovery(key) => request.sign_recovery(key),
    };
    let texts = hands.iter().map(|hand| sign(hand).unwrap().to_text());
    texts
        .map(|text| SignatureFile::parse(&text).unwrap())
        .collect()
}

/// Submits through a party, and lets the world run.
fn submit(
    world: &mut World,
    by: usize,
    file: &str,
    files: &[SignatureFile],
) -> Result<(), Failure> {
    let request = BoardRequest::parse(file).unwrap();
    let statements: Vec<bytes::Bytes> = combine(&request, files)
        .unwrap()
        .into_iter()
        .map(Into::into)
        .collect();
    let engine = &mut world.parties[by].engine;
    engine.call(Request::LedgerSubmit(statements.clone()));
    world.parties[by].answers.clear();
    world.run();
    match world.parties[by].answers.pop() {
        Some(Ok(Reply::LedgerHead(_))) => {
            for signed in &statements {
                let _ = world.ledger.append(signed);
            }
            Ok(())
        }
        Some(Err(failure)) => Err(failure),
        other => panic!("{other:?}"),
    }
}

/// Drafted, signed, submitted: the ledger takes it.
#[track_caller]
fn decide(world: &mut World, by: usize, asked: Vec<Requested>, hands: &[Hand]) {
    let file = drafted(world, by, asked).unwrap();
    let files = signatures(&file, hands);
    let request = BoardRequest::parse(&file).unwrap();
    let tallies = tally(&request, &files).unwrap();
    assert!(tallies.iter().all(|one| one.complete()), "{tallies:?}");
    submit(world, by, &file, &files).unwrap();
}

/// The position before the newest statement.
fn before_last(world: &World) -> LedgerSeq {
    LedgerSeq(world.ledger.head().seq.0 - 1)
}

fn suspended(member: u8) -> Vec<Requested> {
    let target = Target::Member(MemberId([member; 16]));
    vec![Requested::Suspend(target, Reason::Misuse)]
}

fn standing(world: &World, party: usize, member: u8) -> Standing {
    let engine = &world.parties[party].engine;
    engine.read_ledger_with(|ledger| {
        ledger.member_standing(MemberId([member; 16]), ledger.head().seq, world.now)
    })
}

#[test]
fn one_of_the_board_loses_a_key_and_gets_another() {
    let mut world = connected(5);
    let new = fresh(1, 91);
    let mut change = RootChange::default();
    change.replace.push(person(&new));
    // The two others carry it; the old key is not needed.
    let others = [hand(&world, 1), hand(&world, 2)];
    decide(&mut world, 3, vec![Requested::Root(change)], &others);
    // The lost key, found by somebody, signs nothing any more.
    let file = drafted(&mut world, 1, suspended(5)).unwrap();
    let found = signatures(&file, &[hand(&world, 0), hand(&world, 1)]);
    let request = BoardRequest::parse(&file).unwrap();
    let counted = tally(&request, &found).unwrap();
    assert_eq!(counted[0].foreign, [world.board[0].public()]);
    assert!(submit(&mut world, 1, &file, &found).is_err());
    assert_eq!(standing(&world, 2, 5), Standing::Live);
    // The new one does.
    let hands = [copy(&new), hand(&world, 1)];
    decide(&mut world, 1, suspended(5), &hands);
    assert!(matches!(standing(&world, 2, 5), Standing::Suspended { .. }));
    let target = Target::Member(MemberId([5; 16]));
    decide(&mut world, 1, vec![Requested::Resume(target)], &hands);
    assert_eq!(standing(&world, 0, 5), Standing::Live);
}

#[test]
fn somebody_leaves_the_board_and_another_comes() {
    let mut world = connected(5);
    let new = fresh(4, 94);
    let mut change = RootChange::default();
    change.remove.push(MemberId([2; 16]));
    change.add.push(person(&new));
    let file = drafted(&mut world, 0, vec![Requested::Root(change)]).unwrap();
    let request = BoardRequest::parse(&file).unwrap();
    let words = request.describe(&|_| None);
    let headline = &words[0].headline;
    assert!(
        headline.contains("is new") && headline.contains("is out"),
        "{headline}"
    );
    // Two of the old are not two of the new if one of them leaves.
    let files = signatures(&file, &[hand(&world, 0), hand(&world, 1)]);
    let counted = tally(&request, &files).unwrap();
    let missing: Vec<_> = counted[0]
        .needs
        .as_ref()
        .unwrap()
        .iter()
        .map(|need| need.missing())
        .collect();
    assert_eq!(missing, [0, 1]);
    assert!(submit(&mut world, 0, &file, &files).is_err());
    let files = signatures(&file, &[hand(&world, 0), hand(&world, 1), copy(&new)]);
    submit(&mut world, 0, &file, &files).unwrap();
    for party in 0..5 {
        let engine = &world.parties[party].engine;
        let board = |n: u8| engine.read_ledger_with(|ledger| ledger.is_board(MemberId([n; 16])));
        assert_eq!([1, 2, 3, 4].map(board), [true, false, true, true]);
        let told = notices(engine, before_last(&world), 9);
        assert_eq!(told[0].kind, Kind::Root);
        let signers: Vec<_> = told[0]
            .signers
            .iter()
            .filter_map(|one| one.member)
            .collect();
        assert!(signers.contains(&MemberId([4; 16])), "{told:?}");
    }
    // Two more go: what is left cannot reach the thresholds, and the draft says so.
    let too_few = RootChange {
        remove: vec![MemberId([1; 16]), MemberId([3; 16])],
        thresholds: vec![(Kind::Admit, 2)],
        ..RootChange::default()
    };
    let refused = drafted(&mut world, 0, vec![Requested::Root(too_few)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input);
}

fn new_board() -> (Vec<BoardKey>, NewBoard) {
    let keys = vec![fresh(4, 94), fresh(5, 95), fresh(1, 96)];
    let board = NewBoard {
        people: keys.iter().map(person).collect(),
        thresholds: Vec::new(),
        heartbeat: None,
    };
    (keys, board)
}

fn announced(world: &World, party: usize) -> bool {
    let engine = &world.parties[party].engine;
    engine.read_ledger_with(|ledger| ledger.announced_recovery().is_some())
}

#[test]
fn a_lost_threshold_is_recovered_after_seven_days() {
    let mut world = connected(5);
    let (keys, board) = new_board();
    let early = drafted(&mut world, 4, vec![Requested::CompleteRecovery]);
    assert_eq!(early.unwrap_err().kind(), ErrorKind::NotFound);
    let hands = [recovery(0), recovery(2)];
    decide(
        &mut world,
        4,
        vec![Requested::AnnounceRecovery(board)],
        &hands,
    );
    for party in 0..5 {
        assert!(announced(&world, party), "{party}");
    }
    // Six days: the draft refuses; seven: the Board is a new one everywhere.
    world.now = world.now.plus(6 * DAY);
    let early = drafted(&mut world, 4, vec![Requested::CompleteRecovery]);
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Input);
    world.now = world.now.plus(DAY);
    world.run();
    decide(&mut world, 4, vec![Requested::CompleteRecovery], &hands);
    for party in 0..5 {
        assert!(!announced(&world, party), "{party}");
        let engine = &world.parties[party].engine;
        let version = engine.read_ledger_with(|ledger| ledger.root_version());
        assert_eq!(version, 2, "{party}");
    }
    // It works, and the old keys do not.
    let old = drafted(&mut world, 0, suspended(3)).unwrap();
    let files = signatures(&old, &[hand(&world, 0), hand(&world, 1)]);
    assert!(submit(&mut world, 0, &old, &files).is_err());
    let days = PolicyChange {
        revalidation_days: Some(90),
        ..PolicyChange::default()
    };
    let asked = vec![Requested::Policy(days), suspended(3).remove(0)];
    decide(&mut world, 4, asked, &[copy(&keys[0]), copy(&keys[1])]);
    assert!(matches!(standing(&world, 0, 3), Standing::Suspended { .. }));
    let due = world.parties[0].engine.read_ledger_with(|ledger| {
        let admitted = ledger
            .member(MemberId([3; 16]))?
            .admissions
            .iter()
            .next()?
            .0;
        let time = ledger.statement(admitted)?.time;
        Some((ledger.revalidate_by(MemberId([3; 16]))?, time))
    });
    let (due, admitted) = due.unwrap();
    assert_eq!(due, admitted.plus(90 * DAY));
}

#[test]
fn a_stolen_recovery_is_seen_by_all_and_ended_by_the_board() {
    let mut world = connected(5);
    let (_, board) = new_board();
    let hands = [recovery(1), recovery(2)];
    decide(
        &mut world,
        4,
        vec![Requested::AnnounceRecovery(board)],
        &hands,
    );
    let engine = &world.parties[2].engine;
    let told = notices(engine, before_last(&world), 9);
    assert!(
        told[0].words.headline.starts_with("Announce a recovery"),
        "{told:?}"
    );
    assert!(
        told[0]
            .words
            .details
            .iter()
            .any(|line| line.starts_with('+'))
    );
    // The Board as it was, once more.
    let own = [hand(&world, 1), hand(&world, 2)];
    let same = RootChange::default();
    decide(&mut world, 0, vec![Requested::Root(same)], &own);
    for party in 0..5 {
        assert!(!announced(&world, party), "{party}");
    }
    world.now = world.now.plus(8 * DAY);
    world.run();
    let late = drafted(&mut world, 4, vec![Requested::CompleteRecovery]);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::NotFound);
}

/// Whoever stole the role does not draft as our client does: they date as they like.
#[test]
fn a_stolen_recovery_cannot_be_dated_past_the_board() {
    let mut world = connected(4);
    let (_, board) = new_board();
    let file = drafted(&mut world, 3, vec![Requested::AnnounceRecovery(board)]).unwrap();
    let request = BoardRequest::parse(&file).unwrap();
    let hands = [recovery(0), recovery(1)];
    let dated = |world: &World, step, time: UnixMillis| {
        let mut statement = request.statements()[0].clone();
        statement.version = world.ledger.next_version(Kind::Recover, Subject::Network);
        statement.time = time;
        let Body::Recover(recover) = &mut statement.body else {
            panic!("{statement:?}");
        };
        recover.step = step;
        BoardRequest::new(vec![statement], vec![])
            .unwrap()
            .to_text()
    };
    let week_ago = UnixMillis(world.now.0 - 7 * DAY);
    let old = dated(&world, RecoverStep::Announce, week_ago);
    let refused = submit(&mut world, 3, &old, &signatures(&old, &hands));
    assert!(refused.unwrap_err().message.contains("draft it again"));
    assert!(!announced(&world, 0));
    submit(&mut world, 3, &file, &signatures(&file, &hands)).unwrap();
    let ahead = dated(&world, RecoverStep::Complete, world.now.plus(8 * DAY));
    let refused = submit(&mut world, 3, &ahead, &signatures(&ahead, &hands));
    assert!(refused.unwrap_err().message.contains("ahead of time"));
    assert!(announced(&world, 0));
}

/// A client that was away while the Board changed forty times reads on, and goes on as any other.
#[test]
fn a_client_catches_up_over_forty_roots() {
    let mut world = connected(4);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.disconnect(3);
    let mut keys: Vec<_> = (0..3).map(|n| hand(&world, n)).collect();
    for round in 0..40 {
        let seat = round % 3;
        let new = fresh(seat as u8 + 1, 100 + round as u8);
        let mut change = RootChange::default();
        change.replace.push(person(&new));
        let file = drafted(&mut world, 0, vec![Requested::Root(change)]).unwrap();
        let hands: Vec<_> = (0..3).filter(|n| *n != seat).collect();
        let request = BoardRequest::parse(&file).unwrap();
        let files: Vec<_> = hands
            .iter()
            .map(|n| match &keys[*n] {
                Hand::Board(key) => request.sign(key).unwrap(),
                Hand::Recovery(key) => request.sign_recovery(key).unwrap(),
            })
            .collect();
        // Time need not pass.
        let signed = combine(&request, &files).unwrap();
        let signed: Vec<bytes::Bytes> = signed.into_iter().map(Into::into).collect();
        world.parties[0]
            .engine
            .call(Request::LedgerSubmit(signed.clone()));
        world.settle();
        for one in &signed {
            world.ledger.append(one).unwrap();
        }
        keys[seat] = Hand::Board(new);
    }
    let version = |world: &World, party: usize| {
        let engine = &world.parties[party].engine;
        engine.read_ledger_with(|ledger| ledger.root_version())
    };
    assert_eq!((version(&world, 0), version(&world, 3)), (41, 1));
    world.send(0, channel, "while you were away");
    world.run();
    world.restart(3);
    world.connect(3);
    world.run();
    assert_eq!(version(&world, 3), 41);
    assert_eq!(world.texts(3, channel), ["while you were away"]);
    world.send(3, channel, "back");
    world.run();
    assert_eq!(world.texts(0, channel), ["while you were away", "back"]);
    // The 41st Board's word counts there.
    decide(&mut world, 0, suspended(3), &keys[1..]);
    assert!(matches!(standing(&world, 3, 3), Standing::Suspended { .. }));
}
