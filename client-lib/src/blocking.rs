//! The client for programs without an async runtime: each call waits for its result.
//!
//! ```no_run
//! # fn main() -> Result<(), plenary_client::Error> {
//! use plenary_client::{blocking::Client, content::Draft};
//!
//! let client = Client::open("profile", "passphrase".to_owned().into())?;
//! let channel = client.channel("encryption")?.id;
//! client.enter(channel)?;
//! let place = client.send(channel, Draft::text("Hello."))?;
//! # Ok(())
//! # }
//! ```

use std::{path::PathBuf, sync::Arc, time::Duration};

use plenary_proto::ids::{ChannelId, Seq};
use secrecy::SecretString;
use tokio::runtime::Runtime;

use crate::{
    ChannelInfo, Consumer as AsyncConsumer, Error, Found, MemberInfo, Message, Search, Status,
    content::Draft,
};

/// See [`crate::Client`]; brings its own runtime of one thread.
#[derive(Debug, Clone)]
pub struct Client {
    client: crate::Client,
    runtime: Arc<Runtime>,
}

/// See [`crate::Consumer`].
#[derive(Debug)]
pub struct Consumer {
    consumer: AsyncConsumer,
    runtime: Arc<Runtime>,
}

impl Client {
    /// Opens a profile; connects in the background.
    ///
    /// Errors: as [`crate::Builder::open`].
    pub fn open(folder: impl Into<PathBuf>, passphrase: SecretString) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plenary-client")
            .enable_all()
            .build()?;
        let client = runtime.block_on(crate::Client::builder(folder, passphrase).open())?;
        Ok(Self {
            client,
            runtime: Arc::new(runtime),
        })
    }

    /// Everything else, from within an async block: `client.wait(|client| client.invite())`.
    pub fn wait<'a, T, F: Future<Output = T>>(
        &'a self,
        ask: impl FnOnce(&'a crate::Client) -> F,
    ) -> T {
        self.runtime.block_on(ask(&self.client))
    }

    /// See [`crate::Client::online`].
    pub fn online(&self, patience: Duration) -> Result<(), Error> {
        self.wait(|client| client.online(patience))
    }

    /// See [`crate::Client::status`].
    pub fn status(&self) -> Result<Status, Error> {
        self.wait(crate::Client::status)
    }

    /// See [`crate::Client::members`].
    pub fn members(&self) -> Result<Vec<MemberInfo>, Error> {
        self.wait(crate::Client::members)
    }

    /// See [`crate::Client::channels`].
    pub fn channels(&self) -> Result<Vec<ChannelInfo>, Error> {
        self.wait(crate::Client::channels)
    }

    /// See [`crate::Client::channel`].
    pub fn channel(&self, name: &str) -> Result<ChannelInfo, Error> {
        self.runtime.block_on(self.client.channel(name))
    }

    /// Enters a channel and waits until this device is in.
    pub fn enter(&self, channel: ChannelId) -> Result<(), Error> {
        self.runtime.block_on(async {
            self.client.enter(channel).await?;
            self.client.entered(channel).await
        })
    }

    /// Sends and waits until the message has its place in the channel's log.
    pub fn send(&self, channel: ChannelId, draft: Draft) -> Result<Seq, Error> {
        self.runtime
            .block_on(async { self.client.send(channel, draft).await?.delivered().await })
    }

    /// See [`crate::Client::messages`].
    pub fn messages(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        self.wait(|client| client.messages(channel, after, limit))
    }

    /// See [`crate::Client::search`].
    pub fn search(&self, search: Search) -> Result<Vec<Found>, Error> {
        self.wait(|client| client.search(search))
    }

    /// See [`crate::Client::consumer`].
    pub fn consumer(&self, name: &str, from_start: bool) -> Result<Consumer, Error> {
        let consumer = self
            .runtime
            .block_on(self.client.consumer(name, from_start))?;
        Ok(Consumer {
            consumer,
            runtime: self.runtime.clone(),
        })
    }

    /// See [`crate::Client::close`].
    pub fn close(self) {
        self.runtime.block_on(self.client.close());
    }
}

impl Consumer {
    /// See [`crate::Consumer::ack`].
    pub fn ack(&self, message: &Message) -> Result<(), Error> {
        self.runtime.block_on(self.consumer.ack(message))
    }
}

/// Waits for each message; ends when the client is closed.
impl Iterator for Consumer {
    type Item = Result<Message, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.block_on(self.consumer.next()).transpose()
    }
}
