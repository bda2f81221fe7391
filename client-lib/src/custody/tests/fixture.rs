//! A small network, an item handed over in it, and a bundle about that.

use std::{fs, path::Path};

use plenary_certs::{
    custody::{Act, Entry, Facts, FileFacts, Record, countersign},
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, DeviceKeys, EntryRule, Ledger, Person,
        Policy, Recovery, Root, Server, SignedStatement, Thresholds, Voucher, found, sign_as_board,
    },
    profile::{ChannelProfile, MemberProfile, Profile, SaltedProfile},
    signing::SigningKey,
};
use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, Digest, Epoch, MemberId, NetworkId, UnixMillis},
    label::Label,
};
use ring::rand::SystemRandom;
use tempfile::TempDir;

use super::super::{Carried, Evidence, ORIGINAL, Parts, finish, original_name};
use crate::{
    content::{Carries, Draft, Envelope, Salt, SignedContext},
    files::{Manifest, Plan, Sealer},
};

pub(super) const DATA: &[u8] = b"what we found in the wallet of the suspect, and what we did not";
pub(super) const HOSTILE: &str = "Eve\u{202e} <script>alert(1)</script> & \"Co\"";
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const NETWORK: NetworkId = NetworkId([7; 16]);
const CHANNEL: ChannelId = ChannelId([9; 16]);

pub(super) struct Fixture {
    pub(super) root1: Digest,
    pub(super) ledger: Ledger,
    pub(super) manifest: Manifest,
    pub(super) record: Record,
    profiles: Vec<SaltedProfile>,
    message: Carried,
}

pub(super) fn key(kind: u8, n: u8) -> SigningKey {
    SigningKey::from_seed(&[kind, n].repeat(16).try_into().unwrap()).unwrap()
}

fn member(name: &str) -> SaltedProfile {
    let profile = Profile::Member(MemberProfile {
        name: name.to_owned(),
        state: "Ruritania".to_owned(),
        ..MemberProfile::default()
    });
    SaltedProfile::new(profile, &SystemRandom::new()).unwrap()
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::of(Plan::new("re%port.txt", "text/plain", DATA.len() as u64).unwrap())
    }

    pub(super) fn malware() -> Self {
        Self::of(Plan::new("x.exe", "", DATA.len() as u64).unwrap().malware())
    }

    fn of(plan: Plan) -> Self {
        let channel = Profile::Channel(ChannelProfile {
            name: "evidence".to_owned(),
            purpose: String::new(),
        });
        let channel = SaltedProfile::new(channel, &SystemRandom::new()).unwrap();
        let profiles = vec![member(HOSTILE), member("Bob"), channel];
        let (root1, ledger) = network(&profiles);
        Self::within(plan, profiles, root1, ledger)
    }

    /// Another item with the same bytes, in the same channel.
    pub(super) fn sibling(&self) -> Self {
        let plan = Plan::new("re%port.txt", "text/plain", DATA.len() as u64).unwrap();
        let profiles = self.profiles.clone();
        Self::within(plan, profiles, self.root1, self.ledger.clone())
    }

    fn within(plan: Plan, profiles: Vec<SaltedProfile>, root1: Digest, ledger: Ledger) -> Self {
        let mut sealer = Sealer::new(plan).unwrap();
        sealer.seal(DATA).unwrap();
        let manifest = sealer.finish().unwrap();
        let message = message(&manifest);
        let mut fixture = Self {
            root1,
            record: Record::new(facts(&manifest)),
            ledger,
            manifest,
            profiles,
            message,
        };
        for (n, act) in [
            (0, Act::Deposited),
            (1, Act::Collected),
            (1, Act::Verified),
            (1, Act::Exported),
        ] {
            let entry = fixture.next(n, act, act != Act::Exported);
            fixture.record.add(entry, &fixture.ledger).unwrap();
        }
        fixture
    }

    /// What device `n` says next.
    pub(super) fn next(&self, n: u8, act: Act, word: bool) -> Entry {
        let salt = Digest([self.record.len() as u8 + 1; 32]);
        let said = self
            .record
            .next(DeviceId([n + 1; 16]), act, self.ledger.head(), NOW, salt);
        let entry = Entry::sign(&said, &key(4, n));
        if !word {
            return entry;
        }
        let server = key(9, 0);
        let word = countersign(
            server.pair(),
            NETWORK,
            said.item,
            &entry.id(),
            &said.root,
            NOW.plus(40),
        );
        entry.countersigned(word)
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        self.record
            .entries()
            .map(|(entry, _)| entry.clone())
            .collect()
    }

    pub(super) fn parts(&self, with: bool) -> Parts {
        Parts {
            ledger: self
                .ledger
                .entries_after(plenary_proto::ids::LedgerSeq(0))
                .map(|(_, signed)| signed.to_vec())
                .collect(),
            profiles: self.profiles.clone(),
            described: self.manifest.describe(),
            message: with.then(|| self.message.clone()),
            entries: self.entries(),
            authorities: None,
        }
    }

    pub(super) fn bundle(&self, with: bool) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        if with {
            let place = folder.path().join(ORIGINAL);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(original_name(&self.manifest.describe())), DATA).unwrap();
        }
        finish(folder.path(), &Evidence::of(&self.parts(with)), NOW).unwrap();
        folder
    }

    /// The item's key within a manifest's bytes.
    pub(super) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let root = self.manifest.root().as_bytes();
        let at = bytes.windows(32).position(|part| part == root).unwrap();
        // The key follows the root: two bytes of head, 32 of key.
        &bytes[at + 34..at + 66]
    }
}

fn network(profiles: &[SaltedProfile]) -> (Digest, Ledger) {
    let root = Root {
        board: (0..3)
            .map(|n| Person {
                member: MemberId([n + 1; 16]),
                key: key(1, n).public(),
            })
            .collect(),
        thresholds: Thresholds::for_board(3),
        heartbeat: vec![],
        recovery: Recovery::default(),
    };
    let mut rest = vec![
        Body::Policy(Policy::default()),
        Body::Server(Server {
            key: key(9, 0).public(),
        }),
    ];
    for n in 0..2u8 {
        rest.push(Body::Admit(Admit {
            member: MemberId([n + 1; 16]),
            capacity: Capacity::Member,
            ends: None,
            profile: profiles[n as usize].hash(),
        }));
        rest.push(Body::Device(DeviceBody {
            device: DeviceId([n + 1; 16]),
            member: MemberId([n + 1; 16]),
            voucher: Voucher::Board,
            keys: DeviceKeys {
                authentication: key(2, n).public(),
                mls: key(3, n).public(),
                custody: key(4, n).public(),
                sealing: vec![n; 40],
            },
        }));
    }
    rest.push(Body::Channel(ChannelBody {
        channel: CHANNEL,
        rule: EntryRule::Open,
        ceiling: Label::Amber,
        owner: MemberId([1; 16]),
        profile: profiles[2].hash(),
    }));
    let (root1, statements) = found(NETWORK, root, rest, NOW);
    let mut ledger = Ledger::new(NETWORK, root1);
    for statement in statements {
        let bytes = statement.encode();
        let signatures = [0, 1].map(|n| sign_as_board(&bytes, &key(1, n)));
        let mut signatures = signatures.to_vec();
        signatures.sort_by_key(|signed| format!("{:?}", signed.signer));
        let signed = SignedStatement::new(bytes, signatures);
        ledger.append(&signed.encode()).unwrap();
    }
    (root1, ledger)
}

fn facts(manifest: &Manifest) -> Facts {
    Facts {
        network: NETWORK,
        item: manifest.item(),
        channel: CHANNEL,
        depositor: DeviceId([1; 16]),
        manifest: manifest.describe().hash(),
        root: *manifest.root(),
        file: FileFacts {
            sha256: *manifest.sha256(),
            size: manifest.size(),
        },
    }
}

fn message(manifest: &Manifest) -> Carried {
    let content = Draft::item(manifest.encode().to_vec())
        .into_content(Salt([3; 16]))
        .unwrap();
    let context = SignedContext {
        network: NETWORK,
        channel: CHANNEL,
        epoch: Epoch(4),
        client_id: ClientId([5; 16]),
    };
    let key = key(3, 0);
    let content = content.encode().unwrap();
    let envelope = Envelope::sign(Carries::Content, content, &context, |bytes| {
        Ok::<_, std::convert::Infallible>(key.sign(bytes))
    })
    .unwrap();
    Carried {
        channel: CHANNEL.0,
        epoch: 4,
        client_id: [5; 16],
        device: [1; 16],
        content: envelope.content,
        signature: envelope.signature.0,
    }
}

/// Every file below a folder, with `/`.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let path = path.strip_prefix(folder).unwrap();
                    all.push(path.to_str().unwrap().to_owned());
                }
            }
        }
    }
    all.sort();
    all
}
