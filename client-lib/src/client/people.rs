//! Members: who they are, and who reads a channel.

use plenary_certs::ledger::{Capacity, Standing};
use plenary_proto::ids::{ChannelId, DeviceId, MemberId, UnixMillis};

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
                    states: states.len(),
                    observers: count(Capacity::Observer),
                    experts: count(Capacity::Expert),
                    members,
                })
            })
            .await
    }
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
