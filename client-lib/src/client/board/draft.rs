//! From what is asked to the statements that say it, and what their signers need to know.

use std::collections::BTreeSet;

use plenary_certs::{
    admission::Application,
    board::{self, moment},
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, Grant, RECOVERY_WAIT_MS, Reason, Recover,
        RecoverStep, Resume, Revoke, Server, Subject, Suspend, Target, Voucher,
    },
    mls::suite::{CLASSICAL, HYBRID},
    profile::{ChannelProfile, Profile, SaltedProfile},
};
use plenary_proto::ids::{ChannelId, DeviceId, MemberId, UnixMillis};
use ring::rand::SystemRandom;

use super::{ChannelChange, PendingAdmission, PolicyChange, Requested, input};
use crate::{
    client::profile::channel_body,
    engine::Engine,
    error::{Error, ErrorKind},
};

/// How long an expert is admitted for unless something else is said.
const EXPERT_MS: u64 = 365 * 24 * 3600 * 1000;

/// A request for the Board, as of this engine's ledger. `open` are the requests for admission that
/// wait.
pub(crate) fn request(
    engine: &mut Engine,
    open: &[PendingAdmission],
    asked: Vec<Requested>,
    now: UnixMillis,
) -> Result<board::Request, Error> {
    let mut draft = Draft {
        engine,
        open,
        now,
        bodies: Vec::new(),
        profiles: Vec::new(),
        applications: Vec::new(),
    };
    for one in asked {
        draft.add(one)?;
    }
    let Draft {
        bodies,
        mut profiles,
        applications,
        ..
    } = draft;
    for profile in &profiles {
        engine.learn(profile)?;
    }
    let (statements, entries) = engine.read_ledger_with(|ledger| {
        let statements = ledger.draft_all(bodies, now);
        ledger.rehearse(&statements).map_err(input)?;
        let countersigned = applications
            .iter()
            .flat_map(Application::countersignatures)
            .map(|one| Subject::Device(one.device));
        let about: BTreeSet<_> = statements
            .iter()
            .map(|statement| statement.subject())
            .chain(countersigned)
            .collect();
        let entries = ledger.extract(&about).into_iter();
        Ok::<_, Error>((statements, entries.map(<[u8]>::to_vec).collect::<Vec<_>>()))
    })?;
    // Names of all that the extract tells of, as far as they are known here.
    let bare = board::Request::new(statements.clone(), Vec::new()).map_err(input)?;
    let bare = bare.with(entries.clone(), Vec::new()).map_err(input)?;
    for hash in bare.extract().profiles() {
        if !profiles.iter().any(|profile| profile.hash() == hash) {
            profiles.extend(engine.profile(&hash).cloned());
        }
    }
    board::Request::new(statements, profiles)
        .and_then(|request| request.with(entries, applications))
        .map_err(input)
}

struct Draft<'a> {
    engine: &'a Engine,
    open: &'a [PendingAdmission],
    now: UnixMillis,
    bodies: Vec<Body>,
    profiles: Vec<SaltedProfile>,
    applications: Vec<Application>,
}

impl Draft<'_> {
    fn add(&mut self, one: Requested) -> Result<(), Error> {
        let body = match one {
            Requested::Admit(invitation) => {
                let asked = self.find(invitation)?;
                return self.admit(&asked, None);
            }
            Requested::AdmitUntil(invitation, ends) => {
                let asked = self.find(invitation)?;
                return self.admit(&asked, Some(ends));
            }
            Requested::Readmit(invitation) => {
                let asked = self.find(invitation)?;
                return self.readmit(&asked);
            }
            Requested::Vouch(device) => self.vouch_for(device)?,
            Requested::Renew {
                member,
                capacity,
                ends,
            } => self.renew(member, capacity, ends)?,
            Requested::Channel(channel) => {
                let owner = self.engine.identity().member();
                let (body, profile) = channel_body(&channel, owner, &SystemRandom::new())?;
                self.profiles.push(profile);
                Body::Channel(body)
            }
            Requested::ChangeChannel(channel, change) => self.change_channel(channel, &change)?,
            Requested::Reassign { channel, owner } => {
                let current = self.channel(channel)?;
                Body::Channel(ChannelBody { owner, ..current })
            }
            Requested::Grant { channel, member } => grant(channel, member, true),
            Requested::Withdraw { channel, member } => grant(channel, member, false),
            Requested::RevokeMember(member, reason) => Body::Revoke(Revoke {
                target: Target::Member(member),
                reason,
            }),
            Requested::RevokeDevice(device, reason) => Body::Revoke(Revoke {
                target: Target::Device(device),
                reason,
            }),
            Requested::Suspend(target, reason) => Body::Suspend(Suspend { target, reason }),
            Requested::Resume(target) => Body::Resume(Resume { target }),
            Requested::Root(change) => {
                let root = self
                    .engine
                    .read_ledger_with(|ledger| change.apply(ledger))?;
                Body::Root(root)
            }
            Requested::AnnounceRecovery(board) => Body::Recover(Recover {
                step: RecoverStep::Announce,
                root: self.engine.read_ledger_with(|ledger| board.root(ledger))?,
            }),
            Requested::CompleteRecovery => self.complete()?,
            Requested::Policy(change) => self.policy(change),
            Requested::Server(key) => Body::Server(Server { key }),
        };
        self.bodies.push(body);
        Ok(())
    }

    fn find(
        &self,
        invitation: plenary_proto::ids::InvitationId,
    ) -> Result<PendingAdmission, Error> {
        let found = self.open.iter().find(|open| open.invitation == invitation);
        found.cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "no request came by invitation {invitation} that this device can read: \
                     `requests` lists those that wait"
                ),
            )
        })
    }

    fn admit(&mut self, asked: &PendingAdmission, ends: Option<UnixMillis>) -> Result<(), Error> {
        let request = &asked.request;
        // Or somebody would take another's place by asking in their name.
        if let Some(name) = &asked.claims {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "whoever asked by invitation {} says to be {name}, who is a member already: \
                     compare by voice, then `board request readmit`",
                    asked.invitation
                ),
            ));
        }
        self.bodies.push(Body::Admit(Admit {
            member: request.member,
            capacity: request.capacity,
            ends: self.ends(request.capacity, ends)?,
            profile: request.profile.hash(),
        }));
        self.profiles.push(request.profile.clone());
        self.vouch(asked);
        Ok(())
    }

    /// The old devices go first: they count among those that a member may have.
    fn readmit(&mut self, asked: &PendingAdmission) -> Result<(), Error> {
        let member = asked.request.member;
        if asked.claims.is_none() {
            return Err(Error::new(
                ErrorKind::Input,
                format!(
                    "whoever asked by invitation {} is no member yet: admit them",
                    asked.invitation
                ),
            ));
        }
        let old: Vec<_> = self.engine.read_ledger_with(|ledger| {
            let devices = ledger.devices_of(member).map(|device| device.id);
            let open = |device: &DeviceId| ledger.revoked_at(Target::Device(*device)).is_none();
            devices.filter(open).collect()
        });
        self.bodies.extend(old.into_iter().map(|device| {
            Body::Revoke(Revoke {
                target: Target::Device(device),
                reason: Reason::Lost,
            })
        }));
        self.vouch(asked);
        Ok(())
    }

    fn vouch_for(&self, device: DeviceId) -> Result<Body, Error> {
        let known = self.engine.read_ledger_with(|ledger| {
            let known = ledger.device(device)?;
            Some((known.member, known.keys.clone()))
        });
        let (member, keys) = known.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("the ledger knows no device {device}: `members --json` lists them"),
            )
        })?;
        Ok(Body::Device(DeviceBody {
            device,
            member,
            voucher: Voucher::Board,
            keys,
        }))
    }

    fn vouch(&mut self, asked: &PendingAdmission) {
        self.bodies.push(Body::Device(DeviceBody {
            device: asked.request.device,
            member: asked.request.member,
            voucher: Voucher::Board,
            keys: asked.request.keys.clone(),
        }));
        self.applications.push(asked.application.clone());
    }

    fn renew(
        &self,
        member: MemberId,
        capacity: Option<Capacity>,
        ends: Option<UnixMillis>,
    ) -> Result<Body, Error> {
        let before = self
            .engine
            .read_ledger_with(|ledger| ledger.member(member)?.admission().cloned());
        let before = before.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("{member} was never admitted"))
        })?;
        let capacity = capacity.unwrap_or(before.capacity);
        Ok(Body::Admit(Admit {
            capacity,
            ends: self.ends(capacity, ends)?,
            ..before
        }))
    }

    /// Until when somebody is in. An expert has an end, always.
    fn ends(
        &self,
        capacity: Capacity,
        ends: Option<UnixMillis>,
    ) -> Result<Option<UnixMillis>, Error> {
        match ends {
            Some(end) if end <= self.now => Err(Error::new(
                ErrorKind::Input,
                format!(
                    "{} is past: to put somebody out, suspend or revoke",
                    moment(end)
                ),
            )),
            None if capacity == Capacity::Expert => Ok(Some(self.now.plus(EXPERT_MS))),
            ends => Ok(ends),
        }
    }

    fn channel(&self, channel: ChannelId) -> Result<ChannelBody, Error> {
        self.engine.ledger_channel(channel).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("the ledger knows no channel {channel}: `channels` lists those there are"),
            )
        })
    }

    fn change_channel(
        &mut self,
        channel: ChannelId,
        change: &ChannelChange,
    ) -> Result<Body, Error> {
        let mut body = self.channel(channel)?;
        if let Some(ceiling) = change.ceiling {
            body.ceiling = ceiling;
        }
        if change.name.is_some() || change.purpose.is_some() {
            let before = self.engine.channel_profile(channel);
            let before = before.and_then(SaltedProfile::channel).ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    "the channel's name is not known here yet: wait until it is, try again",
                )
            })?;
            let profile = ChannelProfile {
                name: change.name.clone().unwrap_or_else(|| before.name.clone()),
                purpose: change
                    .purpose
                    .clone()
                    .unwrap_or_else(|| before.purpose.clone()),
            };
            let random = SystemRandom::new();
            let profile = SaltedProfile::new(Profile::Channel(profile), &random).map_err(input)?;
            body.profile = profile.hash();
            self.profiles.push(profile);
        }
        Ok(Body::Channel(body))
    }

    fn complete(&self) -> Result<Body, Error> {
        let announced = self
            .engine
            .read_ledger_with(|ledger| ledger.announced_recovery().cloned());
        let announced = announced.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "no recovery is announced, or a ROOT has ended it: announce one first",
            )
        })?;
        let due = announced.time.plus(RECOVERY_WAIT_MS);
        if self.now < due {
            return Err(Error::new(
                ErrorKind::Input,
                format!("the recovery was announced for {}: not before", moment(due)),
            ));
        }
        Ok(Body::Recover(Recover {
            step: RecoverStep::Complete,
            root: announced.root,
        }))
    }

    fn policy(&self, change: PolicyChange) -> Body {
        let mut policy = self.engine.read_ledger_with(|ledger| ledger.policy());
        if let Some(post_quantum) = change.post_quantum {
            policy.suite = if post_quantum { HYBRID } else { CLASSICAL }.into();
        }
        for (field, new) in [
            (&mut policy.retention_days, change.retention_days),
            (&mut policy.idle_days, change.idle_days),
            (
                &mut policy.heartbeat_grace_days,
                change.heartbeat_grace_days,
            ),
            (&mut policy.revalidation_days, change.revalidation_days),
        ] {
            *field = new.unwrap_or(*field);
        }
        Body::Policy(policy)
    }
}

fn grant(channel: ChannelId, member: MemberId, granted: bool) -> Body {
    Body::Grant(Grant {
        channel,
        member,
        granted,
    })
}
