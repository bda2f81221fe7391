//! Messages: dropped, doubled, moved, altered, and acknowledgements that are not true.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use bytes::Bytes;
use plenary_client::AlarmKind;
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, Digest, Seq},
    reply::{Push, Record, Reply},
    request::{Append, Request},
};

use crate::{
    attacks::groups::with_colluder,
    colluder::read,
    false_log::FalseLog,
    liar::{Fate, Seen},
    trial::Trial,
};

/// All four talk; one who is to be deceived, and another.
fn two(trial: &mut Trial) -> (ChannelId, usize, usize) {
    let channel = trial.talking();
    let victim = trial.dice.below(4);
    let sender = (victim + 1 + trial.dice.below(3)) % 4;
    (channel, victim, sender)
}

/// Everything that the victim sees of the channel's records goes through this, pushed or read; what
/// is read is not signed anew.
fn altered(
    trial: &mut Trial,
    victim: usize,
    mut change: impl FnMut(&mut Record) -> bool + 'static,
) {
    trial.lie(move |_, who, seen| {
        if who != victim {
            return Fate::Pass;
        }
        match seen {
            Seen::Push(Push::Moved { record, .. }) => {
                let keep = change(record);
                return if keep { Fate::Pass } else { Fate::Drop };
            }
            Seen::Reply(_, Ok(Reply::Records { records, .. })) => {
                records.retain_mut(&mut change);
            }
            _ => {}
        }
        Fate::Pass
    });
}

/// The first record of somebody else is changed so, wherever it is seen; the victim raises this
/// and shows nothing false, and everything once the server is honest.
fn one_altered(trial: &mut Trial, kinds: &[AlarmKind], change: impl Fn(&mut Record) + 'static) {
    let (channel, victim, sender) = two(trial);
    let device = DeviceId([sender as u8 + 101; 16]);
    let first = Rc::new(Cell::new(None));
    altered(trial, victim, move |record| {
        if record.device == device && first.get().is_none_or(|seq| seq == record.seq) {
            first.set(Some(record.seq));
            change(record);
        }
        true
    });
    let text = trial.say(sender, channel);
    trial.world.run_for(3_000);
    trial.raised_one_of(victim, kinds);
    trial.nothing_false();
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    let shown = trial.world.texts(victim, channel);
    assert!(shown.contains(&text), "it does not recover: {shown:?}");
    trial.nothing_false();
}

/// A record between others is missing.
pub fn hostile_dropped_message(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    let device = DeviceId([sender as u8 + 101; 16]);
    let first = Cell::new(None);
    altered(trial, victim, move |record| {
        let hit = record.device == device && first.get().is_none_or(|seq| seq == record.seq);
        if hit {
            first.set(Some(record.seq));
        }
        !hit
    });
    let text = trial.say(sender, channel);
    trial.world.run_for(1_000);
    trial.say(sender, channel);
    trial.world.run_for(3_000);
    trial.raised(victim, AlarmKind::MissingRecord);
    trial.nothing_false();
    trial.honest();
    assert!(trial.world.texts(victim, channel).contains(&text));
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// The newest records are kept back, while the server's own signed head has them.
pub fn hostile_withheld_message(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    altered(trial, victim, |_| false);
    let text = trial.say(sender, channel);
    trial.world.run_for(1_000);
    // Something makes it read.
    trial.world.connect(victim);
    trial.world.run_for(5_000);
    trial.raised(victim, AlarmKind::MissingRecord);
    trial.honest();
    assert!(trial.world.texts(victim, channel).contains(&text));
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// A bit of a message falls over on its way.
pub fn hostile_rewritten_message(trial: &mut Trial) {
    let (at, bit) = (trial.dice.below(1 << 20), trial.dice.below(8));
    let kinds = [
        AlarmKind::InvalidMessage,
        AlarmKind::InvalidCommit,
        AlarmKind::LogForked,
    ];
    one_altered(trial, &kinds, move |record| {
        let mut bytes = record.bytes.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        record.bytes = bytes.into();
    });
}

/// A message is cut short, or has no byte at all.
pub fn hostile_cut_message(trial: &mut Trial) {
    let at = trial.dice.below(1 << 20);
    let kinds = [
        AlarmKind::InvalidMessage,
        AlarmKind::LogForked,
        AlarmKind::MissingRecord,
    ];
    one_altered(trial, &kinds, move |record| {
        record.bytes = record.bytes.slice(..at % record.bytes.len());
    });
}

/// The server says that another member sent it.
pub fn hostile_record_claims_another_sender(trial: &mut Trial) {
    let number = trial.dice.below(4) as u8;
    let kinds = [AlarmKind::WrongSender, AlarmKind::LogForked];
    one_altered(trial, &kinds, move |record| {
        let other = DeviceId([101 + number; 16]);
        record.device = match other == record.device {
            true => DeviceId([101 + (number + 1) % 4; 16]),
            false => other,
        };
    });
}

/// The sender's mark is replaced, so that a repeat would not be recognised.
pub fn hostile_record_with_another_mark(trial: &mut Trial) {
    let mark = ClientId(trial.dice.bytes());
    let kinds = [AlarmKind::InvalidMessage, AlarmKind::LogForked];
    one_altered(trial, &kinds, move |record| record.client_id = mark);
}

/// The time of a message is moved.
pub fn hostile_record_with_another_time(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    let by = 1 + trial.dice.below(100_000_000) as u64;
    let text = trial.say(sender, channel);
    // Only what is read has a head beside it that is signed.
    trial.lie(move |_, who, seen| {
        match seen {
            Seen::Push(Push::Moved { .. }) if who == victim => return Fate::Drop,
            Seen::Reply(_, Ok(Reply::Records { records, .. })) if who == victim => {
                for record in records {
                    record.time.0 -= by;
                }
            }
            _ => {}
        }
        Fate::Pass
    });
    trial.world.run_for(1_000);
    trial.world.connect(victim);
    trial.world.run_for(2_000);
    trial.raised(victim, AlarmKind::LogForked);
    trial.nothing_false();
    trial.honest();
    assert!(trial.world.texts(victim, channel).contains(&text));
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// Two records change places.
pub fn hostile_reordered_messages(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    trial.world.disconnect(victim);
    let texts: Vec<_> = (0..3)
        .map(|_| {
            let text = trial.say(sender, channel);
            trial.world.run_for(500);
            text
        })
        .collect();
    let (one, two) = *trial.dice.pick(&[(0, 1), (1, 2), (0, 2)]);
    let renumbered = trial.dice.coin();
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(Reply::Records { records, .. })) = seen
            && who == victim
            && records.len() > two
        {
            records.swap(one, two);
            if renumbered {
                let (first, second) = (records[one].seq, records[two].seq);
                records[one].seq = second;
                records[two].seq = first;
            }
        }
        Fate::Pass
    });
    trial.world.connect(victim);
    trial.world.run_for(2_000);
    trial.raised_one_of(victim, &[AlarmKind::LogForked, AlarmKind::MissingRecord]);
    trial.nothing_false();
    trial.honest();
    let shown = trial.world.texts(victim, channel);
    assert!(shown.ends_with(&texts), "{shown:?}");
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// A frame comes twice: nothing is shown twice, and nothing is wrong.
pub fn hostile_doubled_frames(trial: &mut Trial) {
    let channel = trial.talking();
    let dice = trial.dice.split(7);
    trial.lie(move |_, _, seen| match seen {
        Seen::Push(_) if dice.coin() => Fate::Twice,
        // The same answer again is an answer to nothing.
        Seen::Reply(Request::Append(_), _) if dice.below(4) == 0 => Fate::Twice,
        _ => Fate::Pass,
    });
    for _ in 0..6 {
        let index = trial.dice.below(4);
        trial.say(index, channel);
        trial.world.run_for(500);
    }
    trial.world.run_for(2_000);
    trial.nothing_false();
    for index in 0..4 {
        let kinds = trial.world.alarm_kinds(index);
        let odd = |kind: &&AlarmKind| **kind != AlarmKind::UnexpectedAnswer;
        assert_eq!(kinds.iter().find(odd), None, "{index}");
    }
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// A message that is in the log already comes again as a new record, the server signing for it.
pub fn hostile_replayed_message(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    trial.say(sender, channel);
    trial.world.run_for(1_000);
    let device = DeviceId([sender as u8 + 101; 16]);
    let records = read(&mut trial.world, sender, channel, Seq(0));
    let old = records
        .iter()
        .rfind(|record| record.device == device)
        .unwrap();
    let log = FalseLog::new(&mut trial.world, sender, channel);
    let log = Rc::new(RefCell::new(log));
    trial.show(&log, &[victim]);
    let shown = trial.world.texts(victim, channel);
    let mark = match trial.dice.coin() {
        true => old.client_id,
        false => ClientId(trial.dice.bytes()),
    };
    log.borrow_mut().append(device, mark, old.bytes.clone());
    trial.world.run_for(1_000);
    trial.raised(victim, AlarmKind::ReplayedMessage);
    assert_eq!(trial.world.texts(victim, channel), shown);
    trial.nothing_false();
    heals(trial, channel, victim);
}

/// One's own message comes back again.
pub fn hostile_replayed_to_its_sender(trial: &mut Trial) {
    let (channel, victim, _) = two(trial);
    trial.say(victim, channel);
    trial.world.run_for(1_000);
    let device = DeviceId([victim as u8 + 101; 16]);
    let records = read(&mut trial.world, victim, channel, Seq(0));
    let old = records
        .iter()
        .rfind(|record| record.device == device)
        .unwrap();
    let log = FalseLog::new(&mut trial.world, victim, channel);
    let log = Rc::new(RefCell::new(log));
    trial.show(&log, &[victim]);
    let shown = trial.world.texts(victim, channel);
    log.borrow_mut()
        .append(device, old.client_id, old.bytes.clone());
    trial.world.run_for(1_000);
    trial.raised(victim, AlarmKind::ReplayedMessage);
    assert_eq!(trial.world.texts(victim, channel), shown);
    trial.nothing_false();
    heals(trial, channel, victim);
}

/// A message of one channel in the log of another, the server signing for it.
pub fn hostile_message_moved_to_another_channel(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    let other = trial.in_channel(1);
    let text = trial.say(sender, other);
    trial.world.run_for(1_000);
    let device = DeviceId([sender as u8 + 101; 16]);
    let records = read(&mut trial.world, sender, other, Seq(0));
    let there = records
        .iter()
        .rfind(|record| record.device == device)
        .unwrap();
    let log = FalseLog::new(&mut trial.world, sender, channel);
    let log = Rc::new(RefCell::new(log));
    trial.show(&log, &[victim]);
    log.borrow_mut()
        .append(device, there.client_id, there.bytes.clone());
    trial.world.run_for(1_000);
    trial.raised(victim, AlarmKind::InvalidMessage);
    assert!(!trial.world.texts(victim, channel).contains(&text));
    trial.nothing_false();
    heals(trial, channel, victim);
}

/// The server invents a record in a member's name, and signs for it.
pub fn hostile_invented_message(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    let records = read(&mut trial.world, sender, channel, Seq(0));
    let mut bytes = records.last().unwrap().bytes.to_vec();
    let from = trial.dice.below(bytes.len() - 16);
    let noise: [u8; 16] = trial.dice.bytes();
    bytes[from..from + 16].copy_from_slice(&noise);
    let whose = match trial.dice.coin() {
        true => sender,
        false => victim,
    };
    let log = FalseLog::new(&mut trial.world, sender, channel);
    let log = Rc::new(RefCell::new(log));
    trial.show(&log, &[victim]);
    let shown = trial.world.texts(victim, channel);
    let device = DeviceId([whose as u8 + 101; 16]);
    let mark = ClientId(trial.dice.bytes());
    log.borrow_mut().append(device, mark, bytes);
    trial.world.run_for(1_000);
    let kinds = [
        AlarmKind::InvalidMessage,
        AlarmKind::InvalidCommit,
        AlarmKind::ReplayedMessage,
        AlarmKind::WrongSender,
    ];
    trial.raised_one_of(victim, &kinds);
    assert_eq!(trial.world.texts(victim, channel), shown);
    trial.nothing_false();
    heals(trial, channel, victim);
}

/// The server gave one member a record that nobody else has and signed for it: its log is another
/// one now. With the true server it finds that out and says so; the others are not touched.
fn heals(trial: &mut Trial, channel: ChannelId, victim: usize) {
    trial.honest();
    let rest: Vec<_> = (0..4).filter(|index| *index != victim).collect();
    trial.talks(channel, &rest);
    trial.raised_one_of(victim, &[AlarmKind::LogForked, AlarmKind::LogRolledBack]);
    trial.nothing_false();
}

/// The server says that it has a message, signs for it, and has not.
pub fn hostile_acknowledged_without_storing(trial: &mut Trial) {
    let (channel, victim, other) = two(trial);
    let log = FalseLog::new(&mut trial.world, victim, channel);
    let (base, log) = (log.head(), Rc::new(RefCell::new(log)));
    let dropped = Cell::new(false);
    let lies = log.clone();
    trial.lie(move |scene, who, seen| {
        let _ = scene;
        if let Seen::Request(Request::Append(append)) = seen
            && who == victim
            && append.channel == channel
            && !dropped.replace(true)
        {
            let mut log = lies.borrow_mut();
            log.append(
                DeviceId([who as u8 + 101; 16]),
                append.client_id,
                append.bytes.clone(),
            );
            return Fate::answer(Reply::Appended {
                head: log.signed(log.head()),
                repeated: false,
            });
        }
        Fate::Pass
    });
    let text = trial.say(victim, channel);
    if trial.dice.coin() {
        // Another's message takes the place that was promised.
        trial.say(other, channel);
    }
    trial.world.run_for(5_000);
    assert_eq!(log.borrow().head().seq, base.seq.next());
    trial.raised_one_of(victim, &[AlarmKind::LogForked, AlarmKind::LogRolledBack]);
    trial.honest();
    // What was only promised is sent again by itself, and once.
    let shown = trial.world.texts(other, channel);
    assert_eq!(shown.iter().filter(|one| **one == text).count(), 1);
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// The server acknowledges a message at a position where it is not.
pub fn hostile_acknowledged_elsewhere(trial: &mut Trial) {
    let (channel, victim, _) = two(trial);
    let log = FalseLog::new(&mut trial.world, victim, channel);
    let (by, hash) = (1 + trial.dice.below(50) as u64, Digest(trial.dice.bytes()));
    let dropped = Cell::new(false);
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(Request::Append(_), Ok(Reply::Appended { head, .. })) = seen
            && who == victim
            && !dropped.replace(true)
        {
            let seq = Seq(head.head.seq.0 + by);
            *head = log.signed(ChannelHead { seq, hash });
        }
        Fate::Pass
    });
    let text = trial.say(victim, channel);
    trial.world.run_for(5_000);
    trial.raised_one_of(victim, &[AlarmKind::LogForked, AlarmKind::LogRolledBack]);
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    let shown = trial.world.texts((victim + 1) % 4, channel);
    assert_eq!(shown.iter().filter(|one| **one == text).count(), 1);
    trial.nothing_false();
}

/// Heads that the server's key did not sign: of an acknowledgement, a page, an entry.
pub fn hostile_head_not_signed(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    let what = trial.dice.below(3);
    let noise: [u8; 64] = trial.dice.bytes();
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(reply)) = seen
            && who == victim
        {
            match reply {
                Reply::Appended { head, .. } | Reply::Records { head, .. } => match what {
                    0 => head.signature = plenary_proto::ids::Signature(noise),
                    1 => head.head.hash.0[0] ^= 1,
                    _ => head.time.0 += 1,
                },
                _ => {}
            }
        }
        Fate::Pass
    });
    let text = trial.say(victim, channel);
    trial.world.run_for(500);
    trial.say(sender, channel);
    trial.world.connect(victim);
    trial.world.run_for(3_000);
    trial.raised(victim, AlarmKind::HeadSignature);
    trial.nothing_false();
    trial.honest();
    let shown = trial.world.texts(sender, channel);
    assert_eq!(shown.iter().filter(|one| **one == text).count(), 1);
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// On the next connection the log is shorter than what was read here.
pub fn hostile_rolled_back_channel(trial: &mut Trial) {
    let (channel, victim, _) = two(trial);
    trial.chatter(channel);
    let back = 1 + trial.dice.below(3) as u64;
    let hash = Digest(trial.dice.bytes());
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(_, Ok(Reply::Heads(heads))) = seen
            && who == victim
        {
            for (_, head) in heads {
                *head = ChannelHead {
                    seq: Seq(head.seq.0.saturating_sub(back)),
                    hash,
                };
            }
        }
        Fate::Pass
    });
    trial.world.connect(victim);
    trial.world.run_for(2_000);
    trial.raised(victim, AlarmKind::LogRolledBack);
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// The server says that the records missed are no longer kept, long before they may go.
pub fn hostile_trimmed_too_early(trial: &mut Trial) {
    let (channel, victim, sender) = two(trial);
    trial.world.disconnect(victim);
    trial.say(sender, channel);
    trial.world.run_for(500);
    trial.lie(move |_, who, seen| {
        if let Seen::Reply(Request::Read { .. }, reply) = seen
            && who == victim
        {
            *reply = Err(plenary_proto::reply::Failure::new(
                plenary_proto::reply::Code::Trimmed,
                "no longer kept",
            ));
        }
        Fate::Pass
    });
    trial.world.connect(victim);
    trial.world.run_for(2_000);
    trial.raised(victim, AlarmKind::RecordsTrimmed);
    trial.honest();
    trial.talks(channel, &[0, 1, 2, 3]);
    trial.nothing_false();
}

/// A member seals what another has signed, as its own.
pub fn hostile_envelope_of_another(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let text = trial.say(0, channel);
    trial.world.run_for(1_000);
    let plain = colluder.opened(&mut trial.world);
    let data = colluder.data(&trial.world);
    let sealed = colluder.seal(&data, &plain);
    let epoch = colluder.group.as_ref().unwrap().current_epoch();
    let append = Append {
        channel,
        client_id: colluder.mark(),
        epoch: plenary_proto::ids::Epoch(epoch),
        bytes: sealed.into(),
        commit: None,
    };
    trial.world.request_as(3, Request::Append(append)).unwrap();
    trial.struck += 1;
    trial.world.run_for(1_000);
    for victim in 0..3 {
        trial.raised(victim, AlarmKind::InvalidMessage);
        let shown = trial.world.texts(victim, channel);
        assert_eq!(shown.iter().filter(|one| **one == text).count(), 1);
    }
    trial.honest();
    trial.talks(channel, &[0, 1, 2]);
    trial.nothing_false();
}

/// A member seals noise, a content with something wrong in it, or one nested without end.
pub fn hostile_content_is_noise(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    trial.say(0, channel);
    trial.world.run_for(1_000);
    let mut plain = colluder.opened(&mut trial.world);
    match trial.dice.below(4) {
        0 => {
            // Arrays, maps or tags in one another, as many levels as a message has room for.
            let level: &[u8] = [&b"\x81"[..], b"\xA1\x00", b"\xC1"][trial.dice.below(3)];
            plain.truncate(trial.dice.below(plain.len()));
            plain.extend(level.repeat(50_000 / level.len()));
        }
        1 => plain = trial.dice.some(1 + trial.dice.below(2_000)),
        2 => plain.truncate(trial.dice.below(plain.len())),
        _ => {
            let at = trial.dice.below(plain.len());
            plain[at] ^= 1 << trial.dice.below(8);
        }
    }
    let data = colluder.data(&trial.world);
    let sealed = colluder.seal(&data, &plain);
    let epoch = colluder.group.as_ref().unwrap().current_epoch();
    let append = Append {
        channel,
        client_id: colluder.mark(),
        epoch: plenary_proto::ids::Epoch(epoch),
        bytes: Bytes::from(sealed),
        commit: None,
    };
    trial.world.request_as(3, Request::Append(append)).unwrap();
    trial.struck += 1;
    trial.world.run_for(1_000);
    for victim in 0..3 {
        trial.raised(victim, AlarmKind::InvalidMessage);
    }
    trial.honest();
    trial.talks(channel, &[0, 1, 2]);
    trial.nothing_false();
}
