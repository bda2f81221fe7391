//! Request and signature files.

use super::*;
use crate::{
    ledger::{Body, Grant, Target, Voucher, testing::*},
    profile::{MemberProfile, Profile},
};
use ring::rand::SystemRandom;

fn key(n: u8) -> BoardKey {
    BoardKey {
        member: member_id(n),
        key: board_key(n),
    }
}

fn person() -> SaltedProfile {
    let profile = Profile::Member(MemberProfile {
        name: "Ana Țepeș".into(),
        state: "Ruritania".into(),
        languages: vec!["ro".into()],
        expertise: vec![],
    });
    SaltedProfile::new(profile, &SystemRandom::new()).unwrap()
}

fn request(board: &Board, profile: SaltedProfile) -> Request {
    let mut body = admit(10);
    if let Body::Admit(admit) = &mut body {
        admit.profile = profile.hash();
    }
    let bodies = [body, device(10, 10, Voucher::Board)];
    let statements = bodies.map(|body| board.ledger.draft(body, NOW)).to_vec();
    Request::new(statements, vec![profile]).unwrap()
}

#[test]
fn two_people_sign_on_files() {
    let mut board = Board::new(3);
    let sent = request(&board, person());
    let read = Request::parse(&sent.to_text()).unwrap();
    assert_eq!((read.id(), &read), (sent.id(), &sent));
    let files: Vec<_> = [0, 2, 2]
        .map(|n| read.sign(&key(n)).unwrap().to_text())
        .iter()
        .map(|text| SignatureFile::parse(text).unwrap())
        .collect();
    for signed in combine(&sent, &files).unwrap() {
        board.ledger.append(&signed).unwrap();
    }
    assert_eq!(board.ledger.devices().count(), 1);

    let one = combine(&request(&board, person()), &files[..1]);
    assert!(matches!(one, Err(RequestError::OtherRequest { .. })));
}

#[test]
fn files_are_as_pinned() {
    let board = Board::new(1);
    let server = Body::Server(crate::ledger::Server {
        key: board_key(9).public(),
    });
    let request = Request::new(vec![board.ledger.draft(server, NOW)], vec![]).unwrap();
    assert_eq!(
        request.to_text(),
        "plenary board request v1\nhIFYQodQqqqqqqqqqqqqqqqqqqqqqgEKgQABWCDKAv96yLyXgsH8ryMcSQpVUUf8\nD11jsD/2QKX2NegC/hsAAAGjGFxQAICAgA==\nend\n"
    );
    assert_eq!(
        request.sign(&key(0)).unwrap().to_text(),
        "plenary board signatures v1\nglggmaDWfYislEjsqhRLSGGRNcAQ+1OZ8m/IpW6SL5rbzwuBglggll8dI6iD3GDn\nUE/iIEg7g9vcU5g+kS0knj7WdSGcYACCggFYIDB7O61lHcvXdB1Nq9IVTYdLiufV\n4dFAAVQfzboSHq7HWEDbUJOh0jYACqC3lyXYCM38I9VbTGVVEg8A0WvrIaCVQtcZ\nrDOoltnY47oPuLX2JzNgTqRsyS0sAjpS4OCifmYE\nend\n"
    );
}

#[test]
fn a_false_signature_is_named() {
    let board = Board::new(3);
    let request = request(&board, person());
    let mut file = request.sign(&key(0)).unwrap();
    file.signatures[1].1.signature = file.signatures[0].1.signature;
    let signer = Signer::Board(board_key(0).public());
    assert_eq!(
        combine(&request, &[file.clone()]),
        Err(RequestError::BadSignature(signer))
    );
    file.signatures[0].0 = Digest([0; 32]);
    assert_eq!(
        combine(&request, &[file]),
        Err(RequestError::UnknownStatement(Digest([0; 32])))
    );
}

#[test]
fn words_say_who_and_what() {
    let board = Board::new(3);
    let request = request(&board, person());
    let words = request.describe(&|_| None);
    let words: Vec<_> = words.iter().map(Words::text).collect();
    let words = words.join("\n\n");
    for wanted in [
        "Admit Ana Țepeș, Ruritania (member 0a0a",
        "Name: Ana Țepeș",
        "State or body: Ruritania",
        "as a member, without an end.",
        "ADMIT version 1 under ROOT 1",
        "drafted 2027-01-15 08:00:00 UTC",
        "the Board vouches for it.",
        &crate::admission::fingerprint(&device_keys(10)),
    ] {
        assert!(words.contains(wanted), "{wanted}\n{words}");
    }
    // Another profile than the one named is not shown as if it were.
    let mut swapped = request;
    swapped.profiles = vec![person()];
    let words = swapped.describe(&|_| None)[0].text();
    assert!(words.contains("The name is not enclosed"), "{words}");
    assert!(!words.contains("Ana"));
}

#[test]
fn names_come_beside_the_ids() {
    let board = Board::new(3);
    let grant = Body::Grant(Grant {
        channel: channel_id(1),
        member: member_id(10),
        granted: false,
    });
    let bodies = [grant, revoke(Target::Device(device_id(3)))];
    let statements = bodies.map(|body| board.ledger.draft(body, NOW)).to_vec();
    let names = |subject| match subject {
        Subject::Member(_) => Some("Ana".to_owned()),
        _ => None,
    };
    let words = Request::new(statements, vec![]).unwrap().describe(&names);
    let ten = member_id(10);
    let wanted = format!(
        "Let Ana (member {ten}) no longer enter channel {}",
        channel_id(1)
    );
    assert!(words[0].headline.starts_with(&wanted), "{words:?}");
    assert!(
        words[1].headline.starts_with("Revoke device 0303"),
        "{words:?}"
    );
}

#[test]
fn refuses_empty_mixed_and_doubled_requests() {
    let board = Board::new(3);
    let one = board.ledger.draft(admit(10), NOW);
    let mut other = one.clone();
    other.network = NetworkId([0; 16]);
    assert_eq!(Request::new(vec![], vec![]), Err(RequestError::Count(0)));
    assert_eq!(
        Request::new(vec![one.clone(), other], vec![]),
        Err(RequestError::TwoNetworks(NETWORK, NetworkId([0; 16])))
    );
    assert_eq!(
        Request::new(vec![one.clone(), one.clone()], vec![]),
        Err(RequestError::Twice(one.id()))
    );
    let text = request(&board, person()).to_text();
    assert!(matches!(
        SignatureFile::parse(&text),
        Err(RequestError::Text(TextError::Header { .. }))
    ));
}
