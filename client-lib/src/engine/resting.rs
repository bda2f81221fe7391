//! Groups put away: a group of 300 devices takes a megabyte of memory, and most channels are quiet most
//! of the time. Who is in a group is kept, since every statement and every moment asks for it; the
//! group itself is loaded when there is something to read, to seal or to change, and put away when
//! nothing was for a while.

use plenary_certs::mls::context::Rule;
use plenary_proto::ids::{ChannelId, DeviceId, MemberId, UnixMillis};

use super::{Channel, Engine, GroupError, Wait, mls::Members};
use crate::error::Error;

/// A channel without a message for so long is quiet: its group is written whole.
pub(super) const QUIET_MS: u64 = 1_000;
/// After so long more it is put away.
const REST_MS: u64 = 10 * 60 * 1000;

impl Engine {
    fn resting(&mut self, id: ChannelId) -> Option<&mut Members> {
        self.channels.get_mut(&id)?.resting.as_mut()
    }

    /// Whether a group is put away; it was sound then.
    pub(super) fn is_resting(&self, id: ChannelId) -> bool {
        let channel = self.channels.get(&id);
        channel.is_some_and(|channel| channel.resting.is_some())
    }

    /// Loads a group that there is something to do with; `false`: it is damaged or gone, and the channel
    /// is entered again.
    pub(super) fn wake(&mut self, now: UnixMillis, id: ChannelId) -> Result<bool, Error> {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.resting = None;
        }
        self.is_sound(now, id)
    }

    /// Every device in a channel.
    pub(super) fn devices_within(&mut self, id: ChannelId) -> Result<Vec<DeviceId>, GroupError> {
        match self.resting(id) {
            Some(members) => Ok(members.devices()),
            None => Ok(self.group(id)?.devices()),
        }
    }

    /// Devices in a channel that the newest ledger has out.
    pub(super) fn not_live(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
    ) -> Result<Vec<DeviceId>, GroupError> {
        match self.resting(id) {
            Some(members) => Ok(members.not_live(now)),
            None => Ok(self.group(id)?.not_live(now)),
        }
    }

    /// Devices in a channel whose members' GRANT was taken back.
    pub(super) fn withdrawn(&mut self, id: ChannelId) -> Result<Vec<DeviceId>, GroupError> {
        match self.resting(id) {
            Some(members) => members.withdrawn(),
            None => self.group(id)?.withdrawn(),
        }
    }

    /// A channel's owner and rule by the newest ledger.
    pub(super) fn entry(&mut self, id: ChannelId) -> Result<(MemberId, Rule), GroupError> {
        match self.resting(id) {
            Some(members) => members.entry(),
            None => self.group(id)?.entry(),
        }
    }

    /// Stores what messages changed in a group, within the transaction that they are stored in.
    pub(super) fn save_group(&mut self, id: ChannelId) -> Result<(), GroupError> {
        let group = self.group(id)?;
        group.save()?;
        let unsettled = group.is_unsettled();
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.settle_at = unsettled.then_some(Wait::of(QUIET_MS, self.clock));
            channel.rest_at = Wait::of(QUIET_MS + REST_MS, self.clock);
        }
        Ok(())
    }

    /// Groups of channels that are quiet now are written whole, and put away after a while.
    pub(super) fn settle_groups(&mut self, now: UnixMillis) -> Result<(), Error> {
        let due = |channel: &&Channel| channel.settle_at.is_some_and(|at| at.is_over(now));
        let due = self.channels.values().filter(due);
        let due: Vec<_> = due.map(|channel| channel.row.id).collect();
        for id in due {
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.settle_at = None;
                if channel.group.is_some() {
                    self.reading_step(id, |engine| Ok(engine.group(id)?.settle()?))?;
                }
            }
        }
        for id in self.channel_ids() {
            self.rest(now, id)?;
        }
        Ok(())
    }

    /// Puts a group away that nothing was read from or sealed to for a while, or at all.
    pub(super) fn rest(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), GroupError> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let due = channel.rest_at.is_over(now) && !channel.reading && !channel.appending;
        if let Some(group) = channel.group.take_if(|group| due && !group.is_unsettled()) {
            channel.resting = Some(group.into_members()?);
        }
        Ok(())
    }
}
