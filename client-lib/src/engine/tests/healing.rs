//! Channels that cannot be followed: told, entered again, and what was missed handed on.

use plenary_certs::ledger::{Body, Grant};
use plenary_proto::{
    ids::*,
    reply::{Code, Failure, Push, Record, Reply, ServerFrame},
};

use super::views::audit;
use crate::{
    engine::*,
    simulation::{Passing, Wire, World},
    store::channels::Standing as In,
};

/// Feeds one party another commit than the channel's.
struct OtherCommit {
    victim: usize,
    channel: ChannelId,
    /// Which of its commits from now on, and how often.
    left: u32,
}

impl OtherCommit {
    fn bend(&mut self, record: &mut Record) {
        if self.left > 0 && record.bytes.get(..4) == Some(&[0, 1, 0, 1]) {
            self.left -= 1;
            let mut bytes = record.bytes.to_vec();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            record.bytes = bytes.into();
        }
    }
}

impl Wire for OtherCommit {
    fn down(&mut self, _: UnixMillis, to: usize, mut frame: ServerFrame, passing: &mut Passing) {
        if to == self.victim {
            match &mut frame {
                ServerFrame::Push(Push::Moved { channel, record }) if *channel == self.channel => {
                    self.bend(record);
                }
                ServerFrame::Reply(_, Ok(Reply::Records { records, head }))
                    if head.channel == self.channel =>
                {
                    records.iter_mut().for_each(|record| self.bend(record));
                }
                _ => {}
            }
        }
        passing.down(to, frame);
    }
}

fn standing(world: &World, index: usize, channel: ChannelId) -> In {
    world.parties[index].engine.channels[&channel].row.standing
}

fn gaps(world: &World, index: usize, channel: ChannelId) -> usize {
    world.parties[index]
        .engine
        .store
        .gaps(channel)
        .unwrap()
        .len()
}

/// How many messages it has from peers.
fn handed(world: &World, index: usize, channel: ChannelId) -> usize {
    let store = world.parties[index].engine.store();
    let rows = store.messages(channel, Seq(0), 100).unwrap();
    rows.iter().filter(|row| row.handed_by.is_some()).count()
}

#[track_caller]
fn same_everywhere(world: &World, channel: ChannelId) {
    let first = world.texts(0, channel);
    for index in 1..world.parties.len() {
        assert_eq!(world.texts(index, channel), first, "{index}");
        assert_eq!(gaps(world, index, channel), 0);
        let clean = audit(world, index);
        assert!(clean.is_clean(), "{index}: {clean:?}");
    }
}

/// The server shows a commit altered, and later as it is: nothing is left of it but the alarms.
#[test]
fn a_commit_that_is_shown_altered_is_raised_and_read_again() {
    let mut world = World::connected(3, 5);
    let channel = world.channels[0];
    (0..4).for_each(|index| world.enter(index, channel));
    world.run();
    world.send(0, channel, "before");
    world.run();
    world.wire = Some(Box::new(OtherCommit {
        victim: 3,
        channel,
        // As pushed and as read.
        left: 2,
    }));
    world.enter(4, channel);
    world.settle();
    // At once; and while it waits for a moment, the others go on.
    let raised = [AlarmKind::InvalidCommit, AlarmKind::LogForked];
    assert_eq!(world.alarm_kinds(3), raised);
    world.send(0, channel, "during");
    world.send(3, channel, "by the victim");
    world.settle();
    world.run();
    assert_eq!(world.texts(3, channel).len(), 3);
    assert_eq!(world.alarm_kinds(3), raised);
    assert_eq!(handed(&world, 3, channel), 0);
    assert_eq!(
        world.parties[3].engine.store.healing(channel).unwrap(),
        None
    );
    for index in 0..4 {
        assert_eq!(world.texts(index, channel), world.texts(0, channel));
        assert!(audit(&world, index).is_clean());
    }
}

/// A commit is in the log that one device cannot follow: its own state is of before.
#[test]
fn a_commit_that_does_not_hold_is_raised_and_healed_without_a_person() {
    let mut world = World::connected(3, 5);
    let channel = world.channels[0];
    // The fifth enters later.
    (0..4).for_each(|index| world.enter(index, channel));
    world.run();
    world.send(0, channel, "before");
    world.run();
    let store = world.parties[3].engine.store().clone();
    let copy = "CREATE TEMP TABLE old_group AS SELECT * FROM mls_group;
                CREATE TEMP TABLE old_tree AS SELECT * FROM mls_tree";
    store.lock().execute_batch(copy).unwrap();
    let now = world.now;
    let engine = &mut world.parties[0].engine;
    engine.make_change(now, channel, &[], &[]).unwrap();
    world.run();
    let back = "INSERT OR REPLACE INTO mls_group SELECT * FROM old_group;
                INSERT OR REPLACE INTO mls_tree SELECT * FROM old_tree";
    store.lock().execute_batch(back).unwrap();
    drop(store);
    world.restart(3);
    world.connect(3);
    world.enter(4, channel);
    world.run_for(500);
    // At once; and while it waits for a moment, the others go on.
    assert_eq!(world.alarm_kinds(3), [AlarmKind::InvalidCommit]);
    world.send(0, channel, "during 0");
    world.send(1, channel, "during 1");
    world.send(3, channel, "by the victim");
    world.run_for(30_000);
    world.send(2, channel, "after");
    world.run_for(60_000);
    assert_eq!(standing(&world, 3, channel), In::In);
    let mut all = world.texts(3, channel);
    all.sort();
    assert_eq!(
        all,
        ["after", "before", "by the victim", "during 0", "during 1"]
    );
    let first = world.texts(0, channel);
    assert_eq!(world.texts(3, channel), first);
    assert_eq!(gaps(&world, 3, channel), 0);
    // Nobody else noticed anything, and whoever came later has nothing of before.
    assert_eq!(world.alarms().len(), 1);
    assert!(!world.texts(4, channel).contains(&"before".to_owned()));
    assert!(audit(&world, 3).is_clean(), "{:?}", audit(&world, 3));
    assert!(handed(&world, 3, channel) > 0);
    assert_eq!(
        (handed(&world, 0, channel), handed(&world, 4, channel)),
        (0, 0)
    );
}

#[test]
fn a_group_that_is_damaged_or_gone_on_disk_is_entered_again() {
    for sql in [
        "DELETE FROM mls_group",
        "UPDATE mls_group SET state = x'00ff'",
        "DELETE FROM mls_tree",
        "UPDATE mls_tree SET tree = x'0102'",
    ] {
        let mut world = World::connected(4, 3);
        let channel = world.channels[0];
        world.enter_all(channel);
        for round in 0..3 {
            (0..3).for_each(|index| {
                world.send(index, channel, &format!("{round} {index}"));
            });
            world.run();
        }
        let store = world.parties[1].engine.store().clone();
        store.lock().execute(sql, []).unwrap();
        drop(store);
        world.restart(1);
        world.send(1, channel, "mine, offline");
        world.send(0, channel, "meanwhile");
        world.run();
        world.connect(1);
        world.run_for(90_000);
        assert_eq!(standing(&world, 1, channel), In::In, "{sql}");
        let told = world.alarm_kinds(1);
        assert!(told.contains(&AlarmKind::GroupLost), "{sql}: {told:?}");
        assert_eq!(world.texts(1, channel).len(), 11, "{sql}");
        same_everywhere(&world, channel);
    }
}

#[test]
fn a_return_to_a_channel_by_grant_needs_nobody() {
    let mut world = World::connected(5, 3);
    let channel = world.channels[2];
    world.enter(0, channel);
    world.run();
    for member in [2, 3] {
        let member = MemberId([member; 16]);
        let granted = true;
        world.say(
            0,
            Body::Grant(Grant {
                channel,
                member,
                granted,
            }),
        );
    }
    world.run();
    world.send(0, channel, "one");
    world.run();
    let store = world.parties[2].engine.store().clone();
    store.lock().execute("DELETE FROM mls_group", []).unwrap();
    drop(store);
    // Its owner is away, and cannot add anybody.
    world.disconnect(0);
    world.restart(2);
    world.send(1, channel, "two");
    world.run();
    world.connect(2);
    world.run_for(60_000);
    world.connect(0);
    world.run_for(60_000);
    assert_eq!(world.texts(2, channel), ["one", "two"]);
    same_everywhere(&world, channel);
}

/// What does not add up to what the server signed is read again, and is no reason to enter anew.
#[test]
fn a_server_that_goes_on_lying_is_not_followed_and_the_truth_is_as_soon_as_it_comes() {
    let mut world = World::connected(6, 3);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.wire = Some(Box::new(OtherCommit {
        victim: 2,
        channel,
        left: u32::MAX,
    }));
    for _ in 0..4 {
        let now = world.now;
        let engine = &mut world.parties[0].engine;
        engine.make_change(now, channel, &[], &[]).unwrap();
        world.run_for(300_000);
    }
    assert!(world.parties[2].engine.stuck(channel).is_some());
    assert_eq!(
        world.alarm_kinds(2),
        [AlarmKind::InvalidCommit, AlarmKind::LogForked]
    );
    world.send(0, channel, "you are missed");
    world.wire = None;
    world.run_for(90_000);
    assert!(world.parties[2].engine.stuck(channel).is_none());
    assert_eq!(world.texts(2, channel), ["you are missed"]);
    assert_eq!(world.alarms().len(), 2);
}

#[test]
fn state_that_is_lost_again_and_again_gets_a_handful_of_returns_and_a_channel_that_says_why() {
    let mut world = World::connected(6, 3);
    let channel = world.channels[0];
    world.enter_all(channel);
    for round in 0..8 {
        let store = world.parties[2].engine.store().clone();
        store.lock().execute("DELETE FROM mls_group", []).unwrap();
        drop(store);
        world.restart(2);
        world.connect(2);
        // Longer and longer.
        world.run_for(300_000);
        let stuck = world.parties[2].engine.stuck(channel);
        assert_eq!(stuck.is_some(), round >= 6, "{round}: {stuck:?}");
    }
    // Still so after a restart; a person may have it tried again.
    world.send(0, channel, "you are missed");
    world.enter(2, channel);
    world.run_for(90_000);
    assert!(world.parties[2].engine.stuck(channel).is_none());
    assert_eq!(world.texts(2, channel), ["you are missed"]);
}

/// Everything that was said while a device was away for longer than the server keeps records.
#[test]
fn a_device_behind_the_trim_is_told_and_has_it_from_a_peer() {
    let mut world = World::connected(7, 3);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.send(2, channel, "here");
    world.run();
    world.disconnect(2);
    for number in 0..300 {
        let text = match number {
            // Some fill a piece by themselves.
            100..103 => format!("{number} {}", "x".repeat(50_000)),
            _ => number.to_string(),
        };
        world.send(number % 2, channel, &text);
        world.settle();
    }
    world.run();
    world.trim(91);
    world.connect(2);
    world.run_for(120_000);
    let kinds = world.alarm_kinds(2);
    assert_eq!(kinds, [AlarmKind::RecordsTrimmed]);
    assert_eq!(world.texts(2, channel).len(), 301);
    same_everywhere(&world, channel);
}

#[test]
fn nothing_is_handed_on_to_whom_it_was_not_meant_for() {
    let mut world = World::connected(8, 3);
    let channel = world.channels[0];
    world.enter(0, channel);
    world.enter(1, channel);
    world.run();
    world.send(0, channel, "before the third");
    world.run();
    world.enter(2, channel);
    world.run();
    world.send(0, channel, "with the third");
    world.run();
    // It claims to have missed everything.
    let store = world.parties[2].engine.store().clone();
    let end = world.parties[2].engine.channels[&channel].row.head.seq;
    store.open_gap(channel, Seq(0)).unwrap();
    store.close_gap(channel, end.next()).unwrap();
    store.lock().execute("DELETE FROM message", []).unwrap();
    drop(store);
    world.parties[2].engine.load_gaps(channel).unwrap();
    world.run_for(120_000);
    assert_eq!(gaps(&world, 2, channel), 0);
    assert_eq!(world.texts(2, channel), ["with the third"]);
}

/// A welcome that comes while the device's own entry is under way must not undo the entry.
#[test]
fn a_welcome_during_an_entry_does_not_lose_the_entry() {
    let mut world = World::connected(9, 2);
    let channel = world.channels[0];
    world.enter(0, channel);
    world.run();
    // Its entry leaves, and stays on the way.
    struct Hold;
    impl Wire for Hold {
        fn up(
            &mut self,
            _: UnixMillis,
            from: usize,
            frame: plenary_proto::request::ClientFrame,
            passing: &mut Passing,
        ) {
            use plenary_proto::request::{ClientFrame, Request};
            if from == 1 && matches!(frame, ClientFrame::Request(_, Request::Append(_))) {
                return;
            }
            passing.up(from, frame);
        }
    }
    world.wire = Some(Box::new(Hold));
    world.enter(1, channel);
    world.settle();
    let pending = world.parties[1].engine.store.pending(channel).unwrap();
    let pending = pending.expect("an entry is under way");
    let welcome = plenary_proto::reply::WaitingWelcome {
        channel,
        head: ChannelHead {
            seq: Seq(1_000),
            hash: Digest([1; 32]),
        },
        bytes: bytes::Bytes::from_static(b"whatever"),
        tree: bytes::Bytes::from_static(b"whatever"),
    };
    let now = world.now;
    let engine = &mut world.parties[1].engine;
    engine
        .welcome_list(now, Ok(Reply::WelcomeList(vec![welcome])))
        .unwrap();
    let kept = engine.store.pending(channel).unwrap();
    assert_eq!(kept.map(|row| row.client_id), Some(pending.client_id));
    assert_eq!(world.alarms(), [] as [&Event; 0]);
    // It arrives after all.
    world.wire = None;
    world.disconnect(1);
    world.connect(1);
    world.run();
    assert_eq!(standing(&world, 1, channel), In::In);
    world.send(1, channel, "in");
    world.run();
    assert_eq!(world.texts(0, channel), ["in"]);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// The server hands a party no more records, once.
struct NoRecords(usize, bool);

impl Wire for NoRecords {
    fn down(&mut self, _: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        let frame = match frame {
            ServerFrame::Reply(id, Ok(Reply::Records { .. })) if to == self.0 && !self.1 => {
                self.1 = true;
                ServerFrame::Reply(id, Err(Failure::new(Code::NotAllowed, "not in it")))
            }
            frame => frame,
        };
        passing.down(to, frame);
    }
}

/// Out and in again while it was away: what was said before the removal was for it, too. It reads that
/// itself, before it lets go of the group; or peers hand it on, where the server does not.
#[test]
fn what_was_said_before_a_removal_that_nobody_could_tell_it_of_is_read() {
    use plenary_certs::ledger::{Reason, Resume, Suspend, Target};
    for (which, refused) in [(0, false), (2, false), (0, true), (2, true)] {
        let mut world = World::connected(5, 4);
        let channel = world.channels[which];
        let device = world.device(3);
        let member = MemberId([4; 16]);
        let grant = |granted| {
            Body::Grant(Grant {
                channel,
                member,
                granted,
            })
        };
        if which == 2 {
            let others = [2, 3].map(|byte| MemberId([byte; 16]));
            for member in others {
                world.say(
                    0,
                    Body::Grant(Grant {
                        channel,
                        member,
                        granted: true,
                    }),
                );
            }
            world.say(0, grant(true));
            world.enter(0, channel);
            world.run();
        } else {
            world.enter_all(channel);
        }
        world.run_for(20_000);
        assert_eq!(world.devices_in(3, channel).len(), 4, "{which}");
        world.disconnect(3);
        world.send(0, channel, "before");
        world.send(3, channel, "own");
        world.run();
        let out = Body::Suspend(Suspend {
            target: Target::Device(device),
            reason: Reason::Unstated,
        });
        world.say(0, if which == 2 { grant(false) } else { out });
        world.send(0, channel, "between");
        world.run();
        assert_eq!(world.devices_in(0, channel).len(), 3, "{which}");
        let back = Body::Resume(Resume {
            target: Target::Device(device),
        });
        world.say(0, if which == 2 { grant(true) } else { back });
        if refused {
            world.wire = Some(Box::new(NoRecords(3, false)));
        }
        world.connect(3);
        world.run_for(120_000);
        assert_eq!(world.devices_in(3, channel).len(), 4, "{which}");
        let by_peers = usize::from(refused);
        assert_eq!(handed(&world, 3, channel), by_peers, "{which} {refused}");
        assert_eq!(world.texts(3, channel), ["before", "own"], "{which}");
        assert_eq!(world.texts(0, channel), ["before", "between", "own"]);
        assert_eq!(gaps(&world, 3, channel), 0);
        assert_eq!(world.alarms(), [] as [&Event; 0]);
    }
}

/// A party does not hear of its first welcome in time.
struct LateWelcome(usize, bool);

impl Wire for LateWelcome {
    fn down(&mut self, _: UnixMillis, to: usize, mut frame: ServerFrame, passing: &mut Passing) {
        if let (true, ServerFrame::Reply(_, Ok(Reply::WelcomeList(list)))) =
            (to == self.0 && !self.1, &mut frame)
        {
            list.clear();
            self.1 = true;
        }
        passing.down(to, frame);
    }
}

/// Added again while it was away, and back by itself before it read of it: it was in the channel from
/// the welcome on, and what was said until it came back was for it.
#[test]
fn what_was_said_between_a_welcome_and_ones_own_return_is_handed_on() {
    use plenary_certs::ledger::{Reason, Resume, Suspend, Target};
    let mut world = World::connected(5, 4);
    let channel = world.channels[2];
    for index in 1..4 {
        let grant = Body::Grant(Grant {
            channel,
            member: MemberId([index + 1; 16]),
            granted: true,
        });
        world.say(0, grant);
    }
    world.enter(0, channel);
    world.run_for(20_000);
    assert_eq!(world.devices_in(3, channel).len(), 4);
    let target = Target::Device(world.device(3));
    let reason = Reason::Unstated;
    world.say(0, Body::Suspend(Suspend { target, reason }));
    world.run();
    world.say(0, Body::Resume(Resume { target }));
    world.run();
    assert_eq!(world.devices_in(0, channel).len(), 4, "added again");
    world.send(1, channel, "while it was in and away");
    world.run();
    world.wire = Some(Box::new(LateWelcome(3, false)));
    world.connect(3);
    world.run_for(120_000);
    world.send(3, channel, "back");
    world.run();
    let all = ["while it was in and away", "back"];
    assert_eq!(world.texts(0, channel), all);
    assert_eq!(world.texts(3, channel), all);
    assert_eq!(
        handed(&world, 3, channel),
        1,
        "it did not join by the welcome"
    );
    assert_eq!(gaps(&world, 3, channel), 0);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}
