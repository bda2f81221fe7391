//! What is found of what was said.

use plenary_certs::custody::Act;
use plenary_proto::ids::UnixMillis;

use super::custody::{handed_over, say};
use crate::{
    client::{Search, look},
    content::{Draft, Expiration, MessageId},
    simulation::World,
};

fn found(world: &mut World, who: usize, search: &Search) -> Vec<(String, MessageId)> {
    let now = world.now;
    let found = look(&mut world.parties[who].engine, now, search).unwrap();
    let shown = |one: crate::Found| {
        let text = one.message.text().unwrap_or(&one.excerpt).to_owned();
        (text, one.message.message_id)
    };
    found.into_iter().map(shown).collect()
}

fn texts(world: &mut World, who: usize, search: &Search) -> Vec<String> {
    let found = found(world, who, search);
    found.into_iter().map(|(text, _)| text).collect()
}

#[test]
fn everybody_finds_what_stands_and_nobody_what_was_taken_back() {
    let (mut world, channel, manifest) = handed_over(3);
    let word = || Search::new("evid");
    let elsewhere = world.channels[1];
    assert_eq!(texts(&mut world, 1, &word()), ["evidence.bin"]);
    say(&mut world, 0, channel, Draft::text("evidence: one"));
    say(&mut world, 1, channel, Draft::text("evidence: two"));
    let end = UnixMillis(world.now.0 + 3_600_000);
    let soon = Expiration::At((end.0 / 1_000) as u32);
    say(
        &mut world,
        2,
        channel,
        Draft::text("evidence: brief").expires(soon),
    );
    for who in 0..3 {
        assert_eq!(
            texts(&mut world, who, &word()),
            [
                "evidence: brief",
                "evidence: two",
                "evidence: one",
                "evidence.bin"
            ]
        );
    }
    let members: Vec<_> = (0..3)
        .map(|who| world.parties[who].engine.identity().member())
        .collect();
    assert_eq!(
        texts(&mut world, 0, &word().from(members[1])),
        ["evidence: two"]
    );
    assert_eq!(texts(&mut world, 0, &word().limit(2)).len(), 2);
    assert_eq!(texts(&mut world, 0, &word().limit(0)).len(), 0);
    assert_eq!(texts(&mut world, 0, &word().channel(elsewhere)).len(), 0);
    // Nobody takes back what another said.
    let ids = found(&mut world, 0, &word());
    let (two, one) = (ids[1].1, ids[2].1);
    say(&mut world, 2, channel, Draft::deletion(one));
    assert_eq!(texts(&mut world, 0, &word()).len(), 4);
    say(&mut world, 0, channel, Draft::deletion(one));
    say(
        &mut world,
        1,
        channel,
        Draft::text("evidence: 2").replaces(two),
    );
    let (now, item) = (world.now, manifest.item());
    let engine = &mut world.parties[0].engine;
    engine
        .record(now, channel, item, &[Act::Withdrawn])
        .unwrap();
    world.run();
    for who in 0..3 {
        assert_eq!(
            texts(&mut world, who, &word()),
            ["evidence: 2", "evidence: brief"]
        );
    }
    world.now = end;
    assert_eq!(texts(&mut world, 1, &word()), ["evidence: 2"]);
}

#[test]
fn what_was_missed_and_handed_on_is_found_where_it_belongs() {
    let mut world = World::connected(3, 3);
    let channel = world.channels[0];
    world.enter_all(channel);
    for number in 0..3 {
        say(
            &mut world,
            0,
            channel,
            Draft::text(format!("word {number}")),
        );
    }
    let store = world.parties[1].engine.store().clone();
    store.lock().execute("DELETE FROM mls_group", []).unwrap();
    drop(store);
    world.restart(1);
    for number in 3..6 {
        say(
            &mut world,
            0,
            channel,
            Draft::text(format!("word {number}")),
        );
    }
    world.connect(1);
    world.run_for(90_000);
    let all: Vec<_> = (0..6)
        .rev()
        .map(|number| format!("word {number}"))
        .collect();
    for who in 0..3 {
        assert_eq!(texts(&mut world, who, &Search::new("word")), all);
    }
}
