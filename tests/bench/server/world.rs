//! A founded network on our real server, as its members' devices would have made it: the Board's
//! statements, real authentication keys, and channels that are real MLS groups of the hybrid suite.
//! Of MLS only what the server sees is done: groups are founded and filled by their owner's device;
//! the others never open what they are sent.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use mls_rs::{Client, ExtensionList, MlsMessage};
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
use plenary_tests::harness::Server;

use super::line::{Address, Line, Target, Who};

const NETWORK: NetworkId = NetworkId([0xBE; 16]);
/// Devices of one member; one may have 16.
const DEVICES: usize = 10;
/// Devices that one commit adds.
const ADDED: usize = 100;
/// Statements of one request.
const STATEMENTS: usize = 1_000;

/// No limit of ours shall be what is measured.
const CONFIG: &str = "[limits]\nconnections = 12000\nmessages_per_minute = 1000000000\n\
                      message_burst = 1000000000\n";

/// A device with its keys.
pub struct Device {
    pub id: DeviceId,
    pub member: MemberId,
    pub authentication: SigningKey,
    mls: SigningKey,
}

/// A channel to be made.
pub struct Plan {
    /// Indices of devices, its owner first.
    pub devices: Vec<usize>,
    /// Bytes of a message there, as MLS makes it.
    pub bytes: usize,
}

/// A channel: who is in, and how to speak there.
pub struct Channel {
    pub id: ChannelId,
    /// As planned.
    pub bytes: usize,
    /// Indices of devices; the first owns it.
    pub devices: Vec<usize>,
    pub address: Address,
}

/// Our server and all that is on it.
pub struct World {
    pub server: Server,
    pub target: Target,
    pub devices: Vec<Device>,
    pub channels: Vec<Channel>,
}

fn id(kind: u8, n: usize) -> [u8; 16] {
    let mut id = [kind; 16];
    id[..8].copy_from_slice(&(n as u64).to_be_bytes());
    id
}

fn key(kind: u8, n: usize) -> Result<SigningKey> {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
    Ok(SigningKey::from_seed(&seed)?)
}

impl Device {
    fn new(n: usize) -> Result<Self> {
        Ok(Self {
            id: DeviceId(id(2, n)),
            member: MemberId(id(1, n / DEVICES)),
            authentication: key(2, n)?,
            mls: key(3, n)?,
        })
    }

    fn body(&self, n: usize) -> Result<Body> {
        Ok(Body::Device(DeviceBody {
            device: self.id,
            member: self.member,
            voucher: Voucher::Board,
            keys: DeviceKeys {
                authentication: self.authentication.public(),
                mls: self.mls.public(),
                custody: key(4, n)?.public(),
                sealing: vec![5; 1_216],
            },
        }))
    }
}

impl World {
    /// A server (`program serve`) below `home` with a network of so many devices, and channels.
    pub async fn make(
        program: &Path,
        home: &Path,
        devices: usize,
        channels: &[Plan],
    ) -> Result<Self> {
        fs::create_dir_all(home)?;
        fs::write(home.join("plenary-server.toml"), CONFIG)?;
        let server = Server::start(program, home, "warn")?;
        let target = target_of(&server)?;
        let devices = (0..devices).map(Device::new).collect::<Result<Vec<_>>>()?;
        let ledger = found_network(&server, &target, &devices, channels).await?;
        let mut owner = None;
        let mut made = Vec::with_capacity(channels.len());
        for (n, plan) in channels.iter().enumerate() {
            let first = *plan.devices.first().context("a channel of nobody")?;
            if owner.as_ref().is_none_or(|(of, _)| *of != first) {
                let who = Who::Device(&devices[first], Purpose::Bulk);
                owner = Some((first, target.open(who).await?));
            }
            let (_, line) = owner.as_mut().context("no line")?;
            let channel = ChannelId(id(9, n));
            let address = fill(line, &ledger, &devices, channel, plan)
                .await
                .with_context(|| format!("channel {n} of {}", plan.devices.len()))?;
            made.push(Channel {
                id: channel,
                bytes: plan.bytes,
                devices: plan.devices.clone(),
                address,
            });
        }
        Ok(Self {
            server,
            target,
            devices,
            channels: made,
        })
    }

    /// Ends the server and starts it again; returns the seconds until it listened.
    pub fn restart(&mut self) -> Result<f64> {
        if self.server.process().is_some() {
            self.server.stop()?;
        }
        let begun = std::time::Instant::now();
        self.server.restart()?;
        Ok(begun.elapsed().as_secs_f64())
    }

    /// The server's process.
    pub fn process(&self) -> Result<u32> {
        self.server.process().context("the server does not run")
    }

    /// A chat line of a device.
    pub async fn open(&self, device: usize) -> Result<Line> {
        let who = Who::Device(&self.devices[device], Purpose::Chat);
        self.target.open(who).await
    }
}

fn target_of(server: &Server) -> Result<Target> {
    let address = ([127, 0, 0, 1], server.port()).into();
    Target::new(address, &server.founder()?.ca_pin)
}

/// The statements, signed by two of a Board of three, submitted as the founder does.
async fn found_network(
    server: &Server,
    target: &Target,
    devices: &[Device],
    channels: &[Plan],
) -> Result<LedgerHandle> {
    let founder = server.founder()?;
    let board = (0..3).map(|n| key(1, n)).collect::<Result<Vec<_>>>()?;
    let root = Root {
        board: board
            .iter()
            .enumerate()
            .map(|(n, key)| Person {
                member: MemberId(id(1, n)),
                key: key.public(),
            })
            .collect(),
        thresholds: Thresholds::for_board(3),
        heartbeat: Vec::new(),
        recovery: Recovery::default(),
    };
    let mut rest = vec![
        Body::Policy(Policy::default()),
        Body::Server(ServerBody {
            key: founder.server_key.parse()?,
        }),
    ];
    let channel = |n: usize, owner: MemberId| {
        Body::Channel(ChannelBody {
            channel: ChannelId(id(9, n)),
            rule: EntryRule::Open,
            ceiling: Label::Amber,
            owner,
            profile: Digest([9; 32]),
        })
    };
    for (n, device) in devices.iter().enumerate() {
        if n.is_multiple_of(DEVICES) {
            rest.push(Body::Admit(Admit {
                member: device.member,
                capacity: Capacity::Member,
                ends: None,
                profile: Digest([3; 32]),
            }));
        }
        rest.push(device.body(n)?);
    }
    for (n, plan) in channels.iter().enumerate() {
        rest.push(channel(n, devices[plan.devices[0]].member));
    }
    let (root1, statements) = found(NETWORK, root, rest, now());
    let mut ledger = Ledger::new(NETWORK, root1);
    let mut signed = Vec::with_capacity(statements.len());
    for statement in &statements {
        let bytes = sign(statement, &board[..2]);
        ledger.append(&bytes)?;
        signed.push(bytes);
    }
    let text = founder.invitation.context("the network is founded")?;
    let invitation = Invitation::parse(&text)?;
    let knock = invitation.knock_key()?;
    let mut guest = target.open(Who::Founder(invitation.id, knock)).await?;
    // A device ends the founder's line, so all of the first request comes before one.
    let (first, rest) = signed.split_at(signed.len().min(STATEMENTS));
    submit(&mut guest, first).await?;
    if !rest.is_empty() {
        let who = Who::Device(&devices[0], Purpose::Bulk);
        let mut line = target.open(who).await?;
        for page in rest.chunks(STATEMENTS) {
            submit(&mut line, page).await?;
        }
    }
    Ok(LedgerHandle::new(ledger))
}

fn sign(statement: &Statement, board: &[SigningKey]) -> Bytes {
    let bytes = statement.encode();
    let signatures = board.iter().map(|key| sign_as_board(&bytes, key)).collect();
    SignedStatement::new(bytes, signatures).encode().into()
}

async fn submit(line: &mut Line, statements: &[Bytes]) -> Result<()> {
    match line.ask(Request::LedgerSubmit(statements.to_vec())).await? {
        Reply::LedgerHead(_) => Ok(()),
        other => bail!("the founding was answered with {other:?}"),
    }
}

/// Founds a channel's group, adds everybody, and seals the message that is said there.
async fn fill(
    line: &mut Line,
    ledger: &LedgerHandle,
    devices: &[Device],
    channel: ChannelId,
    plan: &Plan,
) -> Result<Address> {
    let Plan {
        devices: members,
        bytes,
    } = plan;
    let judge = Judge::new(ledger.clone());
    let client = |device: &Device| {
        let secret = [&device.mls.seed()[..], device.mls.public().as_bytes()].concat();
        Client::builder()
            .identity_provider(judge.clone())
            .crypto_provider(crypto_provider())
            .mls_rules(judge.clone())
            .extension_type(context::CHANNEL)
            .signing_identity(
                signing_identity(device.id, &device.mls.public()),
                SignatureSecretKey::from(secret),
                HYBRID,
            )
            .build()
    };
    let time = now();
    let seconds = || Some((time.0 / 1000).into());
    let mut extensions = ExtensionList::new();
    extensions.set(
        ChannelContext {
            network: NETWORK,
            channel,
            rule: Rule::Open,
        }
        .extension(),
    );
    let mut group = client(&devices[members[0]]).create_group_with_id(
        channel.0.to_vec(),
        extensions,
        ExtensionList::new(),
        seconds(),
    )?;
    let info = group.group_info_message_allowing_ext_commit(false)?;
    let request = Request::FoundChannel {
        channel,
        group_info: info.to_bytes()?.into(),
        tree: group.export_tree().to_bytes()?.into(),
    };
    ensure!(line.ask(request).await? == Reply::Done, "not founded");

    let head = ledger.read(Ledger::head);
    let says = |group: &mls_rs::Group<_>| -> Result<Vec<u8>> {
        let authenticator = group.epoch_authenticator()?;
        Ok(AuthData {
            ledger: head,
            time,
            seen: ChannelHead::EMPTY,
            epoch_authenticator: *authenticator.as_bytes().first_chunk().context("short")?,
        }
        .encode())
    };
    let basis = Basis {
        seq: head.seq,
        time,
    };
    for (n, page) in members[1..].chunks(ADDED).enumerate() {
        let mut packages = Vec::with_capacity(page.len());
        for member in page {
            let none = ExtensionList::new;
            let package = client(&devices[*member]).generate_key_package_message(
                none(),
                none(),
                seconds(),
            )?;
            packages.push(package.to_bytes()?);
        }
        let data = says(&group)?;
        let output = judge.at(basis, || {
            let mut builder = group
                .commit_builder()
                .authenticated_data(data)
                .commit_time((time.0 / 1000).into());
            for package in &packages {
                builder = builder.add_member(MlsMessage::from_bytes(package)?)?;
            }
            builder.build()
        })?;
        let info = output.external_commit_group_info.context("no GroupInfo")?;
        // Whose content nobody reads here: at most a few bytes are kept of each.
        let welcome = Bytes::from_static(b"welcome");
        let append = Append {
            channel,
            client_id: ClientId(id(7, n)),
            epoch: Epoch(group.current_epoch()),
            bytes: output.commit_message.to_bytes()?.into(),
            commit: Some(CommitExtras {
                group_info: info.to_bytes()?.into(),
                welcomes: page
                    .iter()
                    .map(|member| (devices[*member].id, welcome.clone()))
                    .collect(),
            }),
        };
        line.told(Request::Append(append)).await?;
        group.apply_pending_commit()?;
    }
    let mut sealed = Vec::new();
    // What MLS adds to a plaintext is found by sealing an empty one.
    for extra in [0, 1] {
        let empty = bytes.saturating_sub(sealed.len()) * extra;
        let data = says(&group)?;
        let message = group.encrypt_application_message(&vec![0; empty], data)?;
        sealed = message.to_bytes()?;
    }
    Ok(Address::Ours {
        channel,
        epoch: Epoch(group.current_epoch()),
        sealed: sealed.into(),
    })
}
