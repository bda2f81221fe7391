//! Too much at once: the server says when to come back, and the engine comes back then, not before.

use std::sync::{Arc, Mutex};

use plenary_proto::codec::encode_server;
use plenary_proto::reply::{Code, ServerFrame};
use plenary_proto::request::{Append, ClientFrame, CommitExtras};

use super::*;
use crate::simulation::{Passing, Wire, World};

/// When something was asked of the log, and when it was refused until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Asked(UnixMillis),
    Refused { until: UnixMillis },
}

/// Sees the appends of one party and their refusals.
struct Watcher(usize, Arc<Mutex<Vec<Seen>>>);

impl Wire for Watcher {
    fn up(&mut self, now: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        if from == self.0 && matches!(frame, ClientFrame::Request(_, Request::Append(_))) {
            self.1.lock().unwrap().push(Seen::Asked(now));
        }
        passing.up(from, frame);
    }

    fn down(&mut self, now: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        if let ServerFrame::Reply(_, Err(failure)) = &frame
            && failure.code == Code::RateLimited
        {
            let until = now.plus(failure.retry_after_ms.expect("no time to wait"));
            self.1.lock().unwrap().push(Seen::Refused { until });
        }
        passing.raw(to, encode_server(frame));
    }
}

/// Has the party's device ask for so much that nothing more is taken: commits that are none.
fn exhaust(world: &mut World, index: usize, channel: ChannelId) {
    let mut epoch = Epoch(0);
    for n in 0..2_000_u128 {
        let append = Append {
            channel,
            client_id: ClientId(n.to_be_bytes()),
            epoch,
            bytes: vec![0; 9].into(),
            commit: Some(CommitExtras {
                group_info: vec![0; 9].into(),
                welcomes: Vec::new(),
            }),
        };
        let failure = world
            .request_as(index, Request::Append(append))
            .unwrap_err();
        match failure.code {
            Code::Conflict => epoch = Epoch(epoch.0 + 1),
            Code::RateLimited => return,
            _ => {}
        }
    }
    panic!("never too much");
}

/// Each refusal is followed by nothing until the moment it named, and by something soon after.
fn assert_obeyed(seen: &[Seen]) -> usize {
    let mut refused = 0;
    for pair in seen.windows(2) {
        let [Seen::Refused { until }, next] = pair else {
            continue;
        };
        refused += 1;
        let Seen::Asked(at) = next else {
            panic!("refused twice, asked once: {seen:?}");
        };
        assert!(at >= until, "asked again too early: {seen:?}");
        assert!(at.0 <= until.0 + 20_000, "not asked again: {seen:?}");
    }
    refused
}

#[test]
fn messages_wait_as_long_as_the_server_says_and_lose_nothing() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    exhaust(&mut world, 0, channel);
    let seen = Arc::default();
    world.wire = Some(Box::new(Watcher(0, Arc::clone(&seen))));
    let texts: Vec<_> = (0..12).map(|n| format!("text {n}")).collect();
    for text in &texts {
        world.send(0, channel, text);
    }
    // Nobody else waits.
    world.send(1, channel, "meanwhile");
    world.settle();
    assert_eq!(world.texts(1, channel), ["meanwhile"]);
    world.run();
    world.run();
    let all = world.texts(1, channel);
    assert_eq!(all[1..], texts);
    assert_eq!(world.texts(0, channel), all);
    let seen = seen.lock().unwrap();
    assert!(assert_obeyed(&seen) >= 6, "{seen:?}");
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn who_wants_to_enter_waits_as_long_as_the_server_says() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter(0, channel);
    world.run();
    exhaust(&mut world, 1, channel);
    let seen = Arc::default();
    world.wire = Some(Box::new(Watcher(1, Arc::clone(&seen))));
    world.enter(1, channel);
    for _ in 0..6 {
        world.run();
    }
    world.send(1, channel, "in");
    world.run();
    assert_eq!(world.texts(0, channel), ["in"]);
    let seen = seen.lock().unwrap();
    assert!(assert_obeyed(&seen) >= 1, "{seen:?}");
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// What waits until a moment by a clock that was two hours ahead does not wait for two hours.
#[test]
fn a_clock_set_back_makes_nothing_wait_as_long_as_the_jump() {
    let mut world = connected(3);
    let (open, other) = (world.channels[0], world.channels[1]);
    world.enter_all(open);
    world.enter(0, other);
    world.run();
    world.parties[1].skew = 2 * 3_600_000;
    world.run();
    exhaust(&mut world, 1, open);
    let seen = Arc::default();
    world.wire = Some(Box::new(Watcher(1, Arc::clone(&seen))));
    world.send(1, open, "refused for now");
    world.enter(1, other);
    world.settle();
    let refused = seen.lock().unwrap().clone();
    let refused = refused
        .iter()
        .filter(|one| matches!(one, Seen::Refused { .. }));
    assert!(refused.count() >= 2, "both wait");
    world.parties[1].skew = 0;
    world.run();
    world.run();
    assert_eq!(world.texts(0, open), ["refused for now"]);
    assert_eq!(world.texts(2, open), ["refused for now"]);
    world.send(1, other, "in");
    world.run();
    assert_eq!(world.texts(0, other), ["in"]);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// A leaf that was made by a clock ahead of one's own is not yet valid by one's own: still one enters.
#[test]
fn a_clock_that_is_behind_keeps_nobody_out_of_a_channel() {
    let mut world = connected(4);
    let open = world.channels[0];
    world.enter(0, open);
    world.run();
    for (index, behind) in [(1, 59 * 60_000), (2, 30 * 60_000), (3, 10_000)] {
        world.parties[index].skew = -behind;
        world.enter(index, open);
        world.run();
        world.send(index, open, &format!("{index} is in"));
        world.run();
        let last = world.texts(0, open).pop();
        assert_eq!(last, Some(format!("{index} is in")));
        assert_eq!(world.alarms(), [] as [&Event; 0]);
    }
}

/// Let in by the Board and never seen so far: they have no key packages, and are more than one commit adds.
#[test]
fn many_without_key_packages_keep_nobody_else_out() {
    let many = crate::engine::upkeep::BATCH + 5;
    let mut world = World::new(7, many + 3);
    let (here, last) = (many + 1, many + 2);
    for index in [0, here, last] {
        world.connect(index);
    }
    world.run();
    let all: Vec<_> = (1..=last)
        .map(|n| world.parties[n].engine.identity.member())
        .collect();
    let direct = world.direct(0, &all);
    world.run();
    world.send(0, direct, "to whom it reaches");
    world.run();
    for index in [here, last] {
        assert_eq!(
            world.texts(index, direct),
            ["to whom it reaches"],
            "{index}"
        );
    }
    // Those who come later are added when they have come.
    for index in [1, many] {
        world.connect(index);
    }
    for _ in 0..4 {
        world.pass_time(60_000);
        world.run();
    }
    assert_eq!(world.devices_in(0, direct).len(), 5);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}
