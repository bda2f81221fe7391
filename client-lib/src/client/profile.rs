//! How a profile begins: by founding a network, or by an invitation to one.

use std::{collections::BTreeSet, path::Path};

use plenary_certs::{
    admission::{AdmissionRequest, fingerprint},
    board,
    invitation::Invitation,
    ledger::{
        Admit, BOARD, Body, Capacity, ChannelBody, DeviceBody, Person as RootPerson, Policy,
        Recovery, Root, Server, Standing, Thresholds, Voucher, found,
    },
    profile::{
        ChannelProfile, Generation, MemberProfile, Profile, RosterKey, SaltedProfile,
        sealing_keypair,
    },
    signing::SigningKey,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, LedgerSeq, MemberId, NetworkId, PublicKey},
    limits,
    reply::Reply,
    request::Request,
};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::SecretString;

use super::{Builder, board::NewChannel};
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
    net::{driver::now, guest::Guest},
    store::{
        Store,
        identity::{Identity, Knocking},
    },
};

/// Where the profile keeps its sealed request for admission, to hand it in again.
const REQUEST: &str = "request";

/// Who somebody is, as colleagues will see it. Never reaches the server in clear.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// Name.
    pub name: String,
    /// State or body.
    pub state: String,
    /// Languages.
    pub languages: Vec<String>,
    /// Fields of expertise.
    pub expertise: Vec<String>,
}

/// Somebody on the Board, with the public half of a Board key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoardPerson {
    /// The member that this person is, or will be.
    pub member: MemberId,
    /// The public key.
    pub key: PublicKey,
}

/// What founding a network needs.
#[derive(Debug, Clone)]
pub struct Founding {
    /// The server's founding invitation, from its `founder.json`.
    pub invitation: String,
    /// The server's identity key, from there too.
    pub server_key: PublicKey,
    /// Everybody on the Board; the founder is the first.
    pub board: Vec<BoardPerson>,
    /// Keys of machines that will vouch for the ledger; none for a network without heartbeats.
    pub heartbeat: Vec<PublicKey>,
    /// The founder.
    pub person: Person,
    /// Channels to begin with, owned by the founder.
    pub channels: Vec<NewChannel>,
    /// Keys that can put a new Board in force if this one is lost. Said now or never.
    pub recovery: Vec<PublicKey>,
    /// How many of them must sign.
    pub recovery_threshold: u8,
}

impl Founding {
    /// A usual number of recovery keys that must sign: more than half.
    pub fn recovery_threshold(keys: usize) -> u8 {
        match u8::try_from(keys) {
            Ok(0) => 0,
            Ok(keys) => keys / 2 + 1,
            Err(_) => u8::MAX,
        }
    }
}

/// What joining needs.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The invitation's line.
    pub invitation: String,
    /// Who joins.
    pub person: Person,
    /// As what.
    pub capacity: Capacity,
    /// The authority that nominates.
    pub nominated_by: String,
    /// Why.
    pub reason: String,
    /// Set for somebody on the Board: the member named in their Board key file. And for somebody
    /// who has lost all devices: the member that they are.
    pub member: Option<MemberId>,
}

/// Where an admission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// The Board has not decided.
    Waiting,
    /// The ledger has this device in.
    Admitted,
    /// The request was closed without an admission.
    Closed,
}

pub(super) struct Fresh {
    pub(super) identity: Identity,
    pub(super) authentication: SigningKey,
}

impl Builder {
    /// Makes the founder's profile and the request that the Board signs: ROOT 1, POLICY, SERVER,
    /// the founder's admission and device, the first channels.
    ///
    /// Returns the request file's text. Next: two Board members sign it, then
    /// [`super::Client::submit`] or, for this first one, [`Builder::submit_founding`].
    pub fn found(&self, founding: &Founding) -> Result<String, Error> {
        let random = SystemRandom::new();
        let invitation = parse(&founding.invitation)?;
        let founder = founding.board.first().ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "a network needs a Board: name at least one person",
            )
        })?;
        let network = NetworkId(random_bytes(&random)?);
        let device = DeviceId(random_bytes(&random)?);
        let mut fresh = fresh_identity(&invitation, network, founder.member, device)?;
        let profile = member_profile(&founding.person, &random)?;
        let mut profiles = vec![profile.clone()];
        let mut rest = vec![
            Body::Policy(Policy::default()),
            Body::Server(Server {
                key: founding.server_key,
            }),
            Body::Admit(Admit {
                member: founder.member,
                capacity: Capacity::Member,
                ends: None,
                profile: profile.hash(),
            }),
            Body::Device(DeviceBody {
                device,
                member: founder.member,
                voucher: Voucher::Board,
                keys: fresh.identity.device_keys()?,
            }),
        ];
        for channel in &founding.channels {
            let (body, profile) = channel_body(channel, founder.member, &random)?;
            rest.push(Body::Channel(body));
            profiles.push(profile);
        }
        let root = root(founding)?;
        let (root1, statements) = found(network, root, rest, now());
        fresh.identity.root1 = root1.0;
        let request = board::Request::new(statements, profiles.clone())
            .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
        let text = request.to_text();
        let store = self.create(&fresh.identity)?;
        let roster = RosterKey::generate(&random)
            .map_err(|error| Error::new(ErrorKind::Io, error.to_string()))?;
        store.atomic(|| {
            store.put_roster_key(Generation::FIRST, roster.as_bytes())?;
            for profile in &profiles {
                store.put_profile(&profile.hash(), &profile.encode())?;
            }
            Ok(())
        })?;
        Ok(text)
    }

    /// Submits the founding with the Board's signature files. After this the profile opens as any
    /// other.
    pub async fn submit_founding(&self, request: &str, signatures: &[String]) -> Result<(), Error> {
        let (parsed, statements) = super::board::combine(request, signatures)?;
        let (mut engine, mut guest) = self.knock().await?;
        if engine.ledger_seq() == LedgerSeq(0) {
            engine.append_statements(&statements)?;
        }
        let profiles: Vec<_> = parsed.profiles().iter().map(SaltedProfile::hash).collect();
        let shelf = engine.shelf(&[engine.identity().device()], &profiles)?;
        // Before the ledger: once the network is founded, a founder is no guest any more.
        guest.call(Request::PutSealed(shelf)).await?;
        guest.call(Request::LedgerSubmit(statements)).await?;
        Ok(())
    }

    /// Makes the profile of somebody invited and hands the sealed request for admission to the
    /// server. Returns the fingerprint of its keys, to be compared with the Board by voice.
    ///
    /// If the server cannot be reached the profile stands, and [`Builder::admission`] hands the
    /// request in.
    pub async fn join(&self, joining: &Joining) -> Result<String, Error> {
        let random = SystemRandom::new();
        let invitation = parse(&joining.invitation)?;
        let member = match joining.member {
            Some(member) => member,
            None => MemberId(random_bytes(&random)?),
        };
        let device = DeviceId(random_bytes(&random)?);
        let mut fresh = fresh_identity(&invitation, invitation.network, member, device)?;
        fresh.identity.root1 = invitation.root1.0;
        let profile = member_profile(&joining.person, &random)?;
        let request = AdmissionRequest {
            member,
            device,
            keys: fresh.identity.device_keys()?,
            profile: profile.clone(),
            capacity: joining.capacity,
            nominated_by: joining.nominated_by.clone(),
            reason: joining.reason.clone(),
            contact: invitation.contact,
        };
        let sealed = request
            .seal(
                invitation.network,
                (invitation.id, &invitation.secret),
                &fresh.authentication,
                &random,
            )
            .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
        let store = self.create(&fresh.identity)?;
        store.put_profile(&profile.hash(), &profile.encode())?;
        store.put_meta(REQUEST, &sealed)?;
        drop(store);
        let (_, mut guest) = self.knock().await?;
        guest.call(Request::PutRequest(sealed.into())).await?;
        Ok(fingerprint(&request.keys))
    }

    /// Asks whether the Board has admitted this profile's device; reads and verifies the ledger.
    pub async fn admission(&self) -> Result<Admission, Error> {
        let (mut engine, mut guest) = self.knock().await?;
        follow(&mut engine, &mut guest).await?;
        if engine.standing(now()) == Standing::Live {
            return Ok(Admission::Admitted);
        }
        match guest.call(Request::RequestState).await {
            Ok(Reply::RequestState { waiting: false, .. }) => Ok(Admission::Closed),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The connection broke before the request arrived.
                if let Some(sealed) = engine.store().meta(REQUEST)? {
                    let sealed = bytes::Bytes::copy_from_slice(&sealed);
                    guest.call(Request::PutRequest(sealed)).await?;
                }
                Ok(Admission::Waiting)
            }
            other => other.map(|_| Admission::Waiting),
        }
    }

    /// The fingerprint of an existing profile's keys, as [`Builder::join`] returned it.
    pub fn fingerprint(&self) -> Result<String, Error> {
        let store = Store::open(&self.folder, &self.passphrase)?;
        Ok(fingerprint(&store.identity()?.device_keys()?))
    }

    pub(super) fn create(&self, identity: &Identity) -> Result<Store, Error> {
        let store = Store::create(&self.folder, &self.passphrase)?;
        store.put_identity(identity)?;
        Ok(store)
    }

    async fn knock(&self) -> Result<(Engine, Guest), Error> {
        let engine = open_engine(&self.folder, &self.passphrase)?;
        let guest = Guest::knock(engine.identity()).await?;
        Ok((engine, guest))
    }
}

pub(super) fn open_engine(folder: &Path, passphrase: &SecretString) -> Result<Engine, Error> {
    Engine::open(
        Store::open(folder, passphrase)?,
        Box::new(SystemRandom::new()),
    )
}

/// Reads the ledger to its end.
pub(super) async fn follow(engine: &mut Engine, guest: &mut Guest) -> Result<(), Error> {
    loop {
        let after = engine.ledger_seq();
        let request = Request::LedgerRead {
            after,
            limit: limits::LEDGER_PAGE,
        };
        let Reply::LedgerPage { statements, head } = guest.call(request).await? else {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            ));
        };
        engine.append_statements(&statements)?;
        if engine.ledger_seq() >= head.seq || statements.is_empty() {
            return Ok(());
        }
    }
}

fn parse(text: &str) -> Result<Invitation, Error> {
    let invitation =
        Invitation::parse(text).map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
    if invitation.expires < now() {
        return Err(Error::new(
            ErrorKind::Input,
            "the invitation has expired: ask whoever gave it for a new one",
        ));
    }
    Ok(invitation)
}

pub(super) fn fresh_identity(
    invitation: &Invitation,
    network: NetworkId,
    member: MemberId,
    device: DeviceId,
) -> Result<Fresh, Error> {
    let random = SystemRandom::new();
    let key = || {
        SigningKey::generate(&random).map_err(|error| Error::new(ErrorKind::Io, error.to_string()))
    };
    let authentication = key()?;
    let sealing =
        sealing_keypair().map_err(|error| Error::new(ErrorKind::Io, error.to_string()))?;
    let identity = Identity {
        address: invitation.address.clone(),
        ca_pin: invitation.ca.0,
        network: network.0,
        root1: [0; 32],
        member: member.0,
        device: device.0,
        authentication: *authentication.seed(),
        mls: *key()?.seed(),
        custody: *key()?.seed(),
        sealing: sealing.secret().to_vec(),
        sealing_public: sealing.public().to_vec(),
        invitation: Some(Knocking {
            id: invitation.id.0,
            secret: *invitation.secret.as_bytes(),
        }),
    };
    Ok(Fresh {
        identity,
        authentication,
    })
}

pub(super) fn random_bytes<const N: usize>(random: &SystemRandom) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    random
        .fill(&mut bytes)
        .map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))?;
    Ok(bytes)
}

fn member_profile(person: &Person, random: &SystemRandom) -> Result<SaltedProfile, Error> {
    let profile = MemberProfile {
        name: person.name.clone(),
        state: person.state.clone(),
        languages: person.languages.clone(),
        expertise: person.expertise.clone(),
    };
    SaltedProfile::new(Profile::Member(profile), random)
        .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))
}

/// A CHANNEL statement's body and the profile that its hash is of.
pub(super) fn channel_body(
    channel: &NewChannel,
    owner: MemberId,
    random: &SystemRandom,
) -> Result<(ChannelBody, SaltedProfile), Error> {
    let profile = ChannelProfile {
        name: channel.name.clone(),
        purpose: channel.purpose.clone(),
    };
    let profile = SaltedProfile::new(Profile::Channel(profile), random)
        .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
    let body = ChannelBody {
        channel: ChannelId(random_bytes(random)?),
        rule: channel.rule,
        ceiling: channel.ceiling,
        owner,
        profile: profile.hash(),
    };
    Ok((body, profile))
}

fn root(founding: &Founding) -> Result<Root, Error> {
    let board = &founding.board;
    if board.len() > BOARD {
        return Err(Error::new(
            ErrorKind::Input,
            format!("a Board has at most {BOARD} people, not {}", board.len()),
        ));
    }
    let people: BTreeSet<_> = board.iter().map(|person| person.member).collect();
    let root = Root {
        board: board
            .iter()
            .map(|person| RootPerson {
                member: person.member,
                key: person.key,
            })
            .collect(),
        thresholds: Thresholds::for_board(people.len()),
        heartbeat: founding.heartbeat.clone(),
        recovery: Recovery {
            keys: founding.recovery.clone(),
            threshold: founding.recovery_threshold,
        },
    };
    root.validate()
        .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
    Ok(root)
}
