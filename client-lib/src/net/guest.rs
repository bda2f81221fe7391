//! A guest's connection: by invitation, before the Board has decided.

use plenary_certs::invitation::{Secret, knock_key};
use plenary_proto::{
    ids::{NetworkId, RequestId},
    reply::{Reply, ServerFrame},
    request::{ClientFrame, Request},
};

use super::{Connection, Credentials, Expected, OpenerKey, open};
use crate::{
    error::{Error, ErrorKind},
    store::identity::Identity,
};

/// What a server that serves no network yet calls its network.
const FRESH: NetworkId = NetworkId([0; 16]);

/// One guest's connection: a question at a time.
pub(crate) struct Guest {
    connection: Connection,
    next: u64,
}

impl Guest {
    /// Knocks with the invitation that a profile came by.
    pub(crate) async fn knock(identity: &Identity) -> Result<Self, Error> {
        let knocking = identity.invitation.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Input,
                "this profile did not come by an invitation",
            )
        })?;
        let invitation = knocking.id();
        let verifier = knock_key(&Secret::from_bytes(knocking.secret), invitation)
            .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
        let credentials = Credentials {
            address: identity.address.clone(),
            ca_pin: identity.ca_pin(),
            opener: OpenerKey::Guest {
                invitation,
                verifier,
            },
        };
        let connection = open(&credentials, Expected::default()).await?;
        let network = connection.hello.network;
        if network != identity.network() && network != FRESH {
            return Err(Error::new(
                ErrorKind::Trust,
                "the server serves another network than the invitation's",
            ));
        }
        Ok(Self {
            connection,
            next: 1,
        })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn call(&mut self, request: Request) -> Result<Reply, Error> {
        let id = RequestId(self.next);
        self.next += 1;
        self.connection
            .send(ClientFrame::Request(id, request))
            .await?;
        loop {
            if let ServerFrame::Reply(answered, reply) = self.connection.next().await?
                && answered == id
            {
                return reply.map_err(Error::from);
            }
        }
    }
}
