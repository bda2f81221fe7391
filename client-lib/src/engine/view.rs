//! What the client handle asks the engine for, and what only the engine can make.

use plenary_certs::{
    ledger::{ChannelBody, Ledger},
    profile::{RosterKey, SaltedProfile, seal_roster_key},
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, MemberId, PublicKey},
    request::SealedName,
};

use ring::rand::SystemRandom;

use super::{Engine, In, Waiting};
use crate::{
    error::{Error, ErrorKind},
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

    /// Why a channel cannot be followed any more.
    pub(crate) fn stuck(&self, channel: ChannelId) -> Option<String> {
        self.channels.get(&channel)?.stuck.clone()
    }

    pub(crate) fn knows_device(&self, device: DeviceId) -> bool {
        self.ledger.read(|ledger| ledger.device(device).is_some())
    }

    pub(crate) fn member_of(&self, device: DeviceId) -> Option<MemberId> {
        self.ledger
            .read(|ledger| ledger.device(device).map(|device| device.member))
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
        Ok(self.group(channel)?.devices())
    }

    /// What goes to the server's shelf: these profiles under the newest roster key, and every
    /// roster key sealed to each of these devices.
    pub(crate) fn shelf(
        &self,
        devices: &[DeviceId],
        profiles: &[Digest],
    ) -> Result<Vec<(SealedName, bytes::Bytes)>, Error> {
        let failed = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Io, error.to_string());
        let network = self.identity.network();
        let signer = self.identity.authentication_key()?;
        let keys: Vec<_> = self
            .store
            .roster_keys()?
            .into_iter()
            .map(|(generation, key)| (generation, RosterKey::from_bytes(*key)))
            .collect();
        let Some((_, newest)) = keys.first() else {
            return if devices.is_empty() && profiles.is_empty() {
                Ok(Vec::new())
            } else {
                Err(Error::new(
                    ErrorKind::NotFound,
                    "this device has no roster key yet: wait until names are known, submit again",
                ))
            };
        };
        let mut shelf = Vec::new();
        for device in devices {
            let sealing = self.ledger.read(|ledger| {
                ledger
                    .device(*device)
                    .map(|device| device.keys.sealing.clone())
            });
            let Some(sealing) = sealing else { continue };
            for (generation, key) in &keys {
                let to = (*device, sealing.as_slice());
                let by = (self.device(), &signer);
                let sealed = seal_roster_key(key, *generation, network, to, by)
                    .map_err(|error| failed(&error))?;
                let name = SealedName::RosterKey {
                    generation: *generation,
                    device: *device,
                };
                shelf.push((name, sealed.into()));
            }
        }
        for hash in profiles {
            let Some(profile): Option<&SaltedProfile> = self.roster.get(hash) else {
                continue;
            };
            let sealed = profile
                .seal(newest, network, &SystemRandom::new())
                .map_err(|error| failed(&error))?;
            shelf.push((SealedName::Profile(*hash), sealed.into()));
        }
        Ok(shelf)
    }
}
