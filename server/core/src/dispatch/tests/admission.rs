//! PutInvitation, PutRequest, RequestState, ListRequests, AnswerRequest, PutSealed, GetSealed.

use bytes::Bytes;
use plenary_certs::ledger::{Body, DeviceBody, DeviceKeys, Voucher};
use plenary_proto::{
    ids::{DeviceId, Digest, InvitationId, PublicKey, UnixMillis},
    limits,
    reply::{PendingRequest, Push, Reply},
    request::{Request, SealedName},
};

use crate::{
    config::Config,
    error::OpError,
    fixture::*,
    session::{Caller, GuestKind},
    store::Store,
};

const HOUR: u64 = 3600 * 1000;

fn invitation(n: u8) -> InvitationId {
    InvitationId([n; 16])
}

fn invite_until(rig: &Rig, n: u8, name: u8, expires: UnixMillis) -> Result<Reply, OpError> {
    let request = Request::PutInvitation {
        invitation: invitation(name),
        verifier: Digest([name; 32]),
        expires,
    };
    rig.ask(n, request)
}

fn invite(rig: &Rig, n: u8, name: u8) -> Result<Reply, OpError> {
    invite_until(rig, n, name, NOW.plus(72 * HOUR))
}

fn guest(name: u8) -> Caller {
    Caller::guest_for_test(invitation(name), GuestKind::Invited)
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn waiting(rig: &Rig, n: u8) -> Vec<PendingRequest> {
    match rig.ask(n, Request::ListRequests) {
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
fn a_request_comes_to_the_board_and_its_answer_to_the_guest() {
    let rig = Rig::new();
    assert_eq!(invite(&rig, 10, 1), Ok(Reply::Done));
    rig.hub.heard();
    let state = || rig.call(&guest(1), Request::RequestState);
    assert!(matches!(state(), Err(OpError::NotFound(_))));
    let ask = |text| rig.call(&guest(1), Request::PutRequest(bytes(text)));
    assert_eq!(ask("please"), Ok(Reply::Done));
    let told = [1, 2, 3, 10].map(member_id).to_vec();
    assert_eq!(
        rig.hub.heard(),
        [Heard::Members(told, Push::AdmissionRequest)]
    );
    assert_eq!(ask("please"), Ok(Reply::Done), "the answer was lost");
    assert!(matches!(ask("once more"), Err(OpError::Exists(_))));
    assert_eq!(
        state(),
        Ok(Reply::RequestState {
            waiting: true,
            answer: Bytes::new()
        })
    );

    let pending = PendingRequest {
        invitation: invitation(1),
        inviter: device_id(10),
        time: NOW,
        sealed: bytes("please"),
        share: None,
        countersignatures: vec![],
    };
    assert_eq!(waiting(&rig, 2), std::slice::from_ref(&pending));
    assert_eq!(waiting(&rig, 10), [pending]);
    assert_eq!(waiting(&rig, 11), []);
    let answer = |n, name, text| {
        let request = Request::AnswerRequest {
            invitation: invitation(name),
            answer: bytes(text),
        };
        rig.ask(n, request)
    };
    not_allowed(answer(10, 1, "welcome"));
    assert!(matches!(answer(1, 2, "who?"), Err(OpError::NotFound(_))));
    assert_eq!(answer(1, 1, "welcome"), Ok(Reply::Done));
    assert_eq!(answer(1, 1, "welcome"), Ok(Reply::Done));
    assert!(matches!(answer(2, 1, "no"), Err(OpError::Exists(_))));
    assert_eq!(waiting(&rig, 2), []);
    assert_eq!(
        state(),
        Ok(Reply::RequestState {
            waiting: false,
            answer: bytes("welcome")
        })
    );
}

#[test]
fn a_shared_invitation_is_read_and_countersigned_by_whom_it_was_shared_with() {
    let rig = Rig::new();
    invite(&rig, 10, 1).unwrap();
    let share = |n, devices: &[(u8, &'static str)]| {
        let shares = devices.iter();
        let shares = shares.map(|(device, text)| (device_id(*device), bytes(text)));
        let request = Request::ShareInvitation {
            invitation: invitation(1),
            shares: shares.collect(),
        };
        rig.ask(n, request)
    };
    let countersign = |n, name, text| {
        let request = Request::VouchRequest {
            invitation: invitation(name),
            sealed: bytes(text),
        };
        rig.ask(n, request)
    };
    not_allowed(share(11, &[(11, "mine")]));
    not_allowed(share(1, &[(1, "not even the Board")]));
    not_allowed(share(10, &[(99, "nobody")]));
    assert_eq!(share(10, &[(11, "eleven"), (1, "one")]), Ok(Reply::Done));
    assert_eq!(share(11, &[(2, "two")]), Ok(Reply::Done), "handed on");
    assert!(matches!(
        countersign(11, 1, "I know them"),
        Err(OpError::NotFound(_))
    ));
    rig.hub.heard();
    rig.call(&guest(1), Request::PutRequest(bytes("please")))
        .unwrap();
    let told = [1, 2, 3, 10, 11].map(member_id).to_vec();
    assert_eq!(
        rig.hub.heard(),
        [Heard::Members(told, Push::AdmissionRequest)]
    );

    assert_eq!(waiting(&rig, 11)[0].share, Some(bytes("eleven")));
    assert_eq!(waiting(&rig, 3)[0].share, None);
    assert_eq!(waiting(&rig, 12), []);
    not_allowed(countersign(12, 1, "so do I"));
    not_allowed(countersign(20, 1, "an expert does not"));
    assert!(matches!(
        countersign(11, 2, "who?"),
        Err(OpError::NotFound(_))
    ));
    assert_eq!(countersign(11, 1, "I know them"), Ok(Reply::Done));
    assert_eq!(countersign(11, 1, "indeed"), Ok(Reply::Done));
    let told = [1, 2, 3].map(member_id).to_vec();
    let push = Heard::Members(told, Push::AdmissionRequest);
    assert_eq!(rig.hub.heard(), [push.clone(), push]);
    assert_eq!(waiting(&rig, 2)[0].countersignatures, [bytes("indeed")]);
    let large = Bytes::from(vec![0; limits::STATEMENT + 1]);
    let request = Request::VouchRequest {
        invitation: invitation(1),
        sealed: large,
    };
    assert!(matches!(
        rig.ask(11, request),
        Err(OpError::TooLarge { .. })
    ));
    // Swept away with the invitation.
    let request = Request::PutInvitation {
        invitation: invitation(9),
        verifier: Digest([9; 32]),
        expires: NOW.plus(100 * DAY + HOUR),
    };
    rig.call_at(&chat(10), request, NOW.plus(100 * DAY))
        .unwrap();
    for prefix in [&b"invitation-share/"[..], b"countersignature/"] {
        assert_eq!(done(rig.store.list(prefix, None, 100)).unwrap(), []);
    }
}

#[test]
fn invitations_are_by_members_for_a_time_and_not_too_many() {
    let rig = Rig::new();
    not_allowed(invite(&rig, 20, 1));
    for wrong in [
        NOW,
        UnixMillis(0),
        NOW.plus(73 * HOUR),
        UnixMillis(u64::MAX),
    ] {
        let result = invite_until(&rig, 10, 1, wrong);
        assert!(matches!(result, Err(OpError::Malformed(_))), "{result:?}");
    }
    assert_eq!(invite(&rig, 10, 1), Ok(Reply::Done));
    assert_eq!(invite(&rig, 10, 1), Ok(Reply::Done), "the answer was lost");
    assert!(matches!(invite(&rig, 11, 1), Err(OpError::Exists(_))));

    let few = Config {
        invitations: 3,
        board_invitations: 5,
        ..Config::default()
    };
    let rig = Rig::with(few);
    let quota = |result| assert!(matches!(result, Err(OpError::Quota(_))), "{result:?}");
    for name in 1..=3 {
        invite(&rig, 10, name).unwrap();
    }
    quota(invite(&rig, 10, 4));
    for name in 11..=15 {
        invite(&rig, 1, name).unwrap();
    }
    quota(invite(&rig, 1, 16));
    // Expired ones do not count; long after that they are swept away.
    let later = NOW.plus(73 * HOUR);
    let request = |name, now: UnixMillis| {
        let request = Request::PutInvitation {
            invitation: invitation(name),
            verifier: Digest([name; 32]),
            expires: now.plus(HOUR),
        };
        rig.call_at(&chat(10), request, now)
    };
    assert_eq!(request(4, later), Ok(Reply::Done));
    let much_later = NOW.plus(100 * DAY);
    assert_eq!(request(5, much_later), Ok(Reply::Done));
    let left = done(rig.store.list(b"invitation/", None, 100)).unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn guests_do_nothing_else() {
    let rig = Rig::new();
    invite(&rig, 10, 1).unwrap();
    for request in [
        Request::ListRequests,
        Request::PutSealed(vec![(SealedName::Profile(Digest([1; 32])), bytes("x"))]),
        Request::GetSealed(vec![SealedName::Profile(Digest([10; 32]))]),
        Request::GroupState(OPEN),
        Request::Welcomes,
        Request::Watch(vec![OPEN]),
        Request::PutKeyPackages {
            packages: vec![],
            last_resort: None,
        },
    ] {
        not_allowed(rig.call(&guest(1), request));
    }
    not_allowed(rig.ask(10, Request::RequestState));
    not_allowed(rig.ask(10, Request::PutRequest(bytes("let me in"))));
    let large = Bytes::from(vec![0; limits::STATEMENT + 1]);
    let result = rig.call(&guest(1), Request::PutRequest(large));
    assert!(matches!(result, Err(OpError::TooLarge { .. })));
    // Whoever invited must still be live.
    rig.say(revoke(10));
    not_allowed(rig.call(&guest(1), Request::PutRequest(bytes("please"))));
}

fn roster(generation: u32, device: DeviceId) -> SealedName {
    SealedName::RosterKey { generation, device }
}

#[test]
fn the_board_stores_profiles_and_roster_keys_and_each_reads_its_own() {
    let rig = Rig::new();
    let profile = SealedName::Profile(Digest([10; 32]));
    let put = |caller: &Caller, name, text| {
        rig.call(caller, Request::PutSealed(vec![(name, bytes(text))]))
    };
    let get = |n, names: &[SealedName]| match rig.ask(n, Request::GetSealed(names.to_vec())) {
        Ok(Reply::SealedList(list)) => {
            Ok(list.into_iter().map(|(_, value)| value).collect::<Vec<_>>())
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    let founder = Caller::guest_for_test(invitation(9), GuestKind::Founder);
    assert_eq!(put(&founder, profile, "profile"), Ok(Reply::Done));
    assert_eq!(put(&chat(1), profile, "newer"), Ok(Reply::Done));
    not_allowed(put(&chat(10), profile, "forged"));
    assert_eq!(
        put(&chat(1), roster(1, device_id(10)), "key"),
        Ok(Reply::Done)
    );
    let absent = SealedName::Profile(Digest([77; 32]));
    assert_eq!(
        get(
            10,
            &[
                profile,
                absent,
                roster(1, device_id(10)),
                roster(2, device_id(10))
            ]
        ),
        Ok(vec![Some(bytes("newer")), None, Some(bytes("key")), None])
    );
    assert!(matches!(
        get(11, &[roster(1, device_id(10))]),
        Err(OpError::NotAllowed(_))
    ));
    let large = Bytes::from(vec![0; limits::STATEMENT + 1]);
    let result = rig.ask(1, Request::PutSealed(vec![(profile, large)]));
    assert!(matches!(result, Err(OpError::TooLarge { .. })));
}

#[test]
fn a_device_hands_the_roster_key_to_its_member_s_new_device() {
    let rig = Rig::new();
    let key = |n| PublicKey([n; 32]);
    rig.say(Body::Device(DeviceBody {
        device: device_id(100),
        member: member_id(10),
        voucher: Voucher::Board,
        keys: DeviceKeys {
            authentication: key(1),
            mls: key(2),
            custody: key(3),
            sealing: vec![1; 32],
        },
    }));
    let put = |n, device, text| {
        let values = vec![(roster(1, device_id(device)), bytes(text))];
        rig.ask(n, Request::PutSealed(values))
    };
    not_allowed(put(11, 100, "forged"));
    assert_eq!(put(10, 100, "key"), Ok(Reply::Done));
    assert_eq!(put(10, 100, "key"), Ok(Reply::Done));
    assert!(matches!(put(10, 100, "another"), Err(OpError::Exists(_))));
    assert_eq!(put(1, 100, "by the Board"), Ok(Reply::Done));
}

#[test]
fn whoever_vouches_for_a_device_may_hand_it_the_roster_key_anew() {
    let rig = Rig::new();
    let vouch = |by: u8, n| {
        let voucher = Voucher::Device(device_id(by));
        let statement = rig.by_device(by, vouched(n, 10, voucher));
        let caller = Caller::chat_for_test(device_id(by), member_id(10));
        rig.call(&caller, Request::LedgerSubmit(vec![statement]))
            .unwrap();
    };
    let put = |by, n, text| {
        let values = vec![(roster(1, device_id(n)), bytes(text))];
        let caller = Caller::chat_for_test(device_id(by), member_id(10));
        rig.call(&caller, Request::PutSealed(values))
    };
    vouch(10, 100);
    vouch(100, 101);
    assert_eq!(put(100, 101, "by who is stolen"), Ok(Reply::Done));
    assert!(matches!(put(10, 101, "anew"), Err(OpError::Exists(_))));
    vouch(10, 101);
    assert_eq!(put(10, 101, "anew"), Ok(Reply::Done));
    // Not where the Board vouches: vouching, too, is easily done by a thief.
    assert_eq!(put(100, 10, "first"), Ok(Reply::Done));
    vouch(100, 10);
    assert!(matches!(put(100, 10, "another"), Err(OpError::Exists(_))));
}
