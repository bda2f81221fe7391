//! Who may say what, when, and only once.

use plenary_proto::ids::{ChannelId, LedgerHead, LedgerSeq, NetworkId};
use proptest::prelude::*;

use super::*;
use crate::ledger::{Standing, Target};

#[test]
fn each_statement_fixes_what_was_said_before() {
    let board = board();
    let mut record = begun(&board);
    let ids: Vec<_> = record.entries().map(|(entry, _)| entry.id()).collect();
    let said: Vec<_> = record.entries().map(|(_, said)| said.clone()).collect();
    assert_eq!(
        (said[1].previous, said[1].seen.clone()),
        (None, vec![ids[0]])
    );
    assert_eq!(
        (said[2].previous, said[2].seen.clone()),
        (Some(ids[1]), vec![])
    );
    assert_eq!(
        (said[3].previous, said[3].seen.clone()),
        (None, vec![ids[2]])
    );
    // Two who do not know of one another: both ends are named by the next.
    let entry = next(&record, 12, Act::Verified, &board);
    let other = next(&record, 11, Act::Exported, &board);
    record.add(entry.clone(), &board.ledger).unwrap();
    record.add(other.clone(), &board.ledger).unwrap();
    let last = next(&record, 10, Act::Withdrawn, &board);
    let mut ends = vec![entry.id(), other.id()];
    ends.sort();
    assert_eq!(last.statement().unwrap().seen, ends);
    assert_eq!(last.statement().unwrap().previous, Some(ids[0]));
    assert_eq!(record.withdrawn(), None);
    record.add(last, &board.ledger).unwrap();
    assert_eq!(
        record.withdrawn().map(|said| said.device),
        Some(device_id(10))
    );
    assert!(record.has(device_id(12), Act::Verified));
    assert!(!record.has(device_id(10), Act::Collected));
    assert_eq!(record.missing().count(), 0);
}

#[test]
fn what_is_said_twice_is_said_once() {
    let board = board();
    let mut record = begun(&board);
    let all: Vec<_> = record.entries().map(|(entry, _)| entry.clone()).collect();
    for entry in all {
        assert_eq!(record.add(entry, &board.ledger), Ok(Added::Known));
    }
    assert_eq!(record.len(), 4);
}

#[test]
fn replays_forks_and_foreign_statements_are_refused_by_name() {
    let board = board();
    let record = begun(&board);
    let head = board.ledger.head();
    let says = |n: u8, act| record.next(device_id(n), act, head, NOW, Digest([77; 32]));
    let good = || says(12, Act::Verified);
    let add = |said: &Statement, n: u8| record.clone().add(signed(said, n), &board.ledger);
    assert_eq!(add(&good(), 12), Ok(Added::New));

    type Spoil = fn(&mut Statement);
    let cases: [(Spoil, CustodyError); 11] = [
        (
            |said| said.network = NetworkId([1; 16]),
            CustodyError::OtherNetwork(NetworkId([1; 16])),
        ),
        (|said| said.item = ItemId([8; 16]), CustodyError::OtherItem),
        (
            |said| said.channel = ChannelId([8; 16]),
            CustodyError::OtherChannel,
        ),
        (
            |said| said.manifest = Digest([8; 32]),
            CustodyError::OtherManifest,
        ),
        (|said| said.root = Digest([8; 32]), CustodyError::OtherRoot),
        (
            |said| {
                said.file = Some(FileFacts {
                    sha256: Digest([8; 32]),
                    size: 12,
                });
            },
            CustodyError::OtherFile,
        ),
        (
            |said| said.ledger.hash = Digest([8; 32]),
            CustodyError::OtherLedger(LedgerSeq(9)),
        ),
        (
            |said| said.ledger.seq = LedgerSeq(99),
            CustodyError::LedgerAhead(LedgerSeq(99)),
        ),
        (
            |said| said.device = device_id(99),
            CustodyError::UnknownDevice(device_id(99)),
        ),
        (
            |said| said.previous = Some(Digest([8; 32])),
            CustodyError::Unlinked { number: 2 },
        ),
        (
            |said| (said.number, said.previous) = (1, None),
            CustodyError::Forked { number: 1 },
        ),
    ];
    for (spoil, expected) in cases {
        let mut said = good();
        spoil(&mut said);
        assert_eq!(add(&said, 12), Err(expected));
    }
    // In another device's name, with one's own key.
    assert_eq!(
        add(&says(11, Act::Exported), 12),
        Err(CustodyError::Signature)
    );
    // A device of an older ledger did not exist then.
    let mut early = good();
    early.ledger = LedgerHead::EMPTY;
    assert_eq!(
        add(&early, 12),
        Err(CustodyError::NotLive(Standing::Unknown))
    );
    for (n, act, expected) in [
        (11, Act::Deposited, CustodyError::NotTheirs(Act::Deposited)),
        (20, Act::Deposited, CustodyError::NotTheirs(Act::Deposited)),
        (11, Act::Withdrawn, CustodyError::NotTheirs(Act::Withdrawn)),
        (10, Act::Deposited, CustodyError::Twice(Act::Deposited)),
        (12, Act::Collected, CustodyError::Twice(Act::Collected)),
        (12, Act::Exported, CustodyError::Order(Act::Exported)),
        (20, Act::Verified, CustodyError::Order(Act::Verified)),
    ] {
        assert_eq!(add(&says(n, act), n), Err(expected), "{n} {act}");
    }
    // The depositing member's other device may withdraw, and its own may export.
    assert_eq!(add(&says(20, Act::Withdrawn), 20), Ok(Added::New));
    assert_eq!(add(&says(10, Act::Exported), 10), Ok(Added::New));
}

#[test]
fn the_countersignature_is_the_servers_and_for_this_statement() {
    let mut board = board();
    let record = begun(&board);
    let said = record.next(
        device_id(12),
        Act::Verified,
        board.ledger.head(),
        NOW,
        Digest([1; 32]),
    );
    let entry = Entry::sign(&said, &custody_key(12));
    let by = |key: &SigningKey, id: &Digest, root: &Digest, item| {
        let word = countersign(key.pair(), NETWORK, item, id, root, NOW);
        entry.clone().countersigned(word)
    };
    let (id, root, item) = (entry.id(), said.root, said.item);
    let wrong = Err(CustodyError::Countersignature);
    assert_eq!(
        by(&server(), &id, &root, item).check(&board.ledger),
        Ok(said.clone())
    );
    assert_eq!(entry.check(&board.ledger), Ok(said.clone()));
    for bad in [
        by(&custody_key(12), &id, &root, item),
        by(&server(), &Digest([9; 32]), &root, item),
        by(&server(), &id, &Digest([9; 32]), item),
        by(&server(), &id, &root, ItemId([9; 16])),
    ] {
        assert_eq!(bad.check(&board.ledger), wrong);
    }
    // The Board names another server: what the old one countersigned before stays good, and the
    // new one may countersign what was signed before.
    let new = key(9, 1);
    board.say(Body::Server(Server { key: new.public() }));
    for key in [&server(), &new] {
        assert_eq!(
            by(key, &id, &root, item).check(&board.ledger),
            Ok(said.clone())
        );
    }
    let said = record.next(
        device_id(12),
        Act::Verified,
        board.ledger.head(),
        NOW,
        Digest([1; 32]),
    );
    let entry = Entry::sign(&said, &custody_key(12));
    let word = countersign(server().pair(), NETWORK, item, &entry.id(), &root, NOW);
    assert_eq!(entry.countersigned(word).check(&board.ledger), wrong);
}

#[test]
fn a_revoked_device_says_nothing_more() {
    let mut board = board();
    let mut record = begun(&board);
    let before = next(&record, 12, Act::Verified, &board);
    let seq = board.say(revoke(Target::Device(device_id(12)))).seq;
    // Judged by the prefix it names: what was signed before counts.
    assert_eq!(record.add(before, &board.ledger), Ok(Added::New));
    let after = next(&record, 12, Act::Exported, &board);
    assert_eq!(
        record.add(after, &board.ledger),
        Err(CustodyError::NotLive(Standing::Revoked { seq }))
    );
}

#[test]
fn a_gap_is_told_and_what_follows_it_taken() {
    let board = board();
    let mut whole = begun(&board);
    let lost = next(&whole, 12, Act::Verified, &board);
    whole.add(lost.clone(), &board.ledger).unwrap();
    let after = next(&whole, 12, Act::Exported, &board);
    let mut record = begun(&board);
    assert_eq!(record.add(after, &board.ledger), Ok(Added::New));
    assert_eq!(record.missing().collect::<Vec<_>>(), [&lost.id()]);
    // Too late for it: its device has gone on.
    assert_eq!(
        record.add(lost, &board.ledger),
        Err(CustodyError::Forked { number: 2 })
    );
}

#[test]
fn what_was_deleted_may_be_collected_again() {
    let board = board();
    let mut record = begun(&board);
    for act in [Act::Deleted, Act::Collected, Act::Verified, Act::Exported] {
        let entry = next(&record, 11, act, &board);
        assert_eq!(record.add(entry, &board.ledger), Ok(Added::New), "{act}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However devices act, what all say in turn is one record; shuffled or thinned out, nothing
    /// that its signer did not say gets in, and restoring gives the same.
    #[test]
    fn any_history_is_one_record(acts in prop::collection::vec((10u8..13, 0u8..5), 1..14), skip in any::<u16>()) {
        let board = board();
        let mut record = Record::new(facts());
        let mut entries = Vec::new();
        for (n, act) in acts {
            let act = [Act::Deposited, Act::Collected, Act::Verified, Act::Exported, Act::Deleted][usize::from(act)];
            let entry = next(&record, n, act, &board);
            if record.add(entry.clone(), &board.ledger).is_ok() {
                entries.push(entry);
            }
        }
        let mut restored = Record::new(facts());
        for entry in &entries {
            prop_assert_eq!(restored.restore(entry.clone(), &board.ledger), Ok(Added::New));
        }
        prop_assert_eq!(restored.entries().collect::<Vec<_>>(), record.entries().collect::<Vec<_>>());
        prop_assert_eq!(restored.missing().count(), 0);
        // Leaving some out is seen wherever a later one names them.
        let mut thin = Record::new(facts());
        let mut left_out = Vec::new();
        for (at, entry) in entries.iter().enumerate() {
            match skip >> (at % 16) & 1 {
                1 => left_out.push(entry.id()),
                _ => drop(thin.add(entry.clone(), &board.ledger)),
            }
        }
        for id in left_out {
            let named = thin.entries().any(|(_, said)| said.previous == Some(id) || said.seen.contains(&id));
            prop_assert_eq!(named, thin.missing().any(|missing| *missing == id));
        }
    }
}
