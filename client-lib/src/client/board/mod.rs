//! What the Board does: admit, open channels, grant, suspend, revoke, change itself. Everything is
//! a request file that people sign on their own machines, and a submission that needs no trust.

pub(crate) mod admission;
pub(crate) mod draft;
#[cfg(test)]
mod drills;
mod key_file;
mod paper;
mod request;
mod root;

use plenary_certs::{
    board::{self, Request as BoardRequest, SignatureFile, Words},
    ledger::{Body, Subject},
    profile::SaltedProfile,
};
use plenary_proto::{
    ids::{DeviceId, Digest, LedgerHead},
    reply::Reply,
    request::Request,
};

pub use admission::PendingAdmission;
pub use key_file::{BoardKeyFile, Holder};
pub use paper::RequestFile;
pub use request::{ChannelChange, NewChannel, PolicyChange, Requested};
pub use root::{NewBoard, RootChange};

use super::Client;
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
};

/// A parsed request and its statements with the signatures of all files.
pub(in crate::client) fn combine(
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

/// What an engine calls somebody or something.
pub(crate) fn known_name(engine: &Engine, subject: Subject) -> Option<String> {
    match subject {
        Subject::Member(member) => {
            let profile = engine.member_profile(member)?.member()?;
            Some(format!("{}, {}", profile.name, profile.state))
        }
        Subject::Channel(channel) => {
            let profile = engine.channel_profile(channel)?.channel()?;
            Some(profile.name.clone())
        }
        Subject::Device(device) => {
            let member = engine.member_of(device)?;
            let name = known_name(engine, Subject::Member(member))?;
            Some(format!("a device of {name}"))
        }
        Subject::Network | Subject::Entry(..) => None,
    }
}

impl Client {
    /// Drafts a request file for the Board: what is asked, as statements to be signed together.
    ///
    /// Errors: [`ErrorKind::Input`] if the ledger would refuse it, however many sign;
    /// [`ErrorKind::NotFound`].
    pub async fn board_request(&self, asked: Vec<Requested>) -> Result<String, Error> {
        let wants_admission = asked.iter().any(|one| {
            matches!(
                one,
                Requested::Admit(_) | Requested::AdmitUntil(..) | Requested::Readmit(_)
            )
        });
        let open = if wants_admission {
            self.admission_requests().await?
        } else {
            Vec::new()
        };
        self.driver
            .run(move |engine, now| Ok(draft::request(engine, &open, asked, now)?.to_text()))
            .await
    }

    /// A request file in words, with the names that this client knows.
    pub async fn describe(&self, request: &str) -> Result<Vec<Words>, Error> {
        let request = BoardRequest::parse(request).map_err(input)?;
        self.driver
            .run(move |engine, _| Ok(request.describe(&|subject| known_name(engine, subject))))
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
        let named = |hash: &Digest| {
            let mut bodies = request.statements().iter().map(|one| &one.body);
            bodies.any(|body| match body {
                Body::Admit(admit) => admit.profile == *hash,
                Body::Channel(channel) => channel.profile == *hash,
                _ => false,
            })
        };
        let mut profiles = request.profiles().to_vec();
        profiles.retain(|profile| named(&profile.hash()));
        let hashes: Vec<_> = profiles.iter().map(SaltedProfile::hash).collect();
        self.roster_ready(&hashes).await?;
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

    /// Names are sealed under a key that nobody revoked has: after a revocation the next one first.
    async fn roster_ready(&self, profiles: &[Digest]) -> Result<(), Error> {
        for _ in 0..100 {
            let ready = self.driver.run(|engine, now| engine.roster_ready(now));
            if profiles.is_empty() || ready.await? {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// Waits until this client's ledger is at least there.
    pub(in crate::client) async fn follow(&self, head: LedgerHead) -> Result<(), Error> {
        let mut events = self.events();
        while self.driver.run(|engine, _| Ok(engine.ledger_seq())).await? < head.seq {
            if events.next().await.is_none() {
                return Err(Error::new(ErrorKind::Closed, "the client was closed"));
            }
        }
        Ok(())
    }
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Input, error.to_string())
}
