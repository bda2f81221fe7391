//! A network in one thread: engines, the real core over the memory store, and a clock that the test
//! moves.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use plenary_certs::{
    handshake::{Opener, Transcript},
    invitation::Invitation,
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, EntryRule, Ledger, Person, Policy,
        Recovery, Root, Server, SignedStatement, Thresholds, Voucher, found, sign_as_board,
    },
    profile::{RosterKey, sealing_keypair},
    signing::SigningKey,
};
use plenary_core::{
    config::Config,
    hub::{ConnectionId, Hub, To, moved_frame},
    items::memory::MemoryItems,
    memory::MemoryStore,
    network::{Network, Parts},
    session::Session,
    store::Moved,
};
use plenary_proto::{
    codec::{Assembler, decode_server, encode_client, parts},
    ids::*,
    label::Label,
    reply::{Ok as OkFrame, ServerFrame},
    request::{Auth, ClientFrame, Knock, Purpose, Request},
};
use ring::rand::SystemRandom;
use secrecy::SecretString;

use super::super::*;
use crate::{
    content::{Content, Draft, fresh_salt},
    store::identity::Identity,
};

/// Queues of the connections, as the transport would have them.
#[derive(Default)]
pub(in crate::engine) struct Queues(Mutex<BTreeMap<ConnectionId, Queue>>);

pub(in crate::engine) struct Queue {
    pub(in crate::engine) device: DeviceId,
    pub(in crate::engine) member: MemberId,
    pub(in crate::engine) watches: Vec<ChannelId>,
    pub(in crate::engine) frames: Vec<Bytes>,
    pub(in crate::engine) cut: bool,
}

impl Hub for Queues {
    fn enter(&self, id: ConnectionId, device: DeviceId, member: MemberId, _: Purpose) {
        let queue = Queue {
            device,
            member,
            watches: vec![],
            frames: vec![],
            cut: false,
        };
        self.0.lock().unwrap().insert(id, queue);
    }

    fn watch(&self, id: ConnectionId, channels: &[ChannelId]) {
        if let Some(queue) = self.0.lock().unwrap().get_mut(&id) {
            queue.watches.extend(channels);
        }
    }

    fn unwatch(&self, channel: ChannelId, devices: &[DeviceId]) {
        for queue in self.0.lock().unwrap().values_mut() {
            if devices.contains(&queue.device) {
                queue.watches.retain(|watched| *watched != channel);
            }
        }
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.0
            .lock()
            .unwrap()
            .values()
            .map(|queue| queue.device)
            .collect()
    }

    fn push(&self, to: To<'_>, frame: Bytes) {
        for queue in self.0.lock().unwrap().values_mut() {
            let meant = match to {
                To::Everyone => true,
                To::Device(device) => queue.device == device,
                To::Members(members) => members.contains(&queue.member),
            };
            if meant {
                queue.frames.push(frame.clone());
            }
        }
    }

    fn cut(&self, devices: &[DeviceId]) {
        for queue in self.0.lock().unwrap().values_mut() {
            queue.cut |= devices.contains(&queue.device);
        }
    }

    fn moved(&self, moved: Moved) {
        let frame = moved_frame(&moved);
        for queue in self.0.lock().unwrap().values_mut() {
            if queue.watches.contains(&moved.channel) {
                queue.frames.push(frame.clone());
            }
        }
    }
}

pub(in crate::engine) struct Line {
    pub(in crate::engine) id: ConnectionId,
    pub(in crate::engine) session: Option<Session>,
    pub(in crate::engine) assembler: Assembler,
    pub(in crate::engine) limit: usize,
}

pub(in crate::engine) struct Party {
    pub(in crate::engine) engine: Engine,
    pub(in crate::engine) line: Option<Line>,
    pub(in crate::engine) events: Vec<Event>,
    pub(in crate::engine) folder: std::path::PathBuf,
}

/// A network of some members with one device each, three of them the Board.
pub(in crate::engine) struct World {
    pub(in crate::engine) _folder: tempfile::TempDir,
    pub(in crate::engine) network: Arc<Network>,
    pub(in crate::engine) hub: Arc<Queues>,
    pub(in crate::engine) now: UnixMillis,
    pub(in crate::engine) board: Vec<SigningKey>,
    pub(in crate::engine) ledger: Ledger,
    pub(in crate::engine) parties: Vec<Party>,
    pub(in crate::engine) channels: Vec<ChannelId>,
    pub(in crate::engine) next_line: u64,
    /// Bytes that left a device, by device, mark and epoch.
    pub(in crate::engine) left: HashMap<(DeviceId, ClientId, Epoch), Bytes>,
}

pub(in crate::engine) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(in crate::engine) fn passphrase() -> SecretString {
    SecretString::from("correct horse".to_owned())
}

impl World {
    /// Channels: two open ones, one by GRANT; all owned by member 0.
    pub(in crate::engine) fn new(members: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let random = SystemRandom::new();
        let now = UnixMillis(1_800_000_000_000);
        let key = || SigningKey::generate(&random).unwrap();
        let server = key();
        let board = vec![key(), key(), key()];
        let network_id = NetworkId([7; 16]);
        let hub = Arc::new(Queues::default());
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(server.seed()).unwrap();
        let network = block(Network::load(Parts {
            store: Arc::new(MemoryStore::new()),
            items: Arc::new(MemoryItems::new()),
            hub: hub.clone(),
            key: pair,
            token_key: [3; 32],
            config: Config::default(),
        }))
        .unwrap();

        let mut identities = Vec::new();
        for index in 0..members {
            let sealing = sealing_keypair().unwrap();
            identities.push(Identity {
                address: "localhost:1".to_owned(),
                ca_pin: [0; 32],
                network: network_id.0,
                root1: [0; 32],
                member: [index as u8 + 1; 16],
                device: [index as u8 + 101; 16],
                authentication: *key().seed(),
                mls: *key().seed(),
                custody: *key().seed(),
                sealing: sealing.secret().to_vec(),
                sealing_public: sealing.public().to_vec(),
                invitation: None,
            });
        }
        let root = Root {
            board: (0..3)
                .map(|n| Person {
                    member: MemberId([n as u8 + 1; 16]),
                    key: board[n].public(),
                })
                .collect(),
            thresholds: Thresholds::for_board(3),
            heartbeat: vec![],
            recovery: Recovery::default(),
        };
        let mut rest = vec![
            Body::Policy(Policy::default()),
            Body::Server(Server {
                key: server.public(),
            }),
        ];
        for identity in &identities {
            rest.push(Body::Admit(Admit {
                member: identity.member(),
                capacity: Capacity::Member,
                ends: None,
                profile: Digest(identity.authentication),
            }));
            rest.push(Body::Device(DeviceBody {
                device: identity.device(),
                member: identity.member(),
                voucher: Voucher::Board,
                keys: identity.device_keys().unwrap(),
            }));
        }
        let channels = vec![
            ChannelId([201; 16]),
            ChannelId([202; 16]),
            ChannelId([203; 16]),
        ];
        for (channel, rule) in
            channels
                .iter()
                .zip([EntryRule::Open, EntryRule::Open, EntryRule::Granted])
        {
            rest.push(Body::Channel(ChannelBody {
                channel: *channel,
                rule,
                ceiling: Label::Amber,
                owner: identities[0].member(),
                profile: Digest(channel.0.repeat(2).try_into().unwrap()),
            }));
        }
        let (root1, statements) = found(network_id, root, rest, now);
        let mut parties = Vec::new();
        for (index, mut identity) in identities.into_iter().enumerate() {
            identity.root1 = root1.0;
            let path = folder.path().join(index.to_string());
            let store = Store::create(&path, &passphrase()).unwrap();
            store.put_identity(&identity).unwrap();
            store
                .put_roster_key(1, RosterKey::generate(&random).unwrap().as_bytes())
                .unwrap();
            let engine = Engine::open(store, Box::new(SystemRandom::new())).unwrap();
            parties.push(Party {
                engine,
                line: None,
                events: vec![],
                folder: path,
            });
        }
        let mut world = Self {
            _folder: folder,
            network,
            hub,
            now,
            board,
            ledger: Ledger::new(network_id, root1),
            parties,
            channels,
            next_line: 1,
            left: HashMap::new(),
        };
        world.found(&statements);
        world
    }

    pub(in crate::engine) fn sign(
        &mut self,
        statement: &plenary_certs::ledger::Statement,
    ) -> Bytes {
        let bytes = statement.encode();
        let signatures = self.board[..2]
            .iter()
            .map(|key| sign_as_board(&bytes, key))
            .collect();
        let signed = SignedStatement::new(bytes, signatures).encode();
        self.ledger.append(&signed).unwrap();
        signed.into()
    }

    pub(in crate::engine) fn found(&mut self, statements: &[plenary_certs::ledger::Statement]) {
        let invitation = Invitation::new(
            "localhost:1",
            Digest([0; 32]),
            NetworkId([0; 16]),
            Digest([0; 32]),
            self.now.plus(1000),
            &SystemRandom::new(),
        )
        .unwrap();
        let verifier = invitation.knock_key().unwrap();
        block(self.network.let_found(invitation.id, verifier)).unwrap();
        let signed = statements
            .iter()
            .map(|statement| self.sign(statement))
            .collect();
        let (session, hello) = Session::open(
            self.network.clone(),
            ConnectionId(0),
            [5; 32],
            Digest([6; 32]),
            self.now,
        );
        let nonce = Digest([8; 32]);
        let transcript = Transcript::new(&hello[0], &[5; 32], Opener::Guest(invitation.id), &nonce);
        let knock = Knock {
            invitation: invitation.id,
            nonce,
            mac: transcript.knock_mac(&verifier),
        };
        let (session, frames) =
            block(session.receive(encode_client(ClientFrame::Knock(knock)), self.now));
        assert!(matches!(
            decode_server(frames[0].clone()).unwrap(),
            ServerFrame::Ok(_)
        ));
        let request = ClientFrame::Request(RequestId(1), Request::LedgerSubmit(signed));
        let mut frames = Vec::new();
        let mut session = session;
        for frame in cut(encode_client(request), 70_000) {
            let (next, out) = block(session.receive(frame, self.now));
            session = next;
            frames.extend(out);
        }
        let reply = decode_server(frames[0].clone()).unwrap();
        assert!(
            matches!(reply, ServerFrame::Reply(_, Ok(Reply::LedgerHead(_)))),
            "{reply:?}"
        );
    }

    /// The Board says something now, by any party that is connected.
    pub(in crate::engine) fn say(&mut self, by: usize, body: Body) {
        let statement = self.ledger.draft(body, self.now);
        let signed = self.sign(&statement);
        self.parties[by]
            .engine
            .call(Request::LedgerSubmit(vec![signed]));
        self.run();
    }

    pub(in crate::engine) fn connect(&mut self, index: usize) {
        self.disconnect(index);
        let id = ConnectionId(self.next_line);
        self.next_line += 1;
        let party = &mut self.parties[index];
        let identity = party.engine.identity().clone();
        let (session, hello) =
            Session::open(self.network.clone(), id, [5; 32], Digest([6; 32]), self.now);
        let nonce = Digest([8; 32]);
        let opener = Opener::Device(identity.device(), Purpose::Chat);
        let key = identity.authentication_key().unwrap();
        let signature = Transcript::new(&hello[0], &[5; 32], opener, &nonce).sign_auth(key.pair());
        let auth = Auth {
            device: identity.device(),
            purpose: Purpose::Chat,
            nonce,
            signature,
        };
        let (session, frames) =
            block(session.receive(encode_client(ClientFrame::Auth(auth)), self.now));
        match decode_server(frames[0].clone()).unwrap() {
            ServerFrame::Ok(OkFrame { key_packages, .. }) => {
                let ServerFrame::Hello(hello) = decode_server(hello[0].clone()).unwrap() else {
                    panic!("no hello")
                };
                let limit = hello.limits.chat_message as usize;
                party.line = Some(Line {
                    id,
                    session: Some(session),
                    assembler: Assembler::default(),
                    limit,
                });
                party.engine.connected(hello, key_packages);
            }
            other => assert!(matches!(other, ServerFrame::Refused(_)), "{other:?}"),
        }
    }

    pub(in crate::engine) fn disconnect(&mut self, index: usize) {
        if let Some(line) = self.parties[index].line.take() {
            self.hub.0.lock().unwrap().remove(&line.id);
            self.parties[index].engine.disconnected();
        }
    }

    /// Runs until nothing moves at this moment.
    pub(in crate::engine) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for index in 0..self.parties.len() {
                moved |= self.step(index);
            }
            if !moved {
                return;
            }
        }
    }

    /// Runs for some seconds of the world's time.
    pub(in crate::engine) fn run(&mut self) {
        for _ in 0..40 {
            self.settle();
            self.now = self.now.plus(250);
            for index in 0..self.parties.len() {
                let ticked = self.parties[index].engine.tick(self.now);
                self.survive(index, ticked);
            }
        }
        self.settle();
    }

    pub(in crate::engine) fn step(&mut self, index: usize) -> bool {
        match self.parties[index].engine.poll() {
            Some(Output::Send(id, request)) => {
                self.transmit(index, id, request);
                return true;
            }
            Some(Output::Event(event)) => {
                self.parties[index].events.push(event);
                return true;
            }
            Some(Output::Answered(_, result)) => {
                result.unwrap();
                return true;
            }
            Some(Output::Distrust(error)) => panic!("distrust: {error}"),
            None => {}
        }
        let Some(line) = &self.parties[index].line else {
            return false;
        };
        let (frames, cut) = match self.hub.0.lock().unwrap().get_mut(&line.id) {
            Some(queue) => (std::mem::take(&mut queue.frames), queue.cut),
            None => (vec![], false),
        };
        let moved = !frames.is_empty() || cut;
        for frame in frames {
            self.deliver(index, frame);
        }
        let settled = self.parties[index].engine.settle(self.now);
        self.survive(index, settled);
        if cut {
            self.disconnect(index);
        }
        moved
    }

    pub(in crate::engine) fn transmit(&mut self, index: usize, id: RequestId, request: Request) {
        let Some(line) = &self.parties[index].line else {
            return;
        };
        let connection = line.id;
        if let Request::Append(append) = &request {
            let mark = (
                self.parties[index].engine.device(),
                append.client_id,
                append.epoch,
            );
            let first = self
                .left
                .entry(mark)
                .or_insert_with(|| append.bytes.clone());
            assert_eq!(*first, append.bytes, "sealed twice in one epoch");
        }
        let limit = line.limit;
        let frame = encode_client(ClientFrame::Request(id, request));
        for part in cut(frame, limit) {
            let Some(line) = &mut self.parties[index].line else {
                return;
            };
            if line.id != connection {
                return;
            }
            let session = line.session.take().unwrap();
            let (next, frames) = block(session.receive(part, self.now));
            let closed = matches!(next, Session::Closed(_));
            line.session = Some(next);
            for frame in frames {
                self.deliver(index, frame);
            }
            if closed {
                self.disconnect(index);
            }
        }
    }

    pub(in crate::engine) fn deliver(&mut self, index: usize, frame: Bytes) {
        let now = self.now;
        let party = &mut self.parties[index];
        let Some(line) = &mut party.line else { return };
        let frame = match decode_server(frame).unwrap() {
            ServerFrame::Part(part) => match line.assembler.push(&part).unwrap() {
                Some(whole) => decode_server(whole).unwrap(),
                None => return,
            },
            frame => frame,
        };
        let taken = match frame {
            ServerFrame::Reply(id, reply) => party.engine.reply(now, id, reply),
            ServerFrame::Push(push) => party.engine.push(now, push),
            other => panic!("{other:?}"),
        };
        self.survive(index, taken);
    }

    /// A process that dies in its store is started again.
    pub(in crate::engine) fn survive(&mut self, index: usize, result: Result<(), Error>) {
        match result {
            Ok(()) => {}
            Err(error) if error.to_string() == "the process died" => {
                self.restart(index);
                self.connect(index);
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(in crate::engine) fn enter_all(&mut self, channel: ChannelId) {
        for party in &mut self.parties {
            party.engine.enter(self.now, channel).unwrap();
        }
        self.run();
    }

    pub(in crate::engine) fn send(
        &mut self,
        index: usize,
        channel: ChannelId,
        text: &str,
    ) -> ClientId {
        let content = Draft::text(text)
            .into_content(fresh_salt().unwrap())
            .unwrap();
        self.parties[index]
            .engine
            .send(self.now, channel, &content.encode().unwrap())
            .unwrap()
    }

    pub(in crate::engine) fn texts(&self, index: usize, channel: ChannelId) -> Vec<String> {
        let rows = self.parties[index]
            .engine
            .store
            .messages(channel, Seq(0), 10_000)
            .unwrap();
        rows.iter()
            .map(|row| {
                let content = Content::decode(&row.content).unwrap();
                match content.kind() {
                    crate::content::Kind::Text { text, .. } => text.to_owned(),
                    other => format!("{other:?}"),
                }
            })
            .collect()
    }

    /// As after a crash: the store is all that is left.
    pub(in crate::engine) fn restart(&mut self, index: usize) {
        self.disconnect(index);
        let party = self.parties.remove(index);
        let folder = party.folder.clone();
        drop(party);
        let store = Store::open(&folder, &passphrase()).unwrap();
        let engine = Engine::open(store, Box::new(SystemRandom::new())).unwrap();
        self.parties.insert(
            index,
            Party {
                engine,
                line: None,
                events: vec![],
                folder,
            },
        );
    }

    pub(in crate::engine) fn alarms(&self) -> Vec<&Event> {
        let events = self.parties.iter().flat_map(|party| &party.events);
        events
            .filter(|event| matches!(event, Event::Alarm { .. }))
            .collect()
    }
}

pub(in crate::engine) fn cut(frame: Bytes, limit: usize) -> Vec<Bytes> {
    match parts(&frame, limit) {
        None => vec![frame],
        Some(parts) => parts
            .map(|part| encode_client(ClientFrame::Part(part)))
            .collect(),
    }
}

pub(in crate::engine) fn connected(members: usize) -> World {
    let mut world = World::new(members);
    (0..members).for_each(|index| world.connect(index));
    world.run();
    world
}
