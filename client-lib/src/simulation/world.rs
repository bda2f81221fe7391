//! A network of some members with one device each, three of them the Board.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use plenary_certs::{
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, EntryRule, Ledger, Person, Policy,
        Recovery, Root, Server, Thresholds, Voucher, found,
    },
    profile::{Generation, sealing_keypair},
    signing::SigningKey,
};
use plenary_core::{
    config::Config,
    items::memory::MemoryItems,
    memory::MemoryStore,
    network::{Network, Parts},
};
use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, Digest, Epoch, MemberId, NetworkId, UnixMillis},
    label::Label,
    reply::{Failure, Reply},
};
use secrecy::SecretString;

use super::{Dice, Wire, line::Line, queues::Queues};
use crate::{
    engine::{Engine, Event},
    error::Error,
    store::{Store, identity::Identity},
};

/// One device: its engine, its store, its connection.
pub struct Party {
    pub(crate) engine: Engine,
    pub(crate) line: Option<Line>,
    pub(crate) folder: PathBuf,
    /// What its engine told.
    pub events: Vec<Event>,
    /// Answers to requests made in its name past what its engine does by itself.
    pub answers: Vec<Result<Reply, Failure>>,
    /// Why its connection was ended by its own side, or what its engine could not do.
    pub trouble: Vec<Error>,
}

impl Party {
    pub(super) fn new(engine: Engine, folder: PathBuf) -> Self {
        Self {
            engine,
            line: None,
            folder,
            events: Vec::new(),
            answers: Vec::new(),
            trouble: Vec::new(),
        }
    }
}

/// A network of some members with one device each, three of them the Board.
pub struct World {
    folder: tempfile::TempDir,
    /// The honest server.
    pub network: Arc<Network>,
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
    /// Two open channels and one by GRANT, all owned by party 0; the first one up to TLP:RED.
    pub channels: Vec<ChannelId>,
    /// What stands between the parties and the server.
    pub wire: Option<Box<dyn Wire>>,
    pub(super) dice: Dice,
    pub(super) next_line: u64,
    pub(super) restarts: u64,
    /// What left a device.
    pub(super) left: HashMap<Mark, Bytes>,
}

/// What must always have the same bytes: device, mark and epoch, by its number and, for messages, by
/// which group's it is.
pub(super) type Mark = (DeviceId, ClientId, Epoch, Option<[u8; 8]>);

pub(crate) fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn passphrase() -> SecretString {
    SecretString::from("correct horse".to_owned())
}

impl World {
    /// Nobody is connected yet. The same seed gives the same world.
    pub fn new(seed: u64, members: usize) -> Self {
        // In memory where there is such a folder: nothing here has to outlive the process.
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let dice = Dice::new(seed);
        let now = UnixMillis(1_800_000_000_000);
        let server = dice.key();
        let board = vec![dice.key(), dice.key(), dice.key()];
        let network_id = NetworkId([7; 16]);
        let hub = Arc::new(Queues::default());
        let items = Arc::new(MemoryItems::new());
        let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(server.seed()).unwrap();
        let network = block(Network::load(Parts {
            store: Arc::new(MemoryStore::new()),
            items: items.clone(),
            hub: hub.clone(),
            key: pair,
            token_key: [3; 32],
            config: Config::default(),
        }))
        .unwrap();

        let identities: Vec<_> = (0..members)
            .map(|index| identity(&dice, network_id, index))
            .collect();
        let channels: Vec<_> = [201, 202, 203]
            .map(|byte| ChannelId([byte; 16]))
            .into_iter()
            .collect();
        let (root, rest) = founding(&board, &server, &identities, &channels);
        let (root1, statements) = found(network_id, root, rest, now);
        let roster = dice.split(u64::MAX - 1).bytes();
        let mut parties = Vec::new();
        for (index, mut identity) in identities.into_iter().enumerate() {
            identity.root1 = root1.0;
            let path = folder.path().join(index.to_string());
            let store = Store::create_cheaply(&path, &passphrase()).unwrap();
            store.put_identity(&identity).unwrap();
            store.put_roster_key(Generation::FIRST, &roster).unwrap();
            let random = Box::new(dice.split(index as u64 + 1));
            parties.push(Party::new(Engine::open(store, random).unwrap(), path));
        }
        let mut world = Self {
            folder,
            network,
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
        let path = self.folder().join(format!("another-{index}"));
        let store = Store::create_cheaply(&path, &passphrase()).unwrap();
        store.put_identity(identity).unwrap();
        let random = Box::new(self.dice.split(500 + index as u64));
        let engine = Engine::open(store, random).unwrap();
        self.parties.push(Party::new(engine, path));
        index
    }

    /// Where the profiles are.
    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
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

fn identity(dice: &Dice, network: NetworkId, index: usize) -> Identity {
    let sealing = sealing_keypair().unwrap();
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
        sealing: sealing.secret().to_vec(),
        sealing_public: sealing.public().to_vec(),
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
    let rules = [
        (EntryRule::Open, Label::Red),
        (EntryRule::Open, Label::Amber),
        (EntryRule::Granted, Label::Amber),
    ];
    for (channel, (rule, ceiling)) in channels.iter().zip(rules) {
        rest.push(Body::Channel(ChannelBody {
            channel: *channel,
            rule,
            ceiling,
            owner: identities[0].member(),
            profile: Digest(channel.0.repeat(2).try_into().unwrap()),
        }));
    }
    (root, rest)
}
