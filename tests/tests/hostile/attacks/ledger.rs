//! The Board's ledger: forged, replayed, cut, split, kept back.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;
use plenary_certs::{
    ledger::{
        Admit, Body, Capacity, DeviceBody, DeviceKeys, Grant, Person, Reason, Revoke, Signed,
        SignedStatement, Statement, Target, Voucher, sign_as_board, sign_as_device,
    },
    signing::SigningKey,
};
use plenary_client::AlarmKind;
use plenary_proto::{
    ids::{DeviceId, Digest, LedgerHead, LedgerSeq, MemberId},
    reply::{Push, Reply},
    request::Request,
};

use crate::{
    liar::{Fate, Seen},
    trial::Trial,
};

/// One member is told that the ledger goes on so; whoever it is.
fn feed(trial: &mut Trial, statements: Vec<Bytes>) -> usize {
    let victim = trial.dice.below(4);
    let base = trial.world.ledger.head();
    let head = LedgerHead {
        seq: LedgerSeq(base.seq.0 + statements.len() as u64),
        hash: Digest(trial.dice.bytes()),
    };
    let told = Cell::new(false);
    trial.lie(move |scene, who, seen| {
        match seen {
            Seen::Idle if !told.replace(true) => {
                scene.pushes.push((victim, Push::Ledger(head)));
            }
            Seen::Reply(
                Request::LedgerRead { .. },
                Ok(Reply::LedgerPage {
                    statements: page,
                    head: claimed,
                }),
            ) if who == victim => {
                *page = statements.clone();
                *claimed = head;
            }
            _ => {}
        }
        Fate::Pass
    });
    trial.world.run_for(2_000);
    victim
}

/// The whole run of an attack that ends in a statement that is not believed.
fn refused(trial: &mut Trial, statements: Vec<Bytes>) {
    let before = trial.world.ledger.head();
    let victim = feed(trial, statements);
    trial.raised(victim, AlarmKind::ForgedStatement);
    assert!(!trial.world.is_connected(victim), "it stays with a liar");
    assert_eq!(trial.world.ledger_of(victim), before);
    trial.honest();
    let channel = trial.world.channels[0];
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
    for index in (0..4).filter(|index| *index != victim) {
        trial.quiet(index);
    }
}

fn keys(trial: &Trial) -> DeviceKeys {
    let sealing = plenary_certs::profile::sealing_keypair().unwrap();
    DeviceKeys {
        authentication: trial.dice.key().public(),
        mls: trial.dice.key().public(),
        custody: trial.dice.key().public(),
        sealing: sealing.public().to_vec(),
    }
}

fn signed(statement: &Statement, by: &[&SigningKey]) -> Bytes {
    let bytes = statement.encode();
    let signatures: Vec<Signed> = by.iter().map(|key| sign_as_board(&bytes, key)).collect();
    SignedStatement::new(bytes, signatures).encode().into()
}

fn grant(trial: &Trial, member: u8, granted: bool) -> Body {
    Body::Grant(Grant {
        channel: trial.world.channels[2],
        member: MemberId([member; 16]),
        granted,
    })
}

/// A statement with too few signatures, of the wrong people, or altered after they signed.
pub fn hostile_forged_statement(trial: &mut Trial) {
    trial.talking();
    let body = grant(trial, 2, true);
    let statement = trial.world.ledger.draft(body, trial.world.now);
    let board = &trial.world.board;
    let outsider = trial.dice.key();
    let forged = match trial.dice.below(4) {
        0 => signed(&statement, &[&board[0]]),
        1 => signed(&statement, &[&board[0], &board[0]]),
        2 => signed(&statement, &[&board[0], &outsider]),
        _ => {
            let mut bytes = signed(&statement, &[&board[0], &board[1]]).to_vec();
            let at = trial.dice.below(bytes.len());
            bytes[at] ^= 1 << trial.dice.below(8);
            bytes.into()
        }
    };
    refused(trial, vec![forged]);
}

/// A member and device that one person of the Board would have alone.
pub fn hostile_ghost_member(trial: &mut Trial) {
    trial.talking();
    let member = MemberId(trial.dice.bytes());
    let one = trial.world.board[trial.dice.below(3)].seed();
    let one = SigningKey::from_seed(one).unwrap();
    let bodies = [
        Body::Admit(Admit {
            member,
            capacity: Capacity::Member,
            ends: None,
            profile: Digest([9; 32]),
        }),
        Body::Device(DeviceBody {
            device: DeviceId(trial.dice.bytes()),
            member,
            voucher: Voucher::Board,
            keys: keys(trial),
        }),
    ];
    let now = trial.world.now;
    let statements = bodies
        .into_iter()
        .map(|body| signed(&trial.world.ledger.draft(body, now), &[&one]))
        .collect();
    refused(trial, statements);
}

/// A statement that is in the ledger already, once more.
pub fn hostile_replayed_statement(trial: &mut Trial) {
    trial.talking();
    let at = 1 + trial.dice.below(trial.world.ledger.len()) as u64;
    let old = trial.world.ledger.entry(LedgerSeq(at)).unwrap().to_vec();
    refused(trial, vec![old.into()]);
}

/// A statement by the Board as it was before its keys were replaced.
pub fn hostile_retired_root(trial: &mut Trial) {
    trial.talking();
    let fresh = [trial.dice.key(), trial.dice.key(), trial.dice.key()];
    let mut root = trial.world.ledger.root().unwrap().clone();
    root.board = fresh
        .iter()
        .zip(1..)
        .map(|(key, number)| Person {
            member: MemberId([number; 16]),
            key: key.public(),
        })
        .collect();
    let old = std::mem::replace(&mut trial.world.board, Vec::from(fresh));
    let statement = trial.world.ledger.draft(Body::Root(root), trial.world.now);
    let new = &trial.world.board;
    let rotation = signed(&statement, &[&old[0], &old[1], &new[0], &new[1]]);
    trial.world.ledger.append(&rotation).unwrap();
    let submit = Request::LedgerSubmit(vec![rotation]);
    trial.world.request_as(0, submit).unwrap();
    trial.world.run_for(2_000);
    let body = grant(trial, 2, true);
    let statement = trial.world.ledger.draft(body, trial.world.now);
    let mut late = signed(&statement, &[&old[0], &old[1]]);
    if trial.dice.coin() {
        // Drafted when the old one was in force.
        let mut statement = statement;
        statement.root_version -= 1;
        late = signed(&statement, &[&old[0], &old[1]]);
    }
    refused(trial, vec![late]);
}

/// The Board admits a device; the server puts its own keys into the statement.
pub fn hostile_swapped_device_keys(trial: &mut Trial) {
    trial.talking();
    let body = DeviceBody {
        device: DeviceId(trial.dice.bytes()),
        member: MemberId([2; 16]),
        voucher: Voucher::Board,
        keys: keys(trial),
    };
    let now = trial.world.now;
    let honest = trial.world.ledger.draft(Body::Device(body.clone()), now);
    let honest = trial.world.sign_aside(&honest);
    let (honest, _) = SignedStatement::decode(&honest).unwrap();
    let mut swapped = body;
    match trial.dice.below(3) {
        0 => swapped.keys.mls = trial.dice.key().public(),
        1 => swapped.keys.authentication = trial.dice.key().public(),
        _ => swapped.member = MemberId([3; 16]),
    }
    let swapped = trial.world.ledger.draft(Body::Device(swapped), now);
    let forged = SignedStatement::new(swapped.encode(), honest.signatures().to_vec());
    refused(trial, vec![forged.encode().into()]);
}

/// A device vouched for by one that the Board has revoked as stolen.
pub fn hostile_device_vouched_by_stolen(trial: &mut Trial) {
    trial.talking();
    let thief = trial.world.keys(3);
    let revoke = Body::Revoke(Revoke {
        target: Target::Device(thief.device),
        reason: Reason::Compromised,
    });
    trial.world.say(0, revoke);
    let body = DeviceBody {
        device: DeviceId(trial.dice.bytes()),
        member: thief.member,
        voucher: Voucher::Device(thief.device),
        keys: keys(trial),
    };
    let statement = trial
        .world
        .ledger
        .draft(Body::Device(body), trial.world.now);
    let bytes = statement.encode();
    let by = sign_as_device(&bytes, thief.device, &thief.authentication);
    let forged: Bytes = SignedStatement::new(bytes, vec![by]).encode().into();
    let before = trial.world.ledger.head();
    let victim = loop_until_connected(trial, &forged);
    trial.raised(victim, AlarmKind::ForgedStatement);
    assert!(!trial.world.is_connected(victim));
    assert_eq!(trial.world.ledger_of(victim), before);
    trial.honest();
    trial.talks(trial.world.channels[0], &[0, 1, 2]);
    trial.nothing_false();
}

fn loop_until_connected(trial: &mut Trial, forged: &Bytes) -> usize {
    // The thief itself is cut: it is told nothing.
    loop {
        let victim = feed(trial, vec![forged.clone()]);
        if victim != 3 {
            return victim;
        }
    }
}

/// The server says that there is more and does not hand it out.
pub fn hostile_ledger_kept_back(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let mut head = trial.world.ledger.head();
    head.seq.0 += 1 + trial.dice.below(5) as u64;
    head.hash = Digest(trial.dice.bytes());
    let told = Cell::new(false);
    trial.lie(move |scene, who, seen| {
        match seen {
            Seen::Idle if !told.replace(true) => {
                scene.pushes.push((victim, Push::Ledger(head)));
            }
            Seen::Reply(
                Request::LedgerRead { .. },
                Ok(Reply::LedgerPage { head: claimed, .. }),
            ) if who == victim => {
                *claimed = head;
            }
            _ => {}
        }
        Fate::Pass
    });
    trial.world.run_for(2_000);
    trial.raised(victim, AlarmKind::LedgerWithheld);
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// A member is revoked; the server keeps it from one of the others. The first message of somebody
/// who knows tells it, and until then nothing is believed that depends on it.
pub fn hostile_withheld_revocation(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = 1 + trial.dice.below(2);
    let teller = 3 - victim;
    let base = trial.world.ledger.head();
    trial.lie(move |_, who, seen| {
        match seen {
            Seen::Push(Push::Ledger(_)) if who == victim => return Fate::Drop,
            Seen::Reply(Request::LedgerRead { .. }, Ok(Reply::LedgerPage { statements, head }))
                if who == victim && head.seq > base.seq =>
            {
                statements.clear();
                *head = base;
            }
            Seen::Hello(hello) if who == victim => hello.ledger = base,
            _ => {}
        }
        Fate::Pass
    });
    let revoke = Body::Revoke(Revoke {
        target: Target::Member(MemberId([4; 16])),
        reason: Reason::Compromised,
    });
    trial.world.submit(0, revoke);
    trial.world.run_for(1_000);
    trial.say(teller, channel);
    trial.world.run_for(3_000);
    trial.raised(victim, AlarmKind::LedgerWithheld);
    let kept = trial.say(victim, channel);
    trial.world.run_for(3_000);
    assert_eq!(
        trial.world.queued(victim),
        1,
        "it seals without that ledger"
    );
    assert!(!trial.world.texts(teller, channel).contains(&kept));
    trial.honest();
    assert_eq!(trial.world.queued(victim), 0);
    assert!(trial.world.texts(teller, channel).contains(&kept));
    assert!(!trial.world.texts(3, channel).contains(&kept));
    assert!(
        !trial
            .world
            .devices_in(victim, channel)
            .contains(&DeviceId([104; 16]))
    );
    trial.talks(channel, &[0, 1, 2]);
    trial.nothing_false();
}

/// On the next connection the server's ledger is one that this client has outgrown.
pub fn hostile_rolled_back_ledger(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let at = 1 + trial.dice.below(trial.world.ledger.len() - 1) as u64;
    let old = trial.world.ledger.head_at(LedgerSeq(at)).unwrap();
    at_hello(trial, victim, move |hello| hello.ledger = old);
    trial.raised(victim, AlarmKind::LedgerRolledBack);
    assert!(!trial.world.is_connected(victim));
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
}

/// On the next connection the server has another ledger of the same length, or a longer one.
pub fn hostile_other_ledger_at_hello(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let at = 1 + trial.dice.below(trial.world.ledger.len()) as u64;
    let other = LedgerHead {
        seq: LedgerSeq(at),
        hash: Digest(trial.dice.bytes()),
    };
    at_hello(trial, victim, move |hello| hello.ledger = other);
    trial.raised(victim, AlarmKind::LedgerForked);
    assert!(!trial.world.is_connected(victim));
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
}

/// The server has another key than the ledger names, and may say that statements yet unread name it.
pub fn hostile_wrong_server_key(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let key = trial.dice.key().public();
    let further = trial.dice.below(3) as u64;
    at_hello(trial, victim, move |hello| {
        hello.server_key = key;
        hello.ledger.seq.0 += further;
    });
    trial.raised(victim, AlarmKind::WrongServerKey);
    assert!(!trial.world.is_connected(victim));
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
}

/// The server serves another network.
pub fn hostile_other_network(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let other = plenary_proto::ids::NetworkId(trial.dice.bytes());
    at_hello(trial, victim, move |hello| hello.network = other);
    trial.raised(victim, AlarmKind::OtherNetwork);
    assert!(!trial.world.is_connected(victim));
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
}

fn at_hello(
    trial: &mut Trial,
    victim: usize,
    change: impl Fn(&mut plenary_proto::reply::Hello) + 'static,
) {
    trial.lie(move |_, who, seen| {
        if let Seen::Hello(hello) = seen
            && who == victim
        {
            change(hello);
        }
        Fate::Pass
    });
    trial.world.connect(victim);
    trial.world.run_for(1_000);
}

/// Two statements that both hold, in this order for one member and in that for the rest.
pub fn hostile_split_ledger(trial: &mut Trial) {
    let channel = trial.talking();
    let victim = 1 + trial.dice.below(3);
    let base = trial.world.ledger.head();
    let mut other = trial.world.ledger.clone();
    let (one, two) = (grant(trial, 2, true), grant(trial, 3, true));
    let now = trial.world.now;
    let one = trial.world.sign_aside(&trial.world.ledger.draft(one, now));
    let two = trial.world.sign_aside(&trial.world.ledger.draft(two, now));
    other.append(&two).unwrap();
    other.append(&one).unwrap();
    let (page, head) = (vec![two.clone(), one.clone()], other.head());
    let shown = Rc::new(Cell::new(false));
    let seen_it = shown.clone();
    trial.lie(move |_, who, seen| {
        match seen {
            Seen::Reply(
                Request::LedgerRead { .. },
                Ok(Reply::LedgerPage {
                    statements,
                    head: end,
                }),
            ) if who == victim && end.seq == head.seq => {
                assert!(statements.len() == 2 || statements.is_empty());
                if statements.len() == 2 {
                    *statements = page.clone();
                    seen_it.set(true);
                }
                *end = head;
            }
            Seen::Push(Push::Ledger(end)) if who == victim && end.seq.0 == base.seq.0 + 1 => {
                return Fate::Drop;
            }
            _ => {}
        }
        Fate::Pass
    });
    trial.world.ledger.append(&one).unwrap();
    trial.world.ledger.append(&two).unwrap();
    let submit = Request::LedgerSubmit(vec![one, two]);
    trial.world.request_as(0, submit).unwrap();
    trial.world.run_for(1_000);
    assert!(shown.get(), "it was not shown");
    assert_ne!(trial.world.ledger_of(victim), trial.world.ledger_of(0));
    let text = trial.say(0, channel);
    trial.world.run_for(2_000);
    trial.raised(victim, AlarmKind::LedgerForked);
    assert!(!trial.world.texts(victim, channel).contains(&text));
    trial.nothing_false();
    // With the true server it can only find out that it was shown another ledger: it takes no part.
    trial.honest();
    assert!(!trial.world.is_connected(victim));
    let rest: Vec<_> = (0..4).filter(|index| *index != victim).collect();
    trial.talks(channel, &rest);
}
