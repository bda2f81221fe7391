//! Silence: a device that says nothing in a channel for as long as POLICY lets it is taken out of the
//! group, so that a laptop in a drawer does not stay a reader for ever.
//!
//! A device that only reads is not silent: halfway it changes its leaf's keys by a commit, which is
//! also what heals a leaf whose secrets leaked. Whoever was taken out comes back by itself where
//! anybody may enter, and is added again elsewhere once it has put up new key packages.

use plenary_certs::mls::context::Rule;
use plenary_proto::{
    ids::{ChannelId, DeviceId, UnixMillis},
    limits,
};

use super::{Engine, Wait, upkeep::BATCH};
use crate::error::Error;

const DAY_MS: u64 = 24 * 3600 * 1000;
/// From the first look after the start to the removal of others, and as much again at random: others
/// may be doing it.
const OTHERS_MS: u64 = 10 * 60 * 1000;

impl Engine {
    /// How long a device may be silent; `None`: for ever. Never as short as a key package lives: one
    /// of before would bring it in again at once.
    fn silence(&self) -> Option<u64> {
        let days = u64::from(self.ledger.read(|ledger| ledger.policy().idle_days));
        let least = limits::KEY_PACKAGE_LIFE.as_millis() as u64 + DAY_MS;
        (days > 0).then(|| (days * DAY_MS).max(least))
    }

    /// Whether a device in a channel had been silent for too long at a moment of the log.
    pub(super) fn was_silent(
        &self,
        id: ChannelId,
        device: DeviceId,
        at: UnixMillis,
    ) -> Result<bool, Error> {
        let Some(silence) = self.silence() else {
            return Ok(false);
        };
        Ok(at.0.saturating_sub(self.heard_at(id, device)?.0) >= silence)
    }

    /// When a device was heard in a channel last: its newest record, else its entry, else this
    /// device's own; by the server's clock.
    fn heard_at(&self, id: ChannelId, device: DeviceId) -> Result<UnixMillis, Error> {
        let last = self.store.last_heard(id, device)?;
        if last.0 > 0 {
            return Ok(last);
        }
        self.store.last_heard(id, self.device())
    }

    /// Once a day: changes this device's leaf, or takes the silent out. Whether anything was done.
    pub(super) fn idle_step(&mut self, now: UnixMillis, id: ChannelId) -> Result<bool, Error> {
        let Some(channel) = self.channels.get(&id) else {
            return Ok(false);
        };
        if channel.idle_at.is_some_and(|at| !at.is_over(now)) {
            return Ok(false);
        }
        let first = channel.idle_at.is_none();
        let wait = match first {
            true => OTHERS_MS + self.jitter(OTHERS_MS)?,
            false => DAY_MS,
        };
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.idle_at = Some(Wait::of(wait, now));
        }
        // A clock that is ahead, here or there, takes nobody out.
        let now_by_both = self.clocks.earlier(now);
        let Some(silence) = self.silence() else {
            return Ok(false);
        };
        let own = now_by_both
            .0
            .saturating_sub(self.heard_at(id, self.device())?.0);
        if own >= silence / 2 {
            self.make_change(now, id, &[], &[])?;
            return Ok(true);
        }
        let silent = match first {
            true => Vec::new(),
            false => self.silent(now_by_both, id)?,
        };
        if silent.is_empty() {
            return Ok(false);
        }
        self.make_change(now, id, &[], &silent)?;
        Ok(true)
    }

    /// Silent devices that this one may take out: any as the channel's owner, else those of its own
    /// member.
    fn silent(&mut self, now: UnixMillis, id: ChannelId) -> Result<Vec<DeviceId>, Error> {
        let (own, member) = (self.device(), self.identity.member());
        let group = self.group(id)?;
        let owns = group.entry()?.0 == member;
        let mut silent = Vec::new();
        for device in group.devices() {
            if device != own
                && (owns || self.member_of(device) == Some(member))
                && self.was_silent(id, device, now)?
            {
                silent.push(device);
            }
        }
        silent.truncate(BATCH);
        Ok(silent)
    }

    /// Whether this device, taken out while live, comes back by itself: into a channel that anybody
    /// may enter, if it had been silent. `at`: by the server's clock.
    pub(super) fn returns_from_silence(
        &mut self,
        id: ChannelId,
        at: UnixMillis,
    ) -> Result<bool, Error> {
        let own = self.device();
        Ok(self.was_silent(id, own, at)? && self.group(id)?.entry()?.1 == Rule::Open)
    }
}
