//! Silent devices go; devices that only read stay; whoever comes back is taken in again.

use plenary_certs::ledger::{Body, Grant};
use plenary_proto::ids::*;

use super::{heartbeat::DAY, *};
use crate::simulation::World;

fn days(world: &mut World, days: u64) {
    for _ in 0..days {
        world.now = world.now.plus(DAY);
        world.run_for(1_000);
    }
}

fn inside(world: &mut World, channel: ChannelId) -> usize {
    world.devices_in(0, channel).len()
}

#[test]
fn the_silent_are_taken_out_and_come_back() {
    let mut world = connected(4);
    let (open, granted) = (world.channels[0], world.channels[2]);
    world.enter_all(open);
    world.enter(0, granted);
    for index in 1..4 {
        let grant = Body::Grant(Grant {
            channel: granted,
            member: MemberId([index + 1; 16]),
            granted: true,
        });
        world.say(0, grant);
    }
    world.run();
    assert_eq!(
        (inside(&mut world, open), inside(&mut world, granted)),
        (4, 4)
    );

    world.disconnect(3);
    days(&mut world, 88);
    assert_eq!(
        (inside(&mut world, open), inside(&mut world, granted)),
        (4, 4)
    );
    days(&mut world, 5);
    // Parties 1 and 2 said nothing either, and read all the time.
    assert_eq!(
        (inside(&mut world, open), inside(&mut world, granted)),
        (3, 3)
    );
    days(&mut world, 5);
    assert_eq!(
        (inside(&mut world, open), inside(&mut world, granted)),
        (3, 3)
    );

    world.connect(3);
    days(&mut world, 1);
    assert_eq!(
        (inside(&mut world, open), inside(&mut world, granted)),
        (4, 4)
    );
    for channel in [open, granted] {
        world.send(3, channel, "back");
        world.run();
        world.send(1, channel, "again");
        world.run();
        let read = world.texts(0, channel);
        assert!(read.contains(&"back".to_owned()), "{read:?}");
        assert_eq!(world.texts(3, channel).last().unwrap(), "again");
    }
}

#[test]
fn nobody_goes_by_a_clock_that_is_ahead() {
    let mut world = connected(3);
    let open = world.channels[0];
    world.enter_all(open);
    world.run();
    // The owner's machine thinks that a year has passed.
    let later = world.now.plus(365 * DAY);
    let engine = &mut world.parties[0].engine;
    engine.clocks.server(world.now, later);
    for _ in 0..3 {
        engine.idle_step(later, open).unwrap();
        engine.channels.get_mut(&open).unwrap().idle_at = Some(Wait::OVER);
    }
    world.run();
    assert_eq!(inside(&mut world, open), 3);
}
