//! One server, two truths: two logs of one channel, and a heartbeat of long ago.

use std::{cell::RefCell, rc::Rc};

use plenary_certs::{
    ledger::{Body, Heartbeat},
    signing::SigningKey,
};
use plenary_client::{AlarmKind, Event, Label};
use plenary_proto::{
    reply::{Push, Reply},
    request::Request,
};

use crate::{
    false_log::FalseLog,
    liar::{Fate, Seen},
    trial::Trial,
};

const DAY: u64 = 24 * 3_600_000;

/// One member is shown a log of its own, signed and consistent; then the two are one again. The first
/// message that crosses tells; who was deceived stands still until a person says otherwise, and then
/// has everything, and what it said to nobody is said to all.
pub fn hostile_two_views(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let others: Vec<_> = (0..4).filter(|who| *who != victim).collect();
    let log = FalseLog::new(&mut trial.world, victim, channel);
    let log = Rc::new(RefCell::new(log));
    trial.show(&log, &[victim]);
    for _ in 0..1 + trial.dice.below(20) {
        trial.say(victim, channel);
        trial.world.run_for(300);
    }
    for _ in 0..1 + trial.dice.below(20) {
        let who = *trial.dice.pick(&others);
        trial.say(who, channel);
        trial.world.run_for(300);
    }
    trial.world.run_for(2_000);
    for who in 0..4 {
        trial.quiet(who);
    }
    // On the same connection.
    trial.world.wire = None;
    trial.say(victim, channel);
    let who = *trial.dice.pick(&others);
    trial.say(who, channel);
    trial.world.run_for(5_000);
    trial.raised_one_of(victim, &[AlarmKind::LogForked, AlarmKind::LogRolledBack]);
    trial.honest();
    // Nobody else has anything to do.
    trial.talks(channel, &others);
    trial.world.enter(victim, channel);
    trial.world.run_for(300_000);
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
    trial.all_there(channel, &[0, 1, 2, 3]);
    for who in others {
        trial.raised(who, AlarmKind::LogForked);
    }
}

/// The Board's machine goes on; one member is shown its heartbeat of days ago, or none.
pub fn hostile_stale_heartbeat(trial: &mut Trial) {
    let channel = trial.talking();
    let key = SigningKey::from_seed(&trial.dice.bytes()).unwrap();
    let mut root = trial.world.ledger.root().unwrap().clone();
    root.heartbeat = vec![key.public()];
    trial.world.say(0, Body::Root(root));
    trial.world.run_for(2_000);
    let beat = |trial: &mut Trial| {
        let heartbeat = Heartbeat {
            network: trial.world.ledger.network(),
            head: trial.world.ledger.head(),
            time: trial.world.now,
        };
        let signed = heartbeat.sign(&key).into();
        let put = Request::PutHeartbeat(signed);
        trial.world.request_as(0, put).unwrap();
        trial.world.run_for(2_000);
    };
    beat(trial);
    let victim = trial.dice.below(4);
    let old = match trial.world.request_as(0, Request::GetHeartbeat) {
        Ok(Reply::Heartbeat(old)) if trial.dice.coin() => old,
        _ => None,
    };
    trial.lie(move |_, who, seen| match seen {
        Seen::Push(Push::Heartbeat(new)) if who == victim => match &old {
            Some(old) => {
                *new = old.clone();
                Fate::Pass
            }
            None => Fate::Drop,
        },
        Seen::Reply(Request::GetHeartbeat, reply) if who == victim => {
            *reply = Ok(Reply::Heartbeat(old.clone()));
            Fate::Pass
        }
        _ => Fate::Pass,
    });
    for _ in 0..8 {
        trial.world.now = trial.world.now.plus(DAY / 2);
        beat(trial);
    }
    for who in 0..4 {
        let events = &trial.world.parties[who].events;
        let lapsed = |event: &Event| matches!(event, Event::Heartbeat(f) if f.is_lapsed());
        assert_eq!(events.iter().any(lapsed), who == victim, "{who}");
    }
    let red = trial.say_labelled(victim, channel, Label::Red);
    trial.world.run_for(60_000);
    assert_eq!(trial.world.queued(victim), 1, "sealed under a stale ledger");
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    assert!(trial.world.texts((victim + 1) % 4, channel).contains(&red));
    trial.nothing_false();
}
