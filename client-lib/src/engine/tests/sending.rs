//! How fast what is queued goes out, and that it does.

use plenary_certs::ledger::{Body, Reason, Revoke, Target};
use plenary_proto::{
    ids::UnixMillis,
    label::Label,
    reply::{Reply, ServerFrame},
    request::Request,
};

use super::heartbeat::{DAY, beat, kept, wait};
use crate::{
    engine::Event,
    simulation::{Passing, Wire, World, connected},
    store::Loss,
};

/// Answers to appends come after everything else: the record itself, pushed, is there before.
#[derive(Default)]
struct PushesFirst(Vec<(usize, ServerFrame)>);

impl Wire for PushesFirst {
    fn down(&mut self, _: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        match frame {
            ServerFrame::Reply(_, Ok(Reply::Appended { .. })) => self.0.push((to, frame)),
            other => passing.down(to, other),
        }
    }

    fn idle(&mut self, _: UnixMillis, passing: &mut Passing) {
        for (to, frame) in self.0.drain(..) {
            passing.down(to, frame);
        }
    }
}

#[test]
fn a_record_that_comes_before_its_acknowledgement_holds_nothing_up() {
    let mut world = connected(2);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.wire = Some(Box::new(PushesFirst::default()));
    let texts: Vec<_> = (0..50).map(|number| number.to_string()).collect();
    for text in &texts {
        world.send(0, channel, text);
    }
    // No time passes.
    world.settle();
    for index in 0..2 {
        assert_eq!(world.texts(index, channel), texts);
    }
    assert_eq!(world.queued(0), 0);
    assert!(world.alarms().is_empty());
}

/// Sealed, on its way out, and then the statement comes that puts a reader out.
#[test]
fn what_has_not_left_when_a_statement_comes_is_sealed_again_without_whom_it_puts_out() {
    let mut world = connected(3);
    let open = world.channels[0];
    world.enter_all(open);
    world.run();
    world.disconnect(2);
    world.send(1, open, "not for the third");
    let target = Target::Device(world.parties[2].engine.identity().device());
    let reason = Reason::Lost;
    let revoke = Body::Revoke(Revoke { target, reason });
    let signed = world.sign(&world.ledger.draft(revoke, world.now));
    let submit = Request::LedgerSubmit(vec![signed.clone()]);
    world.parties[0].engine.call(submit);
    let sender = &mut world.parties[1].engine;
    sender.append_statements(&[signed]).unwrap();
    // Its own check stops the world if a ciphertext of before leaves.
    world.run();
    world.run();
    assert_eq!(world.texts(0, open), ["not for the third"]);
    assert_eq!(world.devices_in(0, open).len(), 2);
    assert_eq!(world.alarms(), [] as [&Event; 0]);
}

/// Power is lost right after each `send`: whatever it promised is there and goes out.
#[test]
fn what_was_promised_survives_a_power_loss() {
    let mut world = kept(2);
    beat(&mut world);
    let channel = world.channels[0];
    world.enter_all(channel);
    world.run();
    let lose = |world: &mut World, said: &[(&str, Label)]| {
        let say = |(text, label): &(&str, _)| world.send_labelled(0, channel, text, *label);
        let said: Vec<_> = said.iter().map(say).collect();
        world.lose(0, Loss::Power);
        let store = world.parties[0].engine.store();
        for message in said {
            assert!(store.outgoing(message).unwrap().is_some());
        }
        world.connect(0);
        world.run();
    };
    // Sealed at once; the second waits for the answer to the first.
    lose(&mut world, &[("sealed", Label::Green)]);
    lose(
        &mut world,
        &[("before", Label::Green), ("waits", Label::Green)],
    );
    assert_eq!(world.texts(1, channel), ["sealed", "before", "waits"]);
    // Held back: nobody vouches for the ledger any more.
    wait(&mut world, 4 * DAY);
    lose(&mut world, &[("held", Label::Red)]);
}
