//! The roster key after a revocation: replaced once, for all who are live and nobody else.

use plenary_certs::{
    ledger::{Admit, Body, Capacity, Reason, Resume, Revoke, Suspend, Target},
    profile::{MemberProfile, Profile, SaltedProfile},
};
use plenary_proto::{
    ids::*,
    reply::{Reply, ServerFrame},
    request::{Request, SealedName},
};
use ring::rand::SystemRandom;

use super::heartbeat::{DAY, beat, kept, wait};
use crate::{
    engine::{AlarmKind, Event, Output},
    error::ErrorKind,
    simulation::{Passing, Wire, World, connected},
};

fn member(index: usize) -> MemberId {
    MemberId([index as u8 + 1; 16])
}

fn revoke(index: usize) -> Body {
    Body::Revoke(Revoke {
        target: Target::Member(member(index)),
        reason: Reason::Left,
    })
}

/// The newest key that a party has: number, since, bytes.
fn newest(world: &World, index: usize) -> (u32, LedgerSeq, [u8; 32]) {
    let keys = world.parties[index].engine.store().roster_keys().unwrap();
    let (generation, key) = keys.first().unwrap();
    (generation.number, generation.since, **key)
}

fn sealed(world: &mut World, index: usize) -> Option<bytes::Bytes> {
    let device = DeviceId([index as u8 + 101; 16]);
    let name = SealedName::RosterKey {
        generation: 0,
        device,
    };
    match world.request_as(index, Request::GetSealed(vec![name])) {
        Ok(Reply::SealedList(list)) => list[0].1.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_a_revocation_everybody_live_has_the_next_one_and_names_go_under_it() {
    let mut world = connected(6);
    world.disconnect(4);
    world.say(1, revoke(5));
    let revoked = world.ledger.head().seq;
    world.run_for(90_000);
    let key = newest(&world, 0);
    assert_eq!(key.0, 2);
    assert!(key.1 >= revoked);
    for index in 1..4 {
        assert_eq!(newest(&world, index), key, "{index}");
    }
    assert_eq!(newest(&world, 5).0, 1, "who is out has not got it");
    // Who was away has it when it comes back.
    assert_eq!(newest(&world, 4).0, 1);
    world.connect(4);
    world.run();
    assert_eq!(newest(&world, 4), key);

    // A name that comes now is read by all, under the new key alone.
    let profile = Profile::Member(MemberProfile {
        name: "Dora Dean".to_owned(),
        state: "Utopia".to_owned(),
        ..MemberProfile::default()
    });
    let profile = SaltedProfile::new(profile, &SystemRandom::new()).unwrap();
    let admit = Body::Admit(Admit {
        member: member(3),
        capacity: Capacity::Member,
        ends: None,
        profile: profile.hash(),
    });
    world.say(0, admit);
    let engine = &mut world.parties[0].engine;
    engine.learn(&profile).unwrap();
    let shelf = engine.shelf(&[], &[profile.hash()]).unwrap();
    engine.call(Request::PutSealed(shelf));
    world.run();
    for index in 0..5 {
        let engine = &world.parties[index].engine;
        let known = engine.member_profile(member(3)).unwrap();
        assert_eq!(known.profile().name(), "Dora Dean", "{index}");
    }
    // The next revocation: while the key is due no name is sealed under the one that is known.
    world.disconnect(1);
    world.disconnect(2);
    world.submit(0, revoke(2));
    world.run_for(2_000);
    let engine = &mut world.parties[0].engine;
    let due = engine.shelf(&[], &[profile.hash()]).unwrap_err();
    assert_eq!(due.kind(), crate::ErrorKind::Unavailable);
    assert!(!engine.roster_ready(world.now).unwrap());
    world.run();
    assert!(world.parties[0].engine.roster_ready(world.now).unwrap());
    let next = newest(&world, 0);
    assert_eq!((next.0, newest(&world, 3)), (3, next));
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn of_two_who_replace_it_at_once_one_wins_for_all() {
    let mut world = connected(4);
    world.submit(0, revoke(3));
    world.run_for(1_000);
    for index in 0..3 {
        let now = world.now;
        world.parties[index].engine.replace_roster_key(now).unwrap();
    }
    world.run();
    let key = newest(&world, 0);
    assert_eq!(key.0, 2);
    for index in [1, 2] {
        assert_eq!(newest(&world, index), key, "{index}");
    }
    world.run_for(200_000);
    assert_eq!(newest(&world, 0), key, "and once is enough");
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// Keeps every roster key from one party.
struct Withhold(usize);

impl Wire for Withhold {
    fn down(&mut self, _: UnixMillis, to: usize, mut frame: ServerFrame, passing: &mut Passing) {
        if let (true, ServerFrame::Reply(_, Ok(Reply::SealedList(list)))) =
            (to == self.0, &mut frame)
        {
            list.retain(|(name, _)| !matches!(name, SealedName::RosterKey { .. }));
        }
        passing.down(to, frame);
    }
}

#[test]
fn what_the_server_keeps_back_is_missed_and_what_it_plants_is_refused() {
    let mut world = connected(5);
    world.wire = Some(Box::new(Withhold(3)));
    world.say(0, revoke(4));
    world.run_for(120_000);
    assert_eq!((newest(&world, 0).0, newest(&world, 3).0), (2, 1));
    assert_eq!(world.alarm_kinds(3), []);
    world.run_for(600_000);
    assert_eq!(world.alarm_kinds(3), [AlarmKind::RosterKey]);
    world.wire = None;
    let handed = sealed(&mut world, 3).unwrap();
    world.run();
    assert_eq!(newest(&world, 3), newest(&world, 0));
    // Another's copy, an altered one, an older one.
    let others = sealed(&mut world, 1).unwrap();
    let mut altered = handed.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    let now = world.now;
    for planted in [&others[..], &altered] {
        let before = newest(&world, 3);
        world.parties[3]
            .engine
            .take_roster_key(now, planted)
            .unwrap();
        assert_eq!(newest(&world, 3), before);
    }
    world.settle();
    assert_eq!(world.alarm_kinds(3).len(), 3);
    assert_eq!(world.alarm_kinds(0), []);
}

/// The Board's device that claimed a number and vanished before anybody had its keys.
#[test]
fn a_generation_that_never_came_is_passed_over() {
    let mut world = connected(5);
    let entries = vec![];
    let claim = Request::RotateRoster {
        generation: 2,
        entries,
    };
    assert_eq!(world.request_as(2, claim), Ok(Reply::Done));
    world.disconnect(2);
    world.say(0, revoke(4));
    world.run_for(180_000);
    let key = newest(&world, 0);
    assert_eq!(key.0, 3);
    for index in [1, 3] {
        assert_eq!(newest(&world, index), key, "{index}");
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_device_that_nobody_vouches_for_is_given_no_names() {
    // Of the Board, and not.
    for by in [2, 4] {
        nobody_vouches_for_the_device_linked_by(by);
    }
}

fn nobody_vouches_for_the_device_linked_by(by: usize) {
    let mut world = kept(5);
    beat(&mut world);
    wait(&mut world, 3 * DAY + 1);
    assert!(world.parties[0].engine.freshness(world.now).is_lapsed());
    let (known, late) = (world.device(2), world.link(by));
    let device = world.device(late);
    world.connect(late);
    world.run();
    // Not by whoever submits for the Board ...
    let shelf = |world: &World, device| world.parties[0].engine.shelf(&[device], &[]);
    let refused = shelf(&world, device).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert!(refused.to_string().contains("after the next heartbeat"));
    assert_eq!(shelf(&world, known).unwrap().len(), 1);
    // ... and not with the next key, which all others have.
    world.say(1, revoke(3));
    world.run_for(90_000);
    assert_eq!(newest(&world, 0).0, 2);
    assert_eq!(newest(&world, 2), newest(&world, 0));
    assert_eq!(sealed(&mut world, late), None);
    assert_eq!(newest(&world, late).0, 1, "what it was handed when linked");
    // Somebody vouches again.
    beat(&mut world);
    assert_eq!(shelf(&world, device).unwrap().len(), 1);
    world.run_for(90_000);
    assert_eq!(newest(&world, late), newest(&world, 0));
}

/// The key that is made while somebody is suspended is not sealed to them: they ask for it when they
/// are back, until a device of the Board is there to hand it over.
#[test]
fn who_was_suspended_when_the_key_was_made_is_handed_it_afterwards() {
    let mut world = connected(6);
    let target = Target::Member(member(3));
    let reason = Reason::Unstated;
    world.say(0, Body::Suspend(Suspend { target, reason }));
    world.say(0, revoke(4));
    world.run_for(90_000);
    let key = newest(&world, 0);
    assert_eq!((key.0, newest(&world, 3).0), (2, 1));
    // Back, while nobody of the Board is there.
    (0..3).for_each(|index| world.disconnect(index));
    world.say(5, Body::Resume(Resume { target }));
    world.connect(3);
    world.run_for(60_000);
    assert_eq!(newest(&world, 3).0, 1);
    world.connect(1);
    world.run_for(30_000);
    assert_eq!(newest(&world, 3), key);
    assert_eq!(newest(&world, 1), key, "the same one: none was made for it");
    world.run_for(900_000);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// A copy whose maker was suspended before it was read is of no use, and no cause for alarm: the
/// next of the Board gives another.
#[test]
fn who_comes_after_the_maker_was_suspended_is_handed_another_copy() {
    let mut world = connected(6);
    world.disconnect(3);
    (1..3).for_each(|index| world.disconnect(index));
    world.say(0, revoke(4));
    world.run_for(90_000);
    let key = newest(&world, 0);
    assert_eq!((key.0, newest(&world, 3).0), (2, 1));
    world.connect(1);
    world.run();
    assert_eq!(newest(&world, 1), key);
    let target = Target::Member(member(0));
    let reason = Reason::Unstated;
    world.say(1, Body::Suspend(Suspend { target, reason }));
    world.connect(3);
    world.run_for(30_000);
    assert_eq!(newest(&world, 3), key);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// As a lying server could: it names devices that want the key without end, and some that must not
/// have it.
#[test]
fn who_wants_the_key_is_handed_it_once_in_a_while_and_only_if_it_may_have_it() {
    let mut world = connected(5);
    world.say(0, revoke(4));
    world.run_for(90_000);
    let now = world.now;
    let mut handed = |index: usize, devices: &[DeviceId], now: UnixMillis| {
        let engine = &mut world.parties[index].engine;
        while engine.poll().is_some() {}
        for device in devices {
            engine.roster_wanted(now, *device).unwrap();
        }
        let mut handed = 0;
        while let Some(output) = engine.poll() {
            match output {
                Output::Send(_, Request::PutSealed(entries)) => handed += entries.len(),
                other => panic!("{other:?}"),
            }
        }
        handed
    };
    let device = |index: u8| DeviceId([index + 101; 16]);
    let unknown = DeviceId([99; 16]);
    assert_eq!(handed(0, &[device(4), unknown], now), 0);
    assert_eq!(handed(3, &[device(1)], now), 0, "not of the Board");
    assert_eq!(handed(0, &[device(3), device(3), device(2)], now), 2);
    assert_eq!(handed(0, &[device(3)], now.plus(5_000)), 0);
    assert_eq!(handed(0, &[device(3)], now.plus(20_000)), 1);
}
