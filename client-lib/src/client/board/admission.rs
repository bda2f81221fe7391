//! Who asks to be let in: invitations, requests for admission, countersignatures, answers.

use std::collections::BTreeSet;

use bytes::Bytes;
use plenary_certs::{
    admission::{
        AdmissionError, AdmissionRequest, Application, Countersignature, Countersigned,
        fingerprint, open_share, seal_share,
    },
    invitation::{Invitation, Sealed, Secret},
    ledger::{Standing, Subject},
    profile::{SaltedProfile, SealingKey},
};
use plenary_proto::{
    ids::{DeviceId, InvitationId, MemberId, UnixMillis},
    limits,
    reply::{PendingRequest, Reply},
    request::Request,
};
use ring::rand::SystemRandom;

use super::{input, known_name};
use crate::{
    client::Client,
    engine::Engine,
    error::{Error, ErrorKind},
};

/// A request for admission that this device can read: by an invitation of its own, or one shared
/// with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingAdmission {
    /// By which invitation.
    pub invitation: InvitationId,
    /// Who asks.
    pub request: AdmissionRequest,
    /// Of the device's keys, to be compared by voice.
    pub fingerprint: String,
    /// The member, by name, that they say to be and that the ledger knows: they have lost all their
    /// devices, or want another's place. `None`: somebody new.
    pub claims: Option<String>,
    /// Whose word is with it, verified against the ledger: live members of the same State or body,
    /// or whom the invitation names.
    pub countersigned: Vec<Countersigned>,
    /// Whether this member may countersign it, and has not.
    pub may_countersign: bool,
    /// The request as it goes to the Board.
    pub(crate) application: Application,
}

impl Client {
    /// Makes an invitation: one line to hand over by a safe way, valid 72 hours, single use. This
    /// member is named in it as the one who countersigns.
    pub async fn invite(&self) -> Result<String, Error> {
        self.invite_for(self.member()).await
    }

    /// As [`Client::invite`], naming another member who is to countersign the request. The
    /// contact point and the people of the Board are given the invitation too, sealed, so that
    /// each can read the request that comes by it.
    pub async fn invite_for(&self, contact: MemberId) -> Result<String, Error> {
        let (invitation, text, shares) = self
            .driver
            .run(move |engine, now| {
                let identity = engine.identity();
                let mut invitation = Invitation::new(
                    &identity.address,
                    identity.ca_pin(),
                    identity.network(),
                    identity.root1(),
                    now.plus(limits::INVITATION_LIFE.as_millis() as u64),
                    &SystemRandom::new(),
                )
                .map_err(input)?;
                invitation.contact = Some(contact);
                keep(engine, invitation.id, &invitation.secret)?;
                let secret = (invitation.id, &invitation.secret);
                let shares = shares(engine, secret, Some(contact), now)?;
                let text = invitation.to_text().to_string();
                Ok((invitation, text, shares))
            })
            .await?;
        self.driver
            .call(Request::PutInvitation {
                invitation: invitation.id,
                verifier: invitation.knock_key().map_err(input)?,
                expires: invitation.expires,
            })
            .await?;
        self.share(invitation.id, shares).await?;
        Ok(text)
    }

    /// Requests for admission that this device can read and that wait for the Board.
    pub async fn admission_requests(&self) -> Result<Vec<PendingAdmission>, Error> {
        let Reply::RequestList(list) = self.driver.call(Request::ListRequests).await? else {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            ));
        };
        self.driver
            .run(move |engine, now| opened(engine, &list, now))
            .await
    }

    /// Countersigns a request for admission: this member knows who asks, and has compared the
    /// fingerprint.
    ///
    /// Errors: [`ErrorKind::NotFound`]; [`ErrorKind::NotAllowed`] unless this member is of the
    /// same State or body, or the invitation names them.
    pub async fn countersign(&self, invitation: InvitationId) -> Result<(), Error> {
        let requests = self.admission_requests().await?;
        let request = requests
            .into_iter()
            .find(|one| one.invitation == invitation)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("no request came by invitation {invitation} that this device can read"),
                )
            })?;
        let (sealed, shares) = self
            .driver
            .run(move |engine, now| countersigned(engine, &request, now))
            .await?;
        self.driver
            .call(Request::VouchRequest { invitation, sealed })
            .await?;
        self.share(invitation, shares).await
    }

    async fn share(
        &self,
        invitation: InvitationId,
        shares: Vec<(DeviceId, Bytes)>,
    ) -> Result<(), Error> {
        if !shares.is_empty() {
            self.driver
                .call(Request::ShareInvitation { invitation, shares })
                .await?;
        }
        Ok(())
    }

    /// Closes the requests of those who are in now.
    pub(super) async fn answer_admitted(&self) -> Result<(), Error> {
        for open in self.admission_requests().await? {
            let (device, invitation) = (open.request.device, open.invitation);
            let answer = self
                .driver
                .run(move |engine, _| {
                    if !engine.knows_device(device) {
                        return Ok(None);
                    }
                    let Some(secret) = kept(engine, invitation)? else {
                        return Ok(None);
                    };
                    let random = SystemRandom::new();
                    let sealed = secret
                        .seal(Sealed::Answer, invitation, b"admitted", &random)
                        .map_err(input)?;
                    Ok(Some(sealed))
                })
                .await?;
            if let Some(answer) = answer {
                let answer = answer.into();
                self.driver
                    .call(Request::AnswerRequest { invitation, answer })
                    .await?;
            }
        }
        Ok(())
    }
}

/// The name of a member that the ledger knows.
fn claims(engine: &Engine, member: MemberId) -> Option<String> {
    let known = engine.read_ledger_with(|ledger| ledger.member(member).is_some());
    known.then(|| {
        let name = known_name(engine, Subject::Member(member));
        name.unwrap_or_else(|| format!("member {member}"))
    })
}

/// The requests of a list that this engine can open, with the countersignatures that hold.
pub(crate) fn opened(
    engine: &Engine,
    list: &[PendingRequest],
    now: UnixMillis,
) -> Result<Vec<PendingAdmission>, Error> {
    let network = engine.identity().network();
    let mut open = Vec::new();
    for waiting in list {
        let id = waiting.invitation;
        let Some(secret) = secret(engine, waiting, now)? else {
            continue;
        };
        let mut application = match Application::open(&waiting.sealed, network, (id, &secret)) {
            Ok(application) => application,
            Err(error) => {
                tracing::warn!(invitation = ?id, %error, "request");
                continue;
            }
        };
        let mut said = Vec::new();
        for sealed in &waiting.countersignatures {
            let held = Countersignature::open(sealed, (id, &secret))
                .and_then(|one| Ok((one, held_against(engine, &application, &one, now)?)));
            match held {
                Ok((one, by)) => {
                    application.add(one);
                    said.push(by);
                }
                Err(error) => tracing::warn!(invitation = ?id, %error, "countersignature"),
            }
        }
        let own = engine.identity().device();
        let may_countersign = said.iter().all(|by| by.device != own) && may(engine, &application);
        open.push(PendingAdmission {
            invitation: id,
            fingerprint: fingerprint(&application.request().keys),
            request: application.request().clone(),
            claims: claims(engine, application.request().member),
            countersigned: said,
            may_countersign,
            application,
        });
    }
    Ok(open)
}

/// This device's countersignature, sealed, and the invitation for those of the Board who lack it.
pub(crate) fn countersigned(
    engine: &Engine,
    request: &PendingAdmission,
    now: UnixMillis,
) -> Result<(Bytes, Vec<(DeviceId, Bytes)>), Error> {
    let id = request.invitation;
    if !may(engine, &request.application) {
        return Err(Error::new(
            ErrorKind::NotAllowed,
            "a contact point is a member of the same State or body as who asks, or whom the \
             invitation names: ask one of those",
        ));
    }
    let secret = kept(engine, id)?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "the invitation is not on this device"))?;
    let identity = engine.identity();
    let key = identity.authentication_key()?;
    let by = (identity.device(), &key);
    let one = Countersignature::new(&request.application, identity.network(), by, now);
    let sealed = one
        .seal((id, &secret), &SystemRandom::new())
        .map_err(input)?;
    Ok((sealed.into(), shares(engine, (id, &secret), None, now)?))
}

/// Whether this member is a contact point of who asks.
fn may(engine: &Engine, application: &Application) -> bool {
    let member = engine.identity().member();
    let capacity =
        engine.read_ledger_with(|ledger| Some(ledger.member(member)?.admission()?.capacity));
    let profile = engine
        .member_profile(member)
        .and_then(SaltedProfile::member);
    match (capacity, profile) {
        (Some(capacity), Some(profile)) => {
            application.contact((member, capacity), profile).is_some()
        }
        _ => false,
    }
}

/// Holds a countersignature against the newest ledger: a live device of a live member.
fn held_against(
    engine: &Engine,
    application: &Application,
    one: &Countersignature,
    now: UnixMillis,
) -> Result<Countersigned, AdmissionError> {
    let unknown = || AdmissionError::UnknownContact(one.device);
    let (keys, member, capacity) = engine
        .read_ledger_with(|ledger| {
            let standing = ledger.standing(one.device, ledger.head().seq, now);
            let device = ledger
                .device(one.device)
                .filter(|_| standing == Standing::Live)?;
            let capacity = ledger.member(device.member)?.admission()?.capacity;
            Some((device.keys.clone(), device.member, capacity))
        })
        .ok_or_else(unknown)?;
    let profile = engine
        .member_profile(member)
        .and_then(SaltedProfile::member)
        .ok_or_else(unknown)?;
    let network = engine.identity().network();
    application.countersigned(network, one, (member, capacity), &keys, profile)
}

/// The invitation for every live device of the Board and of the contact point but this one.
pub(crate) fn shares(
    engine: &Engine,
    secret: (InvitationId, &Secret),
    contact: Option<MemberId>,
    now: UnixMillis,
) -> Result<Vec<(DeviceId, Bytes)>, Error> {
    let identity = engine.identity();
    let signer = identity.authentication_key()?;
    let own = identity.device();
    let to = engine.read_ledger_with(|ledger| {
        let board = ledger.root().map_or(&[][..], |root| &root.board);
        let mut members: BTreeSet<_> = board.iter().map(|person| person.member).collect();
        members.extend(contact);
        let at = ledger.head().seq;
        let devices = members.iter().flat_map(|member| ledger.devices_of(*member));
        let live = devices.filter(|device| {
            device.id != own && ledger.standing(device.id, at, now) == Standing::Live
        });
        live.map(|device| (device.id, device.keys.sealing.clone()))
            .collect::<Vec<_>>()
    });
    to.iter()
        .map(|(device, sealing)| {
            let sealed = seal_share(
                secret,
                identity.network(),
                (*device, sealing),
                (own, &signer),
            );
            Ok((*device, sealed.map_err(input)?.into()))
        })
        .collect()
}

/// The secret of a request's invitation: kept, or shared with this device and kept from now on.
fn secret(
    engine: &Engine,
    waiting: &PendingRequest,
    now: UnixMillis,
) -> Result<Option<Secret>, Error> {
    let id = waiting.invitation;
    if let Some(kept) = kept(engine, id)? {
        return Ok(Some(kept));
    }
    let Some(share) = &waiting.share else {
        return Ok(None);
    };
    let identity = engine.identity();
    let sealing = SealingKey::from_parts(identity.sealing.clone(), identity.sealing_public.clone());
    let opened = engine.read_ledger_with(|ledger| {
        open_share(share, id, ledger, now, (identity.device(), &sealing))
    });
    match opened {
        Ok(secret) => {
            keep(engine, id, &secret)?;
            Ok(Some(secret))
        }
        Err(error) => {
            tracing::warn!(invitation = ?id, %error, "share of an invitation");
            Ok(None)
        }
    }
}

fn secret_key(invitation: InvitationId) -> String {
    format!("invitation:{invitation}")
}

fn keep(engine: &Engine, invitation: InvitationId, secret: &Secret) -> Result<(), Error> {
    let key = secret_key(invitation);
    engine.store().put_meta(&key, secret.as_bytes())
}

fn kept(engine: &Engine, invitation: InvitationId) -> Result<Option<Secret>, Error> {
    let bytes = engine.store().meta(&secret_key(invitation))?;
    Ok(bytes
        .and_then(|bytes| bytes.as_slice().try_into().ok())
        .map(Secret::from_bytes))
}
