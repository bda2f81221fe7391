//! Custody between engines: who hears what, and what a member or the server may not get through.

use plenary_certs::custody::{Act, Entry, Record, Statement, encode_entries};
use plenary_core::{
    items::{Items, Reservation},
    leases::{Asked, Ended},
};
use plenary_proto::{
    codec::encode_server,
    ids::*,
    reply::{Code, Failure, Reply, ServerFrame},
    request::{ClientFrame, ItemTerms, Request},
};

use crate::{
    content::{Draft, Salt},
    engine::{AlarmKind, Event},
    error::ErrorKind,
    files::{Manifest, Plan, Sealer},
    simulation::{Passing, Wire, World, block, connected},
    store::Fault,
};

const DATA: &[u8] = b"the evidence";

/// Seals a file and has the server hold it, as put up by a party.
fn put_up(world: &World, by: usize, channel: ChannelId, plan: Plan) -> Manifest {
    let mut sealer = Sealer::new(plan).unwrap();
    let chunk = sealer.seal(DATA).unwrap();
    let manifest = sealer.finish().unwrap();
    let (network, item) = (world.network.clone(), manifest.item());
    block(async {
        let reservation = Reservation {
            item,
            channel,
            device: DeviceId([by as u8 + 101; 16]),
            size: manifest.layout().sealed_size(),
            chunk: manifest.layout().sealed_chunk(),
            time: world.now,
        };
        let asked = Asked {
            reservation,
            member: MemberId([by as u8 + 1; 16]),
            terms: ItemTerms::default(),
        };
        network.reserve_item(asked).await.unwrap();
        let put = world.items.put(item, 0, chunk.bytes.into());
        put.await.unwrap();
        network.commit_item(item, *manifest.root()).await.unwrap();
    });
    manifest
}

fn plan() -> Plan {
    Plan::new("evidence.bin", "text/plain", DATA.len() as u64).unwrap()
}

pub(super) fn say(world: &mut World, by: usize, channel: ChannelId, draft: Draft) {
    let salt = Salt(world.dice().bytes());
    let content = draft.into_content(salt).unwrap().encode().unwrap();
    let now = world.now;
    world.parties[by]
        .engine
        .send(now, channel, &content)
        .unwrap();
    world.run();
}

/// Party 0 hands an item over in the first channel, where everybody is.
pub(super) fn handed_over(members: usize) -> (World, ChannelId, Manifest) {
    let mut world = connected(members);
    let channel = world.channels[0];
    world.enter_all(channel);
    let manifest = put_up(&world, 0, channel, plan());
    say(
        &mut world,
        0,
        channel,
        Draft::item(manifest.encode().to_vec()),
    );
    (world, channel, manifest)
}

pub(super) fn record(world: &World, who: usize, channel: ChannelId, item: ItemId) -> Record {
    world.parties[who].engine.custody(channel, item).unwrap()
}

/// Device, act, and whether the server countersigned, as somebody has them.
pub(super) fn told(
    world: &World,
    who: usize,
    channel: ChannelId,
    item: ItemId,
) -> Vec<(u8, Act, bool)> {
    record(world, who, channel, item)
        .entries()
        .map(|(entry, said)| {
            let word = entry.countersignature().is_some();
            (said.device.0[0], said.act, word)
        })
        .collect()
}

pub(super) fn acts(world: &mut World, who: usize, channel: ChannelId, item: ItemId, acts: &[Act]) {
    let now = world.now;
    let engine = &mut world.parties[who].engine;
    engine.record(now, channel, item, acts).unwrap();
}

pub(super) const RECEIVED: &[Act] = &[Act::Collected, Act::Verified];

#[test]
fn everybody_hears_who_did_what_and_no_message_shows_it() {
    let (mut world, channel, manifest) = handed_over(3);
    let item = manifest.item();
    assert_eq!(
        told(&world, 2, channel, item),
        [(101, Act::Deposited, true)]
    );
    acts(&mut world, 1, channel, item, RECEIVED);
    world.run();
    acts(&mut world, 2, channel, item, RECEIVED);
    world.run();
    acts(&mut world, 0, channel, item, &[Act::Withdrawn]);
    world.run();
    let expected = [
        (101, Act::Deposited, true),
        (102, Act::Collected, true),
        (102, Act::Verified, true),
        (103, Act::Collected, true),
        (103, Act::Verified, true),
        (101, Act::Withdrawn, true),
    ];
    let first: Vec<_> = record(&world, 0, channel, item)
        .entries()
        .map(|(entry, _)| entry.clone())
        .collect();
    for who in 0..3 {
        assert_eq!(told(&world, who, channel, item), expected);
        let record = record(&world, who, channel, item);
        let entries = record.entries().map(|(entry, _)| entry);
        assert!(entries.eq(&first), "party {who}");
        assert_eq!(record.missing().count(), 0);
        // The manifest's message alone.
        assert_eq!(world.texts(who, channel).len(), 1);
        assert_eq!(world.queued(who), 0);
        let heard = world.parties[who].events.iter();
        let heard = heard.filter(|event| matches!(event, Event::Custody { .. }));
        assert_eq!(heard.count(), 6);
        let row = world.parties[who].engine.store().item(channel, item);
        let offered = row.unwrap().unwrap().offered;
        assert_eq!(offered, [1, 2, 3].map(|n| MemberId([n; 16])));
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn what_was_stated_offline_or_before_a_crash_is_told_later() {
    for after in 0..4 {
        for committed in [false, true] {
            let (mut world, channel, manifest) = handed_over(2);
            let item = manifest.item();
            world.disconnect(1);
            acts(&mut world, 1, channel, item, RECEIVED);
            world.restart(1);
            world.connect(1);
            // Dies somewhere between the server's word and the log.
            let fault = Fault { after, committed };
            *world.parties[1].engine.store().trial.fault.lock().unwrap() = Some(fault);
            world.run();
            world.restart(1);
            world.connect(1);
            world.run();
            let expected = [
                (101, Act::Deposited, true),
                (102, Act::Collected, true),
                (102, Act::Verified, true),
            ];
            for who in 0..2 {
                assert_eq!(
                    told(&world, who, channel, item),
                    expected,
                    "{after} {committed}"
                );
            }
            assert_eq!(world.alarms(), [] as [&Event; 0]);
        }
    }
}

#[test]
fn of_what_is_gone_the_device_s_clock_is_all() {
    let (mut world, channel, manifest) = handed_over(2);
    let item = manifest.item();
    let now = world.now;
    block(world.network.end_item(item, Ended::Expired, now)).unwrap();
    acts(&mut world, 1, channel, item, RECEIVED);
    world.run();
    let told = told(&world, 0, channel, item);
    assert_eq!(
        told[1..],
        [(102, Act::Collected, false), (102, Act::Verified, false)]
    );
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn what_a_device_may_not_say_it_does_not_say() {
    let (mut world, channel, manifest) = handed_over(2);
    let (item, now) = (manifest.item(), world.now);
    let engine = &mut world.parties[1].engine;
    for act in [Act::Deposited, Act::Withdrawn, Act::Verified, Act::Exported] {
        let refused = engine.record(now, channel, item, &[act]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotAllowed, "{act}: {refused}");
    }
    let elsewhere = engine.record(now, ChannelId([202; 16]), item, RECEIVED);
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(engine.store().custody_waits().unwrap(), 0);
}

/// Party 2 sends entries that party 1 or itself has signed, and more.
#[test]
fn replayed_forged_and_foreign_statements_are_left_out_by_name() {
    let (mut world, channel, manifest) = handed_over(3);
    let item = manifest.item();
    acts(&mut world, 1, channel, item, RECEIVED);
    world.run();
    let other = put_up(&world, 0, channel, plan());
    say(&mut world, 0, channel, Draft::item(other.encode().to_vec()));
    let before = told(&world, 0, channel, item);

    let own_key = world.parties[2].engine.identity().custody_key().unwrap();
    let of_one: Vec<Entry> = record(&world, 2, channel, item)
        .entries()
        .filter(|(_, said)| said.device.0[0] == 102)
        .map(|(entry, _)| entry.clone())
        .collect();
    let head = world.ledger.head();
    let (known, now) = (record(&world, 2, channel, item), world.now);
    let said =
        |device: u8, act| known.next(DeviceId([device; 16]), act, head, now, Digest([9; 32]));
    let sign = |said: &Statement| Entry::sign(said, &own_key);
    let spoilt = |spoil: fn(&mut Statement)| {
        let mut said = said(103, Act::Collected);
        spoil(&mut said);
        sign(&said)
    };
    let cases = [
        ("another device's", of_one[0].clone()),
        ("in another device's name", sign(&said(102, Act::Exported))),
        ("out of turn", sign(&said(103, Act::Verified))),
        (
            "another network",
            spoilt(|said| said.network = NetworkId([8; 16])),
        ),
        (
            "another channel",
            spoilt(|said| said.channel = ChannelId([202; 16])),
        ),
        (
            "an item of nowhere, elsewhere",
            spoilt(|said| {
                said.item = ItemId([5; 16]);
                said.channel = ChannelId([202; 16]);
            }),
        ),
        (
            "another manifest",
            spoilt(|said| said.manifest = Digest([8; 32])),
        ),
        ("another root", spoilt(|said| said.root = Digest([8; 32]))),
        (
            "another ledger",
            spoilt(|said| said.ledger.hash = Digest([8; 32])),
        ),
        (
            "a ledger to come",
            spoilt(|said| said.ledger.seq = LedgerSeq(1_000)),
        ),
        (
            "a ledger before it",
            spoilt(|said| said.ledger = LedgerHead::EMPTY),
        ),
    ];
    let cases = cases.map(|(what, entry)| (what, encode_entries(&[entry])));
    let junk = ("junk", b"junk".to_vec());
    for (what, bytes) in cases.into_iter().chain([junk]) {
        let alarms = world.alarm_kinds(0).len();
        say(&mut world, 2, channel, Draft::custody(bytes));
        assert_eq!(
            world.alarm_kinds(0)[alarms..],
            [AlarmKind::Custody],
            "{what}"
        );
        assert_eq!(told(&world, 0, channel, item), before, "{what}");
    }
    // About another item than its own manifest says: that record refuses it.
    let mut moved = said(103, Act::Collected);
    moved.item = other.item();
    let alarms = world.alarm_kinds(0).len();
    say(
        &mut world,
        2,
        channel,
        Draft::custody(encode_entries(&[sign(&moved)])),
    );
    assert_eq!(world.alarm_kinds(0)[alarms..], [AlarmKind::Custody]);
    assert_eq!(told(&world, 0, channel, other.item()).len(), 1);

    // The true one counts, once: older ones again change nothing.
    let entry = encode_entries(&[sign(&said(103, Act::Collected))]);
    let alarms = world.alarm_kinds(0).len();
    for _ in 0..2 {
        say(&mut world, 2, channel, Draft::custody(entry.clone()));
    }
    assert_eq!(told(&world, 0, channel, item).len(), before.len() + 1);
    // Another first statement of the same device: it says two things at once.
    let mut forked = record(&world, 0, channel, item)
        .entries()
        .last()
        .unwrap()
        .1
        .clone();
    forked.salt = Digest([10; 32]);
    assert_eq!(world.alarm_kinds(0)[alarms..], []);
    say(
        &mut world,
        2,
        channel,
        Draft::custody(encode_entries(&[sign(&forked)])),
    );
    assert_eq!(world.alarm_kinds(0)[alarms..], [AlarmKind::Custody]);
    assert_eq!(told(&world, 0, channel, item).len(), before.len() + 1);
    // The channel goes on.
    say(&mut world, 1, channel, Draft::text("still here"));
    assert_eq!(world.texts(0, channel).last().unwrap(), "still here");
}

#[test]
fn an_item_s_manifest_does_not_change() {
    let (mut world, channel, manifest) = handed_over(3);
    let item = manifest.item();
    // The same again, by anybody, is no news.
    say(
        &mut world,
        1,
        channel,
        Draft::item(manifest.encode().to_vec()),
    );
    assert_eq!(world.alarms(), [] as [&Event; 0]);
    // Another name for it.
    let mut bytes = manifest.encode().to_vec();
    let at = bytes
        .windows(8)
        .position(|part| part == b"evidence")
        .unwrap();
    bytes[at] = b'E';
    assert!(Manifest::decode(&bytes).is_ok());
    let facts = *record(&world, 0, channel, item).facts();
    say(&mut world, 1, channel, Draft::item(bytes));
    for who in 0..3 {
        assert_eq!(world.alarm_kinds(who), [AlarmKind::ManifestChanged]);
        assert_eq!(*record(&world, who, channel, item).facts(), facts);
    }
}

/// Answers every request for a countersignature by itself.
struct Liar(Lie, Digest, u32);

/// The answer, given the true root.
type Lie = fn(Digest) -> Result<Reply, Failure>;

impl Wire for Liar {
    fn up(&mut self, _: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        match &frame {
            ClientFrame::Request(id, Request::Countersign { .. }) if self.2 > 0 => {
                self.2 -= 1;
                passing.answer(from, *id, (self.0)(self.1));
            }
            _ => passing.up(from, frame),
        }
    }

    fn down(&mut self, _: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        passing.raw(to, encode_server(frame));
    }
}

#[test]
fn a_countersignature_that_does_not_hold_is_not_passed_on() {
    let lies: [(Lie, AlarmKind); 4] = [
        (
            |root| {
                Ok(Reply::Countersigned {
                    root,
                    time: UnixMillis(5),
                    signatures: vec![Signature([1; 64]); 2],
                })
            },
            AlarmKind::Countersignature,
        ),
        (
            |_| {
                Ok(Reply::Countersigned {
                    root: Digest([1; 32]),
                    time: UnixMillis(5),
                    signatures: vec![],
                })
            },
            AlarmKind::Countersignature,
        ),
        (
            |root| {
                Ok(Reply::Countersigned {
                    root,
                    time: UnixMillis(5),
                    signatures: vec![],
                })
            },
            AlarmKind::Countersignature,
        ),
        (|_| Ok(Reply::Done), AlarmKind::UnexpectedAnswer),
    ];
    for (lie, alarm) in lies {
        let (mut world, channel, manifest) = handed_over(2);
        world.wire = Some(Box::new(Liar(lie, *manifest.root(), u32::MAX)));
        acts(&mut world, 1, channel, manifest.item(), RECEIVED);
        world.run();
        assert_eq!(world.alarm_kinds(1), [alarm]);
        assert_eq!(world.alarm_kinds(0), []);
        let told = told(&world, 0, channel, manifest.item());
        assert_eq!(
            told[1..],
            [(102, Act::Collected, false), (102, Act::Verified, false)]
        );
    }
}

#[test]
fn a_busy_server_is_asked_again() {
    let busy = |_| {
        Err(Failure {
            code: Code::RateLimited,
            message: "later".into(),
            retry_after_ms: Some(3_000),
        })
    };
    let (mut world, channel, manifest) = handed_over(2);
    world.wire = Some(Box::new(Liar(busy, *manifest.root(), 2)));
    acts(&mut world, 1, channel, manifest.item(), RECEIVED);
    // Messages do not wait for it.
    world.send(1, channel, "meanwhile");
    world.run_for(2_000);
    assert_eq!(world.texts(0, channel).last().unwrap(), "meanwhile");
    assert_eq!(told(&world, 0, channel, manifest.item()).len(), 1);
    world.run();
    let told = told(&world, 0, channel, manifest.item());
    assert_eq!(
        told[1..],
        [(102, Act::Collected, true), (102, Act::Verified, true)]
    );
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}
