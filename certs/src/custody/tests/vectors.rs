//! Bytes that must never change, and bits that must not be flipped.

use super::*;
use crate::cbor::CborError;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn pinned() {
    let board = board();
    let record = begun(&board);
    let entries: Vec<_> = record.entries().collect();
    let (deposited, said) = entries[0];
    assert_eq!(
        hex(&said.encode()[..100]),
        "8f0150aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa5007070707070707070707070707070707\
         5001010101010101010101010101010101500a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a01f6\
         80015820020202020202020202020202020202020202020202020202"
    );
    let all: Vec<_> = entries.iter().map(|(entry, _)| (*entry).clone()).collect();
    let digest = crate::ledger::hash(&[&encode_entries(&all)]);
    assert_eq!(
        deposited.id().to_string(),
        "14a0d5e0fa1a7da2a1a20d92b74336a01cb7eff21d54f9a155028784189cf425"
    );
    assert_eq!(
        digest.to_string(),
        "080ffb82c8f29631d7ab95a696f62ca250aaf33acdb76b3148358f9681a3826e"
    );
}

#[test]
fn no_bit_of_an_entry_can_be_flipped() {
    let board = board();
    let record = begun(&board);
    for (entry, _) in record.entries() {
        let whole = entry.encode();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let checked = Entry::decode(&flipped)
                .map_err(CustodyError::from)
                .and_then(|entry| entry.check(&board.ledger));
            assert!(checked.is_err(), "bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(Entry::decode(&whole[..len]).is_err());
        }
        assert!(Entry::decode(&[&whole[..], &[0]].concat()).is_err());
    }
}

#[test]
fn a_list_of_entries_comes_back() {
    let board = board();
    let record = begun(&board);
    let all: Vec<_> = record.entries().map(|(entry, _)| entry.clone()).collect();
    assert_eq!(decode_entries(&encode_entries(&all)), Ok(all.clone()));
    let stamped = all[0].clone().stamped(vec![1, 2, 3]);
    assert_eq!(Entry::decode(&stamped.encode()), Ok(stamped.clone()));
    assert_eq!(stamped.tokens().collect::<Vec<_>>(), [[1, 2, 3]]);
    let many = (0..5).fold(all[0].clone(), |entry, n| entry.stamped(vec![n]));
    assert!(matches!(
        Entry::decode(&many.encode()),
        Err(CborError::Shape(_))
    ));
}

#[test]
fn statements_that_make_no_sense_are_refused() {
    let board = board();
    let record = begun(&board);
    let head = board.ledger.head();
    let good = record.next(device_id(11), Act::Exported, head, NOW, Digest([9; 32]));
    assert_eq!(Statement::decode(&good.encode()), Ok(good.clone()));
    let spoilt: [fn(&mut Statement); 8] = [
        |said| said.number = 0,
        |said| said.number = 1,
        |said| said.previous = None,
        |said| said.file = None,
        |said| said.act = Act::Collected,
        |said| said.seen.push(Digest([0; 32])),
        |said| said.seen.extend(said.previous),
        |said| said.seen = (0..=MAX_SEEN as u8).map(|n| Digest([n; 32])).collect(),
    ];
    for (number, spoil) in spoilt.iter().enumerate() {
        let mut said = good.clone();
        spoil(&mut said);
        assert!(
            matches!(Statement::decode(&said.encode()), Err(CborError::Shape(_))),
            "case {number}"
        );
    }
    assert!(!format!("{good:?}").contains("0404"), "no digest in logs");
}
