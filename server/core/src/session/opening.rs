//! HELLO, then AUTH or KNOCK: one attempt a connection.
//!
//! Unknown, wrong and revoked get the same answer after the same work: one look-up and one
//! verification, against a stand-in key where there is none.

use std::sync::Arc;

use bytes::Bytes;
use plenary_certs::handshake::{Opener, Transcript};
use plenary_proto::{
    codec::{decode_client, encode_server},
    ids::{Digest, InvitationId, PublicKey, UnixMillis},
    reply::{Code, Failure, Hello, Ok as OkFrame, ServerFrame},
    request::{Auth, ClientFrame, Knock, Purpose},
};

use super::{BulkCaller, Caller, Closed, DeviceCaller, GuestCaller, GuestKind};
use crate::{
    error::{OpError, failure},
    hub::ConnectionId,
    keys,
    network::Network,
    ops::{REQUEST_KEPT_MS, link::ANSWER_KEPT_MS},
    stored::{Founding, Invitation, Request, Stored},
};

/// A connection that has said HELLO.
pub struct Opening {
    network: Arc<Network>,
    connection: ConnectionId,
    exporter: [u8; 32],
    hello: Bytes,
}

/// The caller and the OK frame, or why not and what the peer is told.
type Opened = Result<(Arc<Network>, Caller, Bytes), (Closed, Failure)>;

impl Opening {
    pub(super) fn new(
        network: Arc<Network>,
        connection: ConnectionId,
        exporter: [u8; 32],
        nonce: Digest,
        now: UnixMillis,
    ) -> (Self, Bytes) {
        let hello = encode_server(ServerFrame::Hello(Hello {
            network: network.id(),
            server_key: network.public,
            nonce,
            limits: network.config().limits,
            ledger: network.ledger_head(),
            time: now,
        }));
        let opening = Self {
            network,
            connection,
            exporter,
            hello: hello.clone(),
        };
        (opening, hello)
    }

    pub(super) async fn receive(self, message: Bytes, now: UnixMillis) -> Opened {
        match decode_client(message) {
            Ok(ClientFrame::Auth(auth)) => self.auth(&auth, now).await,
            Ok(ClientFrame::Knock(knock)) => self.knock(&knock, now).await,
            Ok(ClientFrame::Request(..) | ClientFrame::Part(_)) => {
                Err(malformed("authenticate first"))
            }
            Err(error) => Err(malformed(&error.to_string())),
        }
    }

    async fn auth(self, auth: &Auth, now: UnixMillis) -> Opened {
        let transcript = self.transcript(Opener::Device(auth.device, auth.purpose), &auth.nonce);
        let key = self
            .network
            .read_ledger(|ledger| Some(ledger.device(auth.device)?.keys.authentication))
            .flatten();
        let proved = check_key(&transcript, key, self.network.public, auth);
        // Entered before the ledger is asked: see `Hub::enter`.
        let member = match self.network.live(auth.device, now) {
            Some(member) if proved => member,
            _ => return Err(unauthenticated()),
        };
        self.network
            .hub
            .enter(self.connection, auth.device, member, auth.purpose);
        if self.network.live(auth.device, now) != Some(member) {
            return Err(unauthenticated());
        }
        let waiting = self
            .network
            .store
            .queue_len(&keys::key_packages(auth.device))
            .await
            .map_err(|error| failed(&error.into()))?;
        let device = DeviceCaller::new(auth.device, member, self.connection);
        let caller = match auth.purpose {
            Purpose::Chat => Caller::Chat(device),
            Purpose::Bulk => Caller::Bulk(BulkCaller::new(device)),
        };
        Ok(self.ok(&transcript, caller, waiting))
    }

    async fn knock(self, knock: &Knock, now: UnixMillis) -> Opened {
        let transcript = self.transcript(Opener::Guest(knock.invitation), &knock.nonce);
        let found = self
            .verifier(knock.invitation, now)
            .await
            .map_err(|error| failed(&error))?;
        let (verifier, kind) = found.unwrap_or((Digest(self.exporter), GuestKind::Invited));
        let proved = transcript.check_knock(&verifier, &knock.mac).is_ok();
        if !proved || found.is_none() {
            return Err(unauthenticated());
        }
        let requests = self.network.config().guest_requests;
        let guest = GuestCaller::new(knock.invitation, kind, requests);
        Ok(self.ok(&transcript, Caller::Guest(guest), 0))
    }

    /// What a knock with this invitation or link is checked by, and what it is.
    async fn verifier(
        &self,
        id: InvitationId,
        now: UnixMillis,
    ) -> Result<Option<(Digest, GuestKind)>, OpError> {
        let store = &self.network.store;
        if self.network.is_fresh() {
            let Some(held) = store.get(&keys::founding()).await? else {
                return Ok(None);
            };
            let founding = Founding::decode(&held.value)?;
            return Ok(
                (founding.invitation == id).then_some((founding.verifier, GuestKind::Founder))
            );
        }
        let invited = (keys::invitation(id), keys::request(id), REQUEST_KEPT_MS);
        let linking = (keys::link(id), keys::link_request(id), ANSWER_KEPT_MS);
        for (kind, (opens, asked, kept)) in
            [(GuestKind::Invited, invited), (GuestKind::Linking, linking)]
        {
            let Some(held) = store.get(&opens).await? else {
                continue;
            };
            let invitation = Invitation::decode(&held.value)?;
            let open = match store.get(&asked).await? {
                // Whoever has asked may come back for the answer.
                Some(held) => now < Request::decode(&held.value)?.time.plus(kept),
                None => {
                    now < invitation.expires && self.network.live(invitation.inviter, now).is_some()
                }
            };
            return Ok(open.then_some((invitation.verifier, kind)));
        }
        Ok(None)
    }

    fn transcript(&self, opener: Opener, nonce: &Digest) -> Transcript {
        Transcript::new(&self.hello, &self.exporter, opener, nonce)
    }

    fn ok(
        self,
        transcript: &Transcript,
        caller: Caller,
        key_packages: u64,
    ) -> (Arc<Network>, Caller, Bytes) {
        let ok = encode_server(ServerFrame::Ok(OkFrame {
            signature: transcript.sign_ok(&self.network.key),
            key_packages: u32::try_from(key_packages).unwrap_or(u32::MAX),
        }));
        (self.network, caller, ok)
    }
}

/// One verification in any case; `stand_in` is a valid key, so that it costs the same.
fn check_key(
    transcript: &Transcript,
    key: Option<PublicKey>,
    stand_in: PublicKey,
    auth: &Auth,
) -> bool {
    let verified = transcript
        .check_auth(&key.unwrap_or(stand_in), &auth.signature)
        .is_ok();
    verified && key.is_some()
}

fn unauthenticated() -> (Closed, Failure) {
    let failure = Failure::new(
        Code::Unauthenticated,
        "not authenticated: unknown here, or no access",
    );
    (Closed::Unauthenticated, failure)
}

fn malformed(why: &str) -> (Closed, Failure) {
    (Closed::Malformed, Failure::new(Code::Malformed, why))
}

fn failed(error: &OpError) -> (Closed, Failure) {
    (Closed::Failed, failure(error))
}
