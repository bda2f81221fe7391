//! The line between clients and server: late, cut, doubled, and at times in the hands of a liar.
//!
//! Frames of one connection and direction keep their order, as TCP keeps it; between connections any
//! order may come.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
};

use plenary_client::simulation::{Dice, Passing, Wire};
use plenary_proto::{
    ids::{ChannelHead, Digest, RequestId, Seq, Signature, UnixMillis},
    reply::{Push, Reply, ServerFrame, SignedHead},
    request::{ClientFrame, Request},
};

/// What a hostile server does once, to one party.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A pushed record never arrives.
    Withhold,
    /// A pushed record, or the first of those read, has another last byte.
    Alter,
    /// Of the records read, the first is left out.
    LeaveOut,
    /// The records read come in another order.
    Reorder,
    /// A message is acknowledged and not stored.
    Invent,
    /// A pushed record comes again, later, as the next one.
    Replay,
}

pub const LIES: [Lie; 6] = [
    Lie::Withhold,
    Lie::Alter,
    Lie::LeaveOut,
    Lie::Reorder,
    Lie::Invent,
    Lie::Replay,
];

enum Frame {
    Up(ClientFrame),
    Down(ServerFrame),
}

/// What is asked of the line.
pub struct Sky {
    dice: Dice,
    /// By party and direction (up: true), in order, with when it is due.
    held: BTreeMap<(usize, bool), VecDeque<(UnixMillis, Frame)>>,
    /// How long a party's frames take at most, and until when that is so.
    pub slow: BTreeMap<usize, (u64, UnixMillis)>,
    /// The connection of these is cut when the server has taken the next message and says so.
    pub lose_answer: BTreeMap<usize, ()>,
    /// The next append of these comes twice.
    pub double: BTreeMap<usize, ()>,
    /// The next push to these comes twice.
    pub echo: BTreeMap<usize, ()>,
    /// What is to be done to these when it can be.
    pub lies: BTreeMap<usize, Lie>,
    /// Requests that went twice: the second answer is not for the client.
    twice: HashMap<(usize, RequestId), u32>,
    /// What took place since it was asked last.
    pub done: Vec<(usize, String)>,
    now: UnixMillis,
}

/// The same, on both sides of the world.
#[derive(Clone)]
pub struct Weather(pub Rc<RefCell<Sky>>);

impl Weather {
    pub fn new(dice: Dice) -> Self {
        Self(Rc::new(RefCell::new(Sky {
            dice,
            held: BTreeMap::new(),
            slow: BTreeMap::new(),
            lose_answer: BTreeMap::new(),
            double: BTreeMap::new(),
            echo: BTreeMap::new(),
            lies: BTreeMap::new(),
            twice: HashMap::new(),
            done: Vec::new(),
            now: UnixMillis(0),
        })))
    }

    /// Fair from now on: what was planned is forgotten, what is under way arrives at once.
    pub fn clear(&self) {
        let mut sky = self.0.borrow_mut();
        sky.slow.clear();
        sky.lose_answer.clear();
        sky.double.clear();
        sky.echo.clear();
        sky.lies.clear();
        for line in sky.held.values_mut() {
            for (due, _) in line {
                *due = UnixMillis(0);
            }
        }
    }
}

impl Sky {
    fn hold(&mut self, now: UnixMillis, party: usize, frame: Frame) {
        self.now = now;
        let wait = match self.slow.get(&party) {
            Some((most, until)) if now < *until => 1 + self.dice.below(*most as usize) as u64,
            _ => 0,
        };
        let up = matches!(frame, Frame::Up(_));
        let line = self.held.entry((party, up)).or_default();
        let last = line.back().map_or(UnixMillis(0), |(due, _)| *due);
        line.push_back((now.plus(wait).max(last), frame));
    }

    /// What a liar makes of what the server says; the frame, unless it is gone.
    fn lie(&mut self, to: usize, frame: ServerFrame) -> Vec<ServerFrame> {
        let Some(lie) = self.lies.get(&to).copied() else {
            return vec![frame];
        };
        let frames = match (lie, frame) {
            (Lie::Withhold, ServerFrame::Push(Push::Moved { .. })) => vec![],
            (
                Lie::Alter,
                ServerFrame::Push(Push::Moved {
                    channel,
                    mut record,
                }),
            ) => {
                record.bytes = altered(&record.bytes);
                vec![ServerFrame::Push(Push::Moved { channel, record })]
            }
            (Lie::Alter, ServerFrame::Reply(id, Ok(Reply::Records { mut records, head })))
                if !records.is_empty() =>
            {
                records[0].bytes = altered(&records[0].bytes);
                vec![ServerFrame::Reply(id, Ok(Reply::Records { records, head }))]
            }
            (Lie::LeaveOut, ServerFrame::Reply(id, Ok(Reply::Records { mut records, head })))
                if records.len() > 1 =>
            {
                records.remove(0);
                vec![ServerFrame::Reply(id, Ok(Reply::Records { records, head }))]
            }
            (Lie::Reorder, ServerFrame::Reply(id, Ok(Reply::Records { mut records, head })))
                if records.len() > 1 =>
            {
                self.dice.shuffle(&mut records);
                vec![ServerFrame::Reply(id, Ok(Reply::Records { records, head }))]
            }
            (Lie::Replay, ServerFrame::Push(Push::Moved { channel, record })) => {
                let mut again = record.clone();
                again.seq = Seq(record.seq.0 + 1);
                vec![
                    ServerFrame::Push(Push::Moved { channel, record }),
                    ServerFrame::Push(Push::Moved {
                        channel,
                        record: again,
                    }),
                ]
            }
            (_, frame) => return vec![frame],
        };
        self.lies.remove(&to);
        self.done.push((to, format!("{lie:?}")));
        frames
    }
}

fn altered(bytes: &bytes::Bytes) -> bytes::Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}

impl Wire for Weather {
    fn up(&mut self, now: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        let mut sky = self.0.borrow_mut();
        if let ClientFrame::Request(id, Request::Append(append)) = &frame
            && append.commit.is_none()
        {
            if sky.lies.get(&from) == Some(&Lie::Invent) {
                sky.lies.remove(&from);
                sky.done.push((from, format!("{:?}", Lie::Invent)));
                // Under no signature of the server's: the liar here has not its key.
                let head = SignedHead {
                    channel: append.channel,
                    head: ChannelHead {
                        seq: Seq(1_000_000),
                        hash: Digest([9; 32]),
                    },
                    time: now,
                    signature: Signature([9; 64]),
                    index: 0,
                    path: vec![],
                };
                let reply = Reply::Appended {
                    head,
                    repeated: false,
                };
                return passing.answer(from, *id, Ok(reply));
            }
            if sky.double.remove(&from).is_some() {
                sky.twice.insert((from, *id), 1);
                sky.done.push((from, "doubled".to_owned()));
                sky.hold(now, from, Frame::Up(frame.clone()));
            }
        }
        sky.hold(now, from, Frame::Up(frame));
    }

    fn down(&mut self, now: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        let mut sky = self.0.borrow_mut();
        if let ServerFrame::Reply(id, reply) = &frame {
            match sky.twice.get_mut(&(to, *id)) {
                Some(0) => {
                    sky.twice.remove(&(to, *id));
                    return;
                }
                Some(left) => *left -= 1,
                None => {}
            }
            if matches!(reply, Ok(Reply::Appended { .. })) && sky.lose_answer.remove(&to).is_some()
            {
                sky.done.push((to, "answer lost".to_owned()));
                return passing.cut(to);
            }
        }
        if let ServerFrame::Push(push) = &frame
            && sky.echo.remove(&to).is_some()
        {
            sky.done.push((to, "push doubled".to_owned()));
            sky.hold(now, to, Frame::Down(ServerFrame::Push(push.clone())));
        }
        for frame in sky.lie(to, frame) {
            sky.hold(now, to, Frame::Down(frame));
        }
    }

    fn idle(&mut self, now: UnixMillis, passing: &mut Passing) {
        let mut sky = self.0.borrow_mut();
        let sky = &mut *sky;
        let due =
            |line: &VecDeque<(UnixMillis, Frame)>| line.front().is_some_and(|(due, _)| *due <= now);
        let mut ready: Vec<_> = sky
            .held
            .iter()
            .filter(|(_, line)| due(line))
            .map(|(key, _)| *key)
            .collect();
        sky.dice.shuffle(&mut ready);
        for key in ready {
            let Some(line) = sky.held.get_mut(&key) else {
                continue;
            };
            for _ in 0..1 + sky.dice.below(4) {
                if !due(line) {
                    break;
                }
                match line.pop_front() {
                    Some((_, Frame::Up(frame))) => passing.up(key.0, frame),
                    Some((_, Frame::Down(frame))) => passing.down(key.0, frame),
                    None => {}
                }
            }
        }
    }

    fn connected(&mut self, party: usize) {
        let mut sky = self.0.borrow_mut();
        sky.held.remove(&(party, true));
        sky.held.remove(&(party, false));
        sky.twice.retain(|(one, _), _| *one != party);
    }
}
