//! Putting somebody out of a channel.

use std::time::Duration;

use plenary_proto::ids::{ChannelId, MemberId};

use super::Client;
use crate::error::Error;

impl Client {
    /// Puts a member out of a closed or direct channel that this member owns. Durable; returns at
    /// once. See [`Client::removed`].
    ///
    /// Whom the Board let in by GRANT comes in again only when the Board grants anew. Whose GRANT the
    /// Board takes back is removed without this.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`](crate::ErrorKind::NotAllowed) if this member does not own it, or
    /// anybody may enter it by themselves; [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the
    /// member is not in it; [`ErrorKind::Input`](crate::ErrorKind::Input) for the owner.
    pub async fn remove(&self, channel: ChannelId, member: MemberId) -> Result<(), Error> {
        self.driver
            .run(move |engine, now| engine.remove(now, channel, member))
            .await
    }

    /// Waits until no device of a member is in a channel any more, as this device has it.
    ///
    /// # Errors
    /// As [`Client::audience`].
    pub async fn removed(&self, channel: ChannelId, member: MemberId) -> Result<(), Error> {
        let mut events = self.events();
        loop {
            let there = self.driver.run(move |engine, _| {
                let devices = engine.devices_in(channel)?;
                let mut members = devices.iter().map(|device| engine.member_of(*device));
                Ok(members.any(|one| one == Some(member)))
            });
            if !there.await? {
                return Ok(());
            }
            // Bounded: not every change of a channel is an event.
            let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        }
    }
}
