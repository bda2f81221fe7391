//! Groups that are put away: nothing is missed meanwhile, and they are there when they are needed.

use super::*;
use crate::simulation::World;

fn loaded(world: &World, index: usize) -> usize {
    let channels = world.parties[index].engine.channels.values();
    channels.filter(|channel| channel.group.is_some()).count()
}

#[test]
fn a_start_loads_no_group_for_good_and_quiet_ones_are_put_away() {
    let mut world = connected(3);
    let channels = world.channels[..2].to_vec();
    channels
        .iter()
        .for_each(|channel| world.enter_all(*channel));
    world.send(0, channels[0], "one");
    world.run();
    assert_eq!(loaded(&world, 1), 2);
    world.restart(1);
    world.connect(1);
    world.run();
    assert_eq!(loaded(&world, 1), 0);
    // Asked without the group.
    assert_eq!(world.devices_in(1, channels[0]).len(), 3);
    assert_eq!(loaded(&world, 1), 0);
    // Read and sent with it, and both go on in the other's way.
    world.send(0, channels[0], "two");
    world.run();
    assert_eq!(loaded(&world, 1), 1);
    world.send(1, channels[1], "three");
    world.run();
    assert_eq!(loaded(&world, 1), 2);
    world.run_for(11 * 60_000);
    assert_eq!((0..3).map(|who| loaded(&world, who)).sum::<usize>(), 0);
    for who in 0..3 {
        world.send(who, channels[0], &format!("late {who}"));
        world.run();
    }
    for who in 0..3 {
        let texts = world.texts(who, channels[0]);
        assert_eq!(texts, ["one", "two", "late 0", "late 1", "late 2"]);
        assert_eq!(world.texts(who, channels[1]), ["three"]);
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// Who is revoked while every group is put away is removed from all of them.
#[test]
fn a_revocation_reaches_groups_that_are_put_away() {
    let mut world = connected(4);
    let channels = world.channels[..2].to_vec();
    channels
        .iter()
        .for_each(|channel| world.enter_all(*channel));
    world.run_for(11 * 60_000);
    assert_eq!((0..4).map(|who| loaded(&world, who)).sum::<usize>(), 0);
    let target = Target::Member(MemberId([4; 16]));
    let reason = Reason::Lost;
    world.say(0, Body::Revoke(Revoke { target, reason }));
    world.run();
    for who in 0..3 {
        for channel in &channels {
            assert_eq!(world.devices_in(who, *channel).len(), 3);
        }
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// A group that is damaged while it is put away is noticed when it is needed, and entered again.
#[test]
fn damage_to_a_group_that_is_put_away_is_healed() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.run_for(11 * 60_000);
    assert_eq!(loaded(&world, 1), 0);
    let store = world.parties[1].engine.store.clone();
    store
        .lock()
        .execute("UPDATE mls_group SET state = x'00ff'", [])
        .unwrap();
    drop(store);
    world.send(0, channel, "one");
    world.run_for(60_000);
    world.send(1, channel, "two");
    world.run();
    for who in 0..3 {
        assert_eq!(world.texts(who, channel), ["one", "two"]);
    }
    assert!(world.alarm_kinds(1).contains(&AlarmKind::GroupLost));
}
