//! Channels and messages.

use plenary_certs::ledger::EntryRule;
use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, MemberId, NetworkId, Seq, UnixMillis},
    label::Label,
};

use super::Client;
use crate::{
    content::{Content, Draft, Kind, MessageId, ThreadId, fresh_salt, room_uri, sender_uri},
    engine::{Engine, Event, ceiling::within},
    error::{Error, ErrorKind},
    store::{channels::Standing, messages::MessageRow},
};

/// A channel, as this member sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelInfo {
    /// Which.
    pub id: ChannelId,
    /// Its name, where this device may read it. A direct channel has none.
    pub name: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// Who may enter; `None` for a direct channel.
    pub rule: Option<EntryRule>,
    /// The most restrictive label that may be discussed there.
    pub ceiling: Option<Label>,
    /// Who adds members.
    pub owner: Option<MemberId>,
    /// Whether this device is in.
    pub presence: Presence,
    /// The last record processed here.
    pub head: Seq,
    /// Messages waiting to be acknowledged.
    pub queued: u64,
    /// What was missed and nobody has handed on so far: between these positions, both excluded.
    pub missing: Vec<(Seq, Seq)>,
    /// Why they wait, if not for the connection: see [`Event::Held`].
    pub held: Option<String>,
}

impl ChannelInfo {
    /// Whether something so labelled may be sent there; sending asks by itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`].
    pub fn may_carry(&self, label: Label) -> Result<(), Error> {
        match &self.name {
            Some(name) => within(Some(label), self.ceiling, name),
            None => within(Some(label), self.ceiling, &self.id),
        }
    }
}

/// Whether a device is in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// Never asked.
    Absent,
    /// Asked to enter; why it is not in yet, where known.
    Entering(Option<String>),
    /// In.
    In,
    /// Was in; why not any more, where known.
    Out(Option<String>),
    /// Cannot be followed any more, and why: entering tries again.
    Stuck(String),
}

/// A message: read, verified, stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Over all channels, in the order this device learned them.
    pub position: u64,
    /// Where.
    pub channel: ChannelId,
    /// Its place in the channel's order: the same for everybody.
    pub seq: Seq,
    /// The sending device's mark, as [`Client::send`] returned it there.
    pub id: ClientId,
    /// What replies and threads refer to.
    pub message_id: MessageId,
    /// By which device.
    pub device: DeviceId,
    /// By whom.
    pub member: MemberId,
    /// Their name, where known.
    pub sender: Option<String>,
    /// The server's clock.
    pub time: UnixMillis,
    /// What it says.
    pub content: Content,
    /// Which device handed it on, where this one missed it. Content and sender are proven by the
    /// sender's own signature; place and time are as the one who handed it on says.
    pub handed_by: Option<DeviceId>,
}

impl Message {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self.content.kind() {
            Kind::Text { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The thread it belongs to.
    pub fn thread(&self) -> Option<ThreadId> {
        self.content.thread()
    }

    /// The thread's title, where this message gives it.
    pub fn title(&self) -> Option<&str> {
        self.content.extensions.title()
    }
}

/// A message on its way.
#[derive(Debug, Clone)]
pub struct Outgoing {
    client: Client,
    id: ClientId,
}

impl Outgoing {
    pub(super) fn new(client: Client, id: ClientId) -> Self {
        Self { client, id }
    }

    /// The mark by which [`Event::Sent`] and [`Event::Failed`] name it.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Why it waits although there is a connection, if it does: nobody vouches for the ledger.
    pub async fn held(&self) -> Result<Option<String>, Error> {
        let id = self.id;
        let held = move |engine: &mut Engine, _| {
            let row = engine.store().outgoing(id)?;
            let reason = row.and_then(|row| engine.held(row.channel).map(str::to_owned));
            Ok(reason)
        };
        self.client.driver.run(held).await
    }

    /// Waits until it is in the channel's log and read back from there; returns its place.
    ///
    /// Errors: [`ErrorKind::Refused`] if it will not be sent.
    pub async fn delivered(&self) -> Result<Seq, Error> {
        let mut events = self.client.events();
        let id = self.id;
        loop {
            let known = self
                .client
                .driver
                .run(move |engine, _| {
                    if let Some(row) = engine.store().message_of(id)? {
                        return Ok(Some(row.seq));
                    }
                    let failed = engine.store().outgoing(id)?.and_then(|row| row.failed);
                    match failed {
                        Some(reason) => Err(Error::new(ErrorKind::Refused, reason)),
                        None => Ok(None),
                    }
                })
                .await?;
            if let Some(seq) = known {
                return Ok(seq);
            }
            loop {
                match events.next().await {
                    Some(Event::Sent { message, seq, .. }) if message == id => return Ok(seq),
                    Some(Event::Failed { message, .. }) if message == id => break,
                    Some(_) => {}
                    None => return Err(Error::new(ErrorKind::Closed, "the client was closed")),
                }
            }
        }
    }
}

/// A draft's bytes, with a salt of its own.
pub(super) fn encode(draft: Draft) -> Result<Vec<u8>, Error> {
    fresh_salt()
        .and_then(|salt| draft.into_content(salt))
        .and_then(|content| content.encode())
        .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))
}

impl Client {
    /// Every channel of the ledger, and the direct ones of this device.
    pub async fn channels(&self) -> Result<Vec<ChannelInfo>, Error> {
        self.driver.run(|engine, _| channels(engine)).await
    }

    /// A channel by its name, or by the beginning of its id.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::Input`] if several fit.
    pub async fn channel(&self, name: &str) -> Result<ChannelInfo, Error> {
        let mut fit = self.channels().await?;
        fit.retain(|channel| {
            channel.name.as_deref() == Some(name)
                || (name.len() >= 4 && channel.id.to_string().starts_with(name))
        });
        match fit.len() {
            1 => Ok(fit.remove(0)),
            0 => Err(Error::new(
                ErrorKind::NotFound,
                format!("no channel {name:?}: `channels` lists those there are"),
            )),
            _ => Err(Error::new(
                ErrorKind::Input,
                format!("several channels fit {name:?}: give more of the id"),
            )),
        }
    }

    /// Asks to be in a channel. Durable; returns at once. See [`Client::entered`].
    pub async fn enter(&self, channel: ChannelId) -> Result<(), Error> {
        self.driver
            .run(move |engine, now| engine.enter(now, channel))
            .await
    }

    /// Waits until this device is in a channel.
    pub async fn entered(&self, channel: ChannelId) -> Result<(), Error> {
        let mut events = self.events();
        loop {
            let all = self.channels().await?;
            if all
                .iter()
                .any(|one| one.id == channel && one.presence == Presence::In)
            {
                return Ok(());
            }
            loop {
                match events.next().await {
                    Some(Event::Entered(entered)) if entered == channel => break,
                    Some(_) => {}
                    None => return Err(Error::new(ErrorKind::Closed, "the client was closed")),
                }
            }
        }
    }

    /// Founds a direct channel with some members: a small private one that the ledger does not
    /// name. They are added as soon as this client is online.
    pub async fn direct(&self, with: Vec<MemberId>) -> Result<ChannelId, Error> {
        self.driver
            .run(move |engine, now| engine.direct(now, &with))
            .await
    }

    /// Sends: on disk when this returns, and sent as soon as that is possible, in order.
    ///
    /// A text too long for a message goes as an item, by itself; the call then waits until it is put
    /// up.
    ///
    /// Errors: [`ErrorKind::NotFound`] if this device is not in the channel,
    /// [`ErrorKind::NotAllowed`] if its label is above the channel's ceiling,
    /// [`ErrorKind::TooLarge`], [`ErrorKind::Input`].
    pub async fn send(&self, channel: ChannelId, draft: Draft) -> Result<Outgoing, Error> {
        if let Some(text) = draft.long_text() {
            let text = text.to_vec();
            return self.send_long(channel, draft, text).await;
        }
        self.queue(channel, encode(draft)?).await
    }

    /// Puts an encoded content into the outbox.
    pub(super) async fn queue(
        &self,
        channel: ChannelId,
        content: Vec<u8>,
    ) -> Result<Outgoing, Error> {
        let id = self
            .driver
            .run(move |engine, now| engine.send(now, channel, &content))
            .await?;
        Ok(Outgoing::new(self.clone(), id))
    }

    /// Messages of a channel after a place, oldest first, at most `limit`.
    pub async fn messages(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
    ) -> Result<Vec<Message>, Error> {
        self.driver
            .run(move |engine, _| {
                let rows = engine.store().messages(channel, after, limit)?;
                rows.iter().map(|row| message(engine, row)).collect()
            })
            .await
    }
}

/// A stored message with what the ledger and the profiles say of its sender.
pub(super) fn message(engine: &Engine, row: &MessageRow) -> Result<Message, Error> {
    let content = Content::decode(&row.content)
        .map_err(|error| Error::new(ErrorKind::Store, format!("a stored message: {error}")))?;
    let network: NetworkId = engine.identity().network();
    let member = engine.member_of(row.device).ok_or_else(|| {
        Error::new(
            ErrorKind::Store,
            format!("a message of {:?}, whom the ledger lacks", row.device),
        )
    })?;
    let message_id = content
        .message_id(
            &sender_uri(network, member),
            &room_uri(network, row.channel),
        )
        .map_err(|error| Error::new(ErrorKind::Store, error.to_string()))?;
    Ok(Message {
        position: row.position,
        channel: row.channel,
        seq: row.seq,
        id: row.client_id,
        message_id,
        device: row.device,
        member,
        sender: engine
            .member_profile(member)
            .map(|profile| profile.profile().name().to_owned()),
        time: row.time,
        content,
        handed_by: row.handed_by,
    })
}

fn channels(engine: &Engine) -> Result<Vec<ChannelInfo>, Error> {
    let own = engine.store().channels()?;
    let presence = |id| match own.iter().find(|row| row.id == id) {
        None => Presence::Absent,
        Some(row) if engine.stuck(row.id).is_some() => {
            Presence::Stuck(engine.stuck(row.id).unwrap_or_default())
        }
        Some(row) => match row.standing {
            Standing::Entering => Presence::Entering(row.note.clone()),
            Standing::In => Presence::In,
            Standing::Out | Standing::Parted => Presence::Out(row.note.clone()),
        },
    };
    let mut ids = engine.ledger_channels();
    ids.extend(
        own.iter()
            .map(|row| row.id)
            .filter(|id| engine.ledger_channel(*id).is_none()),
    );
    ids.into_iter()
        .map(|id| {
            let body = engine.ledger_channel(id);
            let profile = engine
                .channel_profile(id)
                .and_then(|profile| profile.channel());
            Ok(ChannelInfo {
                id,
                name: profile.map(|profile| profile.name.clone()),
                purpose: profile.map(|profile| profile.purpose.clone()),
                rule: body.as_ref().map(|body| body.rule),
                ceiling: engine.ceiling(id),
                owner: body.as_ref().map(|body| body.owner),
                presence: presence(id),
                head: own
                    .iter()
                    .find(|row| row.id == id)
                    .map_or(Seq(0), |row| row.head.seq),
                queued: engine.store().queued(Some(id))?,
                missing: engine
                    .store()
                    .gaps(id)?
                    .iter()
                    .filter_map(|gap| Some((gap.after, gap.before?)))
                    .collect(),
                held: engine.held(id).map(str::to_owned),
            })
        })
        .collect()
}
