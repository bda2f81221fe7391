//! A further device of a member: linked by one that is in. Old device: make a code, look at what
//! came by it, compare, accept. New device: [`Builder::link`], [`Builder::linked`].

use plenary_certs::{
    admission::fingerprint,
    invitation::Invitation,
    ledger::{Body, DeviceBody, Voucher},
    link::{Answer, Code, Handover, LinkError, Request as LinkRequest},
    profile::SealingKey,
};
use plenary_proto::{
    ids::{DeviceId, InvitationId, UnixMillis},
    limits,
    reply::Reply,
    request::Request,
};
use ring::rand::SystemRandom;

use super::{
    Builder, Client,
    profile::{follow, fresh_identity, random_bytes},
};
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
    net::{driver::now, guest::Guest},
    store::Store,
};

/// Where a profile keeps its sealed request to be linked, to hand it in again.
const REQUEST: &str = "link-request";

/// Where a profile keeps the code that it came by, until it is linked.
const CAME_BY: &str = "link-code";

/// Where the old device keeps the codes it made.
const CODES: &str = "link:";

/// A linking code: see [`Client::link`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCode {
    /// Names it.
    pub link: InvitationId,
    /// The line to carry over to the new device. Secret for the quarter of an hour that it lasts.
    pub code: String,
    /// After this nobody asks by it any more.
    pub expires: UnixMillis,
}

/// Somebody asks to be linked by a code of this device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingLink {
    /// By which code.
    pub link: InvitationId,
    /// The new device.
    pub device: DeviceId,
    /// As it calls itself.
    pub name: String,
    /// Of its keys: the person compares it with what the new device shows.
    pub fingerprint: String,
}

/// How linking goes, seen from the new device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Linking {
    /// Nobody has accepted it so far.
    Waiting,
    /// It is a device of the member.
    Linked,
    /// The person refused it on the other device.
    Refused,
}

impl Client {
    /// Makes a linking code: one line for the new device, valid a quarter of an hour, once. Whoever
    /// has it may ask, and nothing else, until [`Client::accept_link`].
    ///
    /// Errors: [`ErrorKind::Quota`] with too many open codes, [`ErrorKind::Offline`].
    pub async fn link(&self) -> Result<LinkCode, Error> {
        let code = self
            .driver
            .run(|engine, now| {
                let identity = engine.identity();
                let invitation = Invitation::new(
                    &identity.address,
                    identity.ca_pin(),
                    identity.network(),
                    identity.root1(),
                    now.plus(limits::LINK_LIFE.as_millis() as u64),
                    &SystemRandom::new(),
                )
                .map_err(input)?;
                let code = Code {
                    invitation,
                    member: identity.member(),
                    by: identity.device(),
                };
                forget_old_codes(engine.store(), now)?;
                let text = code.to_text();
                engine.store().put_meta(&key(code.id()), text.as_bytes())?;
                Ok(code)
            })
            .await?;
        self.driver
            .call(Request::PutLink {
                link: code.id(),
                verifier: code.invitation.knock_key().map_err(input)?,
                expires: code.invitation.expires,
            })
            .await?;
        Ok(LinkCode {
            link: code.id(),
            code: code.to_text().to_string(),
            expires: code.invitation.expires,
        })
    }

    /// Who asks to be linked by this device's codes. [`crate::Event::LinkRequest`] tells when to look.
    pub async fn link_requests(&self) -> Result<Vec<PendingLink>, Error> {
        let open = self.open_links().await?;
        Ok(open
            .into_iter()
            .map(|(code, asked)| pending(&code, &asked))
            .collect())
    }

    /// Accepts who asks, if the fingerprint is the one that the person has read on the new device:
    /// this device vouches for it in the ledger, and hands over what it needs. Accepting again goes
    /// on where it was interrupted.
    ///
    /// Errors: [`ErrorKind::Trust`] if the fingerprint is another: the code is in other hands, and the
    /// request is closed. [`ErrorKind::NotFound`], [`ErrorKind::NotAllowed`] by the ledger's rules,
    /// [`ErrorKind::RateLimited`].
    pub async fn accept_link(
        &self,
        link: InvitationId,
        read_there: &str,
    ) -> Result<PendingLink, Error> {
        let (code, asked) = self.open_link(link).await?;
        let shown = pending(&code, &asked);
        if digits(read_there) != digits(&shown.fingerprint) {
            self.refuse_link(link).await?;
            return Err(Error::new(
                ErrorKind::Trust,
                "the fingerprints differ: another machine asked with your code. It was refused; \
                 make a new code, and let nobody see it",
            ));
        }
        let body = Body::Device(DeviceBody {
            device: asked.device,
            member: code.member,
            voucher: Voucher::Device(code.by),
            keys: asked.keys.clone(),
        });
        let (device, name) = (asked.device, asked.name.clone());
        let statement = self
            .driver
            .run(move |engine, now| {
                if engine.added_by(device) == Some(engine.identity().device()) {
                    return Ok(None);
                }
                engine.say_as_device(body, now).map(Some)
            })
            .await?;
        if let Some(statement) = statement {
            self.submit_statement(statement).await?;
        }
        self.hand_over(&code, &asked).await?;
        self.driver
            .run(move |engine, _| {
                engine.name_device(device, &name)?;
                engine.store().drop_meta(&key(link))
            })
            .await?;
        Ok(shown)
    }

    /// Refuses who asks by this code.
    pub async fn refuse_link(&self, link: InvitationId) -> Result<(), Error> {
        let (code, _) = self.open_link(link).await?;
        let answer = Answer::Refused
            .seal(&code, &SystemRandom::new())
            .map_err(input)?;
        self.answer_link(link, answer).await?;
        self.driver
            .run(move |engine, _| engine.store().drop_meta(&key(link)))
            .await
    }

    /// Roster keys on the server's shelf, the rest in the answer; all of it sealed to the new device.
    async fn hand_over(&self, code: &Code, asked: &LinkRequest) -> Result<(), Error> {
        self.hand_roster_keys(asked.device).await?;
        let (code, asked, link) = (code.clone(), asked.clone(), code.id());
        let answer = self
            .driver
            .run(move |engine, _| {
                let signer = engine.identity().authentication_key()?;
                let mut handover = engine.handover()?;
                let sealed = handover.seal(&code, &asked, &signer).map_err(input)?;
                match Answer::Linked(sealed).seal(&code, &SystemRandom::new()) {
                    Err(LinkError::TooLong(_)) => {
                        // Names and lists are a convenience; what is entered can be asked for.
                        handover.direct.clear();
                        handover.names.clear();
                        let sealed = handover.seal(&code, &asked, &signer).map_err(input)?;
                        Answer::Linked(sealed).seal(&code, &SystemRandom::new())
                    }
                    sealed => sealed,
                }
                .map_err(input)
            })
            .await?;
        self.answer_link(link, answer).await
    }

    async fn answer_link(&self, link: InvitationId, answer: Vec<u8>) -> Result<(), Error> {
        let answer = answer.into();
        self.driver
            .call(Request::AnswerLink { link, answer })
            .await
            .map(drop)
    }

    async fn open_link(&self, link: InvitationId) -> Result<(Code, LinkRequest), Error> {
        let open = self.open_links().await?;
        let found = open.into_iter().find(|(code, _)| code.id() == link);
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "nobody asks to be linked by this code now",
            )
        })
    }

    async fn open_links(&self) -> Result<Vec<(Code, LinkRequest)>, Error> {
        let Reply::RequestList(list) = self.driver.call(Request::ListLinks).await? else {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            ));
        };
        self.driver
            .run(move |engine, _| {
                let mut open = Vec::new();
                for waiting in list {
                    let Some(code) = code_of(engine.store(), &key(waiting.invitation))? else {
                        continue;
                    };
                    match LinkRequest::open(&waiting.sealed, &code) {
                        Ok(asked) => open.push((code, asked)),
                        Err(error) => {
                            tracing::warn!(link = ?waiting.invitation, %error, "request");
                        }
                    }
                }
                Ok(open)
            })
            .await
    }
}

impl Builder {
    /// Makes the profile of a further device by a linking code, and asks the device that made the
    /// code. Returns the fingerprint, to be compared with what that device shows.
    ///
    /// Errors: [`ErrorKind::Input`] for what is no linking code, or one that is over;
    /// [`ErrorKind::Unauthenticated`] for one that is over by the server's clock;
    /// [`ErrorKind::Refused`] for one that was used already. No profile is left then.
    pub async fn link(&self, code: &str, name: &str) -> Result<String, Error> {
        let random = SystemRandom::new();
        let code = Code::parse(code).map_err(input)?;
        if code.invitation.expires < now() {
            return Err(over());
        }
        let device = DeviceId(random_bytes(&random)?);
        let network = code.invitation.network;
        let mut fresh = fresh_identity(&code.invitation, network, code.member, device)?;
        fresh.identity.root1 = code.invitation.root1.0;
        let asked = LinkRequest {
            device,
            keys: fresh.identity.device_keys()?,
            name: name.to_owned(),
        };
        let sealed = asked
            .seal(&code, &fresh.authentication, &random)
            .map_err(input)?;
        let mut guest = match Guest::knock(&fresh.identity).await {
            Err(error) if error.kind() == ErrorKind::Unauthenticated => return Err(over()),
            other => other?,
        };
        let store = self.create(&fresh.identity)?;
        let kept = store.atomic(|| {
            store.put_meta(REQUEST, &sealed)?;
            store.put_meta(CAME_BY, code.to_text().as_bytes())?;
            store.put_device_name(device, name)
        });
        drop(store);
        kept?;
        match guest.call(Request::PutRequest(sealed.into())).await {
            // Nothing will come of this profile: another machine has used the code.
            Err(error) if matches!(error.kind(), ErrorKind::Refused | ErrorKind::NotAllowed) => {
                Store::discard(&self.folder)?;
                Err(error)
            }
            other => {
                other?;
                Ok(fingerprint(&asked.keys))
            }
        }
    }

    /// Asks whether this profile's device was accepted; if so, verifies it by the ledger and takes
    /// what was handed over. After [`Linking::Linked`] the profile opens as any other.
    ///
    /// Errors: [`ErrorKind::Trust`] if the answer is not what it must be.
    pub async fn linked(&self) -> Result<Linking, Error> {
        let mut engine = super::profile::open_engine(&self.folder, &self.passphrase)?;
        let Some(code) = code_of(engine.store(), CAME_BY)? else {
            return if engine.identity().invitation.is_none() {
                Ok(Linking::Linked)
            } else {
                Err(Error::new(
                    ErrorKind::Input,
                    "this profile did not come by a linking code: `join --wait` waits for the Board",
                ))
            };
        };
        let mut guest = match Guest::knock(engine.identity()).await {
            Err(error) if error.kind() == ErrorKind::Unauthenticated => return Err(over()),
            other => other?,
        };
        let answer = match guest.call(Request::RequestState).await {
            Ok(Reply::RequestState { waiting: true, .. }) => return Ok(Linking::Waiting),
            Ok(Reply::RequestState { answer, .. }) => answer,
            Ok(_) => {
                return Err(Error::new(
                    ErrorKind::Integrity,
                    "the server answered something else",
                ));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The connection broke before the request arrived.
                if let Some(sealed) = engine.store().meta(REQUEST)? {
                    let sealed = bytes::Bytes::copy_from_slice(&sealed);
                    guest.call(Request::PutRequest(sealed)).await?;
                }
                return Ok(Linking::Waiting);
            }
            Err(error) => return Err(error),
        };
        let handed = match Answer::open(&answer, &code).map_err(trust)? {
            Answer::Refused => return Ok(Linking::Refused),
            Answer::Linked(sealed) => sealed,
        };
        follow(&mut engine, &mut guest).await?;
        take(&mut engine, &code, &handed)?;
        Ok(Linking::Linked)
    }
}

/// What was handed over is taken, and the code forgotten, all of it or nothing.
fn take(engine: &mut Engine, code: &Code, handed: &[u8]) -> Result<(), Error> {
    let identity = engine.identity().clone();
    let sealing = SealingKey::from_parts(identity.sealing.clone(), identity.sealing_public.clone());
    let own = (identity.device(), &sealing);
    let handover = engine
        .read_ledger_with(|ledger| Handover::open(handed, code, ledger, now(), own))
        .map_err(trust)?;
    let store = engine.store().clone();
    engine.take_handover(now(), &handover)?;
    store.atomic(|| {
        let mut identity = identity.clone();
        identity.invitation = None;
        store.put_identity(&identity)?;
        store.drop_meta(REQUEST)?;
        store.drop_meta(CAME_BY)
    })
}

fn pending(code: &Code, asked: &LinkRequest) -> PendingLink {
    PendingLink {
        link: code.id(),
        device: asked.device,
        name: asked.name.clone(),
        fingerprint: fingerprint(&asked.keys),
    }
}

fn key(link: InvitationId) -> String {
    format!("{CODES}{link}")
}

fn code_of(store: &Store, key: &str) -> Result<Option<Code>, Error> {
    let Some(text) = store.meta(key)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&text).map_err(input)?;
    Code::parse(text).map(Some).map_err(input)
}

/// Codes whose answer is over, too.
fn forget_old_codes(store: &Store, now: UnixMillis) -> Result<(), Error> {
    const ANSWERED_MS: u64 = 2 * 3600 * 1000;
    for (key, text) in store.metas(CODES)? {
        let code = std::str::from_utf8(&text).ok();
        let code = code.and_then(|text| Code::parse(text).ok());
        if code.is_none_or(|code| code.invitation.expires.plus(ANSWERED_MS) < now) {
            store.drop_meta(&key)?;
        }
    }
    Ok(())
}

/// Spaces and whatever else a person puts between the groups do not matter.
fn digits(fingerprint: &str) -> String {
    fingerprint.chars().filter(char::is_ascii_digit).collect()
}

fn over() -> Error {
    Error::new(
        ErrorKind::Input,
        "the linking code is over: it lasts a quarter of an hour. Make a new one on the other \
         device, and link again into a new folder. If the other device said that this one is \
         linked, use it: its names come with `plenary devices vouch` there",
    )
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Input, error.to_string())
}

fn trust(error: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Trust,
        format!("what came back does not hold: {error}"),
    )
}
