//! Keys that messages used: noted beside the stored group, used up again when it is loaded, gone once
//! it is written whole.

use super::*;
use crate::{simulation::World, store::Loss};

fn noted(world: &World, index: usize) -> u64 {
    let connection = world.parties[index].engine.store.lock();
    let sql = "SELECT count(*) FROM mls_used";
    let count: i64 = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    count as u64
}

fn state(world: &World, index: usize, channel: ChannelId) -> Vec<u8> {
    let connection = world.parties[index].engine.store.lock();
    let sql = "SELECT state FROM mls_group WHERE id = ?";
    connection
        .query_row(sql, [channel.as_bytes()], |row| row.get(0))
        .unwrap()
}

/// More messages than are noted before a group is written whole, and no moment of quiet: each party
/// dies now and then, and loses what was not durable.
#[test]
fn no_key_is_used_twice_whenever_a_device_dies() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let mut most = 0;
    let mut written = 0;
    let mut last = state(&world, 0, channel);
    for number in 0..160 {
        world.send(number % 2, channel, &number.to_string());
        world.settle();
        most = most.max(noted(&world, 0));
        let now = state(&world, 0, channel);
        written += usize::from(now != last);
        last = now;
        let index = number % 3;
        if number % 5 == 0 {
            let loss = [Loss::Process, Loss::Power][number % 2];
            world.lose(index, loss);
            world.connect(index);
            world.settle();
        }
    }
    assert!(most > 32 && most <= 64, "{most}");
    assert!((2..=5).contains(&written), "{written}");
    world.run();
    let all: Vec<_> = (0..160).map(|number| number.to_string()).collect();
    for index in 0..3 {
        assert_eq!(world.texts(index, channel), all);
        assert_eq!(
            noted(&world, index),
            0,
            "a quiet channel's are written whole"
        );
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// What was opened once does not open again, however often the device was started since.
#[test]
fn an_opened_message_stays_closed_after_a_restart() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.run();
    let mut sealed = Vec::new();
    for number in 0..3 {
        let mark = world.send(0, channel, &number.to_string());
        let row = world.parties[0].engine.store.outgoing(mark).unwrap();
        sealed.push(row.unwrap().sealed.unwrap().bytes);
        world.settle();
    }
    assert_eq!(noted(&world, 1), 3);
    for settled in [false, true] {
        if settled {
            world.connect(1);
            world.run();
            assert_eq!(noted(&world, 1), 0);
        }
        world.restart(1);
        for bytes in &sealed {
            let group = world.parties[1].engine.group(channel).unwrap();
            let again = group.process(bytes, None).map(|_| ());
            assert_eq!(again, Err(GroupError::Used), "{settled}");
            world.parties[1].engine.drop_group(channel);
        }
    }
}

/// Notes that do not fit the state: the device enters again, as with a damaged state.
#[test]
fn notes_that_are_damaged_are_a_damaged_group() {
    for sql in [
        "UPDATE mls_used SET record = x'0102'",
        "INSERT INTO mls_used(id, record) SELECT id, record FROM mls_used",
    ] {
        let mut world = connected(3);
        let channel = world.channels[0];
        world.enter_all(channel);
        world.run();
        for number in 0..4 {
            world.send(0, channel, &number.to_string());
        }
        world.settle();
        assert_eq!(noted(&world, 1), 4);
        let store = world.parties[1].engine.store.clone();
        store.lock().execute(sql, []).unwrap();
        drop(store);
        world.restart(1);
        world.connect(1);
        world.run_for(60_000);
        let told = world.alarm_kinds(1);
        assert_eq!(told, [AlarmKind::GroupLost], "{sql}");
        world.send(2, channel, "after");
        world.run();
        assert_eq!(world.texts(1, channel).len(), 5, "{sql}");
    }
}
