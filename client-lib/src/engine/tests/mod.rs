//! Engines against the real server core, in one thread.

mod ceiling;
mod certificate;
mod clean_break;
mod custody;
mod devices;
mod healing;
mod heartbeat;
mod idle;
mod misuse;
mod races;
mod recovery;
mod removing;
mod resting;
mod revocations;
mod roster;
mod searching;
mod sending;
mod stamping;
mod used_keys;
mod views;
mod waiting;

use std::collections::HashMap;

use plenary_certs::ledger::{Body, Reason, Revoke, Target};
use plenary_proto::ids::*;

use super::*;
use crate::content::{Draft, fresh_salt};
use crate::simulation::connected;

#[test]
fn members_enter_an_open_channel_and_read_the_same_in_the_same_order() {
    let mut world = connected(4);
    let channel = world.channels[0];
    world.enter_all(channel);
    for round in 0..5 {
        for index in 0..4 {
            world.send(index, channel, &format!("{round} by {index}"));
        }
        world.settle();
    }
    world.run();
    let first = world.texts(0, channel);
    assert_eq!(first.len(), 20);
    for index in 0..4 {
        assert_eq!(world.texts(index, channel), first);
        let own: Vec<_> = first
            .iter()
            .filter(|text| text.ends_with(&index.to_string()))
            .collect();
        assert!(own.is_sorted(), "{own:?}");
        assert_eq!(world.parties[index].engine.store.queued(None).unwrap(), 0);
    }
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn what_is_sent_offline_arrives_later_and_who_was_away_catches_up() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.disconnect(2);
    for number in 0..300 {
        world.send(number % 2, channel, &number.to_string());
        world.settle();
    }
    world.send(2, channel, "from afar");
    world.run();
    assert_eq!(world.texts(2, channel).len(), 0);
    world.restart(2);
    world.connect(2);
    world.run();
    let all = world.texts(0, channel);
    assert_eq!(all.len(), 301);
    assert_eq!(all.last().map(String::as_str), Some("from afar"));
    assert_eq!(world.texts(1, channel), all);
    assert_eq!(world.texts(2, channel), all);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_revoked_device_is_removed_and_reads_nothing_more() {
    let mut world = connected(4);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.send(3, channel, "before");
    world.run();
    let target = Target::Member(MemberId([4; 16]));
    world.disconnect(1);
    let late = world.send(1, channel, "queued while away");
    world.say(
        0,
        Body::Revoke(Revoke {
            target,
            reason: Reason::Left,
        }),
    );
    assert!(world.parties[3].line.is_none(), "its session is cut");
    world.connect(1);
    world.run();
    world.send(0, channel, "after");
    world.run();
    for index in 0..3 {
        assert_eq!(
            world.texts(index, channel),
            ["before", "queued while away", "after"]
        );
        let devices = world.parties[index].engine.devices_in(channel).unwrap();
        assert!(!devices.contains(&DeviceId([104; 16])));
    }
    world.connect(3);
    world.run();
    assert!(world.parties[3].line.is_none(), "it is not admitted again");
    assert_eq!(world.texts(3, channel), ["before"]);
    assert!(
        world.parties[1]
            .engine
            .store
            .message_of(late)
            .unwrap()
            .is_some()
    );
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_direct_channel_holds_those_whom_its_founder_named() {
    let mut world = connected(4);
    let with = [MemberId([2; 16]), MemberId([3; 16])];
    let direct = world.parties[0].engine.direct(world.now, &with).unwrap();
    world.run();
    world.send(0, direct, "between us");
    world.send(2, direct, "yes");
    world.run();
    for index in 0..3 {
        let mut texts = world.texts(index, direct);
        texts.sort();
        assert_eq!(texts, ["between us", "yes"], "{index}");
    }
    assert!(world.parties[3].engine.devices_in(direct).is_err());
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn a_granted_channel_is_entered_by_grant_only() {
    let mut world = connected(3);
    let channel = world.channels[2];
    world.enter_all(channel);
    let inside = world.parties[0].engine.devices_in(channel).unwrap();
    assert_eq!(inside, [DeviceId([101; 16])], "the owner alone");
    let member = MemberId([2; 16]);
    let grant = plenary_certs::ledger::Grant {
        channel,
        member,
        granted: true,
    };
    world.say(0, Body::Grant(grant));
    world.send(0, channel, "welcome");
    world.run();
    assert_eq!(world.texts(1, channel), ["welcome"]);
    assert!(world.parties[2].engine.devices_in(channel).is_err());
}

#[test]
fn a_restart_after_every_step_of_a_conversation_loses_and_doubles_nothing() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let mut sent = HashMap::new();
    for number in 0..60_usize {
        let index = number % 3;
        sent.insert(world.send(index, channel, &number.to_string()), number);
        // A crash of the sender after so many steps of its own.
        for _ in 0..number {
            if !world.step(index) {
                break;
            }
        }
        world.restart(index);
        world.connect(index);
        if number % 7 == 0 {
            world.run();
        }
    }
    world.run();
    let mut all = world.texts(0, channel);
    assert_eq!(world.texts(1, channel), all);
    assert_eq!(world.texts(2, channel), all);
    all.sort_by_key(|text| text.parse::<usize>().unwrap());
    assert_eq!(
        all,
        (0..60).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// The process dies right before or right after each of its transactions, in turn, while it sends,
/// receives, enters and removes.
#[test]
fn a_death_at_every_transaction_loses_doubles_and_reuses_nothing() {
    let mut world = connected(3);
    let [first, second, _] = world.channels[..] else {
        panic!()
    };
    world.enter_all(first);
    let mut sent = 0;
    for after in 0..12 {
        for committed in [false, true] {
            let fault = crate::store::Fault { after, committed };
            *world.parties[0].engine.store.trial.fault.lock().unwrap() = Some(fault);
            for index in [0, 1, 0] {
                let content = Draft::text(sent.to_string()).into_content(fresh_salt().unwrap());
                let content = content.unwrap().encode().unwrap();
                let now = world.now;
                match world.parties[index].engine.send(now, first, &content) {
                    Ok(_) => sent += 1,
                    // It is not promised; whether it is queued, the store knows.
                    Err(error) => {
                        let dead = world.parties[index].engine.store.queued(None).unwrap();
                        sent += usize::from(dead > 0);
                        world.survive(index, Err(error));
                    }
                }
                world.settle();
            }
            world.run();
        }
    }
    // Entering, with a death at each transaction of it.
    for after in 0..4 {
        for committed in [false, true] {
            let fault = crate::store::Fault { after, committed };
            *world.parties[0].engine.store.trial.fault.lock().unwrap() = Some(fault);
            let entering = world.parties[0].engine.enter(world.now, second);
            world.survive(0, entering);
            world.run();
        }
    }
    world.parties[0].engine.enter(world.now, second).unwrap();
    world.run();
    assert_eq!(
        world.parties[0].engine.devices_in(second).unwrap(),
        [DeviceId([101; 16])]
    );

    let mut texts = world.texts(1, first);
    assert_eq!(world.texts(0, first), texts);
    assert_eq!(world.texts(2, first), texts);
    texts.sort_by_key(|text| text.parse::<usize>().unwrap());
    let expected: Vec<_> = (0..sent).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

#[test]
fn nothing_is_sealed_to_a_leaf_that_the_ledger_has_out() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let target = Target::Member(MemberId([3; 16]));
    let revoke = world.ledger.draft(
        Body::Revoke(Revoke {
            target,
            reason: Reason::Compromised,
        }),
        world.now,
    );
    let signed = world.sign(&revoke);
    let now = world.now;
    let engine = &mut world.parties[0].engine;
    engine.append_statements(&[signed]).unwrap();
    let data = {
        let authenticator = engine
            .group(channel)
            .unwrap()
            .epoch_authenticator()
            .unwrap();
        engine.auth_data(now, &engine.channels[&channel], authenticator)
    };
    let refused = engine
        .group(channel)
        .unwrap()
        .seal(&data, b"secret")
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "leaves DeviceId(67676767..) in the group, which the ledger has out"
    );
    // The commit that makes it possible again takes the leaf out by itself.
    let commit = engine
        .group(channel)
        .unwrap()
        .commit(&[], &[], &data)
        .unwrap();
    engine
        .group(channel)
        .unwrap()
        .apply(&commit.secrets)
        .unwrap();
    assert!(
        !engine
            .devices_in(channel)
            .unwrap()
            .contains(&DeviceId([103; 16]))
    );
    engine
        .group(channel)
        .unwrap()
        .seal(&data, b"secret")
        .unwrap();
}

/// The owner of a direct channel puts somebody out who is away.
#[test]
fn who_was_removed_while_away_learns_it() {
    let mut world = connected(3);
    let with = [MemberId([2; 16]), MemberId([3; 16])];
    let direct = world.parties[0].engine.direct(world.now, &with).unwrap();
    world.run();
    world.disconnect(2);
    let now = world.now;
    let removed = [DeviceId([103; 16])];
    let wanted = format!("direct:{direct}");
    world.parties[0]
        .engine
        .store
        .put_meta(&wanted, &with[0].0)
        .unwrap();
    world.parties[0]
        .engine
        .make_change(now, direct, &[], &removed)
        .unwrap();
    world.run();
    world.connect(2);
    world.run();
    assert!(world.parties[2].events.contains(&Event::Left(direct)));
    let refused = world.parties[2]
        .engine
        .send(now, direct, b"anything")
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotFound);
}
