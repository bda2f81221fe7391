//! Coming into a channel: key packages, welcomes, and what is given to enter with.

use std::{cell::Cell, cell::RefCell, rc::Rc};

use bytes::Bytes;
use plenary_certs::{
    ledger::{Body, Grant},
    mls::{
        context::{ChannelContext, Rule},
        suite::{CLASSICAL, HYBRID},
    },
};
use plenary_client::AlarmKind;
use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Digest, Epoch, MemberId, NetworkId, Seq},
    reply::{Push, Reply, WaitingWelcome},
    request::Request,
};

use mls_rs::MlsMessage;

use crate::{
    colluder::Colluder,
    false_log::FalseLog,
    liar::{Fate, Seen},
    trial::Trial,
};

fn grant(trial: &mut Trial, member: u8) {
    let grant = Grant {
        channel: trial.world.channels[2],
        member: MemberId([member; 16]),
        granted: true,
    };
    trial.world.submit(0, Body::Grant(grant));
    trial.world.run_for(6_000);
}

/// The server hands this welcome to a victim, unasked.
fn welcome_with(trial: &mut Trial, victim: usize, welcome: WaitingWelcome) {
    let told = Cell::new(false);
    trial.lie(move |scene, who, seen| {
        match seen {
            Seen::Idle if !told.replace(true) => {
                scene.pushes.push((victim, Push::Welcome(welcome.channel)));
            }
            Seen::Request(Request::Welcomes) if who == victim => {
                return Fate::answer(Reply::WelcomeList(vec![welcome.clone()]));
            }
            Seen::Request(Request::DropWelcome { .. }) if who == victim => {
                return Fate::answer(Reply::Done);
            }
            _ => {}
        }
        Fate::Pass
    });
    trial.world.run_for(2_000);
}

/// A welcome that was used once, with a later position.
pub fn hostile_replayed_welcome(trial: &mut Trial) {
    trial.all_but(&[3]);
    let channel = trial.world.channels[2];
    trial.world.enter(0, channel);
    trial.world.run_for(1_000);
    let kept: Rc<RefCell<Option<WaitingWelcome>>> = Rc::default();
    let keep = kept.clone();
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(Reply::WelcomeList(list))) = seen
            && who == 1
            && let Some(welcome) = list.first()
        {
            *keep.borrow_mut() = Some(welcome.clone());
        }
        Fate::Pass
    });
    grant(trial, 2);
    let mut welcome = kept.borrow().clone().expect("a welcome");
    trial.say(0, channel);
    trial.world.run_for(1_000);
    welcome.head = ChannelHead {
        seq: Seq(welcome.head.seq.0 + 2 + trial.dice.below(9) as u64),
        hash: Digest(trial.dice.bytes()),
    };
    let before = trial.world.devices_in(1, channel);
    welcome_with(trial, 1, welcome);
    trial.raised(1, AlarmKind::InvalidWelcome);
    assert_eq!(trial.world.devices_in(1, channel), before);
    trial.honest();
    trial.talks(channel, &[0, 1]);
    trial.nothing_false();
}

/// A group of a member's own, in the name of a channel, and a welcome into it.
fn false_welcome(
    trial: &mut Trial,
    victim: usize,
    channel: ChannelId,
    rule: Rule,
) -> WaitingWelcome {
    let packages: Rc<RefCell<Vec<Bytes>>> = Rc::default();
    let mut colluder = Colluder::new(&trial.world, 3);
    let device = DeviceId([victim as u8 + 101; 16]);
    // The server has packages of everybody.
    let package = {
        let claim = Request::ClaimKeyPackages {
            channel: trial.world.channels[0],
            devices: vec![device],
        };
        match trial.world.request_as(0, claim) {
            Ok(Reply::KeyPackageList(list)) => list[0].1.clone().expect("a package"),
            other => panic!("{other:?}"),
        }
    };
    packages.borrow_mut().push(package.clone());
    let context = ChannelContext {
        network: NetworkId([7; 16]),
        channel,
        rule,
    };
    colluder.found(&context, trial.world.now);
    let data = colluder.data(&trial.world);
    let package = MlsMessage::from_bytes(&package).unwrap();
    let (commit, tree) =
        colluder.commit_and_move(&data, |builder| builder.add_member(package).unwrap());
    WaitingWelcome {
        channel,
        head: ChannelHead {
            seq: Seq(1_000),
            hash: Digest(trial.dice.bytes()),
        },
        bytes: commit.welcome_messages()[0].to_bytes().unwrap().into(),
        tree: tree.into(),
    }
}

/// A member without any right there welcomes another into a group of its own making, in the name
/// of a channel by GRANT.
pub fn hostile_welcome_from_non_owner(trial: &mut Trial) {
    trial.all_but(&[3]);
    trial.in_channel(0);
    let channel = trial.world.channels[2];
    let victim = 1 + trial.dice.below(2);
    let welcome = false_welcome(trial, victim, channel, Rule::Granted);
    welcome_with(trial, victim, welcome);
    trial.raised(victim, AlarmKind::InvalidWelcome);
    assert_eq!(trial.world.devices_in(victim, channel), []);
    trial.honest();
    trial.talks(trial.world.channels[0], &[0, 1, 2]);
    trial.nothing_false();
}

/// A member puts a group of its own in the place of a direct channel that the victim is in.
pub fn hostile_welcome_replaces_direct_channel(trial: &mut Trial) {
    trial.all_but(&[3]);
    trial.in_channel(0);
    let channel = trial.world.direct(0, &[MemberId([2; 16])]);
    trial.world.run_for(10_000);
    let before = trial.world.devices_in(1, channel);
    assert_eq!(before.len(), 2);
    let owner = match trial.dice.coin() {
        // It says that it owns the channel, or that the true owner does.
        true => MemberId([4; 16]),
        false => MemberId([1; 16]),
    };
    let welcome = false_welcome(trial, 1, channel, Rule::Direct { owner });
    welcome_with(trial, 1, welcome);
    trial.raised(1, AlarmKind::InvalidWelcome);
    assert_eq!(trial.world.devices_in(1, channel), before);
    trial.honest();
    trial.talks(channel, &[0, 1]);
    trial.nothing_false();
}

/// A claim is answered with this package instead.
fn claimed(trial: &mut Trial, package: Vec<u8>) {
    trial.all_but(&[3]);
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(Reply::KeyPackageList(list))) = seen
            && who == 0
        {
            for (_, one) in list {
                *one = Some(package.clone().into());
            }
        }
        Fate::Pass
    });
    let channel = trial.world.direct(0, &[MemberId([2; 16])]);
    trial.world.run_for(5_000);
    trial.raised(0, AlarmKind::KeyPackage);
    assert_eq!(trial.world.devices_in(0, channel), [DeviceId([101; 16])]);
    trial.honest();
    trial.talks(channel, &[0, 1]);
    trial.nothing_false();
}

/// The server gives a key package of somebody else.
pub fn hostile_key_package_of_another_device(trial: &mut Trial) {
    let other = Colluder::new(&trial.world, 3);
    let package = other.key_package(trial.world.now);
    claimed(trial, package);
}

/// The server gives a key package with the right name and a key of its own.
pub fn hostile_key_package_with_another_key(trial: &mut Trial) {
    let other = Colluder::with(3, DeviceId([102; 16]), &trial.dice.key(), HYBRID);
    let package = other.key_package(trial.world.now);
    claimed(trial, package);
}

/// The server gives a key package of the device in the classical suite.
pub fn hostile_key_package_of_weaker_suite(trial: &mut Trial) {
    let keys = trial.world.keys(1);
    let other = Colluder::with(1, keys.device, &keys.mls, CLASSICAL);
    let package = other.key_package(trial.world.now);
    claimed(trial, package);
}

/// The server gives noise.
pub fn hostile_key_package_is_noise(trial: &mut Trial) {
    let noise = trial.dice.some(1 + trial.dice.below(3_000));
    claimed(trial, noise);
}

/// The server hands one key package out twice: who it is of can open the first welcome only.
pub fn hostile_key_package_given_twice(trial: &mut Trial) {
    trial.all_but(&[3]);
    let kept: RefCell<Option<Bytes>> = RefCell::default();
    let adders = [0, 2];
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(Reply::KeyPackageList(list))) = seen
            && adders.contains(&who)
        {
            for (device, one) in list {
                if *device == DeviceId([102; 16]) {
                    let mut kept = kept.borrow_mut();
                    match &*kept {
                        Some(first) => *one = Some(first.clone()),
                        None => kept.clone_from(one),
                    }
                }
            }
        }
        Fate::Pass
    });
    let first = trial.world.direct(0, &[MemberId([2; 16])]);
    trial.world.run_for(5_000);
    let adder = *trial.dice.pick(&adders);
    trial.world.direct(adder, &[MemberId([2; 16])]);
    trial.world.run_for(5_000);
    trial.raised(1, AlarmKind::InvalidWelcome);
    trial.honest();
    trial.talks(first, &[0, 1]);
    trial.nothing_false();
}

/// The server has none left, however many it is given: the device says so and is not kept busy.
pub fn hostile_exhausted_key_packages(trial: &mut Trial) {
    let put = Rc::new(Cell::new(0));
    let count = put.clone();
    let victim = trial.dice.below(4);
    trial.lie(move |scene, who, seen| {
        if who == victim {
            match seen {
                Seen::Request(Request::PutKeyPackages { .. }) => {
                    count.set(count.get() + 1);
                    for _ in 0..3 {
                        scene.pushes.push((victim, Push::KeyPackages(0)));
                    }
                    return Fate::answer(Reply::Count(0));
                }
                Seen::Reply(Request::LedgerRead { .. }, _) => {
                    scene.pushes.push((victim, Push::KeyPackages(0)));
                }
                _ => {}
            }
        }
        Fate::Pass
    });
    trial.all_but(&[]);
    trial.world.run_for(20_000);
    trial.raised(victim, AlarmKind::KeyPackage);
    assert_eq!(put.get(), 1, "it makes key packages without end");
    trial.honest();
    trial.world.run_for(40_000);
    // It can be added now.
    let other = (victim + 1) % 4;
    let with = [MemberId([victim as u8 + 1; 16])];
    let channel = trial.world.direct(other, &with);
    trial.world.run_for(10_000);
    trial.talks(channel, &[other, victim]);
}

/// What is given to enter an open channel is changed so.
fn entered_with(trial: &mut Trial, change: impl Fn(&mut Bytes, &mut Bytes) + 'static) {
    trial.all_but(&[2, 3]);
    let channel = trial.in_channel(0);
    trial.chatter(channel);
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(
            _,
            Ok(Reply::GroupState {
                group_info, tree, ..
            }),
        ) = seen
            && who == 2
        {
            change(group_info, tree);
        }
        Fate::Pass
    });
    trial.world.connect(2);
    trial.world.settle();
    trial.world.enter(2, channel);
    trial.world.run_for(10_000);
    trial.raised(2, AlarmKind::InvalidGroup);
    assert_eq!(trial.world.devices_in(2, channel), []);
    trial.honest();
    trial.talks(channel, &[0, 1, 2]);
    trial.nothing_false();
}

/// A bit of the tree falls over.
pub fn hostile_wrong_tree(trial: &mut Trial) {
    let (at, bit) = (trial.dice.below(1 << 20), trial.dice.below(8));
    entered_with(trial, move |_, tree| {
        let mut bytes = tree.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        *tree = bytes.into();
    });
}

/// A bit of the GroupInfo falls over.
pub fn hostile_wrong_group_info(trial: &mut Trial) {
    let (at, bit) = (trial.dice.below(1 << 20), trial.dice.below(8));
    entered_with(trial, move |info, _| {
        let mut bytes = info.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        *info = bytes.into();
    });
}

/// A group of a colluder's making is given to whoever wants to enter.
fn entered_into(trial: &mut Trial, colluder: &Colluder) {
    let (info, tree): (Bytes, Bytes) = (colluder.group_info().into(), colluder.tree().into());
    entered_with(trial, move |group_info, given| {
        *group_info = info.clone();
        *given = tree.clone();
    });
}

fn open_context(channel: ChannelId) -> ChannelContext {
    ChannelContext {
        network: NetworkId([7; 16]),
        channel,
        rule: Rule::Open,
    }
}

/// The group of another channel.
pub fn hostile_group_of_another_channel(trial: &mut Trial) {
    let mut colluder = Colluder::new(&trial.world, 3);
    let context = open_context(trial.world.channels[1]);
    colluder.found(&context, trial.world.now);
    entered_into(trial, &colluder);
}

/// The group of another network.
pub fn hostile_group_of_another_network(trial: &mut Trial) {
    let mut colluder = Colluder::new(&trial.world, 3);
    let mut context = open_context(trial.world.channels[0]);
    context.network = NetworkId(trial.dice.bytes());
    colluder.found(&context, trial.world.now);
    entered_into(trial, &colluder);
}

/// A group in the classical suite.
pub fn hostile_downgraded_suite(trial: &mut Trial) {
    let keys = trial.world.keys(3);
    let mut colluder = Colluder::with(3, keys.device, &keys.mls, CLASSICAL);
    let context = open_context(trial.world.channels[0]);
    colluder.found(&context, trial.world.now);
    entered_into(trial, &colluder);
}

/// A group with a leaf that no ledger backs.
pub fn hostile_ghost_in_tree(trial: &mut Trial) {
    let mut colluder = Colluder::new(&trial.world, 3);
    let context = open_context(trial.world.channels[0]);
    colluder.found(&context, trial.world.now);
    let ghost = Colluder::with(3, DeviceId(trial.dice.bytes()), &trial.dice.key(), HYBRID);
    let package = MlsMessage::from_bytes(&ghost.key_package(trial.world.now)).unwrap();
    let data = colluder.data(&trial.world);
    colluder.commit_and_move(&data, |builder| builder.add_member(package).unwrap());
    entered_into(trial, &colluder);
}

/// Whoever enters is given an older group than the newest, by a server that signs for it.
pub fn hostile_old_group_to_joiner(trial: &mut Trial) {
    trial.all_but(&[2, 3]);
    let channel = trial.in_channel(0);
    let (epoch, info, tree, _) = Colluder::group_state(&mut trial.world, 0, channel);
    // The group moves on.
    let mut other = Colluder::new(&trial.world, 3);
    other.enter(&mut trial.world, channel);
    trial.chatter(channel);
    let log = FalseLog::new(&mut trial.world, 0, channel);
    let head = log.signed(log.head());
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(
            _,
            Ok(Reply::GroupState {
                epoch: now,
                head: signed,
                group_info,
                tree: given,
            }),
        ) = seen
            && who == 2
        {
            *now = Epoch(epoch.0);
            *signed = head.clone();
            *group_info = info.clone().into();
            *given = tree.clone().into();
        }
        Fate::Pass
    });
    trial.world.connect(2);
    trial.world.settle();
    trial.world.enter(2, channel);
    trial.world.run_for(5_000);
    // The true log takes no commit for an epoch that is over: it is not in, and tries again.
    assert!(
        !trial
            .world
            .devices_in(0, channel)
            .contains(&DeviceId([103; 16]))
    );
    trial.honest();
    trial.talks(channel, &[0, 1, 2]);
    trial.nothing_false();
}
