//! A code is stolen, keys are swapped, answers are forged.

use plenary_proto::ids::Digest;
use ring::rand::SystemRandom;

use super::*;
use crate::{
    admission::{AdmissionError, Application, fingerprint},
    invitation::Secret,
    ledger::{Target, testing::*},
    profile::sealing_keypair,
};

fn code() -> Code {
    Code {
        invitation: Invitation {
            address: "plenary.example:7443".into(),
            ca: Digest([1; 32]),
            network: NETWORK,
            root1: Digest([3; 32]),
            id: InvitationId([4; 16]),
            expires: UnixMillis(1_800_000_000_000),
            secret: Secret::from_bytes([5; 32]),
            contact: None,
        },
        member: member_id(10),
        by: device_id(10),
    }
}

fn request(n: u8) -> Request {
    Request {
        device: device_id(n),
        keys: device_keys(n),
        name: "phone".into(),
    }
}

fn handover() -> Handover {
    Handover {
        channels: vec![channel_id(1), channel_id(2)],
        direct: vec![(channel_id(2), vec![member_id(10), member_id(11)])],
        names: vec![(device_id(10), "laptop".into())],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn text_and_bytes_are_as_pinned() {
    assert_eq!(code().to_text().as_str(), TEXT);
    let small = Request {
        keys: DeviceKeys {
            sealing: vec![7; 3],
            ..device_keys(11)
        },
        ..request(11)
    };
    let signature = authentication_key(11).sign(&small.to_be_signed(&code()));
    let found = [
        hex(&cbor::encode(&small)),
        signature.to_string(),
        hex(&cbor::encode(&handover())),
        hex(&cbor::encode(&Answer::Refused)),
        hex(&cbor::encode(&Answer::Linked(vec![1, 2]))),
    ];
    assert_eq!(found, BYTES, "{found:#?}");
}

const TEXT: &str = "plenary-link:g4h0cGxlbmFyeS5leGFtcGxlOjc0NDNYIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBUKqqqqqqqqqqqqqqqqqqqqpYIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDUAQEBAQEBAQEBAQEBAQEBAQbAAABoxhcUABYIAUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF9lAKCgoKCgoKCgoKCgoKCgoKUAoKCgoKCgoKCgoKCgoKCgoPD7EL";
const BYTES: [&str; 5] = [
    "83500b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b8458207aba162d8b8a05c29eeb471b8347f9796e1c6096b8ad5b23fc91a31dfa33c678582007df263cbecc417c575b2fdb1f118d2bc3bfeb659fa2654df578f1d6f85d6cbe5820368db4fb05c9c45f187ffefa07bda03289782809bd3d7f329a45734ea56ca3d1430707076570686f6e65",
    "4709434568db309dd71e5c0030670c412ab056f1e3001c24fcde6e10011c078b815d6c69d8832b96f546d271fcf3f5eff221bc9897c60d0f958cf26223af6102",
    "8382500101010101010101010101010101010150020202020202020202020202020202028182500202020202020202020202020202020282500a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a500b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b8182500a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a666c6170746f70",
    "8201f6",
    "8202420102",
];

#[test]
fn a_code_is_no_invitation_and_every_typo_is_named() {
    let text = code().to_text();
    assert_eq!(Code::parse(&format!(" {}\n", *text)), Ok(code()));
    assert_eq!(Invitation::parse(&text), Err(InvitationError::Link));
    let invitation = code().invitation.to_text();
    assert_eq!(Code::parse(&invitation), Err(LinkError::Scheme));
    // Under the other's name.
    let (_, body) = text.split_once(':').unwrap();
    let passed_off = Invitation::parse(&format!("plenary:{body}"));
    assert_eq!(passed_off, Err(InvitationError::Mistyped));
    let (_, body) = invitation.split_once(':').unwrap();
    let passed_off = Code::parse(&format!("{SCHEME}{body}"));
    assert_eq!(passed_off, Err(LinkError::Mistyped));
    for at in SCHEME.len()..text.len() {
        let mut typo = text.to_string();
        let other = if &typo[at..=at] == "x" { "y" } else { "x" };
        typo.replace_range(at..=at, other);
        assert_eq!(Code::parse(&typo), Err(LinkError::Mistyped), "{at}");
        assert_eq!(Code::parse(&text[..at]), Err(LinkError::Mistyped), "{at}");
    }
    assert!(!format!("{:?}", code()).contains("\x05"));
    assert!(format!("{:?}", code()).contains(".."));
}

#[test]
fn a_request_is_for_one_code_one_device_and_its_own_keys() {
    let random = SystemRandom::new();
    let asked = request(11);
    let sealed = asked
        .seal(&code(), &authentication_key(11), &random)
        .unwrap();
    assert_eq!(Request::open(&sealed, &code()), Ok(asked.clone()));

    let closed = Err(LinkError::Seal(SealError::Open));
    let mut other = code();
    other.invitation.secret = Secret::from_bytes([6; 32]);
    assert_eq!(Request::open(&sealed, &other), closed);
    let mut other = code();
    other.invitation.id = InvitationId([9; 16]);
    assert_eq!(Request::open(&sealed, &other), closed);
    for change in [
        (|code| code.invitation.network = NetworkId([0; 16])) as fn(&mut Code),
        |code| code.member = member_id(11),
        |code| code.by = device_id(12),
    ] {
        let mut other = code();
        change(&mut other);
        assert_eq!(Request::open(&sealed, &other), Err(LinkError::BadSignature));
    }
    // A server that has the code, too, swaps the keys: the signature is then not the device's, or
    // the fingerprint is another.
    let swapped = SignedRequest {
        request: Request {
            keys: device_keys(12),
            ..asked.clone()
        },
        signature: authentication_key(11).sign(&asked.to_be_signed(&code())),
    };
    let secret = code().invitation.secret;
    let reseal = |signed: &SignedRequest| {
        let bytes = cbor::encode(signed);
        secret
            .seal(Sealed::LinkRequest, code().id(), &bytes, &random)
            .unwrap()
    };
    assert_eq!(
        Request::open(&reseal(&swapped), &code()),
        Err(LinkError::BadSignature)
    );
    let thief = Request {
        name: "phone".into(),
        ..request(12)
    };
    let thief = thief
        .seal(&code(), &authentication_key(12), &random)
        .unwrap();
    let thief = Request::open(&thief, &code()).unwrap();
    assert_ne!(fingerprint(&thief.keys), fingerprint(&asked.keys));

    // Only one sealed as such is a request to be linked.
    let admission = Application::open(&sealed, NETWORK, (code().id(), &secret));
    assert_eq!(admission, Err(AdmissionError::Seal(SealError::Open)));
    assert_eq!(
        asked.seal(&code(), &authentication_key(12), &random),
        Err(LinkError::BadSignature)
    );
    for name in ["", "\u{7}", &"x".repeat(61)] {
        let bad = Request {
            name: name.into(),
            ..asked.clone()
        };
        let refused = bad.seal(&code(), &authentication_key(11), &random);
        assert!(matches!(refused, Err(LinkError::Name(_))), "{refused:?}");
        let signed = SignedRequest {
            signature: authentication_key(11).sign(&bad.to_be_signed(&code())),
            request: bad,
        };
        assert!(matches!(
            Request::open(&reseal(&signed), &code()),
            Err(LinkError::Name(_))
        ));
    }
}

#[test]
fn a_handover_opens_for_the_linked_device_from_the_one_that_made_the_code() {
    let mut board = Board::with_member();
    let mine = sealing_keypair().unwrap();
    let mut asked = request(11);
    asked.keys.sealing = mine.public().to_vec();
    let sealed = handover()
        .seal(&code(), &asked, &authentication_key(10))
        .unwrap();
    let open = |board: &Board, sealed: &[u8], n, key: &SealingKey| {
        Handover::open(sealed, &code(), &board.ledger, NOW, (device_id(n), key))
    };
    // The code alone opens nothing, nor does an answer without the ledger.
    assert_eq!(open(&board, &sealed, 11, &mine), Err(LinkError::NotVouched));
    board.vouch(11, 10, 10).unwrap();
    assert_eq!(open(&board, &sealed, 11, &mine), Ok(handover()));
    assert!(!sealed.windows(6).any(|window| window == b"laptop"));

    let other = sealing_keypair().unwrap();
    assert_eq!(open(&board, &sealed, 11, &other), Err(LinkError::Open));
    board.vouch(12, 10, 10).unwrap();
    assert_eq!(
        open(&board, &sealed, 12, &mine),
        Err(LinkError::OtherDevice)
    );
    for at in (0..sealed.len()).step_by(11) {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1;
        assert!(open(&board, &flipped, 11, &mine).is_err(), "{at}");
    }
    // Whoever has the code but not the old device's key forges nothing.
    let forged = handover()
        .seal(&code(), &asked, &authentication_key(99))
        .unwrap();
    assert_eq!(
        open(&board, &forged, 11, &mine),
        Err(LinkError::OtherDevice)
    );
    board.say(revoke(Target::Device(device_id(10))));
    assert!(matches!(
        open(&board, &sealed, 11, &mine),
        Err(LinkError::NotLive(_))
    ));
}

#[test]
fn answers_are_under_the_code() {
    let random = SystemRandom::new();
    let sealed = Answer::Refused.seal(&code(), &random).unwrap();
    assert_eq!(Answer::open(&sealed, &code()), Ok(Answer::Refused));
    let mut other = code();
    other.invitation.secret = Secret::from_bytes([6; 32]);
    assert!(Answer::open(&sealed, &other).is_err());
    // A request played back is no answer.
    let asked = request(11)
        .seal(&code(), &authentication_key(11), &random)
        .unwrap();
    assert!(Answer::open(&asked, &code()).is_err());
    let long = Answer::Linked(vec![0; SEALED_LINK]).seal(&code(), &random);
    assert!(matches!(long, Err(LinkError::TooLong(_))));
}
