//! Two different statements of the Board in one place.

use bytes::Bytes;
use plenary_certs::{
    ledger::{Admit, Body, Grant},
    proof,
};
use plenary_proto::ids::*;

use crate::{
    engine::{AlarmKind, Event, misuse::Aside},
    simulation::{World, connected},
};

/// Signed by enough, and kept away from the server.
fn aside(world: &World, body: Body) -> Bytes {
    let statement = world.ledger.draft(body, world.now.plus(1));
    world.sign_aside(&statement)
}

fn check(world: &mut World, index: usize, signed: &[u8]) -> Aside {
    let checked = world.parties[index].engine.check_aside(signed).unwrap();
    world.run();
    checked
}

fn admission(world: &World, index: usize, ends: Option<UnixMillis>) -> Body {
    let member = world.ledger.member(world.keys(index).member).unwrap();
    Body::Admit(Admit {
        ends,
        ..member.admission().unwrap().clone()
    })
}

#[test]
fn the_stricter_admission_counts_until_the_board_says_more() {
    let mut world = connected(3);
    let channel = world.channels[0];
    world.enter_all(channel);
    let ended = admission(&world, 2, Some(world.now));
    let other = aside(&world, ended);
    let Aside::Missing(_) = check(&mut world, 0, &other) else {
        panic!("not missing");
    };
    let renewed = admission(&world, 2, None);
    world.say(0, renewed);
    let taken = world
        .ledger
        .entry(world.ledger.head().seq)
        .unwrap()
        .to_vec();
    assert_eq!(
        check(&mut world, 0, &taken),
        Aside::Known(world.ledger.head().seq)
    );
    assert_eq!(world.alarms(), [] as [&Event; 0]);

    let Aside::Misuse { words, proof } = check(&mut world, 0, &other) else {
        panic!("no misuse");
    };
    assert!(words[2].starts_with("The second one is the stricter"));
    assert_eq!(world.alarm_kinds(0), [AlarmKind::Misuse]);
    let proven = proof::verify(&proof, world.ledger.root1()).unwrap();
    assert_eq!(proven.kind(), "misuse");
    // Told once, however often it is shown.
    check(&mut world, 0, &other);
    assert_eq!(world.alarm_kinds(0).len(), 1);

    // Kept over a restart; who was not shown the other one goes on.
    world.restart(0);
    world.connect(0);
    world.run();
    world.send(0, channel, "for whom both let in");
    world.send(1, channel, "by who knows of one");
    world.run();
    assert_eq!(world.texts(2, channel), ["by who knows of one"]);
    assert_eq!(world.queued(0), 1);
    assert!(world.parties[0].engine.held(channel).is_some());
    // It is for the Board to settle; commits are judged as ever.
    let again = admission(&world, 2, None);
    world.say(1, again);
    assert_eq!(world.queued(0), 0);
    assert_eq!(world.texts(2, channel).len(), 2);
}

#[test]
fn the_stricter_grant_lets_nobody_in() {
    let mut world = connected(3);
    let granted = world.channels[2];
    let member = world.keys(2).member;
    let grant = |granted_: bool| {
        Body::Grant(Grant {
            channel: granted,
            member,
            granted: granted_,
        })
    };
    let other = aside(&world, grant(false));
    world.say(1, grant(true));
    assert!(matches!(check(&mut world, 0, &other), Aside::Misuse { .. }));
    world.enter(0, granted);
    world.run();
    assert_eq!(world.devices_in(0, granted).len(), 1);
    world.say(0, grant(true));
    assert_eq!(world.devices_in(0, granted).len(), 2);
}

#[test]
fn two_boards_stop_everything_until_there_is_one() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    let root = |world: &World, byte| {
        let mut root = world.ledger.root().unwrap().clone();
        root.heartbeat = vec![PublicKey([byte; 32])];
        Body::Root(root)
    };
    let other = aside(&world, root(&world, 1));
    let taken = root(&world, 2);
    world.say(0, taken);
    // From the server's own mouth, as a statement after the others.
    let refused = world.parties[1].engine.append_statements(&[other]);
    assert!(refused.is_err());
    world.parties[1].engine.raise_misuse().unwrap();
    world.run();
    assert_eq!(world.alarm_kinds(1), [AlarmKind::Misuse]);
    world.send(1, channel, "to whom?");
    world.run();
    assert_eq!(world.texts(0, channel), [] as [&str; 0]);
    let why = world.parties[1].engine.held(channel).unwrap();
    assert!(why.contains("two different ROOT"), "{why}");
    let settled = root(&world, 3);
    world.say(0, settled);
    assert_eq!(world.texts(0, channel), ["to whom?"]);
}

#[test]
fn what_does_not_hold_proves_nothing() {
    let mut world = connected(2);
    let statement = world.ledger.draft(admission(&world, 1, None), world.now);
    let one = plenary_certs::ledger::sign_as_board(&statement.encode(), &world.board[0]);
    let signed =
        plenary_certs::ledger::SignedStatement::new(statement.encode(), vec![one]).encode();
    assert!(matches!(check(&mut world, 0, &signed), Aside::Refused(_)));
    assert!(matches!(check(&mut world, 0, b"noise"), Aside::Refused(_)));
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}
