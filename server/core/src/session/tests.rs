//! Connections: the opening, what is told to whom, and how they end.

use bytes::Bytes;
use futures_util::future::join_all;
use plenary_certs::{
    handshake::{Opener, Transcript},
    ledger::Capacity,
};
use plenary_proto::{
    codec::{Assembler, decode_server, encode_client, parts},
    ids::{DeviceId, Digest, InvitationId, LedgerSeq, RequestId, UnixMillis},
    limits,
    reply::{Code, Push, Reply, ServerFrame},
    request::{Auth, ClientFrame, Knock, Purpose, Request, SealedName},
};
use ring::signature::Ed25519KeyPair;

use super::*;
use crate::{config::Config, fixture::*};

const EXPORTER: [u8; 32] = [0x11; 32];
const NONCE: Digest = Digest([0x22; 32]);
const INVITATION: InvitationId = InvitationId([0x33; 16]);
const VERIFIER: Digest = Digest([0x44; 32]);

struct Line {
    session: Option<Session>,
    hello: Bytes,
}

impl Line {
    fn open(rig: &Rig) -> Self {
        let (session, frames) = Session::open(
            rig.network.clone(),
            ConnectionId(1),
            EXPORTER,
            Digest([9; 32]),
            NOW,
        );
        assert_eq!(frames.len(), 1);
        Self {
            session: Some(session),
            hello: frames[0].clone(),
        }
    }

    fn send_at(&mut self, message: Bytes, now: UnixMillis) -> Vec<Bytes> {
        let session = self.session.take().unwrap();
        let (session, frames) = done(session.receive(message, now));
        self.session = Some(session);
        frames
    }

    fn send(&mut self, frame: ClientFrame) -> Vec<ServerFrame> {
        self.send_at(encode_client(frame), NOW)
            .into_iter()
            .map(|frame| decode_server(frame).unwrap())
            .collect()
    }

    fn transcript(&self, opener: Opener) -> Transcript {
        Transcript::new(&self.hello, &EXPORTER, opener, &NONCE)
    }

    fn auth(&self, device: DeviceId, purpose: Purpose, key: &Ed25519KeyPair) -> ClientFrame {
        ClientFrame::Auth(Auth {
            device,
            purpose,
            nonce: NONCE,
            signature: self
                .transcript(Opener::Device(device, purpose))
                .sign_auth(key),
        })
    }

    fn knock(&self, invitation: InvitationId, verifier: &Digest) -> ClientFrame {
        ClientFrame::Knock(Knock {
            invitation,
            nonce: NONCE,
            mac: self
                .transcript(Opener::Guest(invitation))
                .knock_mac(verifier),
        })
    }

    /// Device n logs in.
    fn login(rig: &Rig, n: u8, purpose: Purpose) -> Self {
        let mut line = Self::open(rig);
        let auth = line.auth(device_id(n), purpose, &authentication_key(n));
        let answer = line.send(auth);
        assert!(matches!(answer[..], [ServerFrame::Ok(_)]), "{answer:?}");
        line
    }

    fn ask(&mut self, request: Request) -> Result<Reply, Code> {
        match &self.send(ClientFrame::Request(RequestId(5), request))[..] {
            [ServerFrame::Reply(RequestId(5), result)] => {
                result.clone().map_err(|failure| failure.code)
            }
            other => panic!("{other:?}"),
        }
    }

    fn closed(&self) -> Option<Closed> {
        match &self.session {
            Some(Session::Closed(closed)) => Some(*closed),
            _ => None,
        }
    }
}

fn invite(rig: &Rig) {
    let request = Request::PutInvitation {
        invitation: INVITATION,
        verifier: VERIFIER,
        expires: NOW.plus(3_600_000),
    };
    assert_eq!(rig.ask(10, request), Ok(Reply::Done));
}

#[test]
fn hello_and_ok_prove_the_server() {
    let rig = Rig::new();
    let mut line = Line::open(&rig);
    let Ok(ServerFrame::Hello(hello)) = decode_server(line.hello.clone()) else {
        panic!("no HELLO");
    };
    assert_eq!(hello.network, NETWORK);
    assert_eq!(hello.server_key, server_key().public());
    assert_eq!(hello.ledger, rig.network.ledger_head());
    assert!(line.hello.len() <= limits::FRAME_BEFORE_OK);
    let session = line.session.as_ref().unwrap();
    assert_eq!(session.message_limit(), limits::FRAME_BEFORE_OK);
    assert!(session.farewell("stop", 1).is_none());
    let packages = vec![rig.peer(10).key_package()];
    let request = Request::PutKeyPackages {
        packages,
        last_resort: None,
    };
    rig.ask(10, request).unwrap();
    let auth = line.auth(device_id(10), Purpose::Chat, &authentication_key(10));
    let answer = line.send(auth);
    let [ServerFrame::Ok(ok)] = &answer[..] else {
        panic!("{answer:?}");
    };
    assert_eq!(ok.key_packages, 1);
    let transcript = line.transcript(Opener::Device(device_id(10), Purpose::Chat));
    assert_eq!(
        transcript.check_ok(&hello.server_key, &ok.signature),
        Ok(())
    );
    let session = line.session.as_ref().unwrap();
    assert_eq!(session.message_limit(), limits::CHAT_MESSAGE);
    assert!(session.farewell("stop", 1).is_some());
    let bulk = Line::login(&rig, 10, Purpose::Bulk);
    let session = bulk.session.unwrap();
    assert_eq!(session.message_limit(), limits::BULK_MESSAGE);
    assert_eq!(*rig.hub.present.lock().unwrap(), [device_id(10); 2]);
}

#[test]
fn unknown_wrong_and_out_get_one_same_answer() {
    let rig = Rig::new();
    invite(&rig);
    rig.say(revoke(11));
    rig.say(suspend_member(12));
    let after_the_end = NOW.plus(31 * DAY);
    let auth = |n, key: u8, purpose, now| {
        let mut line = Line::open(&rig);
        let frame = line.auth(device_id(n), purpose, &authentication_key(key));
        let frames = line.send_at(encode_client(frame), now);
        (frames, line.closed())
    };
    let knock = |invitation, verifier: &Digest, now| {
        let mut line = Line::open(&rig);
        let frame = line.knock(invitation, verifier);
        let frames = line.send_at(encode_client(frame), now);
        (frames, line.closed())
    };
    // Signed by the server's own key, the stand-in for those who have none.
    let stand_in = || {
        let mut line = Line::open(&rig);
        let key = Ed25519KeyPair::from_seed_unchecked(server_key().seed()).unwrap();
        let frame = line.auth(device_id(99), Purpose::Chat, &key);
        (line.send_at(encode_client(frame), NOW), line.closed())
    };
    let replayed = {
        let line = Line::open(&rig);
        let frame = line.auth(device_id(10), Purpose::Chat, &authentication_key(10));
        let mut other = Line::open(&rig);
        let (session, hello) = Session::open(
            rig.network.clone(),
            ConnectionId(1),
            EXPORTER,
            Digest([8; 32]),
            NOW,
        );
        other.session = Some(session);
        other.hello = hello[0].clone();
        (other.send_at(encode_client(frame), NOW), other.closed())
    };
    let answers = [
        auth(99, 99, Purpose::Chat, NOW),
        auth(10, 11, Purpose::Chat, NOW),
        auth(11, 11, Purpose::Chat, NOW),
        auth(12, 12, Purpose::Bulk, NOW),
        auth(20, 20, Purpose::Chat, after_the_end),
        stand_in(),
        replayed,
        knock(InvitationId([1; 16]), &VERIFIER, NOW),
        knock(INVITATION, &Digest([1; 32]), NOW),
        knock(INVITATION, &VERIFIER, NOW.plus(3_600_000)),
        // The stand-in of a knock, guessed.
        knock(InvitationId([1; 16]), &Digest(EXPORTER), NOW),
    ];
    for answer in &answers {
        assert_eq!(*answer, answers[0]);
    }
    let (frames, closed) = &answers[0];
    assert_eq!(*closed, Some(Closed::Unauthenticated));
    let [frame] = &frames[..] else {
        panic!("{frames:?}");
    };
    let Ok(ServerFrame::Refused(failure)) = decode_server(frame.clone()) else {
        panic!("not refused");
    };
    assert_eq!(failure.code, Code::Unauthenticated);
    assert_eq!(*rig.hub.present.lock().unwrap(), []);
    // And each of them would be let in if it were right.
    assert_eq!(auth(20, 20, Purpose::Chat, NOW).1, None);
    assert_eq!(knock(INVITATION, &VERIFIER, NOW).1, None);
}

#[test]
fn a_link_lets_knock_for_a_quarter_of_an_hour() {
    let rig = Rig::new();
    let quarter = limits::LINK_LIFE.as_millis() as u64;
    let request = Request::PutLink {
        link: INVITATION,
        verifier: VERIFIER,
        expires: NOW.plus(quarter),
    };
    assert_eq!(rig.ask(10, request), Ok(Reply::Done));
    let knock = |now| {
        let mut line = Line::open(&rig);
        let frame = line.knock(INVITATION, &VERIFIER);
        line.send_at(encode_client(frame), now);
        line
    };
    let late = Some(Closed::Unauthenticated);
    assert_eq!(knock(NOW.plus(quarter)).closed(), late);
    let mut line = knock(NOW.plus(quarter - 1));
    assert_eq!(line.closed(), None);
    let asked = Request::PutRequest(Bytes::from_static(b"link me"));
    assert_eq!(line.ask(asked), Ok(Reply::Done));
    // Whoever has asked may come back for the answer, for an hour.
    assert_eq!(knock(NOW.plus(quarter)).closed(), None);
    assert_eq!(knock(NOW.plus(3_600_000)).closed(), late);
}

#[test]
fn one_attempt_and_nothing_before_it() {
    let rig = Rig::new();
    let part = || {
        let frame = Bytes::from(vec![0; 5_000]);
        ClientFrame::Part(parts(&frame, 4_096).unwrap().next().unwrap())
    };
    let request = || ClientFrame::Request(RequestId(1), Request::Welcomes);
    for message in [
        encode_client(request()),
        encode_client(part()),
        Bytes::new(),
        Bytes::from_static(&[0xff, 0xff]),
    ] {
        let mut line = Line::open(&rig);
        let frames = line.send_at(message, NOW);
        assert_eq!(line.closed(), Some(Closed::Malformed));
        let Ok(ServerFrame::Refused(failure)) = decode_server(frames[0].clone()) else {
            panic!("not refused");
        };
        assert_eq!(failure.code, Code::Malformed);
        // It stays closed, whatever comes.
        let auth = line.auth(device_id(10), Purpose::Chat, &authentication_key(10));
        assert_eq!(line.send(auth), []);
        assert_eq!(line.closed(), Some(Closed::Malformed));
    }
}

#[test]
fn nonsense_after_ok_ends_the_connection() {
    let rig = Rig::new();
    let auth = |line: &Line| line.auth(device_id(10), Purpose::Chat, &authentication_key(10));
    let garbage = |line: &mut Line| line.send_at(Bytes::from_static(&[0xff]), NOW);
    let second_auth = |line: &mut Line| {
        let frame = auth(line);
        line.send_at(encode_client(frame), NOW)
    };
    let out_of_order = |line: &mut Line| {
        let frame = Bytes::from(vec![0; 9_000]);
        let second = parts(&frame, 4_096).unwrap().nth(1).unwrap();
        line.send_at(encode_client(ClientFrame::Part(second)), NOW)
    };
    let interrupted = |line: &mut Line| {
        let frame = Bytes::from(vec![0; 9_000]);
        let first = parts(&frame, 4_096).unwrap().next().unwrap();
        assert_eq!(line.send(ClientFrame::Part(first)), []);
        let request = ClientFrame::Request(RequestId(1), Request::Welcomes);
        line.send_at(encode_client(request), NOW)
    };
    type Send<'a> = &'a dyn Fn(&mut Line) -> Vec<Bytes>;
    let cases: [Send<'_>; 4] = [&garbage, &second_auth, &out_of_order, &interrupted];
    for send in cases {
        let mut line = Line::login(&rig, 10, Purpose::Chat);
        let frames = send(&mut line);
        assert_eq!(line.closed(), Some(Closed::Malformed));
        assert!(matches!(
            decode_server(frames[0].clone()),
            Ok(ServerFrame::Push(Push::Bye { .. }))
        ));
    }
}

#[test]
fn large_frames_travel_in_parts_both_ways() {
    let rig = Rig::new();
    let mut line = Line::login(&rig, 1, Purpose::Chat);
    let values: Vec<_> = (0..20_u8)
        .map(|n| {
            let name = SealedName::Profile(Digest([n; 32]));
            (name, Bytes::from(vec![n; 16_000]))
        })
        .collect();
    let names = values.iter().map(|(name, _)| *name).collect();
    let put = encode_client(ClientFrame::Request(
        RequestId(1),
        Request::PutSealed(values.clone()),
    ));
    let limit = line.session.as_ref().unwrap().message_limit();
    let mut answers = Vec::new();
    for part in parts(&put, limit).unwrap() {
        let message = encode_client(ClientFrame::Part(part));
        assert!(message.len() <= limit);
        answers.extend(line.send_at(message, NOW));
    }
    assert_eq!(answers.len(), 1);
    assert_eq!(
        decode_server(answers[0].clone()),
        Ok(ServerFrame::Reply(RequestId(1), Ok(Reply::Done)))
    );

    let get = ClientFrame::Request(RequestId(2), Request::GetSealed(names));
    let mut assembler = Assembler::default();
    let mut whole = None;
    for message in line.send_at(encode_client(get), NOW) {
        assert!(message.len() <= limit);
        let Ok(ServerFrame::Part(part)) = decode_server(message) else {
            panic!("not a part");
        };
        whole = assembler.push(&part).unwrap();
    }
    let expected = values
        .into_iter()
        .map(|(name, value)| (name, Some(value)))
        .collect();
    assert_eq!(
        decode_server(whole.unwrap().into()),
        Ok(ServerFrame::Reply(
            RequestId(2),
            Ok(Reply::SealedList(expected))
        ))
    );
}

#[test]
fn messages_that_follow_at_once_keep_their_order_whenever_they_are_answered() {
    let founding = Rig::new();
    let mut owner = founding.peer(1);
    founding.open_channel(OPEN, &mut owner);
    // A server that has not seen the channel yet.
    let rig = Rig::over(founding.store.clone(), Config::default()).unwrap();
    let mut line = Line::login(&rig, 1, Purpose::Chat);
    let mut under_way = Vec::new();
    for n in 1..=5u64 {
        let request = message_request(OPEN, &mut owner, &format!("number {n}"));
        let client_id = request.client_id;
        let frame = ClientFrame::Request(RequestId(n), Request::Append(request));
        let session = line.session.take().unwrap();
        let (session, turn) = done(session.take(encode_client(frame), NOW));
        line.session = Some(session);
        assert!(turn.frames.is_empty(), "answered before it was signed");
        under_way.push((n, turn.later.unwrap()));
        // Its place is taken, and nobody waited.
        let log = rig.log(OPEN);
        assert_eq!(
            (log.len() as u64, log[n as usize - 1].client_id),
            (n, client_id)
        );
    }
    let (numbers, answers): (Vec<_>, Vec<_>) = under_way.into_iter().rev().unzip();
    for (n, frames) in numbers.into_iter().zip(done(join_all(answers))) {
        let answer = decode_server(frames[0].clone().into()).unwrap();
        let ServerFrame::Reply(id, Ok(Reply::Appended { head, repeated })) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!((id, head.head.seq.0, repeated), (RequestId(n), n, false));
    }
}

#[test]
fn a_device_that_goes_out_is_refused_at_its_next_request() {
    let rig = Rig::new();
    let mut chat = Line::login(&rig, 11, Purpose::Chat);
    let mut bulk = Line::login(&rig, 11, Purpose::Bulk);
    assert!(chat.ask(Request::Welcomes).is_ok());
    rig.say(revoke(11));
    for line in [&mut chat, &mut bulk] {
        assert_eq!(line.ask(Request::Welcomes), Err(Code::Unauthenticated));
        assert_eq!(line.closed(), Some(Closed::Unauthenticated));
    }
    let mut expert = Line::login(&rig, 20, Purpose::Chat);
    let request = ClientFrame::Request(RequestId(1), Request::Welcomes);
    expert.send_at(encode_client(request), NOW.plus(31 * DAY));
    assert_eq!(expert.closed(), Some(Closed::Unauthenticated));
}

#[test]
fn a_revocation_at_the_moment_of_the_login_does_not_miss_it() {
    let rig = Rig::new();
    let statement = rig.draft(revoke(11));
    let network = rig.network.clone();
    // After the first look at the ledger, before the device is among those that are cut.
    *rig.hub.at_enter.lock().unwrap() = Some(Box::new(move || {
        network.ledger.take(&statement).unwrap();
    }));
    let mut line = Line::open(&rig);
    let auth = line.auth(device_id(11), Purpose::Chat, &authentication_key(11));
    assert!(matches!(line.send(auth)[..], [ServerFrame::Refused(_)]));
    assert_eq!(line.closed(), Some(Closed::Unauthenticated));
}

#[test]
fn a_guest_asks_comes_back_for_the_answer_and_is_limited() {
    let rig = Rig::new();
    invite(&rig);
    let enter = |now| {
        let mut line = Line::open(&rig);
        let knock = line.knock(INVITATION, &VERIFIER);
        line.send_at(encode_client(knock), now);
        line
    };
    let mut line = enter(NOW);
    assert_eq!(line.ask(Request::GroupState(OPEN)), Err(Code::NotAllowed));
    let read = Request::LedgerRead {
        after: LedgerSeq(0),
        limit: 1,
    };
    assert!(line.ask(read.clone()).is_ok());
    let sealed = Bytes::from_static(b"please");
    assert_eq!(line.ask(Request::PutRequest(sealed)), Ok(Reply::Done));
    // The invitation has expired, and its maker is gone: the answer can still be fetched.
    rig.say(revoke(10));
    let mut later = enter(NOW.plus(7 * DAY));
    assert!(matches!(
        later.ask(Request::RequestState),
        Ok(Reply::RequestState { waiting: true, .. })
    ));
    assert_eq!(
        enter(NOW.plus(60 * DAY)).closed(),
        Some(Closed::Unauthenticated)
    );

    let few = Config {
        guest_requests: 2,
        ..Config::default()
    };
    let rig = Rig::over(rig.store.clone(), few).unwrap();
    let mut line = Line::open(&rig);
    let knock = line.knock(INVITATION, &VERIFIER);
    line.send(knock);
    assert!(line.ask(read.clone()).is_ok());
    assert!(line.ask(read.clone()).is_ok());
    assert_eq!(line.ask(read), Err(Code::Unauthenticated));
    assert_eq!(line.closed(), Some(Closed::Unauthenticated));
}

#[test]
fn an_invitation_of_somebody_who_is_out_opens_nothing() {
    let rig = Rig::new();
    invite(&rig);
    rig.say(revoke(10));
    let mut line = Line::open(&rig);
    let knock = line.knock(INVITATION, &VERIFIER);
    line.send(knock);
    assert_eq!(line.closed(), Some(Closed::Unauthenticated));
}

#[test]
fn the_founder_is_let_in_until_the_first_device_is_live() {
    let rig = Rig::fresh();
    let knock = || {
        let mut line = Line::open(&rig);
        let knock = line.knock(INVITATION, &VERIFIER);
        line.send(knock);
        line
    };
    assert_eq!(knock().closed(), Some(Closed::Unauthenticated));
    done(
        rig.network
            .let_found(InvitationId([1; 16]), Digest([1; 32])),
    )
    .unwrap();
    done(rig.network.let_found(INVITATION, VERIFIER)).unwrap();

    let statements = founding();
    let mut line = knock();
    let Ok(ServerFrame::Hello(hello)) = decode_server(line.hello.clone()) else {
        panic!("no HELLO");
    };
    assert_eq!(hello.network.0, [0; 16]);
    assert!(
        line.ask(Request::LedgerSubmit(statements[..3].to_vec()))
            .is_ok()
    );
    // Interrupted after ROOT 1: comes back.
    let mut line = knock();
    let mut second = knock();
    let sealed = vec![(
        SealedName::Profile(Digest([1; 32])),
        Bytes::from_static(b"sealed"),
    )];
    assert_eq!(line.ask(Request::PutSealed(sealed)), Ok(Reply::Done));
    assert_eq!(line.ask(Request::ListRequests), Err(Code::NotAllowed));
    assert!(line.ask(Request::LedgerSubmit(statements)).is_ok());
    assert_eq!(line.closed(), Some(Closed::Finished));
    // Neither the other connection nor a new one writes anything more.
    let more = vec![rig.draft(admit(40, Capacity::Member, None))];
    assert_eq!(
        second.ask(Request::LedgerSubmit(more)),
        Err(Code::Unauthenticated)
    );
    assert_eq!(knock().closed(), Some(Closed::Unauthenticated));
    Line::login(&rig, 1, Purpose::Chat);
}
