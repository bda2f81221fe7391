//! From the outbox into the log: one message of a channel at a time, so that its order holds.

use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, UnixMillis},
    limits,
    reply::{Code, Failure, Reply},
    request::{Append, Request},
};

use super::{Engine, Event, GroupError, In, Waiting};
use crate::{
    content::{Carries, Envelope, SignedContext},
    error::{Error, ErrorKind},
    store::{
        Store,
        outbox::{OutboxRow, SealedRow},
    },
};

/// Before another try, where the server does not say.
const TRY_AGAIN_MS: u64 = 1_000;

impl Engine {
    /// Puts an encoded content into the outbox: durable when this returns.
    pub(crate) fn send(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        content: &[u8],
    ) -> Result<ClientId, Error> {
        let message = self.message_for(now, id, content)?;
        let store = self.store.clone();
        let queue = || store.queue(message, id, Carries::Content, content);
        // Sealing is durable, and with it what was queued before: one sync for both.
        let seals = self.sends_at_once(now, id);
        #[cfg(plenary_seeded_bugs)]
        let forgets = plenary_core::seeded::planted(plenary_core::seeded::Bug::QueueNotDurable);
        #[cfg(not(plenary_seeded_bugs))]
        let forgets = false;
        match seals || forgets {
            true => store.relaxed(queue)?,
            false => store.atomic(queue)?,
        }
        self.advance_queued(now, id);
        if seals && !forgets && !store.is_sealed(message)? {
            store.settle().inspect_err(|_| {
                // What was not promised is not to go out.
                let _ = store.relaxed(|| store.unqueue(message));
            })?;
        }
        Ok(message)
    }

    /// As [`Self::send`], with something else that the store does in the same transaction.
    pub(crate) fn send_with(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        content: &[u8],
        also: impl FnOnce(&Store) -> Result<(), Error>,
    ) -> Result<ClientId, Error> {
        let message = self.message_for(now, id, content)?;
        let store = self.store.clone();
        store.atomic(|| {
            store.queue(message, id, Carries::Content, content)?;
            also(&store)
        })?;
        self.advance_queued(now, id);
        Ok(message)
    }

    /// What a message will be known by, if it may be said here.
    fn message_for(
        &self,
        now: UnixMillis,
        id: ChannelId,
        content: &[u8],
    ) -> Result<ClientId, Error> {
        match self.channels.get(&id).map(|channel| channel.row.standing) {
            Some(In::In | In::Entering | In::Parted) => {}
            Some(In::Out) | None => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("this device is not in channel {id}: enter it first"),
                ));
            }
        }
        if content.len() > limits::CONTENT {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a message holds {} bytes at most: send a file",
                    limits::CONTENT
                ),
            ));
        }
        self.may_say(id, content)?;
        self.client_id(now)
    }

    /// What was queued is promised: what fails now is tried again with the next tick.
    fn advance_queued(&mut self, now: UnixMillis, id: ChannelId) {
        if let Err(error) = self.advance(now, id) {
            tracing::warn!(%error, "queued, not sent yet");
        }
    }

    /// Whether a message may leave now, if none is before it.
    fn sends_at_once(&self, now: UnixMillis, id: ChannelId) -> bool {
        self.channels.get(&id).is_some_and(|channel| {
            self.online
                && channel.caught_up()
                && !channel.appending
                && channel.not_before.is_over(now)
        })
    }

    /// Sends the oldest waiting message, if the channel is ready for it.
    pub(super) fn send_step(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if !self.sends_at_once(now, id) || self.store.is_pending(id)? {
            return Ok(());
        }
        let Some(row) = self.next_within(id)? else {
            self.let_go(id);
            return Ok(());
        };
        if !self.wake(now, id)? {
            return Ok(());
        }
        if self.held_back(now, id, &row)? {
            return Ok(());
        }
        let withdrawn = self.group(id)?.withdrawn()?;
        if !withdrawn.is_empty() && !withdrawn.contains(&self.device()) {
            return self.fence_now(now, id);
        }
        let epoch = self.group(id)?.epoch();
        let sealed = match row.sealed {
            // The same bytes again: the server tells a repeat by the client id.
            Some(ref sealed) if sealed.epoch == epoch => {
                // Unless the ledger has put somebody out since, who could open them.
                if !self.group(id)?.not_live(now).is_empty() {
                    return self.fence_now(now, id);
                }
                sealed.clone()
            }
            // Everything up to the head is read and it is not there: the server never took it,
            // and in this epoch it never will.
            _ => match self.seal(now, id, &row) {
                Ok(sealed) => sealed,
                Err(error) if error.kind() == ErrorKind::Unavailable => {
                    // Somebody must be removed first, and who has something to send does it.
                    return self.fence_now(now, id);
                }
                Err(error) => return Err(error),
            },
        };
        self.ask(
            Request::Append(Append {
                channel: id,
                client_id: row.client_id,
                epoch: sealed.epoch,
                bytes: sealed.bytes.into(),
                commit: None,
            }),
            Waiting::Message(id, row.client_id),
        );
        self.appending(id, true);
        Ok(())
    }

    /// Group state and ciphertext are on disk, together, before the ciphertext leaves.
    fn seal(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        row: &OutboxRow,
    ) -> Result<SealedRow, Error> {
        self.step(id, |engine| {
            let authenticator = engine.group(id)?.epoch_authenticator()?;
            let channel = engine.channels.get(&id).ok_or(GroupError::Missing)?;
            let mut data = engine.auth_data(now, channel, authenticator);
            data.time = now;
            let epoch = engine.group(id)?.epoch();
            let context = SignedContext {
                network: engine.identity.network(),
                channel: id,
                epoch,
                client_id: row.client_id,
            };
            let key = &engine.mls_key;
            let envelope = Envelope::sign(row.carries, row.content.clone(), &context, |bytes| {
                Ok::<_, Error>(key.sign(bytes))
            })?;
            let padded = envelope
                .seal_form()
                .map_err(|error| Error::new(ErrorKind::TooLarge, error.to_string()))?;
            let horizon = engine.horizon(now);
            let group = engine.group(id)?;
            if let Some(device) = group.beyond(&horizon, now) {
                return Err(GroupError::Beyond(device).into());
            }
            let bytes = group.seal(&data, &padded)?;
            engine.save_group(id)?;
            let sealed = SealedRow {
                epoch,
                signature: envelope.signature,
                bytes,
            };
            engine.store.put_sealed(row.client_id, Some(&sealed))?;
            Ok(sealed)
        })
    }

    pub(super) fn message_answered(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        message: ClientId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.appending(id, false);
        match reply {
            Ok(Reply::Appended { head, .. }) => {
                let store = self.store.clone();
                let head = store.relaxed(|| {
                    let head = self.check_head_within(id, &head)?;
                    match head {
                        Some(head) => self.acknowledged(id, message, head),
                        None => Ok(None),
                    }
                })?;
                let Some(head) = head else {
                    self.put_off(now, id, TRY_AGAIN_MS);
                    return Ok(());
                };
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.server = channel.server.max(head.seq);
                }
                self.advance(now, id)
            }
            Ok(_) => Ok(()),
            Err(failure) => self.message_refused(now, id, message, &failure),
        }
    }

    /// Where the server says that a message is: yet to be read, or among what was missed. `None` if
    /// that cannot be.
    fn acknowledged(
        &mut self,
        id: ChannelId,
        message: ClientId,
        head: ChannelHead,
    ) -> Result<Option<ChannelHead>, Error> {
        let read = self.channels.get(&id).map(|channel| channel.row.head.seq);
        let passed = read.is_some_and(|read| head.seq <= read);
        if !passed {
            self.store.put_acknowledged(message, head.seq)?;
            return Ok(Some(head));
        }
        // The record came before the word on it, and was read: nothing is left to be placed.
        let Some(row) = self.store.outgoing(message)? else {
            return Ok(Some(head));
        };
        if self.store.hash_at(id, head.seq)?.is_some() {
            tracing::warn!("acknowledged for a place that holds another record");
            return Ok(None);
        }
        self.store.put_acknowledged(message, head.seq)?;
        self.place(&OutboxRow {
            seq: Some(head.seq),
            ..row
        })?;
        Ok(Some(head))
    }

    fn message_refused(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        message: ClientId,
        failure: &Failure,
    ) -> Result<(), Error> {
        match failure.code {
            Code::StaleEpoch | Code::Conflict => {
                self.read_on(id);
                Ok(())
            }
            Code::Fenced => {
                self.read_ledger();
                self.put_off(now, id, TRY_AGAIN_MS);
                self.read_on(id);
                Ok(())
            }
            Code::RateLimited | Code::Unavailable | Code::Unauthenticated => {
                self.put_off(now, id, failure.retry_after_ms.unwrap_or(TRY_AGAIN_MS));
                Ok(())
            }
            Code::NotAllowed => {
                // Perhaps removed: the log says so. If it does not, the message fails.
                if !self.was_out_since(id, now) {
                    self.fail(message, failure)?;
                }
                self.read_on(id);
                Ok(())
            }
            Code::Malformed
            | Code::TooLarge
            | Code::NotFound
            | Code::Invalid
            | Code::Quota
            | Code::Trimmed
            | Code::Exists => {
                self.fail(message, failure)?;
                self.advance(now, id)
            }
        }
    }

    fn fail(&mut self, message: ClientId, failure: &Failure) -> Result<(), Error> {
        let row = self.store.outgoing(message)?;
        if row.is_some_and(|row| row.carries != Carries::Content) {
            // Asked for again, or answered by somebody else.
            return self.store.unqueue(message);
        }
        self.store.put_failed(message, &failure.message)?;
        self.event(Event::Failed {
            message,
            reason: failure.message.clone(),
        });
        Ok(())
    }
}
