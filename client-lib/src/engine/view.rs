//! What the client handle asks the engine for, and what only the engine can make.

use plenary_certs::{
    ledger::{ChannelBody, Ledger},
    profile::SaltedProfile,
};
use plenary_proto::ids::{ChannelId, DeviceId, Digest, MemberId, PublicKey};

use super::{Engine, In, Waiting};
use crate::{
    error::Error,
    store::{Store, identity::Identity},
};

impl Engine {
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn is_online(&self) -> bool {
        self.online
    }

    /// Online, and everything that the server was heard to have is read. A channel that cannot go on
    /// is not waited for.
    pub(crate) fn is_caught_up(&self) -> bool {
        let asked = self.waiting.values().any(|waiting| {
            matches!(
                waiting,
                Waiting::Ledger
                    | Waiting::Sealed
                    | Waiting::Welcomes
                    | Waiting::Watch(_)
                    | Waiting::Read(_)
                    | Waiting::Heartbeat
            )
        });
        self.online
            && !asked
            && self.channels.values().all(|channel| {
                channel.row.standing != In::In || channel.stuck.is_some() || channel.caught_up()
            })
    }

    /// A profile by its hash, if it was opened here.
    pub(crate) fn profile(&self, hash: &Digest) -> Option<&SaltedProfile> {
        self.roster.get(hash)
    }

    pub(crate) fn read_ledger_with<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        self.ledger.read(read)
    }

    /// The server's key as the ledger names it, once it does.
    pub(crate) fn expected_server(&self) -> Option<PublicKey> {
        self.server_key()
    }

    /// Tells this device's epoch of a channel from any other one.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn epoch_mark(&mut self, channel: ChannelId) -> Option<[u8; 8]> {
        self.group(channel).ok()?.epoch_authenticator().ok()
    }

    /// Why a channel cannot be followed any more.
    pub(crate) fn stuck(&self, channel: ChannelId) -> Option<String> {
        let channel = self.channels.get(&channel)?;
        let doubt = || Some(channel.doubt.as_ref()?.lasting()?.to_owned());
        channel.stuck.clone().or_else(doubt)
    }

    pub(crate) fn knows_device(&self, device: DeviceId) -> bool {
        self.ledger.read(|ledger| ledger.device(device).is_some())
    }

    pub(crate) fn member_of(&self, device: DeviceId) -> Option<MemberId> {
        self.ledger
            .read(|ledger| ledger.device(device).map(|device| device.member))
    }

    /// Every device that was ever of a member.
    pub(crate) fn devices_ever_of(&self, member: MemberId) -> Vec<DeviceId> {
        self.ledger
            .read(|ledger| ledger.devices_of(member).map(|device| device.id).collect())
    }

    pub(crate) fn ledger_members(&self) -> Vec<MemberId> {
        self.ledger
            .read(|ledger| ledger.members().map(|member| member.id).collect())
    }

    pub(crate) fn ledger_channels(&self) -> Vec<ChannelId> {
        self.ledger
            .read(|ledger| ledger.channels().map(|channel| channel.id).collect())
    }

    pub(crate) fn ledger_channel(&self, channel: ChannelId) -> Option<ChannelBody> {
        self.ledger.read(|ledger| {
            ledger
                .channel(channel)
                .and_then(|one| one.current())
                .cloned()
        })
    }

    /// Every device in a channel of this device.
    pub(crate) fn devices_in(&mut self, channel: ChannelId) -> Result<Vec<DeviceId>, Error> {
        Ok(self.devices_within(channel)?)
    }
}
