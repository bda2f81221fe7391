//! What may be discussed where: a channel's ceiling holds for all that this device sends, whoever
//! drives it. Others' messages are read as they are: their clients answer for them.

use plenary_proto::{ids::ChannelId, label::Label};

use super::{Engine, Event};
use crate::{
    content::{Carries, Content},
    error::{Error, ErrorKind},
    store::outbox::OutboxRow,
};

/// Whether a label may be discussed under a ceiling; no ceiling allows any, no label is below all.
///
/// Errors: [`ErrorKind::NotAllowed`], naming the channel by `name`.
pub(crate) fn within(
    label: Option<Label>,
    ceiling: Option<Label>,
    name: &dyn std::fmt::Display,
) -> Result<(), Error> {
    match (label, ceiling) {
        (Some(label), Some(ceiling)) if label > ceiling => Err(Error::new(
            ErrorKind::NotAllowed,
            format!("{label} may not be discussed in {name}: it goes up to {ceiling}"),
        )),
        _ => Ok(()),
    }
}

impl Engine {
    /// The most restrictive label that may be discussed in a channel, by the stricter one of two
    /// statements where the Board signed two. `None`: any, as in a direct channel.
    pub(crate) fn ceiling(&self, id: ChannelId) -> Option<Label> {
        self.ledger.read(|ledger| {
            let stated = ledger.channel(id)?.current()?.ceiling;
            let disputed = self.disputes.ceiling(ledger, id);
            Some(disputed.map_or(stated, |other| stated.min(other)))
        })
    }

    /// Whether this device may send something so labelled there. Errors: [`ErrorKind::NotAllowed`].
    pub(crate) fn may_label(&self, id: ChannelId, label: Option<Label>) -> Result<(), Error> {
        let profile = self.channel_profile(id);
        match profile.and_then(|profile| profile.channel()) {
            Some(channel) => within(label, self.ceiling(id), &channel.name),
            None => within(label, self.ceiling(id), &id),
        }
    }

    /// As [`Self::may_label`], of an encoded content. Errors also: [`ErrorKind::Input`].
    pub(super) fn may_say(&self, id: ChannelId, content: &[u8]) -> Result<(), Error> {
        let content = Content::decode(content)
            .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
        self.may_label(id, content.extensions.label())
    }

    /// The oldest message of a channel that may be sent. Those above a ceiling that was lowered
    /// since they were queued fail.
    pub(super) fn next_within(&mut self, id: ChannelId) -> Result<Option<OutboxRow>, Error> {
        while let Some(row) = self.store.next_outgoing(id)? {
            // What was sealed may be in the log already.
            if row.carries != Carries::Content || row.sealed.is_some() {
                return Ok(Some(row));
            }
            let Err(refused) = self.may_say(id, &row.content) else {
                return Ok(Some(row));
            };
            let reason = refused.to_string();
            self.store.put_failed(row.client_id, &reason)?;
            self.event(Event::Failed {
                message: row.client_id,
                reason,
            });
        }
        Ok(None)
    }
}
