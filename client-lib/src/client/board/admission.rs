//! Who asks to be let in: invitations, requests for admission, their answers.

use plenary_certs::{
    admission::{AdmissionRequest, Application, fingerprint},
    invitation::{Invitation, Sealed, Secret},
    ledger::Subject,
};
use plenary_proto::{
    ids::{InvitationId, MemberId},
    limits,
    reply::Reply,
    request::Request,
};
use ring::rand::SystemRandom;

use super::{input, known_name};
use crate::{
    client::Client,
    engine::Engine,
    error::{Error, ErrorKind},
};

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
    /// The member, by name, that they say to be and that the ledger knows: they have lost all their
    /// devices, or want another's place. `None`: somebody new.
    pub claims: Option<String>,
    /// The request as it goes to the Board.
    pub application: Application,
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
                    let opened = Application::open(
                        &waiting.sealed,
                        engine.identity().network(),
                        (waiting.invitation, &secret),
                    );
                    match opened {
                        Ok(application) => open.push(PendingAdmission {
                            invitation: waiting.invitation,
                            fingerprint: fingerprint(&application.request().keys),
                            request: application.request().clone(),
                            claims: claims(engine, application.request().member),
                            application,
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

/// The name of a member that the ledger knows.
fn claims(engine: &Engine, member: MemberId) -> Option<String> {
    let known = engine.read_ledger_with(|ledger| ledger.member(member).is_some());
    known.then(|| {
        let name = known_name(engine, Subject::Member(member));
        name.unwrap_or_else(|| format!("member {member}"))
    })
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
