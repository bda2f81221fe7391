//! Names: profiles of members and channels, opened with the roster key and checked by hash.

use std::collections::{BTreeMap, HashMap};

use plenary_certs::profile::{Generation, RosterKey, SaltedProfile};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, MemberId, UnixMillis},
    reply::{Failure, Reply},
    request::{Request, SealedName},
};

use super::{AlarmKind, Engine, Event, Wait, Waiting, rotation::Due};
use crate::{error::Error, store::Store};

/// Profiles by their hash.
#[derive(Default)]
pub(crate) struct Roster {
    profiles: HashMap<Digest, SaltedProfile>,
    /// The newest roster key that this device has.
    pub(super) newest: Option<Generation>,
    /// The newest that it heard of.
    pub(super) heard: u32,
    /// Made or claimed by somebody without a key for this device.
    pub(super) floor: u32,
    pub(super) due: Option<Due>,
    /// To whom it was handed, and when it is again if they still want it.
    pub(super) handed: BTreeMap<DeviceId, Wait>,
}

impl Roster {
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let profiles = store
            .profiles()?
            .into_iter()
            .filter_map(|(hash, bytes)| Some((hash, SaltedProfile::decode(&bytes).ok()?)))
            .collect();
        let newest = store.roster_keys()?.first().map(|(newest, _)| *newest);
        Ok(Self {
            profiles,
            newest,
            ..Self::default()
        })
    }

    pub(crate) fn get(&self, hash: &Digest) -> Option<&SaltedProfile> {
        self.profiles.get(hash)
    }
}

impl Engine {
    /// Asks for every profile that the ledger names and this device has not opened, and for the
    /// roster key while it has none.
    pub(super) fn ask_names(&mut self) {
        if self
            .waiting
            .values()
            .any(|waiting| matches!(waiting, Waiting::Sealed))
        {
            return;
        }
        let mut names: Vec<SealedName> = self
            .missing_names()
            .into_iter()
            .map(SealedName::Profile)
            .collect();
        let newest = self.roster.newest.map_or(0, |newest| newest.number);
        if names.is_empty() && self.roster.heard <= newest && self.roster_due().is_none() {
            return;
        }
        names.truncate(128);
        let device = self.device();
        names.push(SealedName::RosterKey {
            generation: 0,
            device,
        });
        self.ask(Request::GetSealed(names), Waiting::Sealed);
    }

    pub(super) fn missing_names(&self) -> Vec<Digest> {
        let mut hashes = self.profile_hashes();
        hashes.retain(|hash| self.roster.get(hash).is_none());
        hashes
    }

    pub(super) fn profile_hashes(&self) -> Vec<Digest> {
        self.ledger.read(|ledger| {
            let members = ledger
                .members()
                .filter_map(|member| member.admission().map(|admission| admission.profile));
            let channels = ledger
                .channels()
                .filter_map(|channel| channel.current().map(|channel| channel.profile));
            members.chain(channels).collect()
        })
    }

    pub(super) fn sealed_list(
        &mut self,
        now: UnixMillis,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        let Ok(Reply::SealedList(entries)) = reply else {
            return Ok(());
        };
        let network = self.identity.network();
        for (name, bytes) in &entries {
            if let (SealedName::RosterKey { .. }, Some(bytes)) = (name, bytes) {
                self.take_roster_key(now, bytes)?;
            }
        }
        let keys = self.store.roster_keys()?;
        let mut opened = false;
        for (name, bytes) in &entries {
            let (SealedName::Profile(hash), Some(bytes)) = (name, bytes) else {
                continue;
            };
            let profile = keys.iter().find_map(|(_, key)| {
                SaltedProfile::open(bytes, &RosterKey::from_bytes(**key), network, hash).ok()
            });
            match profile {
                Some(profile) => {
                    self.learn(&profile)?;
                    opened = true;
                }
                // Perhaps under the next key, which is on its way.
                None if keys.is_empty() || self.roster_due().is_some() => {}
                None => self.alarm(
                    None,
                    AlarmKind::Profile,
                    "a sealed profile does not open: the server altered it, or its key is not here",
                ),
            }
        }
        if opened {
            self.event(Event::Names);
            self.ask_names();
        }
        Ok(())
    }

    /// Keeps a profile that is known otherwise: one's own, or of somebody the Board admits.
    pub(crate) fn learn(&mut self, profile: &SaltedProfile) -> Result<(), Error> {
        self.store.put_profile(&profile.hash(), &profile.encode())?;
        self.roster.profiles.insert(profile.hash(), profile.clone());
        Ok(())
    }

    /// The name behind a member, if known.
    pub(crate) fn member_profile(&self, member: MemberId) -> Option<&SaltedProfile> {
        let hash = self.ledger.read(|ledger| {
            ledger
                .member(member)
                .and_then(|member| member.admission().map(|admit| admit.profile))
        })?;
        self.roster.get(&hash)
    }

    /// The name behind a channel, if known.
    pub(crate) fn channel_profile(&self, channel: ChannelId) -> Option<&SaltedProfile> {
        let hash = self.ledger.read(|ledger| {
            ledger
                .channel(channel)
                .and_then(|channel| channel.current().map(|body| body.profile))
        })?;
        self.roster.get(&hash)
    }
}
