//! LedgerRead, LedgerSubmit, and the start over a store.

use bytes::Bytes;
use plenary_certs::ledger::{Body, Capacity, LedgerError, Server};
use plenary_proto::{
    ids::{InvitationId, LedgerHead, LedgerSeq, PublicKey},
    limits,
    reply::{Code, Push, Reply},
    request::Request,
};

use crate::{
    config::Config,
    error::{OpError, failure},
    fixture::*,
    keys,
    network::LoadError,
    session::{Caller, GuestKind},
    store::Store,
};

fn guest(founder: bool) -> Caller {
    let kind = match founder {
        true => GuestKind::Founder,
        false => GuestKind::Invited,
    };
    Caller::guest_for_test(InvitationId([9; 16]), kind)
}

fn submit(rig: &Rig, caller: &Caller, statements: Vec<Bytes>) -> Result<LedgerHead, OpError> {
    match rig.call(caller, Request::LedgerSubmit(statements))? {
        Reply::LedgerHead(head) => Ok(head),
        other => panic!("{other:?}"),
    }
}

fn page(rig: &Rig, caller: &Caller, after: u64, limit: u32) -> (Vec<Bytes>, LedgerHead) {
    let after = LedgerSeq(after);
    match rig.call(caller, Request::LedgerRead { after, limit }) {
        Ok(Reply::LedgerPage { statements, head }) => (statements, head),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_fresh_server_is_founded_and_starts_again_with_the_same_ledger() {
    let rig = Rig::fresh();
    assert!(rig.network.is_fresh());
    assert_eq!(page(&rig, &guest(true), 0, 10), (vec![], LedgerHead::EMPTY));
    let statements = founding();
    let head = submit(&rig, &guest(true), statements.clone()).unwrap();
    assert_eq!(head.seq.0, statements.len() as u64);
    assert_eq!(rig.network.id(), NETWORK);
    assert!(!rig.network.is_fresh());
    assert_eq!(
        rig.hub.heard(),
        [Heard::Everyone(Push::Ledger(head))],
        "once a request"
    );

    let again = Rig::over(rig.store, Config::default()).unwrap();
    assert_eq!(again.network.ledger_head(), head);
    assert_eq!(page(&again, &chat(10), 0, 500).0, statements);
}

#[test]
fn guests_read_and_only_the_founder_writes() {
    let rig = Rig::fresh();
    let refused = submit(&rig, &guest(false), founding());
    assert!(
        matches!(refused, Err(OpError::NotAllowed(_))),
        "{refused:?}"
    );
    assert_eq!(rig.network.ledger_head(), LedgerHead::EMPTY);
    rig.found();
    assert!(!page(&rig, &guest(false), 0, 10).0.is_empty());
}

#[test]
fn what_comes_before_a_refused_statement_stays() {
    let rig = Rig::new();
    let before = rig.network.ledger_head();
    let good = rig.draft(admit(30, Capacity::Member, None));
    let statement = rig
        .network
        .read_ledger(|ledger| ledger.draft(admit(31, Capacity::Member, None), NOW))
        .unwrap();
    let too_few = signed(&statement, &[2]);
    let doubled = signed(&statement, &[2, 2]);
    let foreign = signed(&statement, &[2, 9]);
    for bad in [
        too_few,
        doubled,
        foreign,
        Bytes::from_static(b"no statement"),
    ] {
        let refused = submit(&rig, &chat(10), vec![good.clone(), bad]);
        let Err(OpError::Invalid(why)) = refused else {
            panic!("{refused:?}");
        };
        assert!(why.starts_with("statement 2: "), "{why}");
        assert_eq!(rig.network.ledger_head().seq.0, before.seq.0 + 1);
    }
    assert_eq!(page(&rig, &chat(10), before.seq.0, 9).0, [good]);
}

#[test]
fn a_repeat_is_no_error_and_changes_nothing() {
    let rig = Rig::new();
    let statement = rig.draft(revoke(13));
    let head = submit(&rig, &chat(2), vec![statement.clone()]).unwrap();
    rig.hub.heard();
    assert_eq!(submit(&rig, &chat(3), vec![statement]), Ok(head));
    // The same said again by others, and all of it from the beginning.
    assert_eq!(
        submit(&rig, &chat(3), vec![rig.draft(revoke(13))]),
        Ok(head)
    );
    assert_eq!(submit(&rig, &chat(3), founding()), Ok(head));
    assert_eq!(rig.hub.heard(), []);
}

#[test]
fn who_is_out_is_cut_and_everybody_told() {
    let rig = Rig::new();
    *rig.hub.present.lock().unwrap() = vec![device_id(1), device_id(11), device_id(12)];
    let head = rig.say(revoke(11));
    assert_eq!(
        rig.hub.heard(),
        [
            Heard::Everyone(Push::Ledger(head)),
            Heard::Cut(vec![device_id(11)])
        ]
    );
    rig.hub
        .present
        .lock()
        .unwrap()
        .retain(|id| *id != device_id(11));
    rig.say(suspend_member(12));
    assert_eq!(rig.hub.heard()[1], Heard::Cut(vec![device_id(12)]));
    assert_eq!(
        rig.network.not_live(
            &[device_id(1), device_id(12), device_id(20)],
            NOW.plus(31 * DAY)
        ),
        [device_id(12), device_id(20)],
        "an admission ends by the clock"
    );
}

#[test]
fn another_server_s_key_is_refused() {
    let rig = Rig::new();
    let before = rig.network.ledger_head();
    let other = Body::Server(Server {
        key: PublicKey([3; 32]),
    });
    let refused = submit(&rig, &chat(1), vec![rig.draft(other)]);
    assert!(matches!(&refused, Err(OpError::Invalid(why)) if why.contains("server key")));
    assert_eq!(rig.network.ledger_head(), before);
}

#[test]
fn pages_are_bounded_by_count_and_bytes() {
    let rig = Rig::new();
    let (all, head) = page(&rig, &chat(10), 0, u32::MAX);
    assert_eq!(all.len() as u64, head.seq.0);
    assert_eq!(page(&rig, &chat(10), 2, 3).0, all[2..5]);
    assert_eq!(page(&rig, &chat(10), 2, 0).0, all[2..3]);
    assert_eq!(page(&rig, &chat(10), head.seq.0, 9).0, Vec::<Bytes>::new());
    assert_eq!(page(&rig, &chat(10), u64::MAX, 9).0, Vec::<Bytes>::new());
    for n in 0..150 {
        // Large and many: GRANTs of a channel that moves its owner.
        rig.say(channel(
            OPEN,
            plenary_certs::ledger::EntryRule::Open,
            1 + n % 2,
        ));
    }
    let mut read = Vec::new();
    loop {
        let (next, head) = page(&rig, &chat(10), read.len() as u64, u32::MAX);
        assert!(next.len() <= limits::LEDGER_PAGE as usize);
        assert!(next.iter().map(Bytes::len).sum::<usize>() <= limits::PAGE_BYTES);
        read.extend(next);
        if read.len() as u64 == head.seq.0 {
            break;
        }
    }
    assert_eq!(read.len(), all.len() + 150);
}

#[test]
fn an_oversize_statement_is_too_large() {
    let rig = Rig::new();
    let huge = Bytes::from(vec![0; limits::STATEMENT + 1]);
    let refused = submit(&rig, &chat(1), vec![huge]).unwrap_err();
    assert_eq!(failure(&refused).code, Code::TooLarge);
}

#[test]
fn a_statement_stored_but_not_taken_in_is_found_again() {
    let rig = Rig::new();
    let lost = rig.draft(admit(30, Capacity::Member, None));
    let seq = LedgerSeq(rig.network.ledger_head().seq.0 + 1);
    done(rig.store.put_if(keys::ledger(seq), 0, Some(lost.clone()))).unwrap();
    // Its sender asks again on another connection.
    let head = submit(&rig, &chat(1), vec![lost]).unwrap();
    assert_eq!(head.seq, seq);
    assert_eq!(rig.hub.heard(), [Heard::Everyone(Push::Ledger(head))]);
}

#[test]
fn a_damaged_ledger_or_another_key_is_not_served() {
    let rig = Rig::new();
    let remove = |seq| {
        let key = keys::ledger(LedgerSeq(seq));
        let held = done(rig.store.get(&key)).unwrap().unwrap();
        done(rig.store.put_if(key, held.version, None)).unwrap();
        held.value
    };
    let fifth = remove(5);
    let gap = Rig::over(rig.store.clone(), Config::default()).map(|_| ());
    let Err(LoadError::Ledger { seq, .. }) = gap else {
        panic!("{gap:?}");
    };
    assert_eq!(seq, LedgerSeq(5));
    let mut flipped = fifth.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let key = keys::ledger(LedgerSeq(5));
    done(rig.store.put_if(key.clone(), 0, Some(flipped.into()))).unwrap();
    let damaged = Rig::over(rig.store.clone(), Config::default()).map(|_| ());
    assert!(matches!(damaged, Err(LoadError::Ledger { seq, .. }) if seq == LedgerSeq(5)));
    done(rig.store.put_if(key, 1, Some(fifth))).unwrap();
    assert!(Rig::over(rig.store.clone(), Config::default()).is_ok());

    // The ledger does not say `Known` of what is only refused.
    assert_ne!(
        OpError::from(LedgerError::NoRoot),
        OpError::from(LedgerError::OtherRoot1)
    );
}
