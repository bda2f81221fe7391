//! For integrators: every message of every channel once, from where one stopped.

use std::collections::VecDeque;

use super::{Client, Message, discuss::message};
use crate::{engine::Event, error::Error};

/// Messages read at a time.
const PAGE: u32 = 64;

/// A named cursor over all messages of a profile; survives restarts. See [`Client::consumer`].
#[derive(Debug)]
pub struct Consumer {
    client: Client,
    name: String,
    position: u64,
    page: VecDeque<Message>,
    events: super::Events,
}

impl Client {
    /// A consumer by its name. A new one starts at the end, or at the beginning if `from_start`.
    pub async fn consumer(&self, name: &str, from_start: bool) -> Result<Consumer, Error> {
        let key = name.to_owned();
        let events = self.events();
        let position = self
            .driver
            .run(move |engine, _| engine.store().consumer(&key, from_start))
            .await?;
        Ok(Consumer {
            client: self.clone(),
            name: name.to_owned(),
            position,
            page: VecDeque::new(),
            events,
        })
    }
}

impl Consumer {
    /// The next message; waits for one. `None` once the client is closed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            if let Some(message) = self.page.pop_front() {
                self.position = message.position;
                return Ok(Some(message));
            }
            let after = self.position;
            self.page = self
                .client
                .driver
                .run(move |engine, _| {
                    let rows = engine.store().messages_after(after, PAGE)?;
                    rows.iter().map(|row| message(engine, row)).collect()
                })
                .await?;
            if self.page.is_empty() {
                loop {
                    match self.events.next().await {
                        Some(Event::Messages { .. }) => break,
                        Some(_) => {}
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    /// Everything up to this message is dealt with: a restart goes on after it.
    pub async fn ack(&self, message: &Message) -> Result<(), Error> {
        let (name, position) = (self.name.clone(), message.position);
        self.client
            .driver
            .run(move |engine, _| engine.store().put_consumer(&name, position))
            .await
    }
}
