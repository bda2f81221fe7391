//! Whom and what this device seals to, beyond what the ledger says: less, never more.
//!
//! Whether a commit is valid is a function of commit and ledger prefix, the same for everybody; that
//! is `plenary_certs::mls::judge`. This is about one's own plaintext. A commit that brings in
//! somebody from beyond the horizon is processed like any other, and nothing is sealed to the group
//! until the horizon has moved.

use plenary_certs::ledger::{Freshness, Ledger, Standing};
use plenary_proto::{
    ids::{ChannelId, DeviceId, LedgerSeq, UnixMillis},
    label::Label,
};

use super::{Engine, Event, Wait};
use crate::{
    content::Content,
    error::{Error, ErrorKind},
    store::outbox::OutboxRow,
};

/// Before what is held back is looked at again, if nothing happens meanwhile.
const LOOK_AGAIN_MS: u64 = 1_000;

/// Up to where the ledger is relied on, and whom not to rely on at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Horizon {
    own: DeviceId,
    through: Option<LedgerSeq>,
    out: Vec<DeviceId>,
}

impl Horizon {
    /// Whether a device that is live may also be relied on: it was live at the horizon, and no
    /// other word of the Board speaks against it. This device itself always is.
    pub(crate) fn accepts(&self, ledger: &Ledger, device: DeviceId, now: UnixMillis) -> bool {
        device == self.own || self.reaches(ledger, device, now)
    }

    /// Nobody is beyond it.
    pub(crate) fn is_open(&self) -> bool {
        self.through.is_none() && self.out.is_empty()
    }

    /// The same, and of this device what others would say of it.
    pub(super) fn reaches(&self, ledger: &Ledger, device: DeviceId, now: UnixMillis) -> bool {
        let vouched = |through| ledger.standing(device, through, now) == Standing::Live;
        !self.out.contains(&device) && self.through.is_none_or(vouched)
    }
}

/// Why a channel's messages wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) reason: String,
    again: Wait,
}

impl Engine {
    /// Up to where the ledger is relied on now.
    pub(super) fn horizon(&self, now: UnixMillis) -> Horizon {
        let vouched = match self.freshness(now) {
            Freshness::Lapsed { through, .. } => Some(through),
            Freshness::Unkept | Freshness::Fresh { .. } => None,
        };
        let confirmed = self.recoveries.through();
        Horizon {
            own: self.device(),
            through: vouched.into_iter().chain(confirmed).min(),
            out: self.ledger.read(|ledger| self.disputes.out(ledger, now)),
        }
    }

    /// Whether a message must wait; notes and tells why.
    pub(super) fn held_back(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        row: &OutboxRow,
    ) -> Result<bool, Error> {
        let known = self
            .channels
            .get(&id)
            .and_then(|channel| channel.held.clone());
        if known.as_ref().is_some_and(|held| !held.again.is_over(now)) {
            return Ok(true);
        }
        let reason = self.reason_to_wait(now, id, row)?;
        let told = known.map(|held| held.reason) == reason;
        let held = reason.clone().map(|reason| Held {
            reason,
            again: Wait::of(LOOK_AGAIN_MS, now),
        });
        let waits = held.is_some();
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.held = held;
        }
        if let (Some(reason), false) = (reason, told) {
            self.event(Event::Held {
                channel: id,
                reason,
            });
        }
        Ok(waits)
    }

    fn reason_to_wait(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        row: &OutboxRow,
    ) -> Result<Option<String>, Error> {
        let disputed = self
            .ledger
            .read(|ledger| self.disputes.about_everything(ledger));
        if let Some(kind) = disputed {
            return Ok(Some(format!(
                "the Board signed two different {kind} statements of one version, see `alarms`: waits \
                 for its next one"
            )));
        }
        if let Freshness::Lapsed {
            since, sends_until, ..
        } = self.freshness(now)
        {
            let days = now.0.saturating_sub(since.0) / 86_400_000;
            let silence = format!(
                "no heartbeat has vouched for the Board's ledger for {} days: waits for the next \
                 one, see `status`",
                days + 3
            );
            if now >= sends_until {
                return Ok(Some(silence));
            }
            let label = Content::decode(&row.content)
                .map_err(|error| Error::new(ErrorKind::Store, format!("in the outbox: {error}")))?
                .extensions
                .label();
            if label == Some(Label::Red) {
                return Ok(Some(format!("TLP:RED is not sent while {silence}")));
            }
        }
        let horizon = self.horizon(now);
        Ok(self.group(id)?.beyond(&horizon, now).map(|device| {
            format!(
                "device {device} in the channel came in after what is vouched for, or is disputed: \
                 waits, see `status` and `alarms`"
            )
        }))
    }

    /// Everything that was held back is looked at again.
    pub(super) fn let_all_go(&mut self, now: UnixMillis) -> Result<(), Error> {
        for id in self.channel_ids() {
            self.let_go(id);
            self.look_again(id);
            self.advance(now, id)?;
        }
        Ok(())
    }

    /// What was held back is looked at again.
    pub(super) fn let_go(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.held = None;
        }
    }

    /// Why what is queued in a channel waits, if it is held back.
    pub(crate) fn held(&self, id: ChannelId) -> Option<&str> {
        let held = self.channels.get(&id)?.held.as_ref()?;
        Some(&held.reason)
    }
}
