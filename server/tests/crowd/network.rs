//! A network of as many devices as wanted on a real server: its ledger written here, its channels as
//! real MLS groups, and no client library.

use std::{path::Path, process::Command};

use bytes::Bytes;
use mls_rs::{Client, ExtensionList, Group, MlsMessage, client_builder::MlsConfig};
use mls_rs_core::crypto::SignatureSecretKey;
use plenary_certs::{
    invitation::Invitation,
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, DeviceKeys, EntryRule, Ledger, Person,
        Policy, Recovery, Root, Server as ServerBody, SignedStatement, Statement, Thresholds,
        Voucher, found, sign_as_board,
    },
    mls::{
        auth_data::AuthData,
        context::{self, ChannelContext, Rule},
        credential::signing_identity,
        judge::{Basis, Judge, LedgerHandle},
        suite::{HYBRID, crypto_provider},
    },
    signing::SigningKey,
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, MemberId, NetworkId},
    label::Label,
    reply::Reply,
    request::{Append, CommitExtras, Purpose, Request},
};
use plenary_server::clock::now;

use super::{
    common::{Server, founder},
    seat::{Door, Seat},
};

const NETWORK: NetworkId = NetworkId([0xCD; 16]);
/// Devices of one member; it may have 16.
const EACH: usize = 10;
/// Statements of one request.
const STATEMENTS: usize = 1_000;

pub struct Device {
    pub id: DeviceId,
    member: MemberId,
    pub authentication: SigningKey,
    mls: SigningKey,
}

/// A channel, and a message that is sealed for it.
#[derive(Clone)]
pub struct Channel {
    pub id: ChannelId,
    pub epoch: Epoch,
    sealed: Bytes,
}

/// A server in a process of its own, and who is admitted there.
pub struct Network {
    pub server: Server,
    pub door: Door,
    pub devices: Vec<Device>,
}

fn id(kind: u8, n: usize) -> [u8; 16] {
    let mut id = [kind; 16];
    id[..8].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

fn key(kind: u8, n: usize) -> SigningKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
    SigningKey::from_seed(&seed).unwrap()
}

impl Device {
    fn new(n: usize) -> Self {
        Self {
            id: DeviceId(id(2, n)),
            member: MemberId(id(1, n / EACH)),
            authentication: key(2, n),
            mls: key(3, n),
        }
    }

    fn body(&self, n: usize) -> Body {
        Body::Device(DeviceBody {
            device: self.id,
            member: self.member,
            voucher: Voucher::Board,
            keys: DeviceKeys {
                authentication: self.authentication.public(),
                mls: self.mls.public(),
                custody: key(4, n).public(),
                sealing: vec![5; 1_216],
            },
        })
    }

    fn client(&self, judge: &Judge) -> Client<impl MlsConfig + use<>> {
        let secret = [&self.mls.seed()[..], self.mls.public().as_bytes()].concat();
        Client::builder()
            .identity_provider(judge.clone())
            .crypto_provider(crypto_provider())
            .mls_rules(judge.clone())
            .extension_type(context::CHANNEL)
            .signing_identity(
                signing_identity(self.id, &self.mls.public()),
                SignatureSecretKey::from(secret),
                HYBRID,
            )
            .build()
    }
}

impl Channel {
    /// The message once more, by whoever is in it.
    pub fn message(&self, mark: u128) -> Request {
        Request::Append(Append {
            channel: self.id,
            client_id: ClientId(mark.to_be_bytes()),
            epoch: self.epoch,
            bytes: self.sealed.clone(),
            commit: None,
        })
    }
}

impl Network {
    /// Starts a server below `home` with `limits` of the environment, admits so many devices, and
    /// founds channels of these (the first owns each).
    pub async fn start(
        home: &Path,
        limits: &[(&str, &str)],
        devices: usize,
        channels: &[Vec<usize>],
    ) -> (Self, Vec<Channel>) {
        let data = home.join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_plenary-server"));
        command
            .args(["--listen", "127.0.0.1:0", "--log", "error", "--data"])
            .arg(&data)
            .current_dir(home);
        for (name, value) in limits {
            command.env(format!("PLENARY_SERVER_LIMITS__{name}"), value);
        }
        let mut server = Server::run(command);
        // Nobody reads it: it must not fill.
        let mut log = server.process.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let told = founder(&data);
        let network = Self {
            door: Door::new(server.port, &told.ca_pin),
            devices: (0..devices).map(Device::new).collect(),
            server,
        };
        let invitation = Invitation::parse(&told.invitation.unwrap()).unwrap();
        let key = told.server_key.parse().unwrap();
        let ledger = network
            .admit(&invitation, Body::Server(ServerBody { key }), channels)
            .await;
        let mut founded = Vec::new();
        for (n, members) in channels.iter().enumerate() {
            founded.push(network.fill(&ledger, ChannelId(id(9, n)), members).await);
        }
        (network, founded)
    }

    /// In as a device, from this machine's first address.
    pub async fn seat(&self, device: usize) -> Seat {
        let (from, device) = ([127, 0, 0, 1], &self.devices[device]);
        let entered = self.door.enter(from, device, Purpose::Chat, false).await;
        entered.expect("a member was not let in")
    }

    /// Bytes of memory that the server holds now.
    pub fn memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.server.process.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1_024
    }

    async fn admit(
        &self,
        invitation: &Invitation,
        server: Body,
        channels: &[Vec<usize>],
    ) -> LedgerHandle {
        let board: Vec<_> = (0..3).map(|n| key(1, n)).collect();
        let person = |(n, key): (usize, &SigningKey)| Person {
            member: MemberId(id(1, n)),
            key: key.public(),
        };
        let root = Root {
            board: board.iter().enumerate().map(person).collect(),
            thresholds: Thresholds::for_board(3),
            heartbeat: Vec::new(),
            recovery: Recovery::default(),
        };
        let mut rest = vec![Body::Policy(Policy::default()), server];
        for (n, device) in self.devices.iter().enumerate() {
            if n.is_multiple_of(EACH) {
                rest.push(Body::Admit(Admit {
                    member: device.member,
                    capacity: Capacity::Member,
                    ends: None,
                    profile: Digest([3; 32]),
                }));
            }
            rest.push(device.body(n));
        }
        for (n, members) in channels.iter().enumerate() {
            rest.push(Body::Channel(ChannelBody {
                channel: ChannelId(id(9, n)),
                rule: EntryRule::Open,
                ceiling: Label::Amber,
                owner: self.devices[members[0]].member,
                profile: Digest([9; 32]),
            }));
        }
        let (root1, statements) = found(NETWORK, root, rest, now());
        let mut ledger = Ledger::new(NETWORK, root1);
        let signed: Vec<_> = statements
            .iter()
            .map(|statement| sign(statement, &board[..2]))
            .collect();
        for bytes in &signed {
            ledger.append(bytes).unwrap();
        }
        // A device ends the founder's line: what comes after the first page is for one to submit.
        let (first, rest) = signed.split_at(signed.len().min(STATEMENTS));
        let mut founder = self.door.found(invitation).await.unwrap();
        submit(&mut founder, first).await;
        if !rest.is_empty() {
            let mut seat = self.seat(0).await;
            for page in rest.chunks(STATEMENTS) {
                submit(&mut seat, page).await;
            }
        }
        LedgerHandle::new(ledger)
    }

    /// Founds a channel's group and adds everybody.
    async fn fill(&self, ledger: &LedgerHandle, channel: ChannelId, members: &[usize]) -> Channel {
        let judge = Judge::new(ledger.clone());
        let time = now();
        let seconds = Some((time.0 / 1_000).into());
        let mut extensions = ExtensionList::new();
        let (network, rule) = (NETWORK, Rule::Open);
        let context = ChannelContext {
            network,
            channel,
            rule,
        };
        extensions.set(context.extension());
        let owner = &self.devices[members[0]];
        let none = ExtensionList::new;
        let mut group = owner
            .client(&judge)
            .create_group_with_id(channel.0.to_vec(), extensions, none(), seconds)
            .unwrap();
        let info = group.group_info_message_allowing_ext_commit(false).unwrap();
        let request = Request::FoundChannel {
            channel,
            group_info: info.to_bytes().unwrap().into(),
            tree: group.export_tree().to_bytes().unwrap().into(),
        };
        let mut seat = self.seat(members[0]).await;
        assert_eq!(seat.ask(request).await.unwrap(), Ok(Reply::Done));

        let head = ledger.read(Ledger::head);
        let says = |group: &Group<_>| {
            AuthData {
                ledger: head,
                time,
                seen: ChannelHead::EMPTY,
                epoch_authenticator: authenticator(group),
            }
            .encode()
        };
        let basis = Basis {
            seq: head.seq,
            time,
        };
        let data = says(&group);
        let output = judge.at(basis, || {
            let mut builder = group
                .commit_builder()
                .authenticated_data(data)
                .commit_time((time.0 / 1_000).into());
            for member in &members[1..] {
                let client = self.devices[*member].client(&judge);
                let package = client.generate_key_package_message(none(), none(), seconds);
                builder = builder.add_member(package.unwrap()).unwrap();
            }
            builder.build().unwrap()
        });
        let info = output.external_commit_group_info.unwrap();
        let welcome: Bytes = output.welcome_messages[0].to_bytes().unwrap().into();
        let append = Append {
            channel,
            client_id: ClientId(id(7, 0)),
            epoch: Epoch(group.current_epoch()),
            bytes: output.commit_message.to_bytes().unwrap().into(),
            commit: Some(CommitExtras {
                group_info: info.to_bytes().unwrap().into(),
                welcomes: members[1..]
                    .iter()
                    .map(|member| (self.devices[*member].id, welcome.clone()))
                    .collect(),
            }),
        };
        let added = seat.ask(Request::Append(append)).await.unwrap();
        assert!(matches!(added, Ok(Reply::Appended { .. })), "{added:?}");
        group.apply_pending_commit().unwrap();
        let data = says(&group);
        let sealed = group.encrypt_application_message(&[7; 512], data).unwrap();
        Channel {
            id: channel,
            epoch: Epoch(group.current_epoch()),
            sealed: MlsMessage::to_bytes(&sealed).unwrap().into(),
        }
    }
}

fn authenticator(group: &Group<impl MlsConfig>) -> [u8; 8] {
    let secret = group.epoch_authenticator().unwrap();
    *secret.as_bytes().first_chunk().unwrap()
}

fn sign(statement: &Statement, board: &[SigningKey]) -> Bytes {
    let bytes = statement.encode();
    let signatures = board.iter().map(|key| sign_as_board(&bytes, key)).collect();
    SignedStatement::new(bytes, signatures).encode().into()
}

async fn submit(seat: &mut Seat, statements: &[Bytes]) {
    let submitted = seat.ask(Request::LedgerSubmit(statements.to_vec())).await;
    assert!(
        matches!(submitted, Ok(Ok(Reply::LedgerHead(_)))),
        "{submitted:?}"
    );
}
