//! PutHeartbeat, GetHeartbeat.

use bytes::Bytes;
use plenary_certs::{
    ledger::{Body, Capacity, HEARTBEAT_BYTES, Heartbeat},
    signing::SigningKey,
};
use plenary_proto::{
    ids::{Digest, InvitationId, LedgerHead, LedgerSeq, UnixMillis},
    reply::{Code, Push, Reply},
    request::Request,
};

use crate::{
    config::Config,
    error::{OpError, failure},
    fixture::*,
    session::{Caller, GuestKind},
};

fn beat(head: LedgerHead, time: UnixMillis, key: &SigningKey) -> Bytes {
    Heartbeat {
        network: NETWORK,
        head,
        time,
    }
    .sign(key)
    .into()
}

fn now_at(rig: &Rig, time: UnixMillis) -> Bytes {
    beat(rig.network.ledger_head(), time, &heartbeat_key())
}

fn put(rig: &Rig, signed: &Bytes) -> Result<Reply, OpError> {
    rig.ask(10, Request::PutHeartbeat(signed.clone()))
}

fn kept(rig: &Rig) -> Option<Bytes> {
    match rig.ask(13, Request::GetHeartbeat) {
        Ok(Reply::Heartbeat(kept)) => kept,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_newest_is_kept_told_to_everybody_and_there_after_a_restart() {
    let rig = Rig::new();
    assert_eq!(kept(&rig), None);
    let first = now_at(&rig, NOW);
    assert_eq!(put(&rig, &first), Ok(Reply::Done));
    assert_eq!(
        rig.hub.heard(),
        [Heard::Everyone(Push::Heartbeat(first.clone()))]
    );
    assert_eq!(put(&rig, &first), Ok(Reply::Done), "a repeat");
    assert_eq!(rig.hub.heard(), [], "is told once");

    rig.say(admit(30, Capacity::Member, None));
    rig.hub.heard();
    let second = now_at(&rig, NOW.plus(1));
    assert_eq!(put(&rig, &second), Ok(Reply::Done));
    assert_eq!(
        put(&rig, &first),
        Err(OpError::Exists("a newer heartbeat is kept"))
    );
    assert_eq!(
        rig.hub.heard(),
        [Heard::Everyone(Push::Heartbeat(second.clone()))]
    );
    // Somebody who waits for admission may know how old the ledger is.
    let guest = Caller::guest_for_test(InvitationId([9; 16]), GuestKind::Invited);
    assert_eq!(
        rig.call(&guest, Request::GetHeartbeat),
        Ok(Reply::Heartbeat(Some(second.clone())))
    );
    let again = Rig::over(rig.store, Config::default()).unwrap();
    assert_eq!(kept(&again), Some(second));
}

#[test]
fn what_a_client_would_refuse_is_refused() {
    let rig = Rig::new();
    let good = now_at(&rig, NOW);
    put(&rig, &good).unwrap();
    rig.hub.heard();
    let head = rig.network.ledger_head();
    let later = NOW.plus(1_000);
    let ahead = LedgerHead {
        seq: LedgerSeq(head.seq.0 + 1),
        hash: head.hash,
    };
    let fork = LedgerHead {
        seq: head.seq,
        hash: Digest([9; 32]),
    };
    let mut flipped = now_at(&rig, later).to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    for (bad, why) in [
        (beat(ahead, later, &heartbeat_key()), "fetch the rest"),
        (beat(fork, later, &heartbeat_key()), "fork"),
        (
            beat(head, later, &mls_key(10)),
            "not signed by a heartbeat key",
        ),
        (beat(head, NOW.plus(DAY), &heartbeat_key()), "yet to come"),
        (flipped.into(), "does not verify"),
        (Bytes::from_static(b"no heartbeat"), "malformed"),
    ] {
        match put(&rig, &bad) {
            Err(OpError::Invalid(said)) => assert!(said.contains(why), "{said}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    let back = rig
        .network
        .read_ledger(|ledger| ledger.head_at(LedgerSeq(3)));
    let back = beat(back.unwrap().unwrap(), later, &heartbeat_key());
    assert_eq!(failure(&put(&rig, &back).unwrap_err()).code, Code::Exists);
    let huge = Bytes::from(vec![0; HEARTBEAT_BYTES + 1]);
    assert_eq!(failure(&put(&rig, &huge).unwrap_err()).code, Code::TooLarge);
    assert_eq!(kept(&rig), Some(good));
    assert_eq!(rig.hub.heard(), []);
    let guest = Caller::guest_for_test(InvitationId([9; 16]), GuestKind::Invited);
    let refused = rig.call(&guest, Request::PutHeartbeat(now_at(&rig, later)));
    assert!(
        matches!(refused, Err(OpError::NotAllowed(_))),
        "{refused:?}"
    );
}

#[test]
fn one_by_a_retired_key_gives_way() {
    let rig = Rig::new();
    put(&rig, &now_at(&rig, NOW.plus(1_000))).unwrap();
    let next = SigningKey::from_seed(&[0x66; 32]).unwrap();
    let root = rig.network.read_ledger(|ledger| ledger.root().cloned());
    let mut root = root.flatten().unwrap();
    root.heartbeat = vec![next.public()];
    rig.say(Body::Root(root));
    let old = now_at(&rig, NOW.plus(2_000));
    assert!(matches!(put(&rig, &old), Err(OpError::Invalid(_))));
    // Its clock is behind the other one's: it counts all the same.
    let new = beat(rig.network.ledger_head(), NOW, &next);
    assert_eq!(put(&rig, &new), Ok(Reply::Done));
    assert_eq!(kept(&rig), Some(new));
}
