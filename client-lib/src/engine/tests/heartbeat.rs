//! Heartbeats, and what a client does while none comes.

use bytes::Bytes;
use plenary_certs::{
    ledger::{
        Admit, Body, Capacity, DeviceBody, Freshness, Heartbeat, Reason, Revoke, Target, Voucher,
    },
    signing::SigningKey,
};
use plenary_proto::{ids::*, label::Label, request::Request};

use crate::{
    engine::{AlarmKind, Event},
    simulation::{World, connected},
};

pub(super) const DAY: u64 = 24 * 3600 * 1000;

fn beat_key() -> SigningKey {
    SigningKey::from_seed(&[77; 32]).unwrap()
}

/// A world whose ROOT names a heartbeat key.
pub(super) fn kept(members: usize) -> World {
    let mut world = connected(members);
    name_keys(&mut world, vec![beat_key().public()]);
    world
}

fn name_keys(world: &mut World, keys: Vec<PublicKey>) {
    let mut root = world.ledger.root().unwrap().clone();
    root.heartbeat = keys;
    world.say(0, Body::Root(root));
}

fn signed(world: &World, head: LedgerHead, time: UnixMillis) -> Bytes {
    let heartbeat = Heartbeat {
        network: world.ledger.network(),
        head,
        time,
    };
    heartbeat.sign(&beat_key()).into()
}

/// The heartbeat's machine vouches for the ledger as it is, through party 0.
pub(super) fn beat(world: &mut World) {
    let signed = signed(world, world.ledger.head(), world.now);
    world.parties[0].engine.call(Request::PutHeartbeat(signed));
    world.run();
}

pub(super) fn wait(world: &mut World, millis: u64) {
    world.now = world.now.plus(millis);
    world.run();
}

fn send_labelled(world: &mut World, index: usize, channel: ChannelId, text: &str, label: Label) {
    world.send_labelled(index, channel, text, label);
    world.run();
}

fn freshness(world: &World, index: usize) -> Freshness {
    world.parties[index].engine.freshness(world.now)
}

fn held(world: &World, index: usize) -> Vec<String> {
    let events = world.parties[index].events.iter();
    events
        .filter_map(|event| match event {
            Event::Held { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .collect()
}

/// How often a party was told that nobody vouches any more, and that somebody does again.
fn told(world: &World, index: usize) -> (usize, usize) {
    let lapsed = |wanted| {
        let events = world.parties[index].events.iter();
        let is = |event: &&Event| matches!(event, Event::Heartbeat(f) if f.is_lapsed() == wanted);
        events.filter(is).count()
    };
    (lapsed(true), lapsed(false))
}

#[test]
fn after_a_lapse_red_waits_at_once_the_rest_after_the_grace_and_all_goes_with_a_heartbeat() {
    let mut world = kept(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    beat(&mut world);
    wait(&mut world, 3 * DAY - 60_000);
    assert!(!freshness(&world, 1).is_lapsed());
    send_labelled(&mut world, 1, channel, "red, vouched for", Label::Red);
    assert_eq!(world.texts(2, channel), ["red, vouched for"]);

    wait(&mut world, 120_000);
    assert!(freshness(&world, 1).is_lapsed());
    assert_eq!(told(&world, 1), (1, 0));
    send_labelled(&mut world, 1, channel, "red", Label::Red);
    send_labelled(&mut world, 2, channel, "amber in the grace", Label::Amber);
    assert_eq!(
        world.texts(0, channel),
        ["red, vouched for", "amber in the grace"]
    );
    assert_eq!(world.queued(1), 1);
    assert!(held(&world, 1)[0].starts_with("TLP:RED is not sent"));
    assert_eq!(held(&world, 2), [] as [&str; 0]);
    let reason = world.parties[1].engine.held(channel).unwrap().to_owned();
    assert!(reason.contains("waits for the next"), "{reason}");

    wait(&mut world, 7 * DAY);
    send_labelled(&mut world, 2, channel, "after the grace", Label::Clear);
    // A restart changes nothing: it is the last heartbeat that counts, and it is stored.
    world.restart(2);
    world.connect(2);
    world.run();
    assert_eq!(world.queued(2), 1);
    assert!(
        held(&world, 2)[0].contains("for 10 days"),
        "{:?}",
        held(&world, 2)
    );

    beat(&mut world);
    assert_eq!(
        world.texts(0, channel)[2..],
        ["red".to_owned(), "after the grace".to_owned()]
    );
    assert_eq!((world.queued(1), world.queued(2)), (0, 0));
    assert_eq!(world.parties[1].engine.held(channel), None);
    assert_eq!(told(&world, 1), (1, 1));
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn who_was_long_away_trusts_what_it_has_only_after_the_newest_heartbeat() {
    let mut world = kept(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    beat(&mut world);
    world.disconnect(1);
    for _ in 0..10 {
        wait(&mut world, 2 * DAY);
        beat(&mut world);
    }
    send_labelled(
        &mut world,
        1,
        channel,
        "written on the way home",
        Label::Red,
    );
    world.restart(1);
    assert!(freshness(&world, 1).is_lapsed());
    assert!(!freshness(&world, 2).is_lapsed());
    world.connect(1);
    world.run();
    assert!(!freshness(&world, 1).is_lapsed());
    assert_eq!(world.texts(2, channel), ["written on the way home"]);
    assert_eq!(told(&world, 1), (0, 0), "nothing to tell once it was asked");
}

#[test]
fn who_is_admitted_during_a_lapse_is_neither_added_nor_sealed_to_until_a_heartbeat() {
    let mut world = kept(3);
    let (open, granted) = (world.channels[0], world.channels[2]);
    world.enter_all(open);
    world.enter(0, granted);
    world.run();
    beat(&mut world);
    // The last member loses the device; another one is admitted when nobody vouches any more.
    let device = world.keys(2).device;
    wait(&mut world, 3 * DAY + 1);
    let guest = world.keys(2);
    let mut other = world.parties[2].engine.identity().clone();
    for (seed, byte) in [
        (&mut other.authentication, 91),
        (&mut other.mls, 92),
        (&mut other.custody, 93),
    ] {
        *seed = [byte; 32];
    }
    other.device = [99; 16];
    world.say(
        0,
        Body::Device(DeviceBody {
            device: other.device(),
            member: guest.member,
            voucher: Voucher::Board,
            keys: other.device_keys().unwrap(),
        }),
    );
    let grant = Body::Grant(plenary_certs::ledger::Grant {
        channel: granted,
        member: guest.member,
        granted: true,
    });
    world.say(0, grant);
    // The one from before the lapse is added, the new one is not.
    let inside = world.devices_in(0, granted);
    assert!(inside.contains(&device) && !inside.contains(&other.device()));

    // It enters the open channel by itself: everybody takes the commit, nobody seals to it.
    let new = world.another(&other);
    world.connect(new);
    world.run();
    world.enter(new, open);
    world.run();
    for index in [0, 1, new] {
        assert!(world.devices_in(index, open).contains(&other.device()));
    }
    world.send(0, open, "not for whom nobody vouched for");
    world.send(1, open, "neither");
    world.run();
    assert_eq!(world.texts(new, open), [] as [&str; 0]);
    assert_eq!((world.queued(0), world.queued(1)), (1, 1));
    assert!(held(&world, 0)[0].contains(&other.device().to_string()));

    // Who is revoked is out all the same.
    world.say(
        0,
        Body::Revoke(Revoke {
            target: Target::Device(device),
            reason: Reason::Lost,
        }),
    );
    assert!(!world.devices_in(0, granted).contains(&device));
    beat(&mut world);
    assert_eq!(world.texts(new, open).len(), 2);
    assert!(world.devices_in(0, granted).contains(&other.device()));
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_longer_admission_does_not_count_before_a_heartbeat() {
    let mut world = kept(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    let admit = |world: &World, days| {
        let known = world.ledger.member(world.keys(1).member).unwrap();
        Body::Admit(Admit {
            ends: Some(world.now.plus(days * DAY)),
            ..known.admission().unwrap().clone()
        })
    };
    let short = admit(&world, 4);
    assert!(matches!(&short, Body::Admit(admit) if admit.capacity == Capacity::Member));
    world.say(0, short);
    beat(&mut world);
    wait(&mut world, 3 * DAY + 1);
    let long = admit(&world, 400);
    world.say(0, long);
    world.send(0, channel, "within the old end");
    world.run();
    assert_eq!(world.texts(1, channel).len(), 1);
    wait(&mut world, DAY);
    world.send(0, channel, "after it");
    world.run();
    assert_eq!(world.texts(1, channel).len(), 1);
    beat(&mut world);
    assert_eq!(world.texts(1, channel).len(), 2);
}

#[test]
fn without_heartbeat_keys_there_is_no_lapse() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    wait(&mut world, 50 * DAY);
    assert_eq!(freshness(&world, 1), Freshness::Unkept);
    send_labelled(&mut world, 1, channel, "red", Label::Red);
    assert_eq!(world.texts(0, channel), ["red"]);
    // The Board gives it up again.
    name_keys(&mut world, vec![beat_key().public()]);
    wait(&mut world, 3 * DAY + 1);
    assert!(freshness(&world, 1).is_lapsed());
    name_keys(&mut world, vec![]);
    send_labelled(&mut world, 1, channel, "red again", Label::Red);
    assert_eq!(world.texts(0, channel).len(), 2);
}

#[test]
fn a_heartbeat_that_does_not_fit_the_ledger_is_no_heartbeat() {
    let mut world = kept(2);
    beat(&mut world);
    let before = world.parties[1].engine.heartbeat().cloned().unwrap();
    wait(&mut world, DAY);
    let head = world.ledger.head();
    let take = |world: &mut World, signed: Bytes| {
        let now = world.now;
        world.parties[1].engine.take_heartbeat(now, signed).unwrap();
        world.run();
        let mut kinds = world.alarm_kinds(1);
        world.parties[1].events.clear();
        assert!(kinds.len() < 2, "{kinds:?}");
        kinds.pop()
    };
    let at = |seq, hash| LedgerHead {
        seq: LedgerSeq(seq),
        hash,
    };
    let ahead = signed(&world, at(head.seq.0 + 1, head.hash), world.now);
    assert_eq!(take(&mut world, ahead), Some(AlarmKind::LedgerWithheld));
    let fork = signed(&world, at(head.seq.0, Digest([1; 32])), world.now);
    assert_eq!(take(&mut world, fork), Some(AlarmKind::LedgerForked));
    let mut forged = signed(&world, head, world.now).to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = take(&mut world, forged.into());
    assert_eq!(forged, Some(AlarmKind::InvalidHeartbeat));
    let back = world.ledger.head_at(LedgerSeq(2)).unwrap();
    for passed_over in [
        signed(&world, back, world.now),
        signed(&world, head, UnixMillis(before.time.0 - 1)),
        signed(&world, head, world.now.plus(DAY)),
    ] {
        assert_eq!(take(&mut world, passed_over), None);
    }
    assert_eq!(world.parties[1].engine.heartbeat(), Some(&before));
}

#[test]
fn another_root_ends_the_word_of_a_key_that_it_no_longer_names() {
    let mut world = kept(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    beat(&mut world);
    let next = SigningKey::from_seed(&[78; 32]).unwrap();
    name_keys(&mut world, vec![next.public()]);
    assert_eq!(world.parties[1].engine.heartbeat(), None);
    // Until the new machine's first, the ROOT itself stands for it.
    assert!(!freshness(&world, 1).is_lapsed());
    wait(&mut world, 3 * DAY);
    assert!(freshness(&world, 1).is_lapsed());
    world.restart(1);
    assert_eq!(world.parties[1].engine.heartbeat(), None);
}
