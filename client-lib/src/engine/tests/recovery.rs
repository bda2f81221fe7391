//! Recoveries of the Board, as members see them.

use bytes::Bytes;
use plenary_certs::ledger::{
    Body, DeviceBody, Person, Recover, RecoverStep, Root, SignedStatement, Voucher, sign_as_board,
    sign_as_recovery,
};
use plenary_proto::{ids::*, request::Request};

use crate::{
    engine::{AlarmKind, Event, Recovery},
    simulation::{World, connected, recovery_keys},
};

const DAY: u64 = 24 * 3600 * 1000;

/// The Board that the recovery role wants: one key, known to nobody before.
fn successor(world: &World) -> (Root, plenary_certs::signing::SigningKey) {
    let key = plenary_certs::signing::SigningKey::from_seed(&[77; 32]).unwrap();
    let mut root = world.ledger.root().unwrap().clone();
    root.board = vec![Person {
        member: world.keys(1).member,
        key: key.public(),
    }];
    root.thresholds = plenary_certs::ledger::Thresholds::for_board(1);
    (root, key)
}

/// The recovery role says a step, dated so.
fn step(world: &mut World, step: RecoverStep, time: UnixMillis) {
    let (root, _) = successor(world);
    let statement = world
        .ledger
        .draft(Body::Recover(Recover { step, root }), time);
    let bytes = statement.encode();
    let signatures = recovery_keys()
        .iter()
        .map(|key| sign_as_recovery(&bytes, key))
        .collect();
    submit(world, &SignedStatement::new(bytes, signatures));
}

fn submit(world: &mut World, signed: &SignedStatement) {
    let signed = Bytes::from(signed.encode());
    world.ledger.append(&signed).unwrap();
    let by = (0..world.parties.len())
        .find(|index| world.parties[*index].engine.is_online())
        .unwrap();
    world.parties[by]
        .engine
        .call(Request::LedgerSubmit(vec![signed]));
    world.run();
}

fn told(world: &World, index: usize) -> Vec<Recovery> {
    let events = world.parties[index].events.iter();
    events
        .filter_map(|event| match event {
            Event::Recovery(recovery) => Some(*recovery),
            _ => None,
        })
        .collect()
}

/// The new Board lets another device of member 1 in, which enters the channel.
fn newcomer(world: &mut World, channel: ChannelId) -> usize {
    let mut other = world.parties[1].engine.identity().clone();
    (other.authentication, other.mls, other.custody) = ([91; 32], [92; 32], [93; 32]);
    other.device = [99; 16];
    let body = Body::Device(DeviceBody {
        device: other.device(),
        member: other.member(),
        voucher: Voucher::Board,
        keys: other.device_keys().unwrap(),
    });
    let bytes = world.ledger.draft(body, world.now).encode();
    let signature = sign_as_board(&bytes, &successor(world).1);
    submit(world, &SignedStatement::new(bytes, vec![signature]));
    let new = world.another(&other);
    world.connect(new);
    world.run();
    world.enter(new, channel);
    world.run();
    new
}

#[test]
fn an_announced_recovery_is_shown_every_day_and_then_counts() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    let (start, announced) = (world.now, world.now.plus(1));
    step(&mut world, RecoverStep::Announce, announced);
    let Some(Recovery::Announced { seen, possible, .. }) = world.parties[1].engine.recovery()
    else {
        panic!("not shown");
    };
    assert!(seen >= start && possible == announced.plus(7 * DAY));
    assert_eq!(told(&world, 1).len(), 1);
    for day in 1..=7 {
        world.now = world.now.plus(DAY);
        world.run();
        // Each command of a day is another process: it tells once all the same.
        world.restart(1);
        world.connect(1);
        world.run();
        assert_eq!(told(&world, 1).len(), 1 + day);
    }
    let now = world.now;
    step(&mut world, RecoverStep::Complete, now);
    assert_eq!(world.parties[1].engine.recovery(), None);
    let new = newcomer(&mut world, channel);
    world.send(0, channel, "welcome");
    world.run();
    assert_eq!(world.texts(new, channel), ["welcome"]);
    assert_eq!(world.alarm_kinds(0), []);
    assert_eq!(world.alarm_kinds(1), []);
    // Who is new has not seen the seven days go by.
    assert_eq!(world.alarm_kinds(new), [AlarmKind::EarlyRecovery]);
}

#[test]
fn one_that_came_too_fast_is_not_sealed_to_before_somebody_confirms_it() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    // A server keeps the announcement from these two until it is too late to object.
    world.disconnect(0);
    world.disconnect(1);
    let announced = world.now;
    step(&mut world, RecoverStep::Announce, announced);
    world.now = world.now.plus(8 * DAY);
    let completed = world.now;
    step(&mut world, RecoverStep::Complete, completed);
    world.connect(1);
    world.run();
    assert_eq!(world.alarm_kinds(1), [AlarmKind::EarlyRecovery]);
    // Who was away sees both at once, and asks as well.
    world.connect(0);
    world.run();
    assert_eq!(world.alarm_kinds(0), [AlarmKind::EarlyRecovery]);
    world.send(0, channel, "among the old");
    world.run();
    assert_eq!(world.texts(1, channel), ["among the old"]);

    let new = newcomer(&mut world, channel);
    world.send(0, channel, "not for the new");
    world.run();
    assert_eq!(world.texts(new, channel), [] as [&str; 0]);
    assert_eq!(world.queued(0), 1);
    // Neither a restart nor time is a confirmation.
    world.now = world.now.plus(20 * DAY);
    world.restart(0);
    world.connect(0);
    world.run();
    assert_eq!(world.queued(0), 1);
    assert!(matches!(
        told(&world, 0).last(),
        Some(Recovery::Unconfirmed { .. })
    ));
    let now = world.now;
    let confirmed = world.parties[0].engine.confirm_recovery(now).unwrap();
    assert!(confirmed.is_some());
    world.run();
    assert_eq!(world.texts(new, channel), ["not for the new"]);
    assert_eq!(world.parties[0].engine.recovery(), None);
    world.restart(0);
    assert_eq!(world.parties[0].engine.recovery(), None);
}

#[test]
fn an_objection_ends_it() {
    let mut world = connected(2);
    let now = world.now;
    step(&mut world, RecoverStep::Announce, now);
    assert!(world.parties[1].engine.recovery().is_some());
    let root = world.ledger.root().unwrap().clone();
    world.say(0, Body::Root(root));
    assert_eq!(world.parties[1].engine.recovery(), None);
}

#[test]
fn a_clock_far_off_is_told_at_each_connection() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.send(0, channel, "by a clock like the server's");
    world.run();
    let clocks = |world: &World| {
        let events = world.parties[1].events.iter();
        let is = |event: &&Event| matches!(event, Event::Clock(_));
        events.filter(is).count()
    };
    assert_eq!(clocks(&world), 0);
    assert_eq!(world.parties[1].engine.clock_trouble(), None);
    // The same HELLO, heard by a machine that is three hours ahead.
    let engine = &mut world.parties[1].engine;
    let hello = engine.server.clone().unwrap();
    let ahead = hello.time.plus(3 * 3_600_000);
    engine.connected(ahead, hello, 0);
    world.run();
    assert_eq!(clocks(&world), 1);
    let trouble = world.parties[1].engine.clock_trouble().unwrap();
    assert!(trouble.is_ours());
    assert_eq!(trouble.with_server, 1);
}
