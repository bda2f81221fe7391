//! PutLink, ListLinks, AnswerLink, a linking guest, and what devices add to the ledger.

use bytes::Bytes;
use plenary_certs::ledger::{Body, LedgerError};
use plenary_certs::ledger::{LIVE_DEVICES, Reason, Revoke, Target, Voucher};
use plenary_proto::{
    ids::{Digest, InvitationId, UnixMillis},
    limits,
    reply::{Code, PendingRequest, Push, Reply},
    request::Request,
};

use crate::{
    config::Config,
    error::{OpError, failure},
    fixture::*,
    session::{Caller, GuestKind},
    store::Store,
};

const QUARTER: u64 = limits::LINK_LIFE.as_millis() as u64;
const HOUR: u64 = 3600 * 1000;

fn link(n: u8) -> InvitationId {
    InvitationId([n; 16])
}

fn put_at(
    rig: &Rig,
    n: u8,
    name: u8,
    expires: UnixMillis,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    let request = Request::PutLink {
        link: link(name),
        verifier: Digest([name; 32]),
        expires,
    };
    rig.call_at(&chat(n), request, now)
}

fn put(rig: &Rig, n: u8, name: u8) -> Result<Reply, OpError> {
    put_at(rig, n, name, NOW.plus(QUARTER), NOW)
}

fn guest(name: u8, kind: GuestKind) -> Caller {
    Caller::guest_for_test(link(name), kind)
}

fn ask(rig: &Rig, name: u8, text: &'static str) -> Result<Reply, OpError> {
    let guest = guest(name, GuestKind::Linking);
    rig.call(&guest, Request::PutRequest(bytes(text)))
}

fn answer(rig: &Rig, caller: &Caller, name: u8, text: &'static str) -> Result<Reply, OpError> {
    let request = Request::AnswerLink {
        link: link(name),
        answer: bytes(text),
    };
    rig.call(caller, request)
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn list(rig: &Rig, n: u8, request: Request) -> Vec<PendingRequest> {
    match rig.ask(n, request) {
        Ok(Reply::RequestList(waiting)) => waiting,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_allowed(result: Result<Reply, OpError>) {
    let why = result.map(|_| ());
    assert!(matches!(why, Err(OpError::NotAllowed(_))), "{why:?}");
}

#[test]
fn a_request_comes_to_the_device_that_made_the_link_and_to_nobody_else() {
    let rig = Rig::new();
    rig.say(vouched(100, 10, Voucher::Board));
    // An expert has further devices, too.
    assert_eq!(put(&rig, 20, 2), Ok(Reply::Done));
    assert_eq!(put(&rig, 10, 1), Ok(Reply::Done));
    assert_eq!(put(&rig, 10, 1), Ok(Reply::Done), "the answer was lost");
    assert!(matches!(put(&rig, 11, 1), Err(OpError::Exists(_))));
    rig.hub.heard();
    assert_eq!(ask(&rig, 1, "me"), Ok(Reply::Done));
    let members = vec![member_id(10)];
    assert_eq!(
        rig.hub.heard(),
        [Heard::Members(members.clone(), Push::LinkRequest(link(1)))],
        "not the Board"
    );
    assert_eq!(ask(&rig, 1, "me"), Ok(Reply::Done), "the answer was lost");
    assert_eq!(rig.hub.heard(), []);
    // A second machine with the same code.
    assert!(matches!(ask(&rig, 1, "me, too"), Err(OpError::Exists(_))));
    assert_eq!(
        rig.hub.heard(),
        [Heard::Members(members, Push::LinkAgain(link(1)))]
    );

    let pending = PendingRequest {
        invitation: link(1),
        inviter: device_id(10),
        time: NOW,
        sealed: bytes("me"),
        share: None,
        countersignatures: vec![],
    };
    assert_eq!(list(&rig, 10, Request::ListLinks), [pending]);
    // Neither the Board nor a sibling sees it, nor do requests for admission.
    let sibling = Caller::chat_for_test(device_id(100), member_id(10));
    for n in [1, 11, 20] {
        assert_eq!(list(&rig, n, Request::ListLinks), [], "{n}");
    }
    assert_eq!(
        rig.call(&sibling, Request::ListLinks),
        Ok(Reply::RequestList(vec![]))
    );
    for n in [1, 10] {
        assert_eq!(list(&rig, n, Request::ListRequests), [], "{n}");
    }
    not_allowed(answer(&rig, &chat(1), 1, "forged"));
    not_allowed(answer(&rig, &sibling, 1, "forged"));
    let board = Request::AnswerRequest {
        invitation: link(1),
        answer: bytes("forged"),
    };
    assert!(matches!(rig.ask(1, board), Err(OpError::NotFound(_))));
    assert_eq!(answer(&rig, &chat(10), 1, "yes"), Ok(Reply::Done));
    assert_eq!(answer(&rig, &chat(10), 1, "yes"), Ok(Reply::Done));
    assert!(matches!(
        answer(&rig, &chat(10), 1, "no"),
        Err(OpError::Exists(_))
    ));
    assert_eq!(
        rig.call(&guest(1, GuestKind::Linking), Request::RequestState),
        Ok(Reply::RequestState {
            waiting: false,
            answer: bytes("yes")
        })
    );
    assert_eq!(list(&rig, 10, Request::ListLinks), []);
}

#[test]
fn links_and_invitations_are_not_one_another() {
    let rig = Rig::new();
    put(&rig, 10, 1).unwrap();
    let invitation = Request::PutInvitation {
        invitation: link(2),
        verifier: Digest([2; 32]),
        expires: NOW.plus(HOUR),
    };
    rig.ask(10, invitation).unwrap();
    let as_the_other = |name, kind| {
        let guest = guest(name, kind);
        rig.call(&guest, Request::PutRequest(bytes("me")))
    };
    not_allowed(as_the_other(1, GuestKind::Invited));
    not_allowed(as_the_other(2, GuestKind::Linking));
    ask(&rig, 1, "me").unwrap();
    let state = |name, kind| rig.call(&guest(name, kind), Request::RequestState);
    assert!(matches!(
        state(1, GuestKind::Invited),
        Err(OpError::NotFound(_))
    ));
    assert!(state(1, GuestKind::Linking).is_ok());
    // A linking guest may do nothing else.
    for request in [
        Request::ListLinks,
        Request::ListRequests,
        Request::Welcomes,
        Request::LedgerSubmit(vec![]),
        Request::AnswerLink {
            link: link(1),
            answer: bytes("yes"),
        },
        Request::PutLink {
            link: link(3),
            verifier: Digest([3; 32]),
            expires: NOW.plus(QUARTER),
        },
    ] {
        not_allowed(rig.call(&guest(1, GuestKind::Linking), request));
    }
    // Whoever made the link must still be in.
    put(&rig, 11, 5).unwrap();
    rig.say(revoke(11));
    not_allowed(ask(&rig, 5, "me"));
}

#[test]
fn links_are_short_few_and_swept_away() {
    let rig = Rig::new();
    for wrong in [
        NOW,
        UnixMillis(0),
        NOW.plus(2 * QUARTER),
        UnixMillis(u64::MAX),
    ] {
        let result = put_at(&rig, 10, 1, wrong, NOW);
        assert!(matches!(result, Err(OpError::Malformed(_))), "{result:?}");
    }
    let limit = Config::default().links as u8;
    for name in 1..=limit {
        put(&rig, 10, name).unwrap();
    }
    assert!(matches!(put(&rig, 10, 99), Err(OpError::Quota(_))));
    assert_eq!(put(&rig, 11, 50), Ok(Reply::Done), "each has its own");
    ask(&rig, 1, "me").unwrap();
    // An hour later nobody answers any more; then everything is swept away.
    let late = NOW.plus(HOUR);
    let answered = rig.call_at(
        &chat(10),
        Request::AnswerLink {
            link: link(1),
            answer: bytes("yes"),
        },
        late,
    );
    assert!(
        matches!(answered, Err(OpError::NotFound(_))),
        "{answered:?}"
    );
    assert_eq!(
        rig.call_at(&chat(10), Request::ListLinks, late),
        Ok(Reply::RequestList(vec![]))
    );
    let much_later = NOW.plus(2 * HOUR);
    put_at(&rig, 10, 77, much_later.plus(QUARTER), much_later).unwrap();
    assert_eq!(done(rig.store.list(b"link/", None, 100)).unwrap().len(), 1);
    assert_eq!(
        done(rig.store.list(b"link-request/", None, 100)).unwrap(),
        []
    );
}

#[test]
fn devices_add_to_the_ledger_by_measure_and_revoke_at_once() {
    let rig = Rig::new();
    let submit_at =
        |statement: Bytes, now| rig.call_at(&chat(10), Request::LedgerSubmit(vec![statement]), now);
    let by_ten = Voucher::Device(device_id(10));
    let revoked = |n| {
        Body::Revoke(Revoke {
            target: Target::Device(device_id(n)),
            reason: Reason::Lost,
        })
    };
    // Linked and put out again, over and over: the limit of live devices would never be reached.
    let first = 100;
    let burst = LIVE_DEVICES as u8;
    for n in first..first + burst {
        submit_at(rig.by_device(10, vouched(n, 10, by_ten)), NOW).unwrap();
        submit_at(rig.by_device(10, revoked(n)), NOW).unwrap();
    }
    let next = first + burst;
    let one_more = rig.by_device(10, vouched(next, 10, by_ten));
    let Err(refused) = submit_at(one_more.clone(), NOW) else {
        panic!("taken");
    };
    let refused = failure(&refused);
    assert_eq!(refused.code, Code::RateLimited);
    let wait = refused.retry_after_ms.unwrap();
    // The Board is not held up, nor another member, nor a revocation.
    rig.say(vouched(200, 10, Voucher::Board));
    let other = rig.by_device(11, vouched(201, 11, Voucher::Device(device_id(11))));
    assert!(rig.ask(11, Request::LedgerSubmit(vec![other])).is_ok());
    let wrong = rig.by_device(11, revoked(200));
    let why = rig.ask(11, Request::LedgerSubmit(vec![wrong])).unwrap_err();
    let not_in_its_hands = LedgerError::NotInItsHands {
        device: device_id(200),
        by: device_id(11),
    };
    assert_eq!(
        why,
        OpError::Invalid(format!("statement 1: {not_in_its_hands}"))
    );
    assert!(submit_at(one_more, NOW.plus(wait)).is_ok());
    let out = submit_at(rig.by_device(10, revoked(next)), NOW.plus(wait));
    assert!(out.is_ok());
}

#[test]
fn a_device_that_is_put_out_is_cut_at_once_with_all_that_hang_on_it() {
    let rig = Rig::new();
    let submit = |by: u8, body| {
        let statement = rig.by_device(by, body);
        rig.ask(10, Request::LedgerSubmit(vec![statement])).unwrap();
    };
    submit(10, vouched(100, 10, Voucher::Device(device_id(10))));
    submit(100, vouched(101, 10, Voucher::Device(device_id(100))));
    *rig.hub.present.lock().unwrap() = vec![device_id(10), device_id(100), device_id(101)];
    rig.hub.heard();
    submit(
        10,
        Body::Revoke(Revoke {
            target: Target::Device(device_id(100)),
            reason: Reason::Lost,
        }),
    );
    let head = rig.network.ledger_head();
    assert_eq!(
        rig.hub.heard(),
        [
            Heard::Everyone(Push::Ledger(head)),
            Heard::Cut(vec![device_id(100), device_id(101)])
        ]
    );
}
