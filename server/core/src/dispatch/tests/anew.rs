//! Founding anew: a group in which nobody live is left is replaced, any other never.

use plenary_certs::ledger::{EntryRule, Ledger};
use plenary_proto::{
    ids::{Epoch, Seq},
    reply::Reply,
    request::Request,
};

use crate::{error::OpError, fixture::*};

/// The owner, device 1, alone in the open channel after somebody came and went.
fn alone() -> (Rig, Peer) {
    let rig = Rig::new();
    let mut owner = rig.peer(1);
    rig.open_channel(OPEN, &mut owner);
    (rig, owner)
}

fn head(reply: Result<Reply, OpError>) -> (Seq, bool) {
    match reply {
        Ok(Reply::Appended { head, repeated }) => (head.head.seq, repeated),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deserted_group_is_replaced_and_the_log_goes_on() {
    let (rig, mut owner) = alone();
    let said = message_request(OPEN, &mut owner, "before");
    rig.ask(1, Request::Append(said)).unwrap();
    rig.say(revoke(1));
    let (info, tree) = rig.group_state(10, OPEN).unwrap();
    // An external commit cannot take the dead leaf out.
    assert!(rig.peer(10).try_enter(&info, &tree, None).is_err());

    let mut founder = rig.peer(10);
    let request = founder.found_anew(OPEN, &[1], Epoch(0));
    assert_eq!(head(rig.ask(10, request.clone())), (Seq(2), false));
    assert_eq!(head(rig.ask(10, request)), (Seq(2), true), "a repeat");
    let mut other = rig.peer(11);
    let (info, tree) = rig.group_state(11, OPEN).unwrap();
    let enters = other.enter(&info, &tree);
    rig.commit(OPEN, 11, &enters).unwrap();
    founder.follow(&enters);
    let after = message_request(OPEN, &mut founder, "after");
    assert_eq!(head(rig.ask(10, Request::Append(after))).0, Seq(4));
    let late = message_request(OPEN, &mut owner, "from the old group");
    assert!(rig.ask(1, Request::Append(late)).is_err());
    assert_eq!(rig.log(OPEN).len(), 4);

    // A server that starts again over the same store goes on from there.
    let again = Rig::over(rig.store, Default::default()).unwrap();
    let after = message_request(OPEN, &mut founder, "after the start");
    assert_eq!(head(again.ask(10, Request::Append(after))).0, Seq(5));
    // And again, once these are gone too.
    again.say(revoke(10));
    again.say(revoke(11));
    let request = again.peer(12).found_anew(OPEN, &[10, 11], Epoch(1));
    assert_eq!(head(again.ask(12, request)).0, Seq(6));
}

#[test]
fn nobody_founds_anew_over_a_live_leaf() {
    let (rig, mut owner) = alone();
    let mut other = rig.peer(11);
    let (info, tree) = rig.group_state(11, OPEN).unwrap();
    let enters = other.enter(&info, &tree);
    rig.commit(OPEN, 11, &enters).unwrap();
    owner.follow(&enters);
    let refused = |rig: &Rig, n: u8, left: &[u8], ledger| {
        let mut founder = rig.peer(n);
        founder.ledger_head = ledger;
        let request = founder.found_anew(OPEN, left, Epoch(1));
        let refused = rig.ask(n, request);
        assert!(
            matches!(
                refused,
                Err(OpError::NotAllowed(_) | OpError::Invalid(_) | OpError::Fenced)
            ),
            "{n} {left:?}: {refused:?}"
        );
    };
    refused(&rig, 10, &[1, 11], None);
    rig.say(suspend_member(11));
    // One is out, the other is not; kept quiet or not.
    for left in [&[1, 11][..], &[11], &[1], &[]] {
        refused(&rig, 10, left, None);
    }
    // Nor by whom it holds, nor by who is out.
    refused(&rig, 1, &[11], None);
    refused(&rig, 11, &[1, 11], None);
    rig.say(suspend_member(1));
    let deserted = rig.network.read_ledger(Ledger::head);
    // As of here it was deserted; as of now it is not.
    rig.say(resume_member(11));
    refused(&rig, 10, &[1, 11], deserted);
    refused(&rig, 10, &[1, 11], None);
    assert_eq!(rig.log(OPEN).len(), 1);
    // Who is back removes the other, and the group goes on.
    let removal = other.commit(&[], &[]);
    rig.commit(OPEN, 11, &removal).unwrap();
}

/// A device whose state is lost, alone among dead leaves: its own leaf keeps nobody out but itself.
#[test]
fn ones_own_leaf_may_be_given_up() {
    let (rig, mut owner) = alone();
    let mut other = rig.peer(11);
    let (info, tree) = rig.group_state(11, OPEN).unwrap();
    let enters = other.enter(&info, &tree);
    rig.commit(OPEN, 11, &enters).unwrap();
    owner.follow(&enters);
    let live = rig.peer(11).found_anew(OPEN, &[1, 11], Epoch(1));
    assert!(rig.ask(11, live).is_err(), "the other one lives");
    rig.say(revoke(1));
    let request = rig.peer(11).found_anew(OPEN, &[1, 11], Epoch(1));
    assert_eq!(head(rig.ask(11, request)).0, Seq(2));
}

#[test]
fn a_closed_channel_is_founded_anew_by_its_owner_alone() {
    let rig = Rig::new();
    let mut owner = rig.peer(1);
    rig.open_channel(GRANTED, &mut owner);
    rig.say(revoke(1));
    for n in [10, 11] {
        let request = rig.peer(n).found_anew(GRANTED, &[1], Epoch(0));
        let refused = rig.ask(n, request);
        assert!(
            matches!(refused, Err(OpError::NotAllowed(_))),
            "{refused:?}"
        );
    }
    rig.say(channel(GRANTED, EntryRule::Granted, 11));
    rig.group_state(11, GRANTED).unwrap();
    let request = rig.peer(11).found_anew(GRANTED, &[1], Epoch(0));
    assert_eq!(head(rig.ask(11, request)).0, Seq(1));
    // What there is no channel of, and what is another's, look alike.
    let unknown = plenary_proto::ids::ChannelId([200; 16]);
    let request = rig.peer(12).found_anew(unknown, &[12], Epoch(0));
    let absent = rig.ask(12, request);
    let direct = plenary_proto::ids::ChannelId([201; 16]);
    let mut founder = rig.peer(13);
    rig.open_channel(direct, &mut founder);
    let request = rig.peer(12).found_anew(direct, &[13], Epoch(0));
    assert_eq!(rig.ask(12, request), absent);
}

#[test]
fn of_two_at_once_one_begins_the_group_and_the_other_enters_it() {
    let (rig, _) = alone();
    rig.say(revoke(1));
    let [ten, eleven] = [10, 11].map(|n| rig.peer(n).found_anew(OPEN, &[1], Epoch(0)));
    let answers = rig.together(vec![(10, ten), (11, eleven)]);
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, 1, "{answers:?}");
    assert_eq!(rig.log(OPEN).len(), 1);
    let mut joiner = rig.peer(12);
    rig.enter(OPEN, &mut joiner);
}

/// The new group begins at epoch 0 again: nothing of the old one's epoch 0 passes in it.
#[test]
fn the_old_groups_epochs_do_not_come_back() {
    let (rig, mut owner) = alone();
    let old = message_request(OPEN, &mut owner, "of the old epoch 0");
    let update = owner.commit(&[], &[]);
    rig.say(suspend_member(1));
    let mut founder = rig.peer(10);
    let request = founder.found_anew(OPEN, &[1], Epoch(0));
    rig.ask(10, request).unwrap();
    rig.say(resume_member(1));
    assert!(rig.ask(1, Request::Append(old)).is_err());
    assert!(rig.commit(OPEN, 1, &update).is_err());
    assert_eq!(rig.log(OPEN).len(), 1);
}
