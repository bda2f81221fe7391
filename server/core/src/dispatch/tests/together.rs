//! Requests that come at the same moment, and answers of the store that are lost.

use std::sync::atomic::Ordering;

use plenary_certs::ledger::Capacity;
use plenary_proto::{
    ids::{ChannelId, Epoch, Seq},
    reply::{Push, Reply},
    request::Request,
};

use crate::{config::Config, dispatch::dispatch, error::OpError, fixture::*};

const DIRECT: ChannelId = ChannelId([101; 16]);

/// Members in the open channel, the first its owner, all in one epoch.
fn inside(rig: &Rig, members: &[u8]) -> Vec<Peer> {
    let mut peers = vec![rig.peer(1)];
    rig.open_channel(OPEN, &mut peers[0]);
    for n in &members[1..] {
        let mut peer = rig.peer(*n);
        let (info, tree) = rig.group_state(*n, OPEN).unwrap();
        let enters = peer.enter(&info, &tree);
        rig.commit(OPEN, *n, &enters).unwrap();
        peers.iter_mut().for_each(|inside| inside.follow(&enters));
        peers.push(peer);
    }
    peers
}

#[test]
fn of_many_commits_one_wins_and_no_message_slips_in_behind_it() {
    let members = [1, 10, 11, 12];
    let (rig, _) = Rig::new().shaky();
    let mut peers = inside(&rig, &members);
    let before = rig.log(OPEN).len();
    let mut requests = Vec::new();
    for peer in &mut peers {
        let message = message_request(OPEN, peer, "at the same time");
        requests.push((peer.n, Request::Append(message)));
        let commit = peer.commit(&[], &[]);
        requests.push((peer.n, Request::Append(commit_request(OPEN, &commit))));
    }
    let answers = rig.together(requests);
    let current = Epoch(4);
    let mut accepted = 0;
    for (index, answer) in answers.iter().enumerate() {
        match answer {
            Ok(Reply::Appended { .. }) => accepted += index % 2,
            Err(OpError::Conflict { current: at }) if index % 2 == 1 => assert_eq!(*at, current),
            Err(OpError::StaleEpoch { current: at }) if index % 2 == 0 => {
                assert_eq!(*at, current);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(accepted, 1, "one commit");
    let records = rig.log(OPEN);
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(records.len(), before + taken);
    // After a restart the store tells the same.
    let again = Rig::over(rig.store, Config::default()).unwrap();
    let slot = again.network.channels.slot(OPEN);
    let ledger = again.network.ledger().unwrap();
    let group = done(slot.group(&*again.store, ledger)).unwrap();
    assert_eq!(group.observed.epoch(), current);
}

#[test]
fn a_message_sent_twice_at_once_is_there_once() {
    let (rig, _) = Rig::new().shaky();
    let mut peers = inside(&rig, &[1]);
    let message = message_request(OPEN, &mut peers[0], "once");
    let answers = rig.together(vec![(1, Request::Append(message)); 5]);
    let mut fresh = 0;
    for answer in answers {
        let Ok(Reply::Appended { head, repeated }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(head.head.seq, Seq(1));
        fresh += usize::from(!repeated);
    }
    assert_eq!((fresh, rig.log(OPEN).len()), (1, 1));
}

#[test]
fn statements_submitted_together_are_in_one_order() {
    let (rig, _) = Rig::new().shaky();
    let before = rig.network.ledger_head().seq.0;
    let same = rig.draft(admit(30, Capacity::Member, None));
    let mut requests: Vec<_> = (31..36)
        .map(|n| (1, rig.draft(admit(n, Capacity::Member, None))))
        .collect();
    requests.extend([(2, same.clone()), (3, same)]);
    let requests = requests
        .into_iter()
        .map(|(n, statement)| (n, Request::LedgerSubmit(vec![statement])))
        .collect();
    for answer in rig.together(requests) {
        assert!(matches!(answer, Ok(Reply::LedgerHead(_))), "{answer:?}");
    }
    let head = rig.network.ledger_head();
    assert_eq!(head.seq.0, before + 6);
    let told = rig.hub.heard();
    assert_eq!(told.len(), 6);
    assert_eq!(told.last(), Some(&Heard::Everyone(Push::Ledger(head))));
    let again = Rig::over(rig.store, Config::default()).unwrap();
    assert_eq!(again.network.ledger_head(), head);
}

#[test]
fn a_key_package_claimed_twice_at_once_is_handed_out_once() {
    let (rig, _) = Rig::new().shaky();
    rig.open_channel(DIRECT, &mut rig.peer(10));
    let packages: Vec<_> = (0..2).map(|_| rig.peer(11).key_package()).collect();
    let request = Request::PutKeyPackages {
        packages: packages.clone(),
        last_resort: None,
    };
    rig.ask(11, request).unwrap();
    let claim = Request::ClaimKeyPackages {
        channel: DIRECT,
        devices: vec![device_id(11)],
    };
    let mut claimed: Vec<_> = rig
        .together(vec![(10, claim.clone()), (10, claim.clone()), (10, claim)])
        .into_iter()
        .map(|answer| match answer {
            Ok(Reply::KeyPackageList(list)) => list[0].1.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    claimed.sort();
    let mut expected = vec![None, Some(packages[0].clone()), Some(packages[1].clone())];
    expected.sort();
    assert_eq!(claimed, expected);
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_again() {
    let (rig, store) = Rig::new().shaky();
    let mut peers = inside(&rig, &[1, 10]);
    let commit = peers[0].commit(&[], &[]);
    store.lose_answers.store(true, Ordering::Relaxed);
    let lost = rig.commit(OPEN, 1, &commit);
    store.lose_answers.store(false, Ordering::Relaxed);
    // Told apart by the look-up: it is there.
    assert!(matches!(lost, Ok(Reply::Appended { repeated: true, .. })));
    peers[0].accept();
    peers[1].follow(&commit);
    let message = message_request(OPEN, &mut peers[1], "in the new epoch");
    rig.ask(10, Request::Append(message)).unwrap();
    let next = peers[1].commit(&[], &[]);
    rig.commit(OPEN, 10, &next).unwrap();
}

#[test]
fn work_that_is_dropped_half_done_leaves_no_stale_group() {
    let (rig, _) = Rig::new().shaky();
    let mut peers = inside(&rig, &[1, 10, 11]);
    let removal = peers[0].commit(&[], &[11]);
    let request = Request::Append(commit_request(OPEN, &removal));
    let read = || {
        let request = Request::Read {
            channel: OPEN,
            after: Seq(0),
            limit: 1,
        };
        rig.ask(11, request)
    };
    assert!(read().is_ok());
    let before = rig.log(OPEN).len();
    {
        let caller = chat(1);
        let work = dispatch(&rig.network, &caller, request.clone(), NOW);
        let mut work = Box::pin(work);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        // Until it is durable, and no further.
        while rig.log(OPEN).len() == before {
            assert!(work.as_mut().poll(&mut cx).is_pending());
        }
    }
    assert!(matches!(read(), Err(OpError::NotAllowed(_))));
    peers[0].accept();
    peers[1].follow(&removal);
    let message = message_request(OPEN, &mut peers[1], "in the new epoch");
    rig.ask(10, Request::Append(message)).unwrap();
    let again = rig.ask(1, request);
    assert!(matches!(again, Ok(Reply::Appended { repeated: true, .. })));
}
