//! What a transfer needs of the rest of the client: a right, and a way in.

use bytes::Bytes;
use plenary_proto::{
    ids::{ChannelId, ItemId},
    reply::Reply,
    request::{Purpose, Request, Right},
};

use super::bulk::unexpected;
use crate::{
    error::Error,
    net::{Credentials, Expected, driver::Driver},
};

/// Whoever can ask for a token on the chat session and knows how to open a bulk connection.
pub(crate) trait Door: Send + Sync {
    /// A right to one item, for this device.
    fn token(
        &self,
        item: ItemId,
        channel: ChannelId,
        right: Right,
    ) -> impl Future<Output = Result<Bytes, Error>> + Send;

    /// How to open a bulk connection, and whom to expect there.
    fn way(&self) -> impl Future<Output = Result<(Credentials, Expected), Error>> + Send;
}

impl Door for Driver {
    async fn token(&self, item: ItemId, channel: ChannelId, right: Right) -> Result<Bytes, Error> {
        let request = Request::ItemToken {
            item,
            channel,
            right,
        };
        match self.call(request).await? {
            Reply::Token(token) => Ok(token),
            _ => Err(unexpected()),
        }
    }

    async fn way(&self) -> Result<(Credentials, Expected), Error> {
        self.run(|engine, _| {
            let identity = engine.identity();
            let expected = Expected {
                network: Some(identity.network()),
                server_key: engine.expected_server(),
            };
            Ok((identity.credentials(Purpose::Bulk)?, expected))
        })
        .await
    }
}
