//! The clean break: whoever the ledger puts out is out at once and everywhere, comes back only by
//! the ledger, and leaves no channel behind that nobody can enter.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use plenary_certs::ledger::{
    Admit, Body, Capacity, ChannelBody, Grant, Reason, Resume, Revoke, Suspend, Target,
};
use plenary_proto::{
    ids::*,
    label::Label,
    request::{ClientFrame, Request},
};

use crate::engine::{Event, In};
use crate::simulation::{Passing, Wire, World, connected};

fn member(index: usize) -> MemberId {
    MemberId([index as u8 + 1; 16])
}

fn device(index: usize) -> DeviceId {
    DeviceId([index as u8 + 101; 16])
}

fn revoke(index: usize) -> Body {
    Body::Revoke(Revoke {
        target: Target::Member(member(index)),
        reason: Reason::Left,
    })
}

fn suspend(index: usize) -> Body {
    Body::Suspend(Suspend {
        target: Target::Member(member(index)),
        reason: Reason::Misuse,
    })
}

fn resume(index: usize) -> Body {
    Body::Resume(Resume {
        target: Target::Member(member(index)),
    })
}

fn owned_by(world: &World, index: usize, owner: usize) -> Body {
    let channel = world.channels[index];
    let current = world.ledger.channel(channel).unwrap().current().unwrap();
    Body::Channel(ChannelBody {
        owner: member(owner),
        ..current.clone()
    })
}

/// As the server's sweep does every second.
fn sweep(world: &World) {
    use plenary_core::hub::Hub;
    let gone = world.network.not_live(&world.hub.devices(), world.now);
    world.hub.cut(&gone);
}

fn inside(world: &mut World, by: usize, channel: ChannelId) -> Vec<DeviceId> {
    let mut devices = world.parties[by].engine.devices_in(channel).unwrap();
    devices.sort_unstable();
    devices
}

/// Keeps what is appended, as it leaves.
#[derive(Clone, Default)]
struct Tap(Arc<Mutex<Vec<Bytes>>>);

impl Wire for Tap {
    fn up(&mut self, _: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        if let ClientFrame::Request(_, Request::Append(append)) = &frame {
            self.0.lock().unwrap().push(append.bytes.clone());
        }
        passing.up(from, frame);
    }
}

fn no_alarms(world: &World) {
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_suspended_member_is_removed_and_comes_back_by_itself_when_resumed() {
    let mut world = connected(4);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.send(3, channel, "before");
    world.run();
    world.disconnect(1);
    world.send(1, channel, "queued while away");
    world.say(0, suspend(3));
    assert!(world.parties[3].line.is_none(), "its session is cut");
    assert_eq!(inside(&mut world, 0, channel), [0, 1, 2].map(device));
    world.send(0, channel, "not for it");
    world.connect(1);
    world.run();
    world.connect(3);
    world.run();
    assert!(world.parties[3].line.is_none(), "suspended");
    world.say(0, resume(3));
    world.connect(3);
    world.run();
    assert_eq!(inside(&mut world, 0, channel), [0, 1, 2, 3].map(device));
    world.send(2, channel, "welcome back");
    world.send(3, channel, "thanks");
    world.run();
    assert_eq!(world.texts(0, channel).len(), 5);
    let mut read = world.texts(3, channel);
    read.sort();
    assert_eq!(read, ["before", "thanks", "welcome back"]);
    no_alarms(&world);
}

#[test]
fn nobody_needs_to_speak_for_an_ended_admission_to_be_followed_by_a_removal() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let ends = world.now.plus(60_000);
    let until = |ends| {
        Body::Admit(Admit {
            member: member(2),
            capacity: Capacity::Expert,
            ends: Some(ends),
            profile: Digest([0; 32]),
        })
    };
    world.say(0, until(ends));
    world.run();
    assert_eq!(inside(&mut world, 0, channel).len(), 3);
    world.now = ends;
    sweep(&world);
    world.settle();
    assert!(world.parties[2].line.is_none(), "its session is cut");
    world.run();
    assert_eq!(inside(&mut world, 0, channel), [0, 1].map(device));
    world.send(1, channel, "after");
    world.run();
    // Admitted for longer, it comes back.
    let later = world.now.plus(86_400_000);
    world.say(0, until(later));
    world.connect(2);
    world.run();
    assert_eq!(inside(&mut world, 1, channel).len(), 3);
    assert_eq!(world.texts(2, channel), [] as [&str; 0]);
    no_alarms(&world);
}

#[test]
fn in_a_closed_channel_and_a_direct_one_who_is_back_is_added_again() {
    let mut world = connected(4);
    let closed = world.channels[2];
    world.enter_all(closed);
    for index in [1, 2] {
        let grant = Grant {
            channel: closed,
            member: member(index),
            granted: true,
        };
        world.say(0, Body::Grant(grant));
    }
    let with = [member(0), member(1)];
    let direct = world.parties[2].engine.direct(world.now, &with).unwrap();
    world.run();
    for channel in [closed, direct] {
        assert_eq!(inside(&mut world, 0, channel), [0, 1, 2].map(device));
    }
    // A member; the closed channel's owner; the direct one's owner: each by those who are left.
    for out in [1, 0, 2] {
        let left: Vec<_> = (0..3).filter(|index| *index != out).collect();
        world.say(3, suspend(out));
        for channel in [closed, direct] {
            let devices: Vec<_> = left.iter().copied().map(device).collect();
            assert_eq!(inside(&mut world, left[0], channel), devices);
            world.send(left[1], channel, &format!("without {out}"));
        }
        world.run();
        world.say(3, resume(out));
        world.connect(out);
        world.run();
        for channel in [closed, direct] {
            assert_eq!(inside(&mut world, out, channel), [0, 1, 2].map(device));
            world.send(out, channel, &format!("back: {out}"));
        }
        world.run();
        for channel in [closed, direct] {
            let texts = world.texts(left[0], channel);
            assert_eq!(texts.last(), Some(&format!("back: {out}")));
            let missed = format!("without {out}");
            assert!(!world.texts(out, channel).contains(&missed));
        }
    }
    assert!(world.parties[3].engine.devices_in(closed).is_err());
    no_alarms(&world);
}

/// Its founder alone was in it and is revoked: nobody can take that leaf out.
#[test]
fn an_open_channel_that_lost_everybody_is_begun_again_by_the_next_who_enters() {
    let mut world = connected(3);
    let channel = world.channels[1];
    world.parties[0].engine.enter(world.now, channel).unwrap();
    world.run();
    world.send(0, channel, "alone");
    world.run();
    world.say(1, revoke(0));
    for index in [1, 2] {
        world.parties[index]
            .engine
            .enter(world.now, channel)
            .unwrap();
    }
    world.run();
    assert_eq!(inside(&mut world, 1, channel), [1, 2].map(device));
    world.send(2, channel, "begun again");
    world.run();
    assert_eq!(world.texts(1, channel), ["begun again"]);
    assert_eq!(world.texts(0, channel), ["alone"]);
    no_alarms(&world);
}

/// All are suspended, one begins it again, and who is resumed later finds the new group.
#[test]
fn who_was_in_the_old_group_finds_the_new_one() {
    let mut world = connected(3);
    let channel = world.channels[0];
    for index in [0, 1] {
        world.parties[index]
            .engine
            .enter(world.now, channel)
            .unwrap();
        world.run();
    }
    world.disconnect(0);
    world.send(0, channel, "sealed for nobody yet");
    world.say(2, suspend(0));
    world.disconnect(1);
    world.say(2, suspend(1));
    world.parties[2].engine.enter(world.now, channel).unwrap();
    world.run();
    assert_eq!(inside(&mut world, 2, channel), [device(2)]);
    world.say(2, resume(0));
    world.say(2, resume(1));
    for index in [0, 1] {
        world.connect(index);
    }
    world.run();
    assert_eq!(inside(&mut world, 2, channel), [0, 1, 2].map(device));
    // Sealed anew, for the group that there is.
    for index in [0, 2] {
        assert_eq!(world.texts(index, channel), ["sealed for nobody yet"]);
    }
    no_alarms(&world);
}

/// The record itself, read by a member who is in the old group and live: a lying server's.
#[test]
fn a_live_member_does_not_follow_a_group_founded_over_its_head() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let head = world.parties[0].engine.channels[&channel].row.head;
    let epoch = world.parties[0].engine.group(channel).unwrap().epoch();
    let left = vec![device(0), device(1), device(2)];
    let now = world.now;
    let founder = &mut world.parties[2].engine;
    let row = founder
        .make_anew(now, channel, (epoch, head), left)
        .unwrap();
    let record = plenary_proto::reply::Record {
        seq: head.seq.next(),
        device: device(2),
        client_id: row.client_id,
        time: now,
        bytes: row.bytes.into(),
    };
    let engine = &mut world.parties[0].engine;
    engine.moved(channel, record);
    engine.settle(now).unwrap();
    world.settle();
    // It was pushed by itself; the log has no such record.
    let raised = [
        crate::AlarmKind::InvalidCommit,
        crate::AlarmKind::LogRolledBack,
    ];
    assert_eq!(world.alarm_kinds(0), raised, "{:?}", world.alarms());
    assert_eq!(inside(&mut world, 0, channel).len(), 3);
}

#[test]
fn a_channel_given_to_another_owner_goes_on_under_that_one() {
    let mut world = connected(5);
    let closed = world.channels[2];
    world.enter_all(closed);
    let grant = |index: usize, granted| {
        Body::Grant(Grant {
            channel: ChannelId([203; 16]),
            member: member(index),
            granted,
        })
    };
    world.say(0, grant(1, true));
    assert_eq!(inside(&mut world, 0, closed), [0, 1].map(device));
    // To somebody who is not in it: those who are add the new owner.
    let reassigned = owned_by(&world, 2, 2);
    world.say(0, reassigned);
    world.run();
    assert_eq!(inside(&mut world, 0, closed), [0, 1, 2].map(device));
    // The new one adds, the old one may not any more.
    world.disconnect(0);
    world.disconnect(1);
    world.say(3, grant(3, true));
    world.run();
    assert_eq!(inside(&mut world, 2, closed), [0, 1, 2, 3].map(device));
    world.connect(0);
    world.run();
    let now = world.now;
    let package = world.parties[4].engine.mls.key_package(now, false).unwrap();
    let before = inside(&mut world, 2, closed);
    world.parties[0]
        .engine
        .make_change(now, closed, std::slice::from_ref(&package), &[])
        .unwrap();
    world.run();
    assert_eq!(inside(&mut world, 2, closed), before);
    assert_eq!(world.alarms().len(), 1, "its own client says so");
    assert_eq!(
        world
            .ledger
            .channel(closed)
            .unwrap()
            .current()
            .unwrap()
            .ceiling,
        Label::Amber
    );
}

/// The only one in a closed channel leaves: its next owner begins the group again.
#[test]
fn a_closed_channel_without_anybody_goes_on_with_its_next_owner() {
    let mut world = connected(3);
    let closed = world.channels[2];
    world.parties[0].engine.enter(world.now, closed).unwrap();
    world.run();
    world.say(1, revoke(0));
    for index in [1, 2] {
        world.parties[index]
            .engine
            .enter(world.now, closed)
            .unwrap();
    }
    world.run();
    for index in [1, 2] {
        assert!(world.parties[index].engine.devices_in(closed).is_err());
    }
    let reassigned = owned_by(&world, 2, 2);
    world.say(1, reassigned);
    world.run();
    assert_eq!(inside(&mut world, 2, closed), [device(2)]);
    let grant = Grant {
        channel: closed,
        member: member(1),
        granted: true,
    };
    world.say(1, Body::Grant(grant));
    world.run();
    assert_eq!(inside(&mut world, 1, closed), [1, 2].map(device));
    no_alarms(&world);
}

/// Sealed before the statement, the answer lost: not sent again to a group that still holds it.
#[test]
fn what_was_sealed_before_is_not_sent_after() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let sealed = world.send(1, channel, "sealed");
    // It leaves the engine and is lost on the way.
    while let Some(output) = world.parties[1].engine.poll() {
        drop(output);
    }
    world.disconnect(1);
    let store = world.parties[1].engine.store().clone();
    let before = store.outgoing(sealed).unwrap().unwrap().sealed.unwrap();
    world.submit(0, revoke(2));
    while world.network.ledger_head().seq < world.ledger.head().seq {
        world.step(0);
    }
    // Nobody but the sender is left to remove the leaf.
    let tap = Tap::default();
    world.wire = Some(Box::new(tap.clone()));
    world.disconnect(0);
    world.connect(1);
    world.run();
    world.connect(0);
    world.run();
    assert!(!tap.0.lock().unwrap().contains(&before.bytes.into()));
    assert!(store.message_of(sealed).unwrap().unwrap().epoch > before.epoch);
    assert_eq!(world.texts(0, channel), ["sealed"]);
    assert_eq!(inside(&mut world, 1, channel), [0, 1].map(device));
    let standing = world.parties[2].engine.channels[&channel].row.standing;
    assert_eq!(standing, In::In, "it never heard of it");
    no_alarms(&world);
}
