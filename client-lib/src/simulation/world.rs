//! A network of some members with one device each, three of them the Board.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use mls_rs_core::crypto::{CipherSuiteProvider as _, CryptoProvider as _};
use plenary_certs::{
    ledger::{
        Body, ChannelBody, EntryRule, Ledger, Person, Policy, Recovery, Root, Server, Thresholds,
        found,
    },
    mls::suite::{HYBRID, crypto_provider},
    profile::Generation,
    signing::SigningKey,
};
use plenary_core::{
    config::Config,
    items::memory::MemoryItems,
    memory::MemoryStore,
    network::{Network, Parts},
    store::{Moved, Store as _},
};
use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, Digest, Epoch, MemberId, NetworkId, UnixMillis},
    label::Label,
    reply::{Failure, Reply},
};
use secrecy::SecretString;

use super::{Dice, Wire, crowd::admitted, line::Line, log::Logged, queues::Queues};
use crate::{
    engine::{Engine, Event},
    error::Error,
    store::{Store, identity::Identity},
};

/// One device: its engine, its store, its connection.
pub struct Party {
    pub(crate) engine: Engine,
    pub(crate) line: Option<Line>,
    /// Its clock minus the true time, in milliseconds.
    pub skew: i64,
    /// Reads nothing of what is pushed to it before then.
    pub slow_until: UnixMillis,
    /// Something came for its engine that is not settled.
    pub(crate) fed: bool,
    /// How often it died in its store.
    pub deaths: u32,
    /// What its engine told.
    pub events: Vec<Event>,
    /// Answers to requests made in its name past what its engine does by itself.
    pub answers: Vec<Result<Reply, Failure>>,
    /// Why its connection was ended by its own side, or what its engine could not do.
    pub trouble: Vec<Error>,
}

impl Party {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            engine,
            line: None,
            skew: 0,
            slow_until: UnixMillis(0),
            fed: true,
            deaths: 0,
            events: Vec::new(),
            answers: Vec::new(),
            trouble: Vec::new(),
        }
    }

    /// What its clock says.
    pub fn clock(&self, now: UnixMillis) -> UnixMillis {
        UnixMillis(now.0.saturating_add_signed(self.skew))
    }
}

/// How large a world is.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Members with one device each; the first three are the Board.
    pub members: usize,
    /// The channels: entry rule, ceiling, and whose they are.
    pub channels: Vec<(EntryRule, Label, usize)>,
    /// The server's limits.
    pub config: Config,
}

impl Shape {
    /// Two open channels and one by GRANT, all owned by party 0; the first one up to TLP:RED.
    pub fn small(members: usize) -> Self {
        Self {
            members,
            channels: vec![
                (EntryRule::Open, Label::Red, 0),
                (EntryRule::Open, Label::Amber, 0),
                (EntryRule::Granted, Label::Amber, 0),
            ],
            config: Config::default(),
        }
    }
}

/// A network of some members with one device each, three of them the Board.
pub struct World {
    /// The honest server.
    pub network: Arc<Network>,
    pub(super) store: Arc<MemoryStore>,
    config: Config,
    /// Records as the store takes them, before they are noted in `log`.
    pub(super) fresh: Arc<Mutex<Vec<Moved>>>,
    /// Every record that the server took, in its order.
    pub log: Vec<Logged>,
    /// Who is in which channel, by the server's observation.
    pub(super) groups: HashMap<ChannelId, Arc<Vec<DeviceId>>>,
    /// The server's clock minus the true time, in milliseconds.
    pub server_skew: i64,
    /// Who dies in its store is connected again at once.
    pub comes_back: bool,
    pub(crate) hub: Arc<Queues>,
    /// The files that the server holds.
    pub items: Arc<MemoryItems>,
    /// The clock.
    pub now: UnixMillis,
    /// The Board's keys.
    pub board: Vec<SigningKey>,
    /// The server's identity key.
    pub server: SigningKey,
    /// The roster key, first generation: everybody has it.
    pub roster: [u8; 32],
    /// The ledger as the Board has it.
    pub ledger: Ledger,
    /// Everybody: party `n` is member `[n + 1; 16]` with device `[n + 101; 16]`.
    pub parties: Vec<Party>,
    /// Those of the ledger, as its [`Shape`] has them.
    pub channels: Vec<ChannelId>,
    /// What stands between the parties and the server.
    pub wire: Option<Box<dyn Wire>>,
    pub(super) dice: Dice,
    pub(super) next_line: u64,
    pub(super) restarts: u64,
    /// What left a device.
    pub(super) left: HashMap<Mark, Digest>,
}

/// What must always have the same bytes: device, mark and epoch, by its number and, for messages, by
/// which group's it is.
pub(super) type Mark = (DeviceId, ClientId, Epoch, Option<[u8; 8]>);

/// Nothing in this world waits for anything but its turn.
pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("the server waits for something that never comes")
}

pub(crate) fn passphrase() -> SecretString {
    SecretString::from("correct horse".to_owned())
}

impl World {
    /// Nobody is connected yet. The same seed gives the same world.
    pub fn new(seed: u64, members: usize) -> Self {
        Self::shaped(seed, Shape::small(members))
    }

    /// The same, of another size.
    pub fn shaped(seed: u64, shape: Shape) -> Self {
        let Shape {
            members,
            channels: rules,
            config,
        } = shape;
        let dice = Dice::new(seed);
        let now = UnixMillis(1_800_000_000_000);
        let server = dice.key();
        let board = vec![dice.key(), dice.key(), dice.key()];
        let network_id = NetworkId([7; 16]);
        let hub = Arc::new(Queues::default());
        let items = Arc::new(MemoryItems::new());
        let store = Arc::new(MemoryStore::new());
        let fresh = Arc::new(Mutex::default());
        let network = serve(&store, &items, &hub, &fresh, &server, config);

        let identities: Vec<_> = (0..members)
            .map(|index| identity(&dice, network_id, index))
            .collect();
        let channels: Vec<_> = (201..)
            .map(|byte| ChannelId([byte; 16]))
            .take(rules.len())
            .collect();
        let (root, rest) = founding(&board, &server, &identities, &channels, &rules);
        let (root1, statements) = found(network_id, root, rest, now);
        let roster = dice.split(u64::MAX - 1).bytes();
        let mut parties = Vec::new();
        for (index, mut identity) in identities.into_iter().enumerate() {
            identity.root1 = root1.0;
            let store = Store::in_memory().unwrap();
            store.put_identity(&identity).unwrap();
            store.put_roster_key(Generation::FIRST, &roster).unwrap();
            let random = Box::new(dice.split(index as u64 + 1));
            parties.push(Party::new(Engine::open(store, random).unwrap()));
        }
        let mut world = Self {
            network,
            store,
            config,
            fresh,
            log: Vec::new(),
            groups: HashMap::new(),
            server_skew: 0,
            comes_back: true,
            hub,
            items,
            now,
            board,
            server,
            roster,
            ledger: Ledger::new(network_id, root1),
            parties,
            channels,
            wire: None,
            dice,
            next_line: 1,
            restarts: 0,
            left: HashMap::new(),
        };
        world.found(&statements);
        world
    }

    /// Another device, with what its profile holds; not connected yet. Its number.
    #[cfg(test)]
    pub(crate) fn another(&mut self, identity: &Identity) -> usize {
        let index = self.parties.len();
        let store = Store::in_memory().unwrap();
        store.put_identity(identity).unwrap();
        let random = Box::new(self.dice.split(500 + index as u64));
        let engine = Engine::open(store, random).unwrap();
        self.parties.push(Party::new(engine));
        index
    }

    /// What the server's clock says.
    pub fn server_clock(&self) -> UnixMillis {
        UnixMillis(self.now.0.saturating_add_signed(self.server_skew))
    }

    /// The server's process dies and is started again on its store: every connection is gone, and
    /// what it had in memory.
    pub fn restart_server(&mut self) {
        for index in 0..self.parties.len() {
            self.disconnect(index);
        }
        self.store.reopen();
        self.hub = Arc::new(Queues::default());
        let (store, items, hub) = (&self.store, &self.items, &self.hub);
        self.network = serve(store, items, hub, &self.fresh, &self.server, self.config);
    }

    /// Everybody is connected and has what there is.
    pub fn connected(seed: u64, members: usize) -> Self {
        let mut world = Self::new(seed, members);
        (0..members).for_each(|index| world.connect(index));
        world.run();
        world
    }
}

/// As [`World::connected`], where the seed does not matter.
#[cfg(test)]
pub(crate) fn connected(members: usize) -> World {
    World::connected(0, members)
}

fn serve(
    store: &Arc<MemoryStore>,
    items: &Arc<MemoryItems>,
    hub: &Arc<Queues>,
    fresh: &Arc<Mutex<Vec<Moved>>>,
    key: &SigningKey,
    config: Config,
) -> Arc<Network> {
    let fresh = fresh.clone();
    store.watch(Box::new(move |moved| {
        fresh.lock().unwrap().extend_from_slice(moved)
    }));
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(key.seed()).unwrap();
    block(Network::load(Parts {
        store: store.clone(),
        items: items.clone(),
        hub: hub.clone(),
        key: pair,
        token_key: [3; 32],
        config,
    }))
    .unwrap()
}

/// A sealing key of the dice, secret and public half: it is in the ledger, and the ledger's hash
/// decides whose turn something is.
pub(super) fn sealing(dice: &Dice, index: usize) -> (Vec<u8>, Vec<u8>) {
    let suite = crypto_provider().cipher_suite_provider(HYBRID).unwrap();
    let seed: [u8; 32] = dice.split(u64::MAX - 2 - index as u64).bytes();
    let (secret, public) = suite.kem_derive(&seed).unwrap();
    (secret.as_ref().to_vec(), public.as_ref().to_vec())
}

fn identity(dice: &Dice, network: NetworkId, index: usize) -> Identity {
    let (sealing, sealing_public) = sealing(dice, index);
    Identity {
        address: "localhost:1".to_owned(),
        ca_pin: [0; 32],
        network: network.0,
        root1: [0; 32],
        member: [index as u8 + 1; 16],
        device: [index as u8 + 101; 16],
        authentication: dice.bytes(),
        mls: dice.bytes(),
        custody: dice.bytes(),
        sealing,
        sealing_public,
        invitation: None,
    }
}

/// The keys of the recovery role; two must sign.
pub fn recovery_keys() -> Vec<SigningKey> {
    (61..64)
        .map(|byte| SigningKey::from_seed(&[byte; 32]).unwrap())
        .collect()
}

fn founding(
    board: &[SigningKey],
    server: &SigningKey,
    identities: &[Identity],
    channels: &[ChannelId],
    rules: &[(EntryRule, Label, usize)],
) -> (Root, Vec<Body>) {
    let root = Root {
        board: board
            .iter()
            .zip(1..)
            .map(|(key, number)| Person {
                member: MemberId([number; 16]),
                key: key.public(),
            })
            .collect(),
        thresholds: Thresholds::for_board(3),
        heartbeat: vec![],
        recovery: Recovery {
            keys: recovery_keys().iter().map(SigningKey::public).collect(),
            threshold: 2,
        },
    };
    let mut rest = vec![
        Body::Policy(Policy::default()),
        Body::Server(Server {
            key: server.public(),
        }),
    ];
    for identity in identities {
        rest.extend(admitted(identity));
    }
    for (channel, (rule, ceiling, owner)) in channels.iter().zip(rules) {
        rest.push(Body::Channel(ChannelBody {
            channel: *channel,
            rule: *rule,
            ceiling: *ceiling,
            owner: identities[*owner].member(),
            profile: Digest(channel.0.repeat(2).try_into().unwrap()),
        }));
    }
    (root, rest)
}
