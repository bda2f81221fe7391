//! What convicts, and what does not.

use plenary_proto::{
    ids::{ChannelHead, Digest, LedgerSeq, Seq, UnixMillis},
    reply::SignedHead,
};

use super::*;
use crate::{
    ledger::{
        Body, Ledger, Server,
        testing::{Board, NETWORK, channel_id, device_id, key},
    },
    signed_head::sign_heads,
};

const CHANNEL: u8 = 9;

fn board() -> Board {
    let mut board = Board::new(3);
    let server = key(8, 0).public();
    board.say(Body::Server(Server { key: server }));
    board
}

/// A log of records that are `common` up to a position and `own` from there.
fn piece(length: u64, common: u64, own: u8) -> Piece {
    let entry = |n: u64| Digest([if n <= common { n as u8 } else { own ^ n as u8 }; 32]);
    Piece {
        before: ChannelHead::EMPTY,
        entries: (1..=length).map(entry).collect(),
    }
}

/// The server signs the head of a log at a position.
fn signed(piece: &Piece, seq: u64) -> SignedHead {
    let head = piece.hashes(channel_id(CHANNEL))[seq as usize];
    // One of a batch, so that a path is in the file, too.
    let other = (channel_id(77), ChannelHead::EMPTY);
    let heads = [(channel_id(CHANNEL), head), other, other];
    sign_heads(key(8, 0).pair(), NETWORK, UnixMillis(1_000 + seq), &heads).swap_remove(0)
}

fn view(piece: Piece, heads: &[u64]) -> ChannelView {
    ChannelView {
        channel: channel_id(CHANNEL),
        heads: heads.iter().map(|seq| signed(&piece, *seq)).collect(),
        pieces: vec![piece],
    }
}

fn file(ledger: &Ledger, one: &ChannelView, other: &ChannelView) -> Option<Vec<u8>> {
    let found = one.contradiction(other)?;
    Some(TwoLogs::file(ledger, channel_id(CHANNEL), &found))
}

#[test]
fn a_ledgers_file_holds_for_its_own_network_only_and_every_byte_counts() {
    let board = board();
    let root1 = board.ledger.root1();
    let whole = ledger_file(&board.ledger);
    let Ok(Proven::Ledger(proven)) = verify(&whole, root1) else {
        panic!("a ledger proves itself");
    };
    assert_eq!(
        (proven.network, proven.head),
        (NETWORK, board.ledger.head())
    );
    let (network, statements) = read_ledger_file(&whole).unwrap();
    let own: Vec<_> = board.ledger.entries_after(LedgerSeq(0)).collect();
    assert_eq!((network, statements.len()), (NETWORK, own.len()));
    assert!(
        own.iter()
            .zip(&statements)
            .all(|((_, own), read)| own == read)
    );

    assert!(verify(&whole, Digest([7; 32])).is_err());
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        assert!(verify(&flipped, root1).is_err(), "byte {at}");
    }
    // Another proof is no ledger.
    let (one, other) = (view(piece(5, 2, 0), &[5]), view(piece(5, 2, 0x55), &[5]));
    let logs = file(&board.ledger, &one, &other).unwrap();
    assert_eq!(read_ledger_file(&logs), Err(ProofError::NoLedger));
}

#[test]
fn two_heads_of_two_logs_convict_wherever_they_are() {
    let board = board();
    let root1 = board.ledger.root1();
    for (mine, theirs) in [(8, 8), (6, 9), (9, 6), (5, 20), (10, 10)] {
        let one = view(piece(10, 4, 0x40), &[mine]);
        let other = view(piece(20, 4, 0x80), &[theirs]);
        assert_eq!(one.differs(&other), Some(Seq(5)));
        let file = file(&board.ledger, &one, &other).unwrap();
        let Proven::TwoLogs(proven) = verify(&file, root1).unwrap() else {
            panic!("another kind")
        };
        let (low, high) = (mine.min(theirs), mine.max(theirs));
        assert_eq!(
            (proven.first.0.seq, proven.second.0.seq),
            (Seq(low), Seq(high))
        );
        assert_eq!(proven.server, (LedgerSeq(2), key(8, 0).public()));
        assert_ne!(proven.there, proven.first.0.hash);
    }
    // One member alone, to whom the server signed two logs.
    let mut one = view(piece(10, 4, 0x40), &[10]);
    one.heads.push(signed(&piece(10, 4, 0x80), 7));
    let file = file(&board.ledger, &one, &one.clone()).unwrap();
    let said = verify(&file, root1).unwrap().to_string();
    assert!(said.contains("vouched for two different logs"), "{said}");
    assert!(said.contains("at record 7"), "{said}");
}

#[test]
fn nothing_is_found_where_the_server_was_honest_or_signed_too_little() {
    let board = board();
    let (one, other) = (piece(10, 10, 0), piece(20, 20, 0));
    let honest = (view(one, &[3, 10]), view(other, &[1, 20]));
    assert_eq!(honest.0.differs(&honest.1), None);
    assert_eq!(file(&board.ledger, &honest.0, &honest.1), None);
    // They differ from 5 on, and nothing is signed there on one side.
    let one = view(piece(10, 4, 0x40), &[4]);
    let other = view(piece(20, 4, 0x80), &[20]);
    assert_eq!(one.differs(&other), Some(Seq(5)));
    assert_eq!(file(&board.ledger, &one, &other), None);
}

#[test]
fn every_flipped_bit_is_refused() {
    let board = board();
    let one = view(piece(10, 4, 0x40), &[6]);
    let other = view(piece(12, 4, 0x80), &[12]);
    let file = file(&board.ledger, &one, &other).unwrap();
    let root1 = board.ledger.root1();
    assert!(verify(&file, root1).is_ok());
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(verify(&flipped, root1).is_err(), "byte {at}");
        assert!(verify(&file[..at], root1).is_err(), "cut at {at}");
    }
    let refused = verify(&file, Digest([1; 32])).unwrap_err();
    assert!(matches!(
        refused,
        ProofError::Ledger {
            seq: LedgerSeq(1),
            ..
        }
    ));
}

#[test]
fn what_convicts_nobody_is_named() {
    let board = board();
    let root1 = board.ledger.root1();
    let honest = piece(10, 10, 0);
    let lying = piece(10, 4, 0x80);
    let channel = channel_id(CHANNEL);
    let found = Contradiction {
        first: signed(&honest, 6),
        second: signed(&lying, 10),
        start: lying.hashes(channel)[6].hash,
        links: lying.entries[6..].to_vec(),
    };
    let check =
        |found: &Contradiction| verify(&TwoLogs::file(&board.ledger, channel, found), root1);
    assert!(check(&found).is_ok());

    // The second head is of the same log.
    let mut one = found.clone();
    one.second = signed(&honest, 10);
    one.start = honest.hashes(channel)[6].hash;
    one.links = honest.entries[6..].to_vec();
    assert_eq!(check(&one), Err(ProofError::OneLog));
    // A start of the accuser's own making leads nowhere.
    one.start = Digest([9; 32]);
    assert_eq!(check(&one), Err(ProofError::Broken));
    let mut one = found.clone();
    one.links.pop();
    assert!(matches!(
        check(&one),
        Err(ProofError::Links { links: 3, .. })
    ));
    std::mem::swap(&mut one.first, &mut one.second);
    assert!(matches!(check(&one), Err(ProofError::Links { .. })));
    // Heads that somebody else signed.
    let mut one = found.clone();
    let heads = [(channel, one.first.head)];
    one.first = sign_heads(key(8, 1).pair(), NETWORK, UnixMillis(1), &heads).remove(0);
    assert_eq!(check(&one), Err(ProofError::Head { which: "first" }));
    // Signed for another channel.
    let elsewhere = TwoLogs::file(&board.ledger, channel_id(1), &found);
    assert_eq!(
        verify(&elsewhere, root1),
        Err(ProofError::Head { which: "first" })
    );
    // Before the Board named a server.
    let none = TwoLogs::file(&Board::new(3).ledger, channel, &found);
    assert_eq!(verify(&none, root1), Err(ProofError::NoServer));
    assert_eq!(
        verify(&pack(200, Vec::new()), root1),
        Err(ProofError::Kind(200))
    );
}

#[test]
fn a_head_under_an_earlier_server_key_still_convicts() {
    let mut board = board();
    let one = view(piece(10, 4, 0x40), &[6]);
    let later = key(8, 1).public();
    board.say(Body::Server(Server { key: later }));
    let lying = piece(12, 4, 0x80);
    let head = lying.hashes(channel_id(CHANNEL))[12];
    let heads = [(channel_id(CHANNEL), head)];
    let mut other = view(lying, &[]);
    other.heads = sign_heads(key(8, 1).pair(), NETWORK, UnixMillis(5), &heads);
    let file = file(&board.ledger, &one, &other).unwrap();
    let Proven::TwoLogs(proven) = verify(&file, board.ledger.root1()).unwrap() else {
        panic!("another kind")
    };
    assert_eq!(proven.server, (LedgerSeq(3), later));
}

#[test]
fn a_view_round_trips_and_refuses_junk() {
    let one = view(piece(10, 4, 0x40), &[6, 10]);
    let view = View {
        network: NETWORK,
        device: device_id(1),
        channels: vec![one],
    };
    let bytes = view.encode();
    assert_eq!(View::decode(&bytes), Ok(view));
    for at in 0..bytes.len() {
        assert!(View::decode(&bytes[..at]).is_err());
    }
    assert!(View::decode(b"heads").is_err());
}
