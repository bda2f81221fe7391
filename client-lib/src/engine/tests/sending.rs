//! How fast what is queued goes out.

use plenary_proto::{
    ids::UnixMillis,
    reply::{Reply, ServerFrame},
};

use crate::simulation::{Passing, Wire, connected};

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
