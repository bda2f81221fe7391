//! Answers and pushes that are no answers: noise, another kind, nobody asked, other people's names.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use plenary_certs::{
    ledger::{Admit, Body, Capacity},
    profile::{
        Generation, MemberProfile, Profile, RosterKey, SaltedProfile, seal_roster_key,
        sealing_keypair,
    },
};
use plenary_client::{AlarmKind, ErrorKind, Event};
use plenary_proto::{
    codec::encode_server,
    ids::{
        ChannelId, ClientId, DeviceId, Digest, LedgerHead, LedgerSeq, MemberId, NetworkId,
        RequestId, Seq,
    },
    reply::{Code, Failure, Push, Record, Reply, ServerFrame},
    request::{Request, SealedName},
};
use ring::rand::SystemRandom;

use crate::{
    liar::{Fate, Seen},
    trial::Trial,
};

/// One answer to a victim, whichever comes next, is replaced by these bytes.
fn instead(trial: &mut Trial, kinds: usize, bytes: impl Fn(Bytes) -> Bytes + 'static) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let skip = Cell::new(trial.dice.below(kinds));
    let done = Cell::new(false);
    trial.lie(move |scene, who, seen| {
        if who != victim || done.get() {
            return Fate::Pass;
        }
        let frame = match seen {
            Seen::Reply(_, reply) => ServerFrame::Reply(scene.id, reply.clone()),
            Seen::Push(push) => ServerFrame::Push(push.clone()),
            _ => return Fate::Pass,
        };
        if skip.get() > 0 {
            skip.set(skip.get() - 1);
            return Fate::Pass;
        }
        done.set(true);
        Fate::Raw(bytes(encode_server(frame)))
    });
    // Everything is asked for: ledger, welcomes, heads, records, an acknowledgement.
    trial.world.connect(victim);
    let text = trial.say(victim, channel);
    for _ in 0..4 {
        trial.say((victim + 1) % 4, channel);
        trial.world.run_for(500);
    }
    let trouble = &trial.world.parties[victim].trouble;
    assert_eq!(trouble.len(), 1, "{trouble:?}");
    assert_eq!(trouble[0].kind(), ErrorKind::Integrity);
    assert!(!trial.world.is_connected(victim));
    trial.nothing_false();
    trial.honest();
    let shown = trial.world.texts((victim + 2) % 4, channel);
    assert_eq!(shown.iter().filter(|one| **one == text).count(), 1);
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// Noise in the place of a frame, or a frame that is cut.
pub fn hostile_garbage_frames(trial: &mut Trial) {
    let noise = trial.dice.some(1 + trial.dice.below(500));
    let cut = trial.dice.coin();
    instead(trial, 5, move |frame| match cut {
        true => frame.slice(..frame.len() - 1),
        // No frame begins with a field of number 0.
        false => [&[0], &noise[..]].concat().into(),
    });
}

/// A frame above the limit that was agreed.
pub fn hostile_oversized_frames(trial: &mut Trial) {
    let by = 1 + trial.dice.below(1_000_000);
    instead(trial, 5, move |_| Bytes::from(vec![0; 72 * 1024 + by]));
}

/// Every answer is of another kind than was asked for.
pub fn hostile_answers_of_another_kind(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let dice = trial.dice.split(3);
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(reply)) = seen
            && who == victim
        {
            let same = std::mem::discriminant(reply);
            *reply = match dice.below(4) {
                0 => Reply::Done,
                1 => Reply::Count(1),
                2 => Reply::Heads(vec![]),
                _ => Reply::WelcomeList(vec![]),
            };
            if std::mem::discriminant(reply) == same {
                *reply = Reply::Token(Bytes::new());
            }
        }
        Fate::Pass
    });
    let text = trial.say(victim, channel);
    trial.say((victim + 1) % 4, channel);
    trial.world.connect(victim);
    trial.world.run_for(3_000);
    trial.raised(victim, AlarmKind::UnexpectedAnswer);
    trial.nothing_false();
    trial.honest();
    let shown = trial.world.texts((victim + 2) % 4, channel);
    assert_eq!(shown.iter().filter(|one| **one == text).count(), 1);
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// Answers to requests that were never made, or were answered before.
pub fn hostile_unasked_answers(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let id = RequestId(1 + trial.dice.below(100_000) as u64);
    let told = Cell::new(0);
    trial.lie(move |scene, _, seen| {
        if matches!(seen, Seen::Idle) && told.get() < 3 {
            told.set(told.get() + 1);
            let reply = match told.get() {
                1 => Ok(Reply::WelcomeList(vec![])),
                2 => Ok(Reply::Count(0)),
                _ => Err(Failure::new(Code::NotAllowed, "no")),
            };
            scene.answers.push((victim, id, reply));
        }
        Fate::Pass
    });
    trial.world.run_for(1_000);
    trial.raised(victim, AlarmKind::UnexpectedAnswer);
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// Pushes about what is not so.
pub fn hostile_unasked_pushes(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let dice = trial.dice.split(5);
    let told = Cell::new(0);
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    trial.lie(move |scene, _, seen| {
        match seen {
            Seen::Request(_) => count.set(count.get() + 1),
            Seen::Idle if told.get() < 30 => {
                told.set(told.get() + 1);
                let record = Record {
                    seq: Seq(dice.below(12) as u64),
                    device: DeviceId([101 + dice.below(5) as u8; 16]),
                    client_id: ClientId(dice.bytes()),
                    time: scene.now,
                    bytes: dice.some(dice.below(300)).into(),
                };
                let push = match dice.below(6) {
                    0 => Push::Moved { channel, record },
                    1 => Push::Moved {
                        channel: ChannelId(dice.bytes()),
                        record,
                    },
                    2 => Push::Welcome(ChannelId(dice.bytes())),
                    3 => Push::KeyPackages(dice.below(5) as u32),
                    4 => Push::Ledger(LedgerHead {
                        seq: LedgerSeq(dice.below(10) as u64),
                        hash: Digest(dice.bytes()),
                    }),
                    _ => Push::AdmissionRequest,
                };
                scene.pushes.push((victim, push));
            }
            _ => {}
        }
        Fate::Pass
    });
    trial.world.run_for(10_000);
    assert!(asked.get() < 200, "it asks {} times", asked.get());
    trial.nothing_false();
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// A new member, whose profile only the world knows.
fn newcomer(trial: &mut Trial, name: &str) -> (SaltedProfile, Vec<u8>) {
    let profile = Profile::Member(MemberProfile {
        name: name.to_owned(),
        state: "Utopia".to_owned(),
        languages: vec![],
        expertise: vec![],
    });
    let profile = SaltedProfile::new(profile, &SystemRandom::new()).unwrap();
    let roster = RosterKey::from_bytes(trial.world.roster);
    let network = NetworkId([7; 16]);
    let sealed = profile
        .seal(&roster, network, &SystemRandom::new())
        .unwrap();
    let admit = Admit {
        member: MemberId(trial.dice.bytes()),
        capacity: Capacity::Member,
        ends: None,
        profile: profile.hash(),
    };
    trial.world.submit(0, Body::Admit(admit));
    trial.world.run_for(500);
    (profile, sealed)
}

/// The server gives this for a profile, until the truth is told.
fn named_with(trial: &mut Trial, given: impl Fn(&Digest) -> Option<Bytes> + 'static) {
    let victim = trial.dice.below(4);
    let (one, sealed) = newcomer(trial, "Carol");
    let (hash, sealed) = (one.hash(), Bytes::from(sealed));
    let honest = Rc::new(Cell::new(false));
    let now_honest = honest.clone();
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(Reply::SealedList(entries))) = seen
            && who == victim
        {
            for (name, bytes) in entries {
                match name {
                    SealedName::Profile(asked) if honest.get() && *asked == hash => {
                        *bytes = Some(sealed.clone());
                    }
                    SealedName::Profile(asked) if !honest.get() => *bytes = given(asked),
                    _ => {}
                }
            }
        }
        Fate::Pass
    });
    trial.world.run_for(6_000);
    trial.raised(victim, AlarmKind::Profile);
    let names = |trial: &Trial| {
        let events = &trial.world.parties[victim].events;
        events
            .iter()
            .filter(|event| **event == Event::Names)
            .count()
    };
    assert_eq!(names(trial), 0, "it took a name that is another's");
    now_honest.set(true);
    trial.world.run_for(6_000);
    assert_eq!(names(trial), 1);
}

/// The profile of one member in the place of another's.
pub fn hostile_swapped_profiles(trial: &mut Trial) {
    trial.all_but(&[]);
    let (_, other) = newcomer(trial, "Dave");
    let other = Bytes::from(other);
    let own = trial.world.ledger.members().last().map(|member| member.id);
    let own = own.and_then(|id| {
        let ledger = &trial.world.ledger;
        ledger.member(id)?.admission().map(|admit| admit.profile)
    });
    named_with(trial, move |asked| {
        (Some(*asked) != own).then(|| other.clone())
    });
}

/// A profile with a bit that fell over.
pub fn hostile_altered_profile(trial: &mut Trial) {
    trial.all_but(&[]);
    let (_, mut sealed) = newcomer(trial, "Dave");
    let at = trial.dice.below(sealed.len());
    sealed[at] ^= 1 << trial.dice.below(8);
    let sealed = Bytes::from(sealed);
    named_with(trial, move |_| Some(sealed.clone()));
}

/// A roster key that the server made itself, or that a member plants in the place of the one in
/// use: names sealed under it would be open to whoever made it.
pub fn hostile_planted_roster_key(trial: &mut Trial) {
    trial.all_but(&[3]);
    let victim = trial.dice.below(3);
    let to = trial.world.keys(victim);
    let key = RosterKey::from_bytes(trial.dice.bytes());
    let (by, signer) = match trial.dice.coin() {
        true => {
            let keys = trial.world.keys(3);
            (keys.device, keys.authentication)
        }
        false => (DeviceId([101; 16]), trial.dice.key()),
    };
    let network = NetworkId([7; 16]);
    let sealing = match trial.dice.below(4) {
        // Sealed to somebody else.
        0 => sealing_keypair().unwrap().public().to_vec(),
        _ => to.sealing.1.clone(),
    };
    let planted: Bytes = seal_roster_key(
        &key,
        Generation::FIRST,
        network,
        (to.device, &sealing),
        (by, &signer),
    )
    .unwrap()
    .into();
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(Request::GetSealed(_), Ok(Reply::SealedList(entries))) = seen
            && who == victim
        {
            for (name, bytes) in entries {
                if let SealedName::RosterKey { .. } = name {
                    *bytes = Some(planted.clone());
                }
            }
        }
        Fate::Pass
    });
    trial.world.run_for(6_000);
    trial.raised(victim, AlarmKind::RosterKey);
    assert_eq!(trial.world.roster_keys(victim), [(1, trial.world.roster)]);
    trial.honest();
}
