//! A party's connection: the session of the core on one side, the engine on the other, and the
//! [`Wire`](super::Wire) between.

use bytes::Bytes;
use plenary_certs::handshake::{Opener, Transcript};
use plenary_core::{hub::ConnectionId, session::Session};
use plenary_proto::{
    codec::{Assembler, decode_server, encode_client, encode_server, parts},
    ids::{Digest, RequestId},
    reply::{Failure, Ok as OkFrame, Reply, ServerFrame},
    request::{Auth, ClientFrame, Purpose, Request},
};
use ring::digest::{SHA256, digest};

use super::{Passing, block, world::World};
use crate::{
    error::{Error, ErrorKind},
    net::{Frames, broken},
};

/// Stands for what TLS binds the session to.
const EXPORTER: [u8; 32] = [5; 32];

pub(crate) struct Line {
    id: ConnectionId,
    session: Option<Session>,
    /// What the core sends, put together for the wire.
    out: Assembler,
    /// What the engine's side receives.
    frames: Frames,
    /// Bytes of one message.
    limit: usize,
}

impl World {
    /// Connects a party, as far as the server lets it in.
    pub fn connect(&mut self, index: usize) {
        self.disconnect(index);
        let Some((id, session, hello, key_packages)) = self.open(index) else {
            return;
        };
        let ServerFrame::Hello(mut hello) = decode_server(hello).unwrap() else {
            panic!("no hello")
        };
        let limit = hello.limits.chat_message as usize;
        if let Some(wire) = &mut self.wire {
            wire.connected(index);
            hello = wire.hello(index, hello);
        }
        let party = &mut self.parties[index];
        party.line = Some(Line {
            id,
            session: Some(session),
            out: Assembler::default(),
            frames: Frames::default(),
            limit,
        });
        let now = party.clock(self.now);
        party.fed = true;
        party.engine.connected(now, hello, key_packages);
    }

    /// Whether a party has a connection.
    pub fn is_connected(&self, index: usize) -> bool {
        self.parties[index].line.is_some()
    }

    /// Ends a party's connection.
    pub fn disconnect(&mut self, index: usize) {
        if let Some(line) = self.parties[index].line.take() {
            self.hub.leave(line.id);
            self.parties[index].engine.disconnected();
        }
    }

    /// One request of a party's device on a session of its own, past its engine and the wire.
    pub fn request_as(&mut self, index: usize, request: Request) -> Result<Reply, Failure> {
        let (id, mut session, _, _) = self.open(index).unwrap();
        let mut assembler = Assembler::default();
        let mut answer = None;
        for part in cut(
            encode_client(ClientFrame::Request(RequestId(1), request)),
            70_000,
        ) {
            let (next, frames) = block(session.receive(part, self.server_clock()));
            self.note_records();
            session = next;
            for frame in frames {
                if let Some(ServerFrame::Reply(_, reply)) = whole(&mut assembler, frame) {
                    answer = Some(reply);
                }
            }
        }
        self.hub.leave(id);
        answer.unwrap()
    }

    fn open(&mut self, index: usize) -> Option<(ConnectionId, Session, Bytes, u32)> {
        let id = ConnectionId(self.next_line);
        self.next_line += 1;
        let now = self.server_clock();
        let (session, hello) =
            Session::open(self.network.clone(), id, EXPORTER, Digest([6; 32]), now);
        let identity = self.parties[index].engine.identity().clone();
        let nonce = Digest(self.dice.bytes());
        let opener = Opener::Device(identity.device(), Purpose::Chat);
        let key = identity.authentication_key().unwrap();
        let signature = Transcript::new(&hello[0], &EXPORTER, opener, &nonce).sign_auth(key.pair());
        let auth = Auth {
            device: identity.device(),
            purpose: Purpose::Chat,
            nonce,
            signature,
        };
        let (session, frames) = block(session.receive(encode_client(ClientFrame::Auth(auth)), now));
        match decode_server(frames[0].clone()).unwrap() {
            ServerFrame::Ok(OkFrame { key_packages, .. }) => {
                Some((id, session, hello[0].clone(), key_packages))
            }
            other => {
                assert!(matches!(other, ServerFrame::Refused(_)), "{other:?}");
                None
            }
        }
    }

    /// What the hub has for a party; whether anything moved.
    pub(super) fn receive(&mut self, index: usize) -> bool {
        let Some(line) = &self.parties[index].line else {
            return false;
        };
        if self.now < self.parties[index].slow_until {
            return false;
        }
        let (frames, cut) = self.hub.take(line.id);
        let moved = !frames.is_empty() || cut;
        for frame in frames {
            self.down(index, frame);
        }
        if cut {
            self.disconnect(index);
        }
        moved
    }

    /// A request of an engine, through the wire.
    pub(super) fn transmit(&mut self, index: usize, id: RequestId, request: Request) {
        if let Request::Append(append) = &request {
            let engine = &mut self.parties[index].engine;
            let device = engine.identity().device();
            // Epochs of a group entered anew may have the numbers of the one before.
            let epoch = match append.commit {
                None => engine.epoch_mark(append.channel),
                Some(_) => None,
            };
            let mark = (device, append.client_id, append.epoch, epoch);
            let hash = digest(&SHA256, &append.bytes);
            let hash = Digest(hash.as_ref().try_into().unwrap());
            let first = self.left.entry(mark).or_insert(hash);
            assert_eq!(*first, hash, "sealed twice in one epoch");
            if append.commit.is_none() {
                self.check_sealed(index, append.channel);
            }
        }
        let frame = ClientFrame::Request(id, request);
        match &mut self.wire {
            None => self.upload(index, frame),
            Some(wire) => {
                let mut passing = Passing::default();
                wire.up(self.now, index, frame, &mut passing);
                self.pass(passing);
            }
        }
    }

    /// What the wire lets through.
    pub(super) fn pass(&mut self, passing: Passing) {
        for (from, frame) in passing.up {
            self.upload(from, frame);
        }
        for (to, message) in passing.down {
            let limit = self.parties[to].line.as_ref().map_or(0, |line| line.limit);
            // What is no frame at all cannot be cut into parts.
            let frames = match decode_server(message.clone()) {
                Ok(_) if message.len() > limit => parts(&message, limit)
                    .into_iter()
                    .flatten()
                    .map(|part| encode_server(ServerFrame::Part(part)))
                    .collect(),
                _ => vec![message],
            };
            for frame in frames {
                self.deliver(to, frame);
            }
        }
        for party in passing.cut {
            self.disconnect(party);
        }
    }

    fn upload(&mut self, index: usize, frame: ClientFrame) {
        let Some(line) = &self.parties[index].line else {
            return;
        };
        let (connection, limit) = (line.id, line.limit);
        let now = self.server_clock();
        for part in cut(encode_client(frame), limit) {
            let Some(line) = self.parties[index]
                .line
                .as_mut()
                .filter(|line| line.id == connection)
            else {
                return;
            };
            let session = line.session.take().unwrap();
            let (next, frames) = block(session.receive(part, now));
            let closed = matches!(next, Session::Closed(_));
            line.session = Some(next);
            self.note_records();
            for frame in frames {
                self.down(index, frame);
            }
            if closed {
                self.disconnect(index);
            }
        }
    }

    /// A message of the core, through the wire.
    fn down(&mut self, index: usize, message: Bytes) {
        let Some(wire) = &mut self.wire else {
            return self.deliver(index, message);
        };
        let Some(line) = &mut self.parties[index].line else {
            return;
        };
        if let Some(frame) = whole(&mut line.out, message) {
            let mut passing = Passing::default();
            wire.down(self.now, index, frame, &mut passing);
            self.pass(passing);
        }
    }

    /// A message reaches a party, as its connection would take it.
    fn deliver(&mut self, index: usize, message: Bytes) {
        let party = &mut self.parties[index];
        let now = party.clock(self.now);
        let Some(line) = &mut party.line else { return };
        party.fed = true;
        let frame = match message.len() > line.limit {
            true => Err(broken("a message above the limit")),
            false => line.frames.take(message),
        };
        let taken = match frame {
            Ok(None) => return,
            Ok(Some(ServerFrame::Reply(id, reply))) => party.engine.reply(now, id, reply),
            Ok(Some(ServerFrame::Push(push))) => party.engine.push(now, push),
            // Out of place after the handshake: passed over, as the driver does.
            Ok(Some(_)) => return,
            Err(error) => {
                party.trouble.push(error);
                return self.disconnect(index);
            }
        };
        self.survive(index, taken);
    }

    /// A process that dies in its store is started again; what else an engine says it could not do,
    /// the driver logs and goes on.
    pub(crate) fn survive(&mut self, index: usize, result: Result<(), Error>) {
        match result {
            Ok(()) => {}
            Err(error) if error.to_string() == "the process died" => {
                self.parties[index].deaths += 1;
                self.restart(index);
                if self.comes_back {
                    self.connect(index);
                }
            }
            Err(error) if error.kind() == ErrorKind::Store || self.wire.is_none() => {
                panic!("{error}")
            }
            Err(error) => self.parties[index].trouble.push(error),
        }
    }
}

fn whole(assembler: &mut Assembler, message: Bytes) -> Option<ServerFrame> {
    match decode_server(message).unwrap() {
        ServerFrame::Part(part) => assembler
            .push(&part)
            .unwrap()
            .map(|whole| decode_server(whole.into()).unwrap()),
        frame => Some(frame),
    }
}

pub(super) fn cut(frame: Bytes, limit: usize) -> Vec<Bytes> {
    match parts(&frame, limit) {
        None => vec![frame],
        Some(parts) => parts
            .map(|part| encode_client(ClientFrame::Part(part)))
            .collect(),
    }
}
