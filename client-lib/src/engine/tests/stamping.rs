//! Statements that wait for a time-stamping service: how long, across what, and whose tokens count.

use plenary_certs::custody::{Act, Entry, encode_entries};
use plenary_proto::ids::{ChannelId, Digest, ItemId};

use super::custody::{RECEIVED, acts, handed_over, record, say, told};
use crate::{
    content::Draft,
    engine::{AlarmKind, Event},
    simulation::World,
};

/// Somebody stated something, the server gave its word, and the service is to be asked.
fn waiting(world: &mut World, channel: ChannelId, item: ItemId) {
    world.parties[1].engine.want_stamps(true);
    acts(world, 1, channel, item, RECEIVED);
    world.run();
    assert_eq!(world.parties[1].engine.unstamped(), [channel]);
    assert_eq!(world.parties[1].engine.to_stamp(channel).len(), 2);
    assert_eq!(told(world, 0, channel, item).len(), 1);
}

fn unstamped(world: &World, who: usize) -> usize {
    let events = world.parties[who].events.iter();
    let is = |event: &&Event| matches!(event, Event::NotStamped { .. });
    events.filter(is).count()
}

const TOLD: [(u8, Act, bool); 2] = [(102, Act::Collected, true), (102, Act::Verified, true)];

#[test]
fn a_service_that_nobody_asks_is_waited_for_a_while() {
    let (mut world, channel, manifest) = handed_over(2);
    let item = manifest.item();
    waiting(&mut world, channel, item);
    world.run_for(16_000);
    assert_eq!(told(&world, 0, channel, item)[1..], TOLD);
    assert_eq!((unstamped(&world, 0), unstamped(&world, 1)), (0, 1));
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn whoever_is_killed_meanwhile_states_it_all_the_same_once() {
    let (mut world, channel, manifest) = handed_over(2);
    let item = manifest.item();
    waiting(&mut world, channel, item);
    world.restart(1);
    world.connect(1);
    world.run();
    assert_eq!(told(&world, 0, channel, item)[1..], TOLD);
    // Switched off while something waits: it goes out.
    acts(&mut world, 1, channel, item, &[Act::Exported]);
    world.parties[1].engine.want_stamps(true);
    world.run();
    let now = world.now;
    let engine = &mut world.parties[1].engine;
    engine.want_stamps(false);
    engine.stamped(now, channel, &[], None).unwrap();
    world.run();
    assert_eq!(told(&world, 0, channel, item).len(), 4);
    assert_eq!(unstamped(&world, 1), 0);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// What a colleague attaches is no part of what they signed: it is left out, the statement counts.
#[test]
fn a_token_that_does_not_hold_is_left_out_by_name() {
    let (mut world, channel, manifest) = handed_over(3);
    let item = manifest.item();
    let known = record(&world, 2, channel, item);
    let engine = &world.parties[2].engine;
    let key = engine.identity().custody_key().unwrap();
    let head = world.ledger.head();
    let said = known.next(
        engine.device(),
        Act::Collected,
        head,
        world.now,
        Digest([9; 32]),
    );
    let entry = Entry::sign(&said, &key).stamped(b"any time you like".to_vec());
    say(
        &mut world,
        2,
        channel,
        Draft::custody(encode_entries(&[entry])),
    );
    assert_eq!(world.alarm_kinds(0), [AlarmKind::Custody]);
    let kept = record(&world, 0, channel, item);
    let (entry, said) = kept.entries().last().unwrap();
    assert_eq!(said.act, Act::Collected);
    assert_eq!(entry.tokens().count(), 0);
}
