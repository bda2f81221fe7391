//! What the Board can be asked for.

use plenary_certs::ledger::{Capacity, EntryRule, Reason, Target};
use plenary_proto::{
    ids::{ChannelId, DeviceId, InvitationId, MemberId, PublicKey, UnixMillis},
    label::Label,
};

use super::{NewBoard, RootChange};

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

/// What is new about a channel; what is `None` stays. Its entry rule stays for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelChange {
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub purpose: Option<String>,
    /// The most restrictive label that may be discussed there.
    pub ceiling: Option<Label>,
}

/// What is new in the network's policy; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// The MLS cipher suite of new groups: `true` for the hybrid one, `false` for the classical.
    pub post_quantum: Option<bool>,
    /// Days that the server keeps a channel's log.
    pub retention_days: Option<u16>,
    /// Days of silence after which a leaf is removed.
    pub idle_days: Option<u16>,
    /// Days that clients go on sending without a fresh heartbeat.
    pub heartbeat_grace_days: Option<u16>,
    /// Days after which a member's admission is looked at again; 0 for never.
    pub revalidation_days: Option<u16>,
}

/// What the Board is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Requested {
    /// Let in whoever asked by this invitation, as what they asked to be: an expert for a year,
    /// others without an end.
    Admit(InvitationId),
    /// As [`Requested::Admit`], until a moment.
    AdmitUntil(InvitationId, UnixMillis),
    /// Look at a member's admission again and let it stand from now on.
    Renew {
        /// Who.
        member: MemberId,
        /// As what; `None` as before.
        capacity: Option<Capacity>,
        /// Until when; `None` without an end, an expert for a year.
        ends: Option<UnixMillis>,
    },
    /// Take back whoever asked by this invitation and is a member already: all their devices were
    /// lost, and the Board has looked at them again. Accepts the new device, and revokes all others
    /// of the member.
    Readmit(InvitationId),
    /// Vouch for a device that the ledger knows, for instance because the one that linked it was
    /// revoked.
    Vouch(DeviceId),
    /// Open a channel, owned by this member.
    Channel(NewChannel),
    /// Change a channel's name, purpose or ceiling.
    ChangeChannel(ChannelId, ChannelChange),
    /// Let a member into a channel.
    Grant {
        /// Where.
        channel: ChannelId,
        /// Who.
        member: MemberId,
    },
    /// Take a grant back: nobody may add the member again, and whoever is online removes them.
    Withdraw {
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
    /// Put a member or a device out until the Board lets them in again.
    Suspend(Target, Reason),
    /// Let in again who was suspended.
    Resume(Target),
    /// Change the Board, its thresholds or its heartbeat keys.
    Root(RootChange),
    /// Announce a recovery to this Board: for the recovery role to sign.
    AnnounceRecovery(NewBoard),
    /// Complete the announced recovery, seven days later: for the recovery role to sign.
    CompleteRecovery,
    /// Change the network's policy.
    Policy(PolicyChange),
    /// The server has another identity key.
    Server(PublicKey),
}
