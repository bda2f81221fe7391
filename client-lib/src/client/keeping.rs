//! How long the server keeps items, who has them, and handing them on without a second upload.

use plenary_proto::{
    ids::{ChannelId, ItemId, MemberId, UnixMillis},
    reply::Reply,
    request::Request,
};

use super::{Client, Message, Outgoing, custody::handed_over, discuss::encode};
use crate::{
    content::Draft,
    error::{Error, ErrorKind},
    files::Manifest,
};

/// What the server says of an item that it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// It goes then, unless held.
    pub keep_until: UnixMillis,
    /// Nothing removes it, by the word of its sender or the operator.
    pub held: bool,
    /// Members who said that they have it, verified.
    pub collected: Vec<MemberId>,
    /// It goes when this many members, whom the sender named, have it; 0: no matter who.
    pub wanted: u32,
    /// It goes when so many members have it; 0: no matter how many.
    pub collectors: u32,
}

/// How much room a member's items take on the server, sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes taken.
    pub used: u64,
    /// Bytes that may be taken; 0: no limit but the disk.
    pub quota: u64,
    /// Bytes of the largest item.
    pub largest: u64,
}

impl Client {
    /// Hands the file of a message on in another channel: the server lets those in it fetch what it
    /// has, no byte goes up again. What it was labelled stays.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the message hands over none, or it is no longer kept;
    /// [`ErrorKind::NotAllowed`] if it was withdrawn, this device is not in both channels, or its
    /// label is above the ceiling of `to`.
    pub async fn forward(&self, message: &Message, to: ChannelId) -> Result<Outgoing, Error> {
        let manifest = handed_over(message)?;
        self.may_collect(message.channel, &manifest).await?;
        let label = manifest.label();
        self.driver
            .run(move |engine, _| engine.may_label(to, label))
            .await?;
        let (item, channel) = (manifest.item(), message.channel);
        let share = Request::ItemShare { item, channel, to };
        self.driver.call(share).await?;
        let mut draft = Draft::item(manifest.encode().to_vec());
        if let Some(label) = manifest.label() {
            draft = draft.label(label);
        }
        self.queue(to, encode(draft)?).await
    }

    /// How long the server keeps the file of a message, and who has it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], which says why it is gone.
    pub async fn kept(&self, message: &Message) -> Result<Kept, Error> {
        let (item, channel) = (handed_over(message)?.item(), message.channel);
        match self
            .driver
            .call(Request::ItemLease { item, channel })
            .await?
        {
            Reply::ItemLease(lease) => Ok(Kept {
                keep_until: lease.keep_until,
                held: lease.held,
                collected: lease.collected,
                wanted: lease.wanted,
                collectors: lease.collectors,
            }),
            _ => Err(unexpected()),
        }
    }

    /// Changes how long the server keeps a file that this member handed over: `until` then, within
    /// what the network allows; `hold` says whether nothing may remove it.
    ///
    /// # Errors
    /// [`ErrorKind::NotAllowed`] if another member handed it over; [`ErrorKind::NotFound`].
    pub async fn keep(
        &self,
        message: &Message,
        until: Option<UnixMillis>,
        hold: Option<bool>,
    ) -> Result<(), Error> {
        let keep = Request::ItemKeep {
            item: handed_over(message)?.item(),
            channel: message.channel,
            keep_until: until,
            hold,
        };
        self.driver.call(keep).await.map(drop)
    }

    /// How much room this member's items take on the server, and how much they may.
    ///
    /// # Errors
    /// [`ErrorKind::Offline`].
    pub async fn usage(&self) -> Result<Usage, Error> {
        match self.driver.call(Request::ItemUsage).await? {
            Reply::ItemUsage {
                used,
                quota,
                largest,
            } => Ok(Usage {
                used,
                quota,
                largest,
            }),
            _ => Err(unexpected()),
        }
    }

    /// Tells the server that this member has an item, for the lease that ends when all have it. That
    /// it cannot be told now is no failure of the transfer: the statement of custody goes its way.
    pub(super) async fn told_collected(&self, channel: ChannelId, manifest: &Manifest) {
        let item = manifest.item();
        let told = self.driver.call(Request::ItemCollected { item, channel });
        if let Err(error) = told.await {
            tracing::debug!(%error, "the server was not told that an item was collected");
        }
    }

    /// Gives the room of an upload back that will not be gone on with.
    pub(super) async fn give_back(&self, channel: ChannelId, item: ItemId) {
        let back = self.driver.call(Request::ItemWithdraw { item, channel });
        if let Err(error) = back.await {
            tracing::debug!(%error, "the server keeps the room of an upload for now");
        }
    }
}

fn unexpected() -> Error {
    Error::new(
        ErrorKind::Integrity,
        "the server does not keep to the protocol: an answer that fits no question",
    )
}
