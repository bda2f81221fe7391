//! What may be discussed where.

use plenary_certs::ledger::{Body, ChannelBody};
use plenary_proto::{
    ids::{ChannelId, ClientId},
    label::Label,
};

use crate::{
    content::{Draft, fresh_salt},
    engine::{Event, misuse::Aside},
    error::{Error, ErrorKind},
    simulation::{World, connected},
};

fn send(world: &mut World, id: ChannelId, text: &str, label: Label) -> Result<ClientId, Error> {
    let draft = Draft::text(text).label(label);
    let content = draft.into_content(fresh_salt().unwrap()).unwrap();
    let (now, bytes) = (world.now, content.encode().unwrap());
    world.parties[0].engine.send(now, id, &bytes)
}

fn channel(world: &World, id: ChannelId, ceiling: Label) -> Body {
    Body::Channel(ChannelBody {
        ceiling,
        ..world.ledger.channel(id).unwrap().current().unwrap().clone()
    })
}

#[test]
fn nothing_above_the_ceiling_is_queued() {
    let mut world = connected(2);
    let id = world.channels[1];
    world.enter_all(id);
    for label in Label::ALL {
        let sent = send(&mut world, id, &label.to_string(), label);
        match label > Label::Amber {
            false => drop(sent.unwrap()),
            true => {
                let refused = sent.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::NotAllowed);
                assert!(refused.to_string().contains("it goes up to TLP:AMBER"));
            }
        }
    }
    world.run();
    assert_eq!(world.texts(1, id), ["TLP:CLEAR", "TLP:GREEN", "TLP:AMBER"]);
    // Among a few people who know each other there is none.
    let with = [world.keys(1).member];
    let direct = world.direct(0, &with);
    world.run();
    send(&mut world, direct, "red", Label::Red).unwrap();
    world.run();
    assert_eq!(world.texts(1, direct), ["red"]);
}

#[test]
fn what_waits_when_the_ceiling_is_lowered_fails_and_holds_nothing_up() {
    let mut world = connected(2);
    let id = world.channels[1];
    world.enter_all(id);
    world.disconnect(0);
    let mut above = Vec::new();
    for n in 0..40 {
        let label = if n % 2 == 0 {
            Label::Amber
        } else {
            Label::Clear
        };
        let sent = send(&mut world, id, &n.to_string(), label).unwrap();
        if n % 2 == 0 {
            above.push(sent);
        }
    }
    let lowered = channel(&world, id, Label::Green);
    world.say(1, lowered);
    world.connect(0);
    world.run();
    let odd: Vec<_> = (0..40)
        .filter(|n| n % 2 == 1)
        .map(|n| n.to_string())
        .collect();
    assert_eq!(world.texts(1, id), odd);
    let failed: Vec<_> = world.parties[0]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { message, .. } => Some(*message),
            _ => None,
        })
        .collect();
    assert_eq!(failed, above);
    assert_eq!(world.queued(0), 0);
    assert!(world.alarms().is_empty());
}

#[test]
fn the_lower_one_of_two_ceilings_counts() {
    let mut world = connected(2);
    let id = world.channels[1];
    world.enter_all(id);
    let statement = world
        .ledger
        .draft(channel(&world, id, Label::Clear), world.now);
    let aside = world.sign_aside(&statement);
    let taken = channel(&world, id, Label::Red);
    world.say(1, taken);
    send(&mut world, id, "one is known", Label::Red).unwrap();
    world.run();
    let checked = world.parties[0].engine.check_aside(&aside).unwrap();
    assert!(matches!(checked, Aside::Misuse { .. }), "{checked:?}");
    let refused = send(&mut world, id, "both are", Label::Green).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    send(&mut world, id, "for everybody", Label::Clear).unwrap();
    // Until the Board says something newer.
    let settled = channel(&world, id, Label::Red);
    world.say(1, settled);
    send(&mut world, id, "settled", Label::Red).unwrap();
    world.run();
    assert_eq!(
        world.texts(1, id),
        ["one is known", "for everybody", "settled"]
    );
}
