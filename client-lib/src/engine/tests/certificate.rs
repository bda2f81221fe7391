//! The certificate of a clean break says what happened, no more, and what is not known.

use plenary_certs::{
    ledger::{Admit, Body, Capacity, Reason, Revoke, Target},
    proof::{
        self, Proven,
        clean_break::{CleanBreak, Exposure},
    },
};
use plenary_proto::{ids::*, reply::Reply, request::Request};

use crate::{
    ErrorKind,
    simulation::{World, connected},
};

const CAROL: usize = 3;

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

fn say(world: &mut World, index: usize, channel: ChannelId, texts: &[&str]) {
    for text in texts {
        world.send(index, channel, text);
        world.run_for(1_000);
    }
}

fn certify(world: &mut World, by: usize, index: usize) -> CleanBreak {
    let now = world.now;
    world.parties[by]
        .engine
        .clean_break(now, member(index))
        .unwrap()
}

#[test]
fn it_names_the_last_record_the_removal_and_what_could_be_read() {
    let mut world = connected(4);
    let [open, other, closed] = world.channels[..] else {
        panic!()
    };
    for index in [0, 1] {
        world.enter(index, open);
        world.run();
    }
    say(&mut world, 0, open, &["before it came", "nor this"]);
    world.enter(CAROL, open);
    world.run();
    say(&mut world, 0, open, &["one", "two"]);
    say(&mut world, CAROL, open, &["three"]);
    world.enter(1, closed);
    world.enter(0, closed);
    world.run();
    world.say(0, revoke(CAROL));
    say(&mut world, 1, open, &["after"]);

    let said = certify(&mut world, 0, CAROL);
    assert!(said.is_complete());
    let [gone] = &said.gone[..] else {
        panic!("{:?}", said.gone)
    };
    assert_eq!((gone.channel, gone.device), (open, device(CAROL)));
    let store = world.parties[0].engine.store().clone();
    let texts = store.messages(open, Seq(0), 100).unwrap();
    // The entry, three messages, the removal, what was said after it.
    let entered = texts[1].seq.next();
    assert_eq!(gone.entered, Some(entered));
    assert_eq!(gone.removal.seq, texts[4].seq.next());
    assert_eq!(gone.epoch, texts[4].epoch);
    assert!(texts[5].epoch > gone.epoch && texts[5].seq > gone.removal.seq);
    let through = texts[4].seq;
    assert_eq!(
        said.exposure,
        [Exposure {
            channel: open,
            after: entered,
            through,
            whole: true,
            messages: 3,
            items: vec![],
        }]
    );
    assert_eq!(said.unexamined, [other], "in which the issuer is not");
    assert_eq!(said.statement, world.ledger.head());

    // With the server's word on the log, for a third party.
    let at = Request::HeadAt {
        channel: open,
        seq: gone.removal.seq,
    };
    let Ok(Reply::Head(signed)) = world.request_as(0, at) else {
        panic!("not signed")
    };
    let engine = &world.parties[0].engine;
    assert!(engine.covers(gone, &signed));
    let mut other_head = signed.clone();
    other_head.head.hash = Digest([1; 32]);
    assert!(!engine.covers(gone, &other_head));
    let mut full = said.clone();
    full.gone[0].signed = Some(signed);
    let file = engine.sign_clean_break(&full).unwrap();
    let root1 = world.ledger.root1();
    let Ok(Proven::CleanBreak(proven)) = proof::verify(&file, root1) else {
        panic!("does not verify")
    };
    assert_eq!(proven.said, full);

    // Who came later than the member says so.
    let late = certify(&mut world, 1, CAROL);
    assert_eq!(late.gone, said.gone);
    assert_eq!(late.exposure, said.exposure);
}

#[test]
fn who_came_later_says_what_it_cannot_know() {
    let mut world = connected(5);
    let open = world.channels[0];
    for index in [CAROL, 0] {
        world.enter(index, open);
        world.run();
    }
    world.enter(CAROL, open);
    world.run();
    say(&mut world, CAROL, open, &["early"]);
    world.enter(1, open);
    world.run();
    say(&mut world, 0, open, &["both read this"]);
    world.say(0, revoke(CAROL));
    let said = certify(&mut world, 1, CAROL);
    assert_eq!(said.gone[0].entered, None);
    let [exposure] = &said.exposure[..] else {
        panic!("{said:?}")
    };
    assert!(!exposure.whole);
    assert_eq!(exposure.messages, 1);
    // Who enters after the removal has seen nothing at all.
    world.enter(4, open);
    world.run();
    let said = certify(&mut world, 4, CAROL);
    assert!(said.gone.is_empty() && said.exposure.is_empty());
    assert!(said.unexamined.contains(&open));
}

#[test]
fn pending_until_somebody_removed_it_and_nothing_for_who_is_live() {
    let mut world = connected(4);
    let open = world.channels[0];
    world.enter_all(open);
    let now = world.now;
    let live = world.parties[0].engine.clean_break(now, member(CAROL));
    assert_eq!(live.unwrap_err().kind(), ErrorKind::Input);
    let unknown = world.parties[0].engine.clean_break(now, MemberId([77; 16]));
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::NotFound);
    let statement = world.ledger.draft(revoke(CAROL), now);
    let signed = world.sign(&statement);
    world.parties[0]
        .engine
        .append_statements(&[signed])
        .unwrap();
    let said = certify(&mut world, 0, CAROL);
    assert_eq!(said.pending, [(open, device(CAROL))]);
    assert!(!said.is_complete());
}

/// An admission that ended, and came again before: two stays, one certificate.
#[test]
fn an_ended_admission_and_several_stays() {
    let mut world = connected(4);
    let open = world.channels[0];
    world.enter_all(open);
    let until = |ends| {
        Body::Admit(Admit {
            member: member(CAROL),
            capacity: Capacity::Expert,
            ends: Some(ends),
            profile: Digest([0; 32]),
        })
    };
    for _ in 0..2 {
        let ends = world.now.plus(30_000);
        world.say(0, until(ends));
        world.connect(CAROL);
        world.run();
        say(&mut world, 0, open, &["within"]);
        world.run_for(60_000);
        say(&mut world, 0, open, &["without"]);
    }
    let said = certify(&mut world, 0, CAROL);
    assert_eq!(said.gone.len(), 2);
    assert!(said.gone[0].removal.seq < said.gone[1].removal.seq);
    assert!(said.is_complete() && said.since < said.issued);
    let messages: Vec<_> = said.exposure.iter().map(|one| one.messages).collect();
    assert_eq!(messages, [1, 1], "not what was said between the stays");
    let file = world.parties[0].engine.sign_clean_break(&said).unwrap();
    let proven = proof::verify(&file, world.ledger.root1()).unwrap();
    assert!(proven.to_string().contains("(ADMIT)"), "{proven}");
}
