//! Who leaves a channel although the ledger has them live.

use plenary_certs::ledger::{Body, Grant};
use plenary_proto::ids::*;

use super::*;
use crate::simulation::World;

fn member(index: usize) -> MemberId {
    MemberId([index as u8 + 1; 16])
}

fn grant(world: &World, index: usize, granted: bool) -> Body {
    Body::Grant(Grant {
        channel: world.channels[2],
        member: member(index),
        granted,
    })
}

/// All in the granted channel, which party 0 owns.
fn task_force(members: usize) -> (World, ChannelId) {
    let mut world = connected(members);
    let channel = world.channels[2];
    world.enter(0, channel);
    for index in 1..members {
        let granted = grant(&world, index, true);
        world.say(0, granted);
    }
    world.run();
    assert_eq!(world.devices_in(0, channel).len(), members);
    (world, channel)
}

#[test]
fn whose_grant_is_taken_back_is_removed_whoever_is_online() {
    for owner_is_there in [true, false] {
        let (mut world, channel) = task_force(4);
        if !owner_is_there {
            world.disconnect(0);
        }
        // Somebody with something to say does it first.
        let withdrawn = grant(&world, 3, false);
        world.submit(1, withdrawn);
        world.settle();
        assert_eq!(world.devices_in(2, channel).len(), 4, "its turn comes");
        world.send(2, channel, "after");
        world.run();
        assert!(world.parties[3].events.contains(&Event::Left(channel)));
        assert_eq!(world.texts(3, channel), [] as [&str; 0]);
        assert_eq!(world.devices_in(1, channel).len(), 3);
        // Nobody takes them back in by accident, not even the owner.
        world.connect(0);
        world.restart(3);
        world.connect(3);
        world.enter(3, channel);
        world.run();
        assert_eq!(world.texts(0, channel), ["after"]);
        assert_eq!(world.devices_in(0, channel).len(), 3);
        // The Board may.
        let granted = grant(&world, 3, true);
        world.say(1, granted);
        world.run();
        world.send(0, channel, "again");
        world.run();
        assert_eq!(world.texts(3, channel), ["again"]);
        assert_eq!(world.alarms(), [] as [&Event; 0]);
    }
}

#[test]
fn who_is_still_granted_is_removed_by_no_other_member() {
    let (mut world, channel) = task_force(3);
    let now = world.now;
    let other = [world.device(2)];
    let made = world.parties[1]
        .engine
        .make_change(now, channel, &[], &other);
    made.unwrap();
    world.run();
    assert_eq!(world.devices_in(0, channel).len(), 3);
    assert_eq!(world.alarm_kinds(1), [AlarmKind::ChangeFailed]);
}

#[test]
fn whom_the_owner_puts_out_stays_out_until_the_board_grants_anew() {
    let (mut world, channel) = task_force(3);
    let tablet = world.link(0);
    world.connect(tablet);
    world.run();
    // Wished while offline, done after a restart.
    world.disconnect(0);
    let now = world.now;
    world.parties[0]
        .engine
        .remove(now, channel, member(2))
        .unwrap();
    world.restart(0);
    world.connect(0);
    world.run();
    assert!(world.parties[2].events.contains(&Event::Left(channel)));
    world.send(0, channel, "without");
    world.run();
    assert_eq!(world.texts(2, channel), [] as [&str; 0]);
    // Neither of the owner's devices adds them again by itself.
    for index in [0, tablet] {
        world.restart(index);
        world.connect(index);
        world.run();
        assert_eq!(world.devices_in(index, channel).len(), 3, "{index}");
    }
    let granted = grant(&world, 2, true);
    world.say(1, granted);
    world.run();
    assert_eq!(world.devices_in(0, channel).len(), 4);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_direct_channel_s_founder_puts_somebody_out() {
    let mut world = connected(3);
    let direct = world.direct(0, &[member(1), member(2)]);
    world.run();
    let now = world.now;
    world.parties[0]
        .engine
        .remove(now, direct, member(1))
        .unwrap();
    world.run();
    assert!(world.parties[1].events.contains(&Event::Left(direct)));
    world.restart(0);
    world.connect(0);
    world.send(2, direct, "we two");
    world.run();
    assert_eq!(world.texts(0, direct), ["we two"]);
    assert_eq!(world.devices_in(0, direct).len(), 2);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn only_the_owner_removes_and_not_from_where_anybody_may_enter() {
    let (mut world, closed) = task_force(3);
    let open = world.channels[0];
    world.enter_all(open);
    let now = world.now;
    let mut refused = |by: usize, channel, who| {
        let engine = &mut world.parties[by].engine;
        engine.remove(now, channel, member(who)).unwrap_err().kind()
    };
    assert_eq!(refused(1, closed, 2), ErrorKind::NotAllowed);
    assert_eq!(refused(0, open, 2), ErrorKind::NotAllowed);
    assert_eq!(refused(0, closed, 0), ErrorKind::Input);
    assert_eq!(refused(0, closed, 9), ErrorKind::NotFound);
    assert_eq!(refused(0, ChannelId([9; 16]), 1), ErrorKind::NotFound);
}

/// The owner's devices and, where none is there, others: two may ask for the same key package at once.
#[test]
fn a_key_package_of_somebody_who_came_in_meanwhile_is_left() {
    let (mut world, channel) = task_force(3);
    let claim = Request::ClaimKeyPackages {
        channel,
        devices: vec![world.device(2)],
    };
    let claimed = world.request_as(0, claim);
    let Ok(Reply::KeyPackageList(list)) = &claimed else {
        panic!("{claimed:?}");
    };
    assert!(list[0].1.is_some());
    let head = world.head_of(channel);
    let now = world.now;
    let owner = &mut world.parties[0].engine;
    owner.packages_claimed(now, channel, claimed).unwrap();
    world.run();
    assert_eq!(world.head_of(channel), head);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}
