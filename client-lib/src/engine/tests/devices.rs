//! Further devices: how they come into channels, and what siblings are told.

use plenary_certs::ledger::{Body, Grant, Reason, Revoke, Target};
use plenary_proto::ids::*;

use super::*;
use crate::simulation::connected;

fn member(index: usize) -> MemberId {
    MemberId([index as u8 + 1; 16])
}

fn grant(world: &World, index: usize) -> Body {
    Body::Grant(Grant {
        channel: world.channels[2],
        member: member(index),
        granted: true,
    })
}

fn revoke(device: DeviceId) -> Body {
    Body::Revoke(Revoke {
        target: Target::Device(device),
        reason: Reason::Lost,
    })
}

fn news(world: &World, index: usize) -> Vec<(DeviceId, DeviceChange, Option<DeviceId>)> {
    let events = world.parties[index].events.iter();
    events
        .filter_map(|event| match event {
            Event::Device(news) => Some((news.device, news.change, news.by)),
            _ => None,
        })
        .collect()
}

use crate::simulation::World;

/// Party 1 in an open channel, in the granted one and in a direct one of party 0.
fn everywhere() -> (World, [ChannelId; 3]) {
    let mut world = connected(3);
    let [open, _, granted] = world.channels[..] else {
        panic!("three channels");
    };
    world.enter_all(open);
    world.enter(0, granted);
    world.run();
    let granting = grant(&world, 1);
    world.say(0, granting);
    let direct = world.direct(0, &[member(1)]);
    world.run();
    for channel in [granted, direct] {
        assert_eq!(world.devices_in(1, channel).len(), 2);
    }
    (world, [open, granted, direct])
}

#[test]
fn a_linked_device_comes_into_every_channel_of_its_member() {
    let (mut world, channels) = everywhere();
    let phone = world.link(1);
    world.connect(phone);
    world.run();
    for channel in channels {
        world.send(phone, channel, "from the phone");
        world.run();
        world.send(0, channel, "to both");
        world.run();
        for reader in [0, 1, phone] {
            let texts = world.texts(reader, channel);
            assert_eq!(texts, ["from the phone", "to both"], "{reader}");
        }
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn who_is_new_is_added_soon_and_nobody_waits_for_it() {
    let (mut world, [_, granted, direct]) = everywhere();
    let phone = world.link(1);
    // Its key packages were asked for in vain so far.
    world.send(0, granted, "meanwhile");
    world.run_for(500);
    assert_eq!(world.texts(1, granted), ["meanwhile"]);
    world.connect(phone);
    world.run_for(6_000);
    for channel in [granted, direct] {
        assert_eq!(world.devices_in(phone, channel).len(), 3);
    }
}

#[test]
fn a_sibling_adds_where_the_owner_does_not_come() {
    let (mut world, [_, granted, direct]) = everywhere();
    world.disconnect(0);
    let phone = world.link(1);
    world.connect(phone);
    // Its key packages come after the first look, and the owner's turns before the siblings'.
    world.run_for(60_000);
    for channel in [granted, direct] {
        let alarms = format!("{:?}", world.alarms());
        let inside = world.devices_in(1, channel).len();
        assert_eq!(
            world.devices_in(phone, channel).len(),
            3,
            "{channel:?} {inside} {alarms}"
        );
        world.send(phone, channel, "in");
    }
    world.run();
    // The owner agrees.
    world.connect(0);
    world.run();
    for channel in [granted, direct] {
        assert_eq!(world.texts(0, channel), ["in"]);
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn nobody_adds_a_sibling_where_the_grant_was_taken_back() {
    let (mut world, [_, granted, _]) = everywhere();
    let withdrawn = Body::Grant(Grant {
        channel: granted,
        member: member(1),
        granted: false,
    });
    world.say(0, withdrawn);
    let phone = world.link(1);
    world.connect(phone);
    world.run();
    world.run();
    assert_eq!(world.devices_in(phone, granted), []);
    assert_eq!(world.devices_in(0, granted), [world.device(0)]);
}

#[test]
fn siblings_are_told_and_whoever_said_it_is_not() {
    let mut world = connected(2);
    let phone = world.link(1);
    world.connect(phone);
    world.run();
    let tablet = world.link(phone);
    let (laptop, own) = (world.device(1), world.device(phone));
    let third = world.device(tablet);
    assert_eq!(news(&world, 1), [(third, DeviceChange::Added, Some(own)),]);
    assert_eq!(news(&world, phone), []);
    assert_eq!(news(&world, 0), [], "another member");
    // The laptop was away when the tablet was put out by the phone: it is told when it comes.
    world.disconnect(1);
    world.say_as(phone, revoke(third));
    world.restart(1);
    world.connect(1);
    world.run();
    let told = (third, DeviceChange::Revoked, Some(own));
    assert_eq!(news(&world, 1).last(), Some(&told));
    let unseen = world.parties[1].engine.unseen_device_news().unwrap();
    assert_eq!(unseen.len(), 2, "kept until seen");
    let engine = &world.parties[1].engine;
    engine.device_news_seen(unseen[0].seq).unwrap();
    assert_eq!(engine.unseen_device_news().unwrap(), unseen[1..]);
    // A new device is not told what was before it.
    let fresh = world.link(1);
    world.connect(fresh);
    world.run();
    assert_eq!(news(&world, fresh), []);
    assert_eq!(
        news(&world, phone),
        [(world.device(fresh), DeviceChange::Added, Some(laptop))]
    );
}

#[test]
fn a_device_says_only_what_the_ledger_will_take() {
    let mut world = connected(2);
    let phone = world.link(1);
    let (own, other) = (world.device(1), world.device(0));
    let now = world.now;
    let refused = world.parties[1].engine.say_as_device(revoke(other), now);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotAllowed);
    // What it hangs on it puts out, and falls with it.
    world.connect(phone);
    world.run();
    world.say_as(phone, revoke(own));
    assert!(!world.is_connected(1));
    assert!(!world.is_connected(phone));
}
