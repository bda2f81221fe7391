//! Custody against replays, forks, foreign hands and flipped bits.

mod record;
mod stamps;
mod vectors;

use plenary_proto::ids::{Digest, ItemId, UnixMillis};

use super::*;
use crate::{
    ledger::{Body, Server, Voucher, testing::*},
    signing::SigningKey,
};

/// A ledger with devices 10, 11, 12 of members 10, 11, 12, and 20, a second device of member 10.
fn board() -> Board {
    let mut board = Board::with_member();
    board.say(Body::Server(Server {
        key: server().public(),
    }));
    for n in [11, 12] {
        board.say(admit(n));
        board.say(device(n, n, Voucher::Board));
    }
    board.vouch(20, 10, 10).unwrap();
    board
}

fn server() -> SigningKey {
    key(9, 0)
}

fn custody_key(n: u8) -> SigningKey {
    key(4, n)
}

/// Item 7, handed over by device 10 in channel 1.
fn facts() -> Facts {
    Facts {
        network: NETWORK,
        item: ItemId([7; 16]),
        channel: channel_id(1),
        depositor: device_id(10),
        manifest: Digest([2; 32]),
        root: Digest([3; 32]),
        file: FileFacts {
            sha256: Digest([4; 32]),
            size: 12,
        },
    }
}

/// What device `n` says next, signed and countersigned.
fn next(record: &Record, n: u8, act: Act, board: &Board) -> Entry {
    let salt = Digest([record.len() as u8 + 1; 32]);
    let said = record.next(device_id(n), act, board.ledger.head(), NOW, salt);
    signed(&said, n)
}

fn signed(said: &Statement, n: u8) -> Entry {
    let entry = Entry::sign(said, &custody_key(n));
    let word = countersign(
        server().pair(),
        said.network,
        said.item,
        &entry.id(),
        &said.root,
        UnixMillis(said.time.0 + 5),
    );
    entry.countersigned(word)
}

/// Deposited by 10, collected and verified by 11, the beginning by 12.
fn begun(board: &Board) -> Record {
    let mut record = Record::new(facts());
    for (n, act) in [
        (10, Act::Deposited),
        (11, Act::Collected),
        (11, Act::Verified),
        (12, Act::Collected),
    ] {
        let entry = next(&record, n, act, board);
        assert_eq!(record.add(entry, &board.ledger), Ok(Added::New));
    }
    record
}
