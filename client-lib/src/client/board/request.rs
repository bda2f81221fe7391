//! What the Board can be asked for, and the statements that say it.

use plenary_certs::{
    ledger::{
        Admit, Body, ChannelBody, DeviceBody, EntryRule, Grant, Reason, Revoke, Target, Voucher,
    },
    profile::SaltedProfile,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, InvitationId, MemberId},
    label::Label,
};
use ring::rand::SystemRandom;

use super::PendingAdmission;
use crate::{
    client::profile::channel_body,
    engine::Engine,
    error::{Error, ErrorKind},
};

/// A channel to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChannel {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Who may enter.
    pub rule: EntryRule,
    /// The most restrictive label that may be discussed there.
    pub ceiling: Label,
}

impl NewChannel {
    /// An open channel with ceiling TLP:AMBER.
    pub fn open(name: impl Into<String>, purpose: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            purpose: purpose.into(),
            rule: EntryRule::Open,
            ceiling: Label::Amber,
        }
    }
}

/// What the Board is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requested {
    /// Let in whoever asked by this invitation.
    Admit(InvitationId),
    /// Open a channel, owned by this member.
    Channel(NewChannel),
    /// Let a member into a channel.
    Grant {
        /// Where.
        channel: ChannelId,
        /// Who.
        member: MemberId,
    },
    /// Give a channel to another owner; everything else of it stays.
    Reassign {
        /// Which.
        channel: ChannelId,
        /// Who adds members from now on.
        owner: MemberId,
    },
    /// Put a member out, for ever.
    RevokeMember(MemberId, Reason),
    /// Put a device out, for ever.
    RevokeDevice(DeviceId, Reason),
}

pub(super) fn draft(
    engine: &Engine,
    open: &[PendingAdmission],
    one: Requested,
    bodies: &mut Vec<Body>,
    profiles: &mut Vec<SaltedProfile>,
) -> Result<(), Error> {
    match one {
        Requested::Admit(invitation) => {
            let asked = open
                .iter()
                .find(|open| open.invitation == invitation)
                .ok_or_else(|| {
                    Error::new(
                        ErrorKind::NotFound,
                        format!("no request came by invitation {invitation} of this device"),
                    )
                })?;
            let request = &asked.request;
            bodies.push(Body::Admit(Admit {
                member: request.member,
                capacity: request.capacity,
                ends: None,
                profile: request.profile.hash(),
            }));
            bodies.push(Body::Device(DeviceBody {
                device: request.device,
                member: request.member,
                voucher: Voucher::Board,
                keys: request.keys.clone(),
            }));
            profiles.push(request.profile.clone());
        }
        Requested::Channel(channel) => {
            let owner = engine.identity().member();
            let (body, profile) = channel_body(&channel, owner, &SystemRandom::new())?;
            bodies.push(Body::Channel(body));
            profiles.push(profile);
        }
        Requested::Grant { channel, member } => {
            bodies.push(Body::Grant(Grant {
                channel,
                member,
                granted: true,
            }));
        }
        Requested::Reassign { channel, owner } => {
            let current = engine.ledger_channel(channel).ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "the ledger knows no channel {channel}: `channels` lists those there are"
                    ),
                )
            })?;
            // Who signs reads the name.
            profiles.extend(engine.channel_profile(channel).cloned());
            bodies.push(Body::Channel(ChannelBody { owner, ..current }));
        }
        Requested::RevokeMember(member, reason) => {
            bodies.push(Body::Revoke(Revoke {
                target: Target::Member(member),
                reason,
            }));
        }
        Requested::RevokeDevice(device, reason) => {
            bodies.push(Body::Revoke(Revoke {
                target: Target::Device(device),
                reason,
            }));
        }
    }
    Ok(())
}
