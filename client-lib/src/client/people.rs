//! Members: who they are, and who reads a channel.

use plenary_certs::ledger::{Capacity, Standing};
use plenary_proto::ids::{ChannelId, DeviceId, Digest, MemberId, UnixMillis};

use super::{Client, profile::Person};
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
};

/// A member, as the ledger and the profiles say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberInfo {
    /// The pseudonym.
    pub id: MemberId,
    /// Who it is, where this device may read it.
    pub person: Option<Person>,
    /// As what.
    pub capacity: Option<Capacity>,
    /// Live or not.
    pub standing: Standing,
    /// On the Board.
    pub board: bool,
    /// Devices, with how each stands.
    pub devices: Vec<(DeviceId, Standing)>,
    /// When the admission ends by itself.
    pub ends: Option<UnixMillis>,
    /// By when the Board is to look at the admission again. Nothing ends by it.
    pub revalidate_by: Option<UnixMillis>,
}

/// Who reads what is said in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audience {
    /// The members with a device in it.
    pub members: Vec<MemberInfo>,
    /// How many States and bodies they come from.
    pub states: usize,
    /// How many are observers.
    pub observers: usize,
    /// How many are experts.
    pub experts: usize,
    /// Names these members in these capacities: another digest, another audience.
    pub digest: Digest,
}

/// How an audience differs from the one that this device last spoke to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudienceChange {
    /// This device said nothing there so far.
    First,
    /// It does not.
    Same,
    /// It does.
    Changed {
        /// Who reads now and did not.
        joined: Vec<MemberId>,
        /// Who did and does no more.
        left: Vec<MemberId>,
    },
}

impl Client {
    /// Every member of the ledger, past and present.
    pub async fn members(&self) -> Result<Vec<MemberInfo>, Error> {
        self.driver
            .run(|engine, now| {
                let ids = engine.ledger_members();
                Ok(ids
                    .into_iter()
                    .filter_map(|id| info(engine, id, now))
                    .collect())
            })
            .await
    }

    /// A member by name, or by the beginning of the id.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::Input`] if several fit.
    pub async fn find_member(&self, name: &str) -> Result<MemberInfo, Error> {
        let mut fit = self.members().await?;
        fit.retain(|member| {
            member
                .person
                .as_ref()
                .is_some_and(|person| person.name == name)
                || (name.len() >= 4 && member.id.to_string().starts_with(name))
        });
        match fit.len() {
            1 => Ok(fit.remove(0)),
            0 => Err(Error::new(
                ErrorKind::NotFound,
                format!("no member {name:?}: `members` lists them"),
            )),
            _ => Err(Error::new(
                ErrorKind::Input,
                format!("several members fit {name:?}: give the id"),
            )),
        }
    }

    /// Who will read what is sent to a channel now.
    pub async fn audience(&self, channel: ChannelId) -> Result<Audience, Error> {
        self.driver
            .run(move |engine, now| {
                let mut ids: Vec<_> = engine
                    .devices_in(channel)?
                    .into_iter()
                    .filter_map(|device| engine.member_of(device))
                    .collect();
                ids.sort_unstable();
                ids.dedup();
                let members: Vec<_> = ids
                    .into_iter()
                    .filter_map(|id| info(engine, id, now))
                    .collect();
                let mut states: Vec<_> = members
                    .iter()
                    .filter_map(|member| member.person.as_ref().map(|person| &person.state))
                    .collect();
                states.sort_unstable();
                states.dedup();
                let count = |capacity| {
                    members
                        .iter()
                        .filter(|member| member.capacity == Some(capacity))
                        .count()
                };
                Ok(Audience {
                    digest: digest(&members),
                    states: states.len(),
                    observers: count(Capacity::Observer),
                    experts: count(Capacity::Expert),
                    members,
                })
            })
            .await
    }
}

impl Client {
    /// How a channel's audience differs from the one that this device last spoke to there: see
    /// [`Client::audience_shown`].
    pub async fn audience_change(
        &self,
        channel: ChannelId,
        audience: &Audience,
    ) -> Result<AudienceChange, Error> {
        let now = audience.clone();
        self.driver
            .run(move |engine, _| {
                let Some(known) = engine.store().meta(&spoken_to(channel))? else {
                    return Ok(AudienceChange::First);
                };
                if *known == people(&now.members) {
                    return Ok(AudienceChange::Same);
                }
                let before: Vec<MemberId> = known
                    .chunks_exact(MemberId::LEN + 1)
                    .filter_map(|row| MemberId::try_from(&row[..MemberId::LEN]).ok())
                    .collect();
                let ids: Vec<_> = now.members.iter().map(|member| member.id).collect();
                let missing = |from: &[MemberId], of: &[MemberId]| -> Vec<MemberId> {
                    let all = of.iter().copied();
                    all.filter(|id| !from.contains(id)).collect()
                };
                Ok(AudienceChange::Changed {
                    joined: missing(&before, &ids),
                    left: missing(&ids, &before),
                })
            })
            .await
    }

    /// Remembers that this device speaks to this audience: whoever sends has seen it.
    pub async fn audience_shown(
        &self,
        channel: ChannelId,
        audience: &Audience,
    ) -> Result<(), Error> {
        let people = people(&audience.members);
        self.driver
            .run(move |engine, _| engine.store().put_meta(&spoken_to(channel), &people))
            .await
    }
}

fn spoken_to(channel: ChannelId) -> String {
    format!("audience:{channel}")
}

/// Members with their capacities, in the order of their ids: a further device changes nothing.
fn people(members: &[MemberInfo]) -> Vec<u8> {
    let mut rows: Vec<_> = members
        .iter()
        .map(|member| {
            let capacity = match member.capacity {
                None => 0,
                Some(Capacity::Member) => 1,
                Some(Capacity::Expert) => 2,
                Some(Capacity::Observer) => 3,
            };
            [&member.id.0[..], &[capacity]].concat()
        })
        .collect();
    rows.sort_unstable();
    rows.concat()
}

fn digest(members: &[MemberInfo]) -> Digest {
    let mut input = b"plenary audience v1\0".to_vec();
    input.extend(people(members));
    let mut digest = [0; 32];
    digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, &input).as_ref());
    Digest(digest)
}

fn info(engine: &Engine, id: MemberId, now: UnixMillis) -> Option<MemberInfo> {
    let person = engine
        .member_profile(id)
        .and_then(|profile| profile.member())
        .map(|profile| Person {
            name: profile.name.clone(),
            state: profile.state.clone(),
            languages: profile.languages.clone(),
            expertise: profile.expertise.clone(),
        });
    engine.read_ledger_with(|ledger| {
        let at = ledger.head().seq;
        let member = ledger.member(id)?;
        Some(MemberInfo {
            id,
            person,
            capacity: member.admission().map(|admission| admission.capacity),
            standing: ledger.member_standing(id, at, now),
            board: ledger.is_board(id),
            ends: member.admission().and_then(|admission| admission.ends),
            revalidate_by: ledger.revalidate_by(id),
            devices: ledger
                .devices_of(id)
                .map(|device| (device.id, ledger.standing(device.id, at, now)))
                .collect(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u8, capacity: Capacity, devices: u8) -> MemberInfo {
        MemberInfo {
            id: MemberId([n; 16]),
            person: None,
            capacity: Some(capacity),
            standing: Standing::Live,
            ends: None,
            revalidate_by: None,
            board: false,
            devices: (0..devices)
                .map(|one| (DeviceId([one; 16]), Standing::Live))
                .collect(),
        }
    }

    #[test]
    fn persons_and_their_capacities_make_an_audience_devices_do_not() {
        let two = [
            member(1, Capacity::Member, 1),
            member(2, Capacity::Member, 1),
        ];
        let same = [
            member(2, Capacity::Member, 3),
            member(1, Capacity::Member, 1),
        ];
        assert_eq!(digest(&two), digest(&same));
        let observer = [
            member(1, Capacity::Member, 1),
            member(2, Capacity::Observer, 1),
        ];
        for other in [&observer[..], &two[..1], &[]] {
            assert_ne!(digest(&two), digest(other));
        }
    }
}
