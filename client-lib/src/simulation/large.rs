//! One channel of many devices over the real core of the server, and clients in it of which nothing
//! but the engine's own work is timed: its ledger, its store on disk and MLS, not the server and not
//! what passes between.

use std::sync::Arc;

use bytes::Bytes;
use plenary_certs::{
    handshake::{Opener, Transcript},
    ledger::{EntryRule, Ledger},
    mls::{
        auth_data::AuthData,
        context::{ChannelContext, Rule},
        judge::{Basis, LedgerHandle},
    },
    profile::sealing_keypair,
};
use plenary_core::{
    config::Config,
    hub::ConnectionId,
    items::memory::MemoryItems,
    memory::MemoryStore,
    network::{Network, Parts},
    session::Session,
};
use plenary_proto::{
    codec::{Assembler, decode_server, encode_client},
    ids::{ChannelHead, ChannelId, ClientId, Digest, Epoch, InvitationId, RequestId, UnixMillis},
    reply::{Hello, Reply, ServerFrame},
    request::{Append, Auth, ClientFrame, CommitExtras, Knock, Purpose, Request},
};

use super::{
    Dice, Spent, block,
    crowd::{NETWORK, NOW, founding_by, identity, sign},
    line::cut,
    passphrase,
    queues::Queues,
};
use crate::{
    content::{Draft, Salt},
    engine::{Engine, Output, mls::Mls},
    store::{Store, identity::Identity},
};

const CHANNEL: ChannelId = ChannelId([201; 16]);
const EXPORTER: [u8; 32] = [5; 32];
/// Turns of a quarter of a second of the world's time in which something is expected to happen.
const TURNS: usize = 6_000;

/// A network of so many devices with one open channel, which they enter one after another.
pub struct Large {
    folder: tempfile::TempDir,
    network: Arc<Network>,
    hub: Arc<Queues>,
    now: UnixMillis,
    dice: Dice,
    identities: Vec<Identity>,
    statements: Vec<Bytes>,
    ledger: LedgerHandle,
    /// Those who enter without a client keep nothing.
    scratch: Store,
    entered: usize,
    next_line: u64,
}

/// A client in the channel.
pub struct Seat {
    engine: Engine,
    line: Wire,
    spent: Spent,
    added: Added,
}

/// Devices added by an owner.
#[derive(Debug, Clone, Copy, Default)]
pub struct Added {
    pub commits: usize,
    /// Bytes of all commits with their welcomes, and of the largest.
    pub bytes: usize,
    pub largest: usize,
    /// What the owner's engine took.
    pub spent: Spent,
    /// Milliseconds of the world's time: as long as the server's rates let it take.
    pub world: u64,
}

/// A session of the core.
struct Wire {
    id: ConnectionId,
    session: Option<Session>,
    assembler: Assembler,
    hello: Hello,
    key_packages: u32,
    limit: usize,
}

impl Large {
    /// Nobody is in the channel so far, which anybody may enter.
    pub fn new(devices: usize) -> Self {
        Self::by(EntryRule::Open, devices)
    }

    /// The same, with a GRANT for everybody: the first device's member is the owner, who adds.
    pub fn granted(devices: usize) -> Self {
        Self::by(EntryRule::Granted, devices)
    }

    fn by(rule: EntryRule, devices: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dice = Dice::new(1);
        let (server, board) = (dice.key(), vec![dice.key(), dice.key(), dice.key()]);
        let hub = Arc::new(Queues::default());
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(server.seed()).unwrap();
        let mut config = Config::default();
        // The world's clock hardly moves while messages are measured.
        config.limits.message_burst = u32::MAX;
        let network = block(Network::load(Parts {
            store: Arc::new(MemoryStore::new()),
            items: Arc::new(MemoryItems::new()),
            hub: hub.clone(),
            key: pair,
            token_key: [3; 32],
            config,
        }))
        .unwrap();
        let identities: Vec<_> = (0..devices)
            .map(|index| {
                let keys = sealing_keypair().unwrap();
                identity(&dice, index, (keys.secret(), keys.public()))
            })
            .collect();
        let (root1, statements) = founding_by(rule, &board, Some(&server), &identities, &[CHANNEL]);
        let statements: Vec<_> = statements.iter().map(|one| sign(&board, one)).collect();
        let mut ledger = Ledger::new(NETWORK, root1);
        for one in &statements {
            ledger.append(one).unwrap();
        }
        let scratch = folder.path().join("scratch");
        let mut large = Self {
            scratch: Store::create_cheaply(&scratch, &passphrase()).unwrap(),
            folder,
            network,
            hub,
            now: NOW,
            dice,
            identities,
            statements,
            ledger: LedgerHandle::new(ledger),
            entered: 0,
            next_line: 1,
        };
        for identity in &mut large.identities {
            identity.root1 = root1.0;
        }
        large.found();
        large
    }

    /// Devices in the channel.
    pub fn size(&self) -> usize {
        self.entered
    }

    /// The next device enters, past any client.
    pub fn fill(&mut self) {
        let identity = self.identities[self.entered].clone();
        let key = identity.mls_key().unwrap();
        let mls = Mls::new(&self.scratch, &self.ledger, identity.device(), &key);
        let mut line = self.line(&identity, Purpose::Bulk);
        let data = AuthData {
            ledger: self.ledger.read(|ledger| ledger.head()),
            time: self.now,
            seen: ChannelHead::EMPTY,
            epoch_authenticator: [0; 8],
        };
        let request = if self.entered == 0 {
            let context = ChannelContext {
                network: NETWORK,
                channel: CHANNEL,
                rule: Rule::Open,
            };
            let basis = Basis {
                seq: data.ledger.seq,
                time: self.now,
            };
            let (_, group_info, tree) = mls.found(&context, basis).unwrap();
            Request::FoundChannel {
                channel: CHANNEL,
                group_info: group_info.into(),
                tree: tree.into(),
            }
        } else {
            let state = line.ask(self.now, Request::GroupState(CHANNEL));
            let Reply::GroupState {
                epoch,
                group_info,
                tree,
                ..
            } = state
            else {
                panic!("no group: {state:?}");
            };
            let (_, entry) = mls.enter(CHANNEL, &group_info, &tree, &data).unwrap();
            Request::Append(Append {
                channel: CHANNEL,
                client_id: ClientId(self.dice.bytes()),
                epoch: Epoch(epoch.0),
                bytes: entry.commit.into(),
                commit: Some(CommitExtras {
                    group_info: entry.group_info.into(),
                    welcomes: Vec::new(),
                }),
            })
        };
        let answer = line.ask(self.now, request);
        assert!(
            matches!(answer, Reply::Done | Reply::Appended { .. }),
            "{answer:?}"
        );
        self.hub.leave(line.id);
        self.entered += 1;
    }

    /// The next device, with a client that is connected and has the ledger, and has not entered.
    pub fn seat(&mut self) -> Seat {
        let identity = self.identities[self.entered].clone();
        self.entered += 1;
        let path = self.folder.path().join(self.entered.to_string());
        let store = Store::create_cheaply(&path, &passphrase()).unwrap();
        store.put_identity(&identity).unwrap();
        let random = Box::new(self.dice.split(self.entered as u64));
        let mut engine = Engine::open(store, random).unwrap();
        for page in self.statements.chunks(128) {
            engine.append_statements(page).unwrap();
        }
        let line = self.line(&identity, Purpose::Chat);
        engine.connected(self.now, line.hello.clone(), line.key_packages);
        let mut seat = Seat {
            engine,
            line,
            spent: Spent::default(),
            added: Added::default(),
        };
        self.until(&mut seat, |engine| engine.is_online());
        seat
    }

    /// The client enters: until it is in. What its engine took.
    pub fn join(&mut self, seat: &mut Seat) -> Spent {
        seat.spent = Spent::default();
        seat.timed(|engine| engine.enter(NOW, CHANNEL).unwrap());
        self.until(seat, |engine| {
            engine.is_caught_up() && !engine.store().channels().unwrap().is_empty() && {
                let rows = engine.store().channels().unwrap();
                rows[0].standing == crate::store::channels::Standing::In
            }
        });
        seat.spent
    }

    /// The next device puts up a key package, past any client.
    pub fn publish(&mut self) {
        let identity = self.identities[self.entered].clone();
        self.entered += 1;
        let key = identity.mls_key().unwrap();
        let mls = Mls::new(&self.scratch, &self.ledger, identity.device(), &key);
        let package = mls.key_package(self.now, false).unwrap().into();
        let mut line = self.line(&identity, Purpose::Bulk);
        let request = Request::PutKeyPackages {
            packages: vec![package],
            last_resort: None,
        };
        let answer = line.ask(self.now, request);
        assert!(matches!(answer, Reply::Count(1)), "{answer:?}");
        self.hub.leave(line.id);
    }

    /// The owner enters, and its client goes on until so many devices are in.
    pub fn add(&mut self, owner: &mut Seat, devices: usize) -> Added {
        owner.spent = Spent::default();
        owner.added = Added::default();
        let begun = self.now;
        owner.timed(|engine| engine.enter(NOW, CHANNEL).unwrap());
        self.until(owner, |engine| {
            engine.leaf_count(CHANNEL) == devices && engine.is_caught_up()
        });
        Added {
            spent: owner.spent,
            world: self.now.0 - begun.0,
            ..owner.added
        }
    }

    /// A message of so many bytes, until it is stored, sealed and ready to leave; then it is in the
    /// log. What the engine took up to there, and for the acknowledgement.
    pub fn say(&mut self, seat: &mut Seat, bytes: usize) -> (Spent, Spent) {
        let draft = Draft::text("m".repeat(bytes));
        let content = draft.into_content(Salt(self.dice.bytes())).unwrap();
        let content = content.encode().unwrap();
        seat.spent = Spent::default();
        let now = self.now;
        seat.timed(|engine| engine.send(now, CHANNEL, &content).unwrap());
        let (id, request) = loop {
            match seat.timed(Engine::poll) {
                Some(Output::Send(id, request @ Request::Append(_))) => break (id, request),
                Some(Output::Send(id, request)) => self.up(seat, id, request),
                Some(_) => {}
                None => panic!("nothing was sent"),
            }
        };
        let sealed = std::mem::take(&mut seat.spent);
        self.up(seat, id, request);
        self.rest(seat);
        (sealed, std::mem::take(&mut seat.spent))
    }

    /// What waits for the client is read and stored. What the engine took, and how many messages
    /// it shows now.
    pub fn hear(&mut self, seat: &mut Seat) -> (Spent, usize) {
        seat.spent = Spent::default();
        self.rest(seat);
        let shown = seat.engine.store().message_count().unwrap();
        (seat.spent, shown as usize)
    }

    /// The channel's epoch as the client has it.
    pub fn epoch(&self, seat: &mut Seat) -> u64 {
        seat.engine.warm(CHANNEL).unwrap().0
    }

    /// Until the client wants nothing more and nothing waits for it.
    fn rest(&mut self, seat: &mut Seat) {
        loop {
            let mut moved = false;
            let (frames, cut) = self.hub.take(seat.line.id);
            for frame in frames {
                seat.down(self.now, frame);
                moved = true;
            }
            if cut {
                // It heard nothing for too long while others came: as any client, it comes back.
                self.connect_again(seat);
                moved = true;
            }
            let now = self.now;
            seat.timed(|engine| engine.settle(now).unwrap());
            while let Some(output) = seat.timed(Engine::poll) {
                if let Output::Send(id, request) = output {
                    self.up(seat, id, request);
                }
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn connect_again(&mut self, seat: &mut Seat) {
        let identity = seat.engine.identity().clone();
        seat.engine.disconnected();
        seat.line = self.line(&identity, Purpose::Chat);
        let (hello, packages) = (seat.line.hello.clone(), seat.line.key_packages);
        seat.engine.connected(self.now, hello, packages);
    }

    fn until(&mut self, seat: &mut Seat, done: impl Fn(&mut Engine) -> bool) {
        for _ in 0..TURNS {
            self.rest(seat);
            if done(&mut seat.engine) {
                return;
            }
            self.now = self.now.plus(250);
            let now = self.now;
            seat.timed(|engine| engine.tick(now).unwrap());
        }
        panic!("it did not happen");
    }

    fn up(&mut self, seat: &mut Seat, id: RequestId, request: Request) {
        if let Request::Append(Append {
            bytes,
            commit: Some(extras),
            ..
        }) = &request
        {
            let welcomes: usize = extras.welcomes.iter().map(|(_, one)| one.len()).sum();
            let size = bytes.len() + extras.group_info.len() + welcomes;
            seat.added.commits += 1;
            seat.added.bytes += size;
            seat.added.largest = seat.added.largest.max(size);
        }
        let frames = seat.line.send(self.now, id, request);
        for frame in frames {
            seat.down(self.now, frame);
        }
    }

    fn line(&mut self, identity: &Identity, purpose: Purpose) -> Wire {
        let key = identity.authentication_key().unwrap();
        let device = identity.device();
        let opener = Opener::Device(device, purpose);
        self.opened(opener, |nonce, transcript| {
            ClientFrame::Auth(Auth {
                device,
                purpose,
                nonce,
                signature: transcript.sign_auth(key.pair()),
            })
        })
    }

    fn knock(&mut self, invitation: InvitationId, verifier: &Digest) -> Wire {
        self.opened(Opener::Guest(invitation), |nonce, transcript| {
            ClientFrame::Knock(Knock {
                invitation,
                nonce,
                mac: transcript.knock_mac(verifier),
            })
        })
    }

    /// From HELLO to OK.
    fn opened(
        &mut self,
        opener: Opener,
        prove: impl FnOnce(Digest, &Transcript) -> ClientFrame,
    ) -> Wire {
        let id = ConnectionId(self.next_line);
        self.next_line += 1;
        let (nonce, now) = (Digest(self.dice.bytes()), self.now);
        let (session, frames) = Session::open(self.network.clone(), id, EXPORTER, nonce, now);
        let proof = prove(
            nonce,
            &Transcript::new(&frames[0], &EXPORTER, opener, &nonce),
        );
        let ServerFrame::Hello(hello) = decode_server(frames[0].clone()).unwrap() else {
            panic!("no HELLO");
        };
        let (session, frames) = block(session.receive(encode_client(proof), now));
        let ServerFrame::Ok(ok) = decode_server(frames[0].clone()).unwrap() else {
            panic!("not authenticated");
        };
        Wire {
            id,
            limit: session.message_limit(),
            session: Some(session),
            assembler: Assembler::default(),
            hello,
            key_packages: ok.key_packages,
        }
    }

    /// The founder's first request.
    fn found(&mut self) {
        let verifier = Digest([8; 32]);
        let invitation = InvitationId([9; 16]);
        block(self.network.let_found(invitation, verifier)).unwrap();
        for page in self.statements.clone().chunks(1_000) {
            let request = Request::LedgerSubmit(page.to_vec());
            let answer = if self.network.is_fresh() {
                self.knock(invitation, &verifier).ask(self.now, request)
            } else {
                let identity = self.identities[0].clone();
                self.line(&identity, Purpose::Bulk).ask(self.now, request)
            };
            assert!(matches!(answer, Reply::LedgerHead(_)), "{answer:?}");
        }
    }
}

impl Wire {
    /// The frames that a request is answered with.
    fn send(&mut self, now: UnixMillis, id: RequestId, request: Request) -> Vec<Bytes> {
        let mut all = Vec::new();
        for part in cut(encode_client(ClientFrame::Request(id, request)), self.limit) {
            let session = self.session.take().unwrap();
            let (session, frames) = block(session.receive(part, now));
            self.session = Some(session);
            all.extend(frames);
        }
        all
    }

    fn whole(&mut self, frame: Bytes) -> Option<ServerFrame> {
        match decode_server(frame).unwrap() {
            ServerFrame::Part(part) => {
                let whole = self.assembler.push(&part).unwrap()?;
                Some(decode_server(whole.into()).unwrap())
            }
            frame => Some(frame),
        }
    }

    fn ask(&mut self, now: UnixMillis, request: Request) -> Reply {
        for frame in self.send(now, RequestId(1), request) {
            if let Some(ServerFrame::Reply(_, reply)) = self.whole(frame) {
                return reply.unwrap();
            }
        }
        panic!("no answer");
    }
}

impl Seat {
    fn timed<T>(&mut self, work: impl FnOnce(&mut Engine) -> T) -> T {
        let (done, spent) = Spent::on(|| work(&mut self.engine));
        self.spent += spent;
        done
    }

    fn down(&mut self, now: UnixMillis, frame: Bytes) {
        match self.line.whole(frame) {
            Some(ServerFrame::Reply(id, reply)) => {
                self.timed(|engine| engine.reply(now, id, reply).unwrap());
            }
            Some(ServerFrame::Push(push)) => self.timed(|engine| engine.push(now, push).unwrap()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_says_another_reads_and_both_follow() {
        let mut large = Large::new(8);
        large.fill();
        large.fill();
        let (mut one, mut other) = (large.seat(), large.seat());
        assert!(large.join(&mut one) != Spent::default());
        large.join(&mut other);
        large.hear(&mut one);
        for said in 1..=3 {
            large.say(&mut one, 100);
            assert_eq!(large.hear(&mut other).1, said);
        }
        let before = large.epoch(&mut other);
        large.fill();
        large.hear(&mut other);
        assert_eq!(large.epoch(&mut other), before + 1);
    }

    #[test]
    fn an_owner_adds_more_than_one_batch_and_all_read() {
        const DEVICES: usize = 120;
        let mut large = Large::granted(DEVICES);
        let mut owner = large.seat();
        let mut first = large.seat();
        for _ in 0..DEVICES - 3 {
            large.publish();
        }
        let mut last = large.seat();
        let added = large.add(&mut owner, DEVICES);
        assert_eq!(added.commits, 3);
        large.say(&mut owner, 100);
        for seat in [&mut first, &mut last] {
            assert_eq!(large.hear(seat).1, 1);
        }
    }
}
