//! The fence: what the ledger has out must leave a channel before anything else happens there.

use plenary_certs::ledger::Ledger;
use plenary_proto::{
    ids::{Digest, LedgerHead, LedgerSeq},
    reply::{Code, Reply},
    request::{Append, Request},
};

use crate::{
    error::{OpError, failure},
    fixture::*,
};

/// Owner 1, members 10 and n in the open channel, all in one epoch.
fn three(n: u8) -> (Rig, Peer, Peer, Peer) {
    let rig = Rig::new();
    let (mut owner, mut other, mut third) = (rig.peer(1), rig.peer(10), rig.peer(n));
    rig.open_channel(OPEN, &mut owner);
    let (info, tree) = rig.group_state(10, OPEN).unwrap();
    let enters = other.enter(&info, &tree);
    rig.commit(OPEN, 10, &enters).unwrap();
    owner.follow(&enters);
    let (info, tree) = rig.group_state(n, OPEN).unwrap();
    let enters = third.enter(&info, &tree);
    rig.commit(OPEN, n, &enters).unwrap();
    owner.follow(&enters);
    other.follow(&enters);
    (rig, owner, other, third)
}

fn append(rig: &Rig, append: &Append, n: u8) -> Result<Reply, OpError> {
    rig.ask(n, Request::Append(append.clone()))
}

#[test]
fn only_the_removal_passes() {
    let (rig, mut owner, mut other, mut revoked) = three(11);
    let message = message_request(OPEN, &mut other, "queued");
    // Made before the others knew; and by a joiner who entered meanwhile.
    let update = other.commit(&[], &[]);
    let (info, tree) = rig.group_state(12, OPEN).unwrap();
    let enters = rig.peer(12).enter(&info, &tree);
    let last_words = message_request(OPEN, &mut revoked, "last words");
    rig.say(revoke(11));

    let fenced = append(&rig, &message, 10);
    assert_eq!(fenced, Err(OpError::Fenced));
    let told = failure(&fenced.unwrap_err());
    assert_eq!(told.code, Code::Fenced);
    assert!(told.retry_after_ms.is_some());
    assert_eq!(append(&rig, &last_words, 11), Err(OpError::Fenced));
    assert_eq!(rig.commit(OPEN, 10, &update), Err(OpError::Fenced));
    assert_eq!(rig.commit(OPEN, 12, &enters), Err(OpError::Fenced));
    assert_eq!(rig.group_state(12, OPEN), Err(OpError::Fenced));
    assert!(
        rig.group_state(10, OPEN).is_ok(),
        "who is inside may return"
    );
    let records = rig.log(OPEN).len();

    // Reading goes on, and the next commit removes by itself whoever is out.
    let removal = owner.commit(&[], &[]);
    rig.commit(OPEN, 1, &removal).unwrap();
    owner.accept();
    other.follow(&removal);
    let again = message_request(OPEN, &mut other, "sealed again");
    append(&rig, &again, 10).unwrap();
    assert_eq!(rig.log(OPEN).len(), records + 2);
    let mut joiner = rig.peer(12);
    rig.enter(OPEN, &mut joiner);
    assert!(matches!(
        append(&rig, &last_words, 11),
        Err(OpError::StaleEpoch { .. } | OpError::NotAllowed(_))
    ));
}

#[test]
fn a_revoked_device_commits_nothing_even_with_an_old_ledger() {
    let (rig, _, _, mut revoked) = three(11);
    revoked.ledger_head = rig.network.read_ledger(Ledger::head);
    rig.say(revoke(11));
    let commit = revoked.commit(&[], &[]);
    let refused = rig.commit(OPEN, 11, &commit);
    assert!(matches!(
        refused,
        Err(OpError::Fenced | OpError::NotAllowed(_))
    ));
    assert_eq!(rig.log(OPEN).len(), 2);
}

#[test]
fn an_admission_that_ends_fences_by_the_clock() {
    let (rig, mut owner, mut other, _) = three(20);
    let message = message_request(OPEN, &mut other, "in time");
    append(&rig, &message, 10).unwrap();
    let late = message_request(OPEN, &mut other, "too late");
    let then = NOW.plus(31 * DAY);
    let fenced = rig.call_at(&chat(10), Request::Append(late), then);
    assert_eq!(fenced, Err(OpError::Fenced));
    // Removed as of then.
    owner.now = then;
    let removal = owner.commit(&[], &[]);
    let request = Request::Append(commit_request(OPEN, &removal));
    rig.call_at(&chat(1), request, then).unwrap();
    other.now = then;
    other.follow(&removal);
    let again = message_request(OPEN, &mut other, "sealed again");
    rig.call_at(&chat(10), Request::Append(again), then)
        .unwrap();
}

#[test]
fn a_ledger_that_is_not_the_board_s_is_refused() {
    let (rig, mut owner, ..) = three(11);
    let newest = rig.network.ledger_head();
    for head in [
        LedgerHead {
            seq: LedgerSeq(newest.seq.0 + 1),
            hash: newest.hash,
        },
        LedgerHead {
            seq: newest.seq,
            hash: Digest([1; 32]),
        },
    ] {
        owner.ledger_head = Some(head);
        let message = message_request(OPEN, &mut owner, "from another world");
        let refused = append(&rig, &message, 1);
        assert!(matches!(refused, Err(OpError::Invalid(_))), "{refused:?}");
    }
}
