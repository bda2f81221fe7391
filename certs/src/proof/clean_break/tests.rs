//! What passes, and what does not.

use ring::signature::Ed25519KeyPair;

use super::*;
use crate::{
    ledger::{Server, Voucher, testing::*},
    proof,
    signed_head::sign_heads,
};

const CHANNEL: ChannelId = ChannelId([9; 16]);

fn server() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(key(8, 1).seed()).unwrap()
}

/// Member 10 issues, member 20 is out.
fn said() -> (Board, CleanBreak) {
    let mut board = Board::with_member();
    board.say(Body::Server(Server {
        key: key(8, 1).public(),
    }));
    board.say(admit(20));
    board.say(device(21, 20, Voucher::Board));
    let statement = board.say(revoke(Target::Member(member_id(20))));
    let removal = ChannelHead {
        seq: Seq(7),
        hash: Digest([7; 32]),
    };
    let signed = sign_heads(&server(), NETWORK, NOW, &[(CHANNEL, removal)]).remove(0);
    let said = CleanBreak {
        network: NETWORK,
        issuer: device_id(10),
        issued: NOW,
        ledger: board.ledger.head(),
        member: member_id(20),
        statement,
        since: NOW,
        gone: vec![Gone {
            channel: CHANNEL,
            device: device_id(21),
            entered: Some(Seq(2)),
            epoch: Epoch(3),
            removal,
            time: NOW,
            by: device_id(10),
            basis: statement.seq,
            signed: Some(signed),
        }],
        pending: vec![],
        unexamined: vec![ChannelId([8; 16])],
        exposure: vec![Exposure {
            channel: CHANNEL,
            after: Seq(2),
            through: Seq(6),
            whole: true,
            messages: 4,
            items: vec![Item {
                sha256: Digest([5; 32]),
                name: None,
            }],
        }],
    };
    (board, said)
}

fn check(board: &Board, said: &CleanBreak) -> Result<proof::Proven, ProofError> {
    let file = said.file(&board.ledger, &key(4, 10));
    proof::verify(&file, board.ledger.root1())
}

#[test]
fn a_third_party_checks_it_with_root_1_alone() {
    let (board, said) = said();
    let proven = check(&board, &said).unwrap();
    assert_eq!(proven.kind(), "clean-break");
    let text = proven.to_string();
    for part in [
        "REVOKE",
        "up to record 6 (epoch 3)",
        "Record 7 removed it (epoch 4)",
        "4 messages, files handed over: 1",
        "signed by the server",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let pending = CleanBreak {
        pending: vec![(CHANNEL, device_id(21))],
        ..said
    };
    let text = check(&board, &pending).unwrap().to_string();
    assert!(
        text.contains("PENDING") && text.ends_with("NOT complete."),
        "{text}"
    );
}

#[test]
fn nothing_else_passes() {
    let (board, right) = said();
    let gone = right.gone[0].clone();
    let mut other_hash = gone.clone();
    other_hash.removal.hash = Digest([6; 32]);
    let mut other_device = gone.clone();
    other_device.device = device_id(10);
    let mut later = gone;
    later.basis = LedgerSeq(99);
    for wrong in [
        CleanBreak {
            member: member_id(10),
            ..right.clone()
        },
        CleanBreak {
            issuer: device_id(21),
            ..right.clone()
        },
        CleanBreak {
            since: UnixMillis(1),
            ..right.clone()
        },
        CleanBreak {
            statement: board.ledger.head_at(LedgerSeq(2)).unwrap(),
            ..right.clone()
        },
        CleanBreak {
            ledger: right.statement,
            statement: right.ledger,
            network: NetworkId([1; 16]),
            ..right.clone()
        },
        CleanBreak {
            gone: vec![other_hash],
            ..right.clone()
        },
        CleanBreak {
            gone: vec![other_device],
            ..right.clone()
        },
        CleanBreak {
            gone: vec![later],
            ..right.clone()
        },
    ] {
        assert!(check(&board, &wrong).is_err(), "{wrong:?}");
    }
    let forged = right.file(&board.ledger, &key(4, 21));
    assert!(proof::verify(&forged, board.ledger.root1()).is_err());
    let file = right.file(&board.ledger, &key(4, 10));
    assert!(proof::verify(&file, Digest([0; 32])).is_err());
    for at in (0..file.len()).step_by(5) {
        let mut flipped = file.clone();
        flipped[at] ^= 1;
        assert!(
            proof::verify(&flipped, board.ledger.root1()).is_err(),
            "{at}"
        );
    }
}

#[test]
fn who_is_back_is_not_out() {
    let (mut board, mut said) = said();
    board.say(admit(30));
    board.say(device(31, 30, Voucher::Board));
    said.statement = board.say(suspend(Target::Member(member_id(30))));
    said.member = member_id(30);
    said.gone.clear();
    said.ledger = board.ledger.head();
    assert!(check(&board, &said).is_ok());
    said.ledger = board.say(Body::Resume(crate::ledger::Resume {
        target: Target::Member(member_id(30)),
    }));
    assert!(check(&board, &said).is_err());
}
