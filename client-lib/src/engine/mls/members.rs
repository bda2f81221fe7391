//! Who is in a group, apart from the group: asked for at every statement and every start, where the
//! group itself need not be in memory.

use plenary_certs::{
    ledger::Ledger,
    mls::{
        context::{ChannelContext, Rule},
        judge::{LedgerHandle, entry, withdrawn},
    },
};
use plenary_proto::ids::{DeviceId, MemberId, UnixMillis};

use super::{GroupError, roll::Roll};

/// What is kept of a group that was put away.
pub(crate) struct Members {
    context: ChannelContext,
    ledger: LedgerHandle,
    roll: Roll,
}

impl Members {
    pub(super) fn new(context: ChannelContext, ledger: LedgerHandle, roll: Roll) -> Self {
        Self {
            context,
            ledger,
            roll,
        }
    }

    /// As [`super::Group::devices`].
    pub(crate) fn devices(&self) -> Vec<DeviceId> {
        self.roll.devices().collect()
    }

    /// As [`super::Group::not_live`].
    pub(crate) fn not_live(&mut self, now: UnixMillis) -> Vec<DeviceId> {
        let roll = &mut self.roll;
        self.ledger
            .read(|ledger| roll.not_live(ledger, now).to_vec())
    }

    /// As [`super::Group::entry`].
    pub(crate) fn entry(&self) -> Result<(MemberId, Rule), GroupError> {
        Ok(self
            .ledger
            .read(|ledger| entry(&self.context, ledger, ledger.head().seq))?)
    }

    /// As [`super::Group::withdrawn`].
    pub(crate) fn withdrawn(&mut self) -> Result<Vec<DeviceId>, GroupError> {
        let Self {
            context,
            ledger,
            roll,
        } = self;
        ledger.read(|ledger| withdrawn_of(roll, context, ledger))
    }
}

/// Devices whose members' GRANT a ledger has taken back.
pub(super) fn withdrawn_of(
    roll: &mut Roll,
    context: &ChannelContext,
    ledger: &Ledger,
) -> Result<Vec<DeviceId>, GroupError> {
    let at = ledger.head().seq;
    let entry = entry(context, ledger, at)?;
    let find = |leaves: &[(u32, DeviceId)]| {
        let devices = leaves.iter().map(|(_, device)| *device);
        withdrawn(devices, ledger, at, context.channel, entry)
    };
    Ok(roll.withdrawn(ledger, find).to_vec())
}
