//! A server that shows two logs of one channel, each signed and each consistent in itself.

use std::collections::BTreeMap;

use plenary_certs::{chain::chain, proof::verify, signed_head::sign_heads, signing::SigningKey};
use plenary_proto::{
    ids::*,
    reply::{Push, Record, Reply, ServerFrame, SignedHead},
    request::{ClientFrame, Request},
};

use crate::{
    audit::{Audit, Auditor, compare},
    engine::*,
    simulation::{Passing, Wire, World},
};

/// Shows one party every record from some position on as taken a millisecond later, and signs what it
/// shows: nothing else differs, and MLS sees nothing of it.
pub(super) struct TwoViews {
    pub(super) victim: usize,
    pub(super) channel: ChannelId,
    pub(super) from: Seq,
    key: SigningKey,
    network: NetworkId,
    records: BTreeMap<Seq, Record>,
    sent: BTreeMap<(usize, RequestId), (ClientId, bytes::Bytes)>,
    devices: Vec<DeviceId>,
}

impl TwoViews {
    pub(super) fn new(world: &World, victim: usize, channel: ChannelId, from: Seq) -> Self {
        let keys = |index| world.keys(index).device;
        Self {
            victim,
            channel,
            from,
            key: SigningKey::from_seed(world.server.seed()).unwrap(),
            network: world.keys(0).network,
            records: BTreeMap::new(),
            sent: BTreeMap::new(),
            devices: (0..world.parties.len()).map(keys).collect(),
        }
    }

    fn shift(&self, record: &mut Record) {
        if record.seq >= self.from {
            record.time = record.time.plus(1);
        }
    }

    /// The head of the victim's log at a position.
    fn sign(&self, signed: &SignedHead) -> SignedHead {
        if signed.channel != self.channel || signed.head.seq < self.from {
            return signed.clone();
        }
        let mut hash = Digest([0; 32]);
        for seq in 1..=signed.head.seq.0 {
            let mut record = self.records[&Seq(seq)].clone();
            self.shift(&mut record);
            hash = chain(
                &hash,
                self.channel,
                record.seq,
                record.device,
                record.client_id,
                record.time,
                &record.bytes,
            );
        }
        let head = ChannelHead {
            seq: signed.head.seq,
            hash,
        };
        let heads = [(self.channel, head)];
        sign_heads(self.key.pair(), self.network, signed.time, &heads).remove(0)
    }
}

impl Wire for TwoViews {
    fn up(&mut self, _: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        if let ClientFrame::Request(id, Request::Append(append)) = &frame {
            let sent = (append.client_id, append.bytes.clone());
            self.sent.insert((from, *id), sent);
        }
        passing.up(from, frame);
    }

    fn down(&mut self, now: UnixMillis, to: usize, mut frame: ServerFrame, passing: &mut Passing) {
        match &mut frame {
            ServerFrame::Push(Push::Moved { channel, record }) if *channel == self.channel => {
                if !record.bytes.is_empty() {
                    self.records.insert(record.seq, record.clone());
                }
                if to == self.victim {
                    self.shift(record);
                }
            }
            ServerFrame::Reply(_, Ok(Reply::Records { records, head }))
                if head.channel == self.channel =>
            {
                for record in records.iter() {
                    self.records.insert(record.seq, record.clone());
                }
                if to == self.victim {
                    records.iter_mut().for_each(|record| self.shift(record));
                    *head = self.sign(head);
                }
            }
            ServerFrame::Reply(id, Ok(Reply::Appended { head, .. }))
                if head.channel == self.channel =>
            {
                // Answered before it is pushed.
                let (client_id, bytes) = self.sent[&(to, *id)].clone();
                let record = Record {
                    seq: head.head.seq,
                    device: self.devices[to],
                    client_id,
                    time: now,
                    bytes,
                };
                self.records.entry(record.seq).or_insert(record);
                if to == self.victim {
                    *head = self.sign(head);
                }
            }
            ServerFrame::Reply(_, Ok(Reply::GroupState { head, .. })) if to == self.victim => {
                *head = self.sign(head);
            }
            _ => {}
        }
        passing.down(to, frame);
    }
}

#[test]
fn two_logs_of_one_channel_are_noticed_at_the_first_message_that_crosses() {
    let mut world = World::connected(1, 3);
    let channel = world.channels[0];
    let from = Seq(6);
    world.wire = Some(Box::new(TwoViews::new(&world, 2, channel, from)));
    world.enter_all(channel);
    // Not yet: the record at which the logs part, whose sender has seen what both logs hold.
    let head =
        |world: &World, index: usize| world.parties[index].engine.channels[&channel].row.head;
    while head(&world, 0).seq < from {
        assert_eq!(world.alarms(), [] as [&Event; 0]);
        world.send(0, channel, "early");
        world.run();
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
    assert_ne!(head(&world, 0).hash, head(&world, 2).hash);

    world.send(0, channel, "crosses to the victim");
    world.run();
    assert_eq!(world.alarm_kinds(2), [AlarmKind::LogForked]);
    assert_eq!(world.alarm_kinds(1), []);
    world.send(2, channel, "crosses from the victim");
    world.run();
    assert_eq!(world.alarm_kinds(0), [AlarmKind::LogForked]);
    assert_eq!(world.alarm_kinds(1), [AlarmKind::LogForked]);
    // Once for each sender; the discussion itself is whole.
    world.send(0, channel, "again");
    world.send(2, channel, "again");
    world.run();
    assert_eq!(world.alarms().len(), 3);
    assert_eq!(world.texts(2, channel), world.texts(0, channel));

    // Each finds its own in order; comparing convicts the server.
    let view = |world: &World, index: usize| {
        let engine = &world.parties[index].engine;
        engine.store.channel_view(channel).unwrap().unwrap()
    };
    assert!(audit(&world, 0).is_clean(), "{:?}", audit(&world, 0));
    assert!(audit(&world, 2).is_clean(), "{:?}", audit(&world, 2));
    let (own, theirs) = (view(&world, 0), view(&world, 2));
    let ledger = world.parties[0].engine.read_ledger_with(Clone::clone);
    let found = compare(&ledger, &own, &theirs);
    assert_eq!(found.differs, Some(from));
    let proof = found.proof.unwrap();
    let root1 = world.ledger.root1();
    let proven = verify(&proof, root1).unwrap();
    assert!(
        proven.to_string().contains("two different logs"),
        "{proven}"
    );
    for at in (0..proof.len()).step_by(7) {
        let mut flipped = proof.clone();
        flipped[at] ^= 0x10;
        assert!(verify(&flipped, root1).is_err(), "byte {at}");
    }
    let honest = compare(&ledger, &own, &view(&world, 1));
    assert_eq!((honest.differs, honest.proof), (None, None));
}

/// As `plenary audit` does it.
pub(super) fn audit(world: &World, index: usize) -> Audit {
    let engine = &world.parties[index].engine;
    let (store, identity) = (engine.store(), engine.identity());
    let mut auditor = Auditor::new(identity.network(), identity.root1());
    for (_, signed) in store.statements(LedgerSeq(0), 10_000).unwrap() {
        auditor.statement(&signed);
    }
    for row in store.channels().unwrap() {
        auditor.channel(row.id, store.channel_view(row.id).unwrap(), row.head);
        for message in store.messages(row.id, Seq(0), 10_000).unwrap() {
            auditor.message(&message);
        }
    }
    auditor.finish()
}

#[test]
fn an_audit_names_the_first_thing_wrong() {
    let mut world = World::connected(1, 2);
    let channel = world.channels[0];
    world.enter_all(channel);
    for number in 0..10 {
        world.send(number % 2, channel, &number.to_string());
        world.run();
    }
    let clean = audit(&world, 1);
    assert!(clean.is_clean(), "{clean:?}");
    let found = &clean.channels[0];
    assert_eq!(found.messages, 10);
    assert!(found.vouched.0 > 0 && found.heads > 0 && found.records >= 10);
    let wrong = |sql: &str| {
        let store = world.parties[1].engine.store();
        store.lock().execute_batch("SAVEPOINT look").unwrap();
        let changed = store.lock().execute(sql, []).unwrap();
        assert!(changed > 0, "{sql}");
        let found = audit(&world, 1);
        let back = "ROLLBACK TO look; RELEASE look";
        store.lock().execute_batch(back).unwrap();
        let first = found.channels[0].wrong.as_ref();
        let words = first.map(|wrong| wrong.what.clone());
        words.or(found.ledger_wrong).unwrap_or_default()
    };
    let first = "WHERE position = (SELECT min(position) FROM message)";
    for (sql, words) in [
        (
            "UPDATE ledger SET signed = zeroblob(9) WHERE seq = 4".to_owned(),
            "lacks",
        ),
        (
            format!("UPDATE message SET content = zeroblob(40) {first}"),
            "signature",
        ),
        (
            format!("UPDATE message SET epoch = epoch + 1 {first}"),
            "signature",
        ),
        (format!("UPDATE message SET seq = 1000 {first}"), "beyond"),
        (
            "UPDATE message SET seen = 0 WHERE position = 9".to_owned(),
            "went back",
        ),
        (
            "UPDATE message SET seen = seq WHERE position = 9".to_owned(),
            "after it",
        ),
        (
            "UPDATE chain SET entries = zeroblob(64)".to_owned(),
            "hold together",
        ),
        (
            "UPDATE channel SET hash = zeroblob(32)".to_owned(),
            "ends elsewhere",
        ),
        (
            "UPDATE signed_head SET hash = zeroblob(32)".to_owned(),
            "no server key",
        ),
        (
            "UPDATE signed_head SET signature = zeroblob(64)".to_owned(),
            "no server key",
        ),
    ] {
        let said = wrong(&sql);
        assert!(said.contains(words), "{sql}: {said}");
    }
}

#[test]
fn what_was_pushed_is_signed_before_long_and_one_signature_a_page_is_kept() {
    let mut world = World::connected(1, 2);
    let channel = world.channels[0];
    world.enter_all(channel);
    for number in 0..300 {
        world.send(0, channel, &number.to_string());
        if number % 10 == 0 {
            world.settle();
        }
    }
    world.run_for(200_000);
    for index in 0..2 {
        let engine = &world.parties[index].engine;
        let head = engine.channels[&channel].row.head;
        assert_eq!(engine.store.vouched(channel).unwrap(), head.seq, "{index}");
        let heads = engine.store.signed_heads(channel).unwrap();
        assert!(heads.len() <= 5, "{}", heads.len());
        let last = heads.last().unwrap();
        assert_eq!(last.head, head);
        let pieces = engine.store.pieces(channel).unwrap().unwrap();
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].end(), head.seq);
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// Acknowledges the third message of party 1 for a place that another's message then takes, and
/// drops it.
struct AckAndDrop {
    key: SigningKey,
    network: NetworkId,
    channel: ChannelId,
    place: Seq,
    sent: u32,
}

impl Wire for AckAndDrop {
    fn up(&mut self, now: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        if let ClientFrame::Request(id, Request::Append(append)) = &frame
            && from == 1
            && append.commit.is_none()
        {
            self.sent += 1;
            if self.sent == 3 {
                let head = ChannelHead {
                    seq: self.place,
                    hash: Digest([9; 32]),
                };
                let heads = [(self.channel, head)];
                let head = sign_heads(self.key.pair(), self.network, now, &heads).remove(0);
                let repeated = false;
                passing.answer(from, *id, Ok(Reply::Appended { head, repeated }));
                return;
            }
        }
        passing.up(from, frame);
    }
}

#[test]
fn an_acknowledgement_that_does_not_come_true_is_told_and_the_message_is_sent_again() {
    let mut world = World::connected(1, 2);
    let channel = world.channels[0];
    world.enter_all(channel);
    let seq = world.parties[0].engine.channels[&channel].row.head.seq;
    world.wire = Some(Box::new(AckAndDrop {
        key: SigningKey::from_seed(world.server.seed()).unwrap(),
        network: world.keys(0).network,
        channel,
        place: Seq(seq.0 + 3),
        sent: 0,
    }));
    for number in 0..2 {
        world.send(1, channel, &format!("mine {number}"));
        world.run();
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
    world.send(1, channel, "mine 2");
    world.settle();
    // The log does not go so far; then it does, with another record.
    assert_eq!(world.alarm_kinds(1)[0], AlarmKind::LogRolledBack);
    world.send(0, channel, "another's");
    world.run();
    let kinds = world.alarm_kinds(1);
    assert!(kinds.len() > 1, "{kinds:?}");
    assert!(kinds[1..].iter().all(|kind| *kind == AlarmKind::LogForked));
    assert_eq!(
        world.texts(0, channel),
        ["mine 0", "mine 1", "mine 2", "another's"]
    );
    assert_eq!(world.texts(1, channel), world.texts(0, channel));
    let heads = world.parties[1].engine.store.signed_heads(channel).unwrap();
    assert!(heads.iter().any(|head| head.head.hash == Digest([9; 32])));
}
