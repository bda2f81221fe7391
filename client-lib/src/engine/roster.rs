//! Names: profiles of members and channels, opened with the roster key and checked by hash.

use std::collections::HashMap;

use plenary_certs::profile::{RosterKey, SaltedProfile, SealingKey, open_roster_key};
use plenary_proto::{
    ids::{ChannelId, Digest, MemberId, UnixMillis},
    reply::{Failure, Reply},
    request::{Request, SealedName},
};

use super::{AlarmKind, Engine, Event, Waiting};
use crate::{error::Error, store::Store};

/// The first generation of the roster key; a later one is asked for once it is heard of.
const FIRST_GENERATION: u32 = 1;

/// Profiles by their hash.
#[derive(Default)]
pub(crate) struct Roster {
    profiles: HashMap<Digest, SaltedProfile>,
}

impl Roster {
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let profiles = store
            .profiles()?
            .into_iter()
            .filter_map(|(hash, bytes)| Some((hash, SaltedProfile::decode(&bytes).ok()?)))
            .collect();
        Ok(Self { profiles })
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
            .profile_hashes()
            .into_iter()
            .filter(|hash| self.roster.get(hash).is_none())
            .map(SealedName::Profile)
            .collect();
        if names.is_empty() {
            return;
        }
        names.truncate(128);
        let device = self.device();
        names.push(SealedName::RosterKey {
            generation: FIRST_GENERATION,
            device,
        });
        self.ask(Request::GetSealed(names), Waiting::Sealed);
    }

    fn profile_hashes(&self) -> Vec<Digest> {
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
            if let (SealedName::RosterKey { generation, .. }, Some(bytes)) = (name, bytes) {
                let sealing = SealingKey::from_parts(
                    self.identity.sealing.clone(),
                    self.identity.sealing_public.clone(),
                );
                let own = self.device();
                let opened = self
                    .ledger
                    .read(|ledger| open_roster_key(bytes, ledger, now, (own, &sealing)));
                match opened {
                    Ok((inside, key)) if inside == *generation => {
                        self.store.put_roster_key(inside, key.as_bytes())?;
                    }
                    Ok(_) => self.alarm(
                        None,
                        AlarmKind::RosterKey,
                        "the server gave another generation of the roster key",
                    ),
                    Err(error) => self.alarm(
                        None,
                        AlarmKind::RosterKey,
                        format!("the roster key does not open: {error}"),
                    ),
                }
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
                None if keys.is_empty() => {}
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
