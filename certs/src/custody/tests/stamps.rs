//! Tokens made by `openssl ts` over 32 bytes of 0x11, whose keys nobody has any more.
//!
//! `rsa`, `p256`, `p384`: by signers of the authority in `ca.pem`. `web`: the same statement signed
//! (`openssl cms -sign -cades`) by a certificate of that authority that is for servers only.

use plenary_proto::ids::Digest;

use super::*;

const CA: &[u8] = include_bytes!("stamps/ca.pem");
const OTHER: &[u8] = include_bytes!("stamps/other.pem");
const TOKENS: [&[u8]; 3] = [
    include_bytes!("stamps/rsa.token"),
    include_bytes!("stamps/p256.token"),
    include_bytes!("stamps/p384.token"),
];
const WEB: &[u8] = include_bytes!("stamps/web.token");
const DIGEST: Digest = Digest([0x11; 32]);

#[test]
fn tokens_of_a_service_hold() {
    let ca = Authorities::from_pem(CA).unwrap();
    for token in TOKENS {
        let stamp = check_stamp(token, &DIGEST, Some(&ca)).unwrap();
        assert!(stamp.backed && stamp.signer.contains("Example Time Stamper"));
        // 22 November 2026.
        assert_eq!(stamp.time.0 / 86_400_000, 20_779);
        let alone = check_stamp(token, &DIGEST, None).unwrap();
        assert!(!alone.backed);
        assert_eq!((alone.time, alone.serial), (stamp.time, stamp.serial));
    }
}

#[test]
fn what_does_not_hold_is_named() {
    let ca = Authorities::from_pem(CA).unwrap();
    let other = Authorities::from_pem(OTHER).unwrap();
    for token in TOKENS {
        assert_eq!(
            check_stamp(token, &Digest([0x12; 32]), None),
            Err(StampError::OtherDigest)
        );
        let strange = check_stamp(token, &DIGEST, Some(&other));
        assert!(matches!(strange, Err(StampError::Authority(_))));
    }
    // Anybody with a server's certificate of the same authority could tell any time.
    assert!(check_stamp(WEB, &DIGEST, None).is_ok());
    let web = check_stamp(WEB, &DIGEST, Some(&ca));
    assert!(matches!(web, Err(StampError::Authority(_))), "{web:?}");
    let long = [TOKENS[0], &vec![0; MAX_STAMP]].concat();
    assert_eq!(check_stamp(&long, &DIGEST, None), Err(StampError::TooLarge));
    for pem in [&b""[..], b"no certificate", &CA[..CA.len() / 2]] {
        assert!(Authorities::from_pem(pem).is_err());
    }
}

/// One bit of each byte; all of them take seconds longer.
#[test]
fn no_byte_of_a_token_can_be_changed() {
    let ca = Authorities::from_pem(CA).unwrap();
    for token in TOKENS {
        let good = check_stamp(token, &DIGEST, Some(&ca)).unwrap();
        for at in 0..token.len() {
            let mut flipped = token.to_vec();
            flipped[at] ^= 1 << (at % 8);
            // Numbers of versions and lists of algorithms are nobody's statement.
            if let Ok(stamp) = check_stamp(&flipped, &DIGEST, Some(&ca)) {
                assert_eq!(stamp, good, "byte {at}");
            }
        }
        for len in 0..token.len() {
            assert!(check_stamp(&token[..len], &DIGEST, None).is_err());
        }
    }
}

#[test]
fn an_answer_to_another_request_is_refused() {
    // An answer of status 0 around a token that has no nonce.
    for token in TOKENS {
        let body = [&[0x30, 0x03, 0x02, 0x01, 0x00], token].concat();
        let len = (body.len() as u16).to_be_bytes();
        let reply = [&[0x30, 0x82, len[0], len[1]], &body[..]].concat();
        let nonce = stamp_reply(&reply, &DIGEST, 7, None);
        assert_eq!(nonce, Err(StampError::Nonce));
    }
    // Status 2: rejection.
    let refused = stamp_reply(
        &[0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02],
        &DIGEST,
        7,
        None,
    );
    assert!(
        matches!(refused, Err(StampError::Refused(_))),
        "{refused:?}"
    );
    let page = stamp_reply(b"<html>no service here</html>", &DIGEST, 7, None);
    assert!(matches!(page, Err(StampError::Malformed(_))));
}

#[test]
fn a_request_is_one_that_services_read() {
    for nonce in [0, 1, u64::MAX, 0x8000_0000_0000_0000] {
        let request = stamp_request(&DIGEST, nonce).unwrap();
        // As `openssl ts -query -sha256 -cert` writes it: version 1, SHA-256 with NULL, digest,
        // a nonce of eight bytes, certificates wanted.
        assert_eq!(request[..5], [0x30, 67, 0x02, 0x01, 0x01]);
        assert_eq!(request[request.len() - 13..][..2], [0x02, 8]);
        assert_eq!(request[request.len() - 3..], [0x01, 0x01, 0xff]);
    }
}

#[test]
fn a_stamp_belongs_to_one_entry() {
    let board = board();
    let record = begun(&board);
    let entries: Vec<_> = record.entries().map(|(entry, _)| entry.clone()).collect();
    assert_ne!(entries[0].to_stamp(), entries[1].to_stamp());
    assert_ne!(entries[0].to_stamp(), entries[0].id());
    let stamped = entries[0].clone().stamped(TOKENS[0].to_vec());
    assert_eq!(stamped.to_stamp(), entries[0].to_stamp());
    assert_eq!(stamped.stamps(None), Err(StampError::OtherDigest));
    assert_eq!(stamped.unstamped(), entries[0]);
}
