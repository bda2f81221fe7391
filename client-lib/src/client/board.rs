//! What the Board does: admit, open channels, grant, revoke. Everything is a request file that
//! people sign on their own machines, and a submission that needs no trust.

use plenary_certs::{
    admission::{AdmissionRequest, fingerprint},
    board::{self, BoardKey, Cost, Request as BoardRequest, SignatureFile},
    invitation::{Invitation, Sealed, Secret},
    ledger::{Admit, Body, DeviceBody, EntryRule, Grant, Reason, Revoke, Subject, Target, Voucher},
    profile::SaltedProfile,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, InvitationId, LedgerHead, MemberId, PublicKey},
    label::Label,
    limits,
    reply::Reply,
    request::Request,
};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use super::{Client, profile::channel_body};
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
};

/// A channel to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Who may enter.
    pub rule: EntryRule,
    /// The most restrictive label that may be discussed there.
    pub ceiling: Label,
}

impl NewChannel {
    /// An open channel with ceiling TLP:AMBER.
    pub fn open(name: impl Into<String>, purpose: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            purpose: purpose.into(),
            rule: EntryRule::Open,
            ceiling: Label::Amber,
        }
    }
}

/// A request for admission, opened with the invitation that this device gave.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingAdmission {
    /// By which invitation.
    pub invitation: InvitationId,
    /// Who asks.
    pub request: AdmissionRequest,
    /// Of the device's keys, to be compared by voice.
    pub fingerprint: String,
}

/// What the Board is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requested {
    /// Let in whoever asked by this invitation.
    Admit(InvitationId),
    /// Open a channel, owned by this member.
    Channel(NewChannel),
    /// Let a member into a channel.
    Grant {
        /// Where.
        channel: ChannelId,
        /// Who.
        member: MemberId,
    },
    /// Put a member out, for ever.
    RevokeMember(MemberId, Reason),
    /// Put a device out, for ever.
    RevokeDevice(DeviceId, Reason),
}

/// A Board key in its sealed file. Needs no profile and no network.
#[derive(Debug, Clone, Copy)]
pub struct BoardKeyFile;

impl BoardKeyFile {
    /// A new key for somebody who will be `member` (fresh if `None`); returns the sealed file's
    /// text, the member and the public key.
    pub fn generate(
        member: Option<MemberId>,
        passphrase: &SecretString,
    ) -> Result<(String, MemberId, PublicKey), Error> {
        let random = SystemRandom::new();
        let member = match member {
            Some(member) => member,
            None => {
                let mut id = [0; 16];
                random
                    .fill(&mut id)
                    .map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))?;
                MemberId(id)
            }
        };
        let key = BoardKey::generate(member, &random).map_err(input)?;
        let file = key
            .seal(passphrase.expose_secret(), Cost::default(), &random)
            .map_err(input)?;
        Ok((file, member, key.key.public()))
    }

    /// Whose key a file is, without opening it.
    pub fn peek(file: &str) -> Result<(MemberId, PublicKey), Error> {
        BoardKey::peek(file).map_err(input)
    }

    /// A request file in words, one line a statement.
    pub fn describe(request: &str) -> Result<Vec<String>, Error> {
        Ok(BoardRequest::parse(request)
            .map_err(input)?
            .describe(&|_| None))
    }

    /// Signs everything in a request file; returns the signature file's text.
    ///
    /// Errors: [`ErrorKind::WrongPassphrase`], [`ErrorKind::Input`].
    pub fn sign(file: &str, passphrase: &SecretString, request: &str) -> Result<String, Error> {
        let request = BoardRequest::parse(request).map_err(input)?;
        let key =
            BoardKey::open(file, passphrase.expose_secret()).map_err(|error| match error {
                board::KeyFileError::WrongPassphrase => Error::new(
                    ErrorKind::WrongPassphrase,
                    "the passphrase does not open this Board key: try again",
                ),
                other => input(other),
            })?;
        Ok(request.sign(&key).to_text())
    }
}

/// A parsed request and its statements with the signatures of all files.
pub(super) fn combine(
    request: &str,
    signatures: &[String],
) -> Result<(BoardRequest, Vec<bytes::Bytes>), Error> {
    let request = BoardRequest::parse(request).map_err(input)?;
    let files: Vec<_> = signatures
        .iter()
        .map(|file| SignatureFile::parse(file))
        .collect::<Result<_, _>>()
        .map_err(input)?;
    let signed = board::combine(&request, &files).map_err(input)?;
    Ok((request, signed.into_iter().map(Into::into).collect()))
}

impl Client {
    /// Makes an invitation: one line to hand over by a safe way, valid 72 hours, single use.
    pub async fn invite(&self) -> Result<String, Error> {
        let (invitation, text) = self
            .driver
            .run(|engine, now| {
                let identity = engine.identity();
                let invitation = Invitation::new(
                    &identity.address,
                    identity.ca_pin(),
                    identity.network(),
                    identity.root1(),
                    now.plus(limits::INVITATION_LIFE.as_millis() as u64),
                    &SystemRandom::new(),
                )
                .map_err(input)?;
                let key = secret_key(invitation.id);
                engine
                    .store()
                    .put_meta(&key, invitation.secret.as_bytes())?;
                let text = invitation.to_text().to_string();
                Ok((invitation, text))
            })
            .await?;
        self.driver
            .call(Request::PutInvitation {
                invitation: invitation.id,
                verifier: invitation.knock_key().map_err(input)?,
                expires: invitation.expires,
            })
            .await?;
        Ok(text)
    }

    /// Requests for admission that came by this device's invitations.
    pub async fn admission_requests(&self) -> Result<Vec<PendingAdmission>, Error> {
        let Reply::RequestList(list) = self.driver.call(Request::ListRequests).await? else {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            ));
        };
        self.driver
            .run(move |engine, _| {
                let mut open = Vec::new();
                for waiting in list {
                    let Some(secret) = secret(engine, waiting.invitation)? else {
                        continue;
                    };
                    let opened = AdmissionRequest::open(
                        &waiting.sealed,
                        engine.identity().network(),
                        (waiting.invitation, &secret),
                    );
                    match opened {
                        Ok(request) => open.push(PendingAdmission {
                            invitation: waiting.invitation,
                            fingerprint: fingerprint(&request.keys),
                            request,
                        }),
                        Err(error) => {
                            tracing::warn!(invitation = ?waiting.invitation, %error, "request");
                        }
                    }
                }
                Ok(open)
            })
            .await
    }

    /// Drafts a request file for the Board: what is asked, as statements to be signed together.
    pub async fn board_request(&self, asked: Vec<Requested>) -> Result<String, Error> {
        let wants_admission = asked.iter().any(|one| matches!(one, Requested::Admit(_)));
        let open = if wants_admission {
            self.admission_requests().await?
        } else {
            Vec::new()
        };
        self.driver
            .run(move |engine, now| {
                let mut bodies = Vec::new();
                let mut profiles = Vec::new();
                for one in asked {
                    draft(engine, &open, one, &mut bodies, &mut profiles)?;
                }
                for profile in &profiles {
                    engine.learn(profile)?;
                }
                let statements = engine.draft(bodies, now);
                Ok(BoardRequest::new(statements, profiles)
                    .map_err(input)?
                    .to_text())
            })
            .await
    }

    /// A request file in words, with the names that this client knows.
    pub async fn describe(&self, request: &str) -> Result<Vec<String>, Error> {
        let request = BoardRequest::parse(request).map_err(input)?;
        self.driver
            .run(move |engine, _| {
                Ok(request.describe(&|subject| match subject {
                    Subject::Member(member) => engine
                        .member_profile(member)
                        .map(|profile| profile.profile().name().to_owned()),
                    Subject::Channel(channel) => engine
                        .channel_profile(channel)
                        .map(|profile| profile.profile().name().to_owned()),
                    _ => None,
                }))
            })
            .await
    }

    /// Submits a request with the Board's signature files; then seals what the newly admitted
    /// need to their devices. Submitting again does no harm.
    ///
    /// Errors: [`ErrorKind::Refused`] with the server's words if signatures lack or do not hold.
    pub async fn submit(&self, request: &str, signatures: &[String]) -> Result<LedgerHead, Error> {
        let (request, statements) = combine(request, signatures)?;
        let Reply::LedgerHead(head) = self.driver.call(Request::LedgerSubmit(statements)).await?
        else {
            return Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            ));
        };
        self.follow(head).await?;
        let devices: Vec<DeviceId> = request
            .statements()
            .iter()
            .filter_map(|statement| match &statement.body {
                Body::Device(device) => Some(device.device),
                _ => None,
            })
            .collect();
        let hashes: Vec<_> = request.profiles().iter().map(SaltedProfile::hash).collect();
        let profiles = request.profiles().to_vec();
        let shelf = self
            .driver
            .run(move |engine, _| {
                for profile in &profiles {
                    engine.learn(profile)?;
                }
                engine.shelf(&devices, &hashes)
            })
            .await?;
        if !shelf.is_empty() {
            self.driver.call(Request::PutSealed(shelf)).await?;
        }
        self.answer_admitted().await?;
        Ok(head)
    }

    /// Waits until this client's ledger is at least there.
    async fn follow(&self, head: LedgerHead) -> Result<(), Error> {
        let mut events = self.events();
        while self.driver.run(|engine, _| Ok(engine.ledger_seq())).await? < head.seq {
            if events.next().await.is_none() {
                return Err(Error::new(ErrorKind::Closed, "the client was closed"));
            }
        }
        Ok(())
    }

    /// Closes the requests of those who are in now.
    async fn answer_admitted(&self) -> Result<(), Error> {
        for open in self.admission_requests().await? {
            let (device, invitation) = (open.request.device, open.invitation);
            let answer = self
                .driver
                .run(move |engine, _| {
                    if !engine.knows_device(device) {
                        return Ok(None);
                    }
                    let Some(secret) = secret(engine, invitation)? else {
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

fn draft(
    engine: &Engine,
    open: &[PendingAdmission],
    one: Requested,
    bodies: &mut Vec<Body>,
    profiles: &mut Vec<SaltedProfile>,
) -> Result<(), Error> {
    match one {
        Requested::Admit(invitation) => {
            let asked = open
                .iter()
                .find(|open| open.invitation == invitation)
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("no request came by invitation {invitation} of this device"),
                    )
                })?;
            let request = &asked.request;
            bodies.push(Body::Admit(Admit {
                member: request.member,
                capacity: request.capacity,
                ends: None,
                profile: request.profile.hash(),
            }));
            bodies.push(Body::Device(DeviceBody {
                device: request.device,
                member: request.member,
                voucher: Voucher::Board,
                keys: request.keys.clone(),
            }));
            profiles.push(request.profile.clone());
        }
        Requested::Channel(channel) => {
            let owner = engine.identity().member();
            let (body, profile) = channel_body(&channel, owner, &SystemRandom::new())?;
            bodies.push(Body::Channel(body));
            profiles.push(profile);
        }
        Requested::Grant { channel, member } => {
            bodies.push(Body::Grant(Grant {
                channel,
                member,
                granted: true,
            }));
        }
        Requested::RevokeMember(member, reason) => {
            bodies.push(Body::Revoke(Revoke {
                target: Target::Member(member),
                reason,
            }));
        }
        Requested::RevokeDevice(device, reason) => {
            bodies.push(Body::Revoke(Revoke {
                target: Target::Device(device),
                reason,
            }));
        }
    }
    Ok(())
}

fn secret_key(invitation: InvitationId) -> String {
    format!("invitation:{invitation}")
}

fn secret(engine: &Engine, invitation: InvitationId) -> Result<Option<Secret>, Error> {
    let bytes = engine.store().meta(&secret_key(invitation))?;
    Ok(bytes
        .and_then(|bytes| bytes.as_slice().try_into().ok())
        .map(Secret::from_bytes))
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Input, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_key_needs_its_passphrase() {
        let right = SecretString::from("right".to_owned());
        let (file, member, key) = BoardKeyFile::generate(None, &right).unwrap();
        assert_eq!(BoardKeyFile::peek(&file).unwrap(), (member, key));
        let wrong = SecretString::from("wrong".to_owned());
        let refused = BoardKeyFile::sign(&file, &wrong, "no request").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Input);
    }
}
