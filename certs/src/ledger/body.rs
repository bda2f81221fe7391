//! What the statements say, beside their subject.

use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, MemberId, PublicKey, UnixMillis},
    label::Label,
};

use super::{Kind, Root, Subject, Target};
use crate::cbor::{Bytes, Cbor, CborError, Writer, array, cbor_enum, cbor_struct};

/// Bytes a sealing key may have; a hybrid one has 1,216.
pub const SEALING_KEY: usize = 2 * 1024;

/// A statement's kind and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The Board's keys.
    Root(Root),
    /// A member is in.
    Admit(Admit),
    /// A device of a member.
    Device(DeviceBody),
    /// Out, for ever. Carries no version.
    Revoke(Revoke),
    /// Out, until resumed.
    Suspend(Suspend),
    /// In again.
    Resume(Resume),
    /// A channel.
    Channel(ChannelBody),
    /// A member may enter a channel, or no longer.
    Grant(Grant),
    /// Rules of the network.
    Policy(Policy),
    /// The server's identity key.
    Server(Server),
    /// A ROOT by the recovery role, announced or put in force.
    Recover(Recover),
}

/// A member is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admit {
    /// Who.
    pub member: MemberId,
    /// As what.
    pub capacity: Capacity,
    /// The first moment at which they are out again.
    pub ends: Option<UnixMillis>,
    /// Salted hash of the profile: see [`crate::profile`].
    pub profile: Digest,
}

/// As what somebody takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Capacity {
    /// A member of the network.
    Member,
    /// A member for a time, for what they know.
    Expert,
    /// Reads and listens.
    Observer,
}

/// A device of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceBody {
    /// Which.
    pub device: DeviceId,
    /// Whose.
    pub member: MemberId,
    /// Who answers for it, and so who signs this.
    pub voucher: Voucher,
    /// For life: new keys are a new device.
    pub keys: DeviceKeys,
}

/// Who answers for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Voucher {
    /// The Board, with its threshold.
    Board,
    /// A live device of the same member.
    Device(DeviceId),
}

/// The keys of a device: one each for one purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceKeys {
    /// Signs the handshake of a connection, and vouches for further devices.
    pub authentication: PublicKey,
    /// Signature key of MLS leaves and contents.
    pub mls: PublicKey,
    /// Signs custody records.
    pub custody: PublicKey,
    /// HPKE public key of the suite, for the roster key. Up to [`SEALING_KEY`] bytes.
    pub sealing: Vec<u8>,
}

/// Out, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// Who.
    pub target: Target,
    /// Why.
    pub reason: Reason,
}

/// Why somebody is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Left the office or the network.
    Left,
    /// A device was lost.
    Lost,
    /// A key was, or may have been, in other hands.
    Compromised,
    /// Replaced by another device.
    Replaced,
    /// Against the rules.
    Misuse,
    /// The Board does not say.
    Unstated,
}

/// Out, until resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspend {
    /// Who.
    pub target: Target,
    /// Why.
    pub reason: Reason,
}

/// In again after a suspension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// Who.
    pub target: Target,
}

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelBody {
    /// Which.
    pub channel: ChannelId,
    /// Who may enter. For life: the group's context holds it.
    pub rule: EntryRule,
    /// The most restrictive label that may be discussed there.
    pub ceiling: Label,
    /// Who adds members.
    pub owner: MemberId,
    /// Salted hash of name and purpose.
    pub profile: Digest,
}

/// Who may enter a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryRule {
    /// Any live device, by itself.
    Open,
    /// Members with a GRANT, and whom the owner adds.
    Granted,
}

/// A member may enter a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where.
    pub channel: ChannelId,
    /// Who.
    pub member: MemberId,
    /// `false` takes an earlier grant back.
    pub granted: bool,
}

/// Rules of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// MLS cipher suite of every group.
    pub suite: u16,
    /// Days that the server keeps a channel's log.
    pub retention_days: u16,
    /// Days of silence after which a leaf is removed.
    pub idle_days: u16,
    /// Days that clients go on sending without a fresh heartbeat. TLP:RED has none.
    pub heartbeat_grace_days: u16,
    /// Days after which a member's admission is looked at again; 0 for never.
    pub revalidation_days: u16,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            suite: 0xF04D,
            retention_days: 90,
            idle_days: 90,
            heartbeat_grace_days: 7,
            revalidation_days: 365,
        }
    }
}

/// The server's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// Signs the handshake, acknowledgements and read replies.
    pub key: PublicKey,
}

/// A ROOT by the recovery role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recover {
    /// Announced first, put in force later.
    pub step: RecoverStep,
    /// The ROOT; the same in both steps.
    pub root: Root,
}

/// The two steps of a recovery, at least seven days apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecoverStep {
    /// Shown on every client from here on.
    Announce,
    /// The ROOT is in force from here on.
    Complete,
}

impl Body {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Root(_) => Kind::Root,
            Self::Admit(_) => Kind::Admit,
            Self::Device(_) => Kind::Device,
            Self::Revoke(_) => Kind::Revoke,
            Self::Suspend(_) => Kind::Suspend,
            Self::Resume(_) => Kind::Resume,
            Self::Channel(_) => Kind::Channel,
            Self::Grant(_) => Kind::Grant,
            Self::Policy(_) => Kind::Policy,
            Self::Server(_) => Kind::Server,
            Self::Recover(_) => Kind::Recover,
        }
    }

    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Root(_) | Self::Policy(_) | Self::Server(_) | Self::Recover(_) => {
                Subject::Network
            }
            Self::Admit(body) => Subject::Member(body.member),
            Self::Device(body) => Subject::Device(body.device),
            Self::Revoke(body) => body.target.into(),
            Self::Suspend(body) => body.target.into(),
            Self::Resume(body) => body.target.into(),
            Self::Channel(body) => Subject::Channel(body.channel),
            Self::Grant(body) => Subject::Entry(body.channel, body.member),
        }
    }

    /// Writes what the subject does not already say.
    pub(super) fn put(&self, w: &mut Writer) {
        match self {
            Self::Root(root) => root.put(w),
            Self::Admit(body) => {
                let _ = w.array(3);
                body.capacity.put(w);
                body.ends.put(w);
                body.profile.put(w);
            }
            Self::Device(body) => {
                let _ = w.array(3);
                body.member.put(w);
                body.voucher.put(w);
                body.keys.put(w);
            }
            Self::Revoke(body) => {
                let _ = w.array(1);
                body.reason.put(w);
            }
            Self::Suspend(body) => {
                let _ = w.array(1);
                body.reason.put(w);
            }
            Self::Resume(_) => {
                let _ = w.array(0);
            }
            Self::Channel(body) => {
                let _ = w.array(4);
                body.rule.put(w);
                body.ceiling.put(w);
                body.owner.put(w);
                body.profile.put(w);
            }
            Self::Grant(body) => {
                let _ = w.array(1);
                body.granted.put(w);
            }
            Self::Policy(policy) => policy.put(w),
            Self::Server(server) => server.put(w),
            Self::Recover(body) => body.put(w),
        }
    }

    /// Reads what [`Body::put`] wrote, of a kind, about a subject.
    pub(super) fn get(
        kind: Kind,
        subject: Subject,
        d: &mut minicbor::Decoder<'_>,
    ) -> Result<Self, CborError> {
        let body = match (kind, subject) {
            (Kind::Root, Subject::Network) => Self::Root(Cbor::get(d)?),
            (Kind::Admit, Subject::Member(member)) => {
                array(d, 3)?;
                Self::Admit(Admit {
                    member,
                    capacity: Cbor::get(d)?,
                    ends: Cbor::get(d)?,
                    profile: Cbor::get(d)?,
                })
            }
            (Kind::Device, Subject::Device(device)) => {
                array(d, 3)?;
                Self::Device(DeviceBody {
                    device,
                    member: Cbor::get(d)?,
                    voucher: Cbor::get(d)?,
                    keys: Cbor::get(d)?,
                })
            }
            (Kind::Revoke, subject) => {
                array(d, 1)?;
                Self::Revoke(Revoke {
                    target: target(kind, subject)?,
                    reason: Cbor::get(d)?,
                })
            }
            (Kind::Suspend, subject) => {
                array(d, 1)?;
                Self::Suspend(Suspend {
                    target: target(kind, subject)?,
                    reason: Cbor::get(d)?,
                })
            }
            (Kind::Resume, subject) => {
                array(d, 0)?;
                Self::Resume(Resume {
                    target: target(kind, subject)?,
                })
            }
            (Kind::Channel, Subject::Channel(channel)) => {
                array(d, 4)?;
                Self::Channel(ChannelBody {
                    channel,
                    rule: Cbor::get(d)?,
                    ceiling: Cbor::get(d)?,
                    owner: Cbor::get(d)?,
                    profile: Cbor::get(d)?,
                })
            }
            (Kind::Grant, Subject::Entry(channel, member)) => {
                array(d, 1)?;
                Self::Grant(Grant {
                    channel,
                    member,
                    granted: Cbor::get(d)?,
                })
            }
            (Kind::Policy, Subject::Network) => Self::Policy(Cbor::get(d)?),
            (Kind::Server, Subject::Network) => Self::Server(Cbor::get(d)?),
            (Kind::Recover, Subject::Network) => Self::Recover(Cbor::get(d)?),
            (kind, subject) => return Err(mismatch(kind, subject)),
        };
        Ok(body)
    }
}

fn target(kind: Kind, subject: Subject) -> Result<Target, CborError> {
    match subject {
        Subject::Member(member) => Ok(Target::Member(member)),
        Subject::Device(device) => Ok(Target::Device(device)),
        _ => Err(mismatch(kind, subject)),
    }
}

fn mismatch(kind: Kind, subject: Subject) -> CborError {
    CborError::Shape(format!("a {kind} cannot be about {subject}"))
}

impl Cbor for Voucher {
    fn put(&self, w: &mut Writer) {
        match self {
            Self::Board => None,
            Self::Device(device) => Some(*device),
        }
        .put(w);
    }
    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        Ok(match Option::get(d)? {
            None => Self::Board,
            Some(device) => Self::Device(device),
        })
    }
}

impl Cbor for DeviceKeys {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(4);
        self.authentication.put(w);
        self.mls.put(w);
        self.custody.put(w);
        let _ = w.bytes(&self.sealing);
    }
    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 4)?;
        let keys = Self {
            authentication: Cbor::get(d)?,
            mls: Cbor::get(d)?,
            custody: Cbor::get(d)?,
            sealing: Bytes::get(d)?.0,
        };
        if keys.sealing.is_empty() || keys.sealing.len() > SEALING_KEY {
            return Err(CborError::Shape(format!(
                "a sealing key has 1 to {SEALING_KEY} bytes, not {}",
                keys.sealing.len()
            )));
        }
        Ok(keys)
    }
}

impl Cbor for Server {
    fn put(&self, w: &mut Writer) {
        self.key.put(w);
    }
    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        Ok(Self { key: Cbor::get(d)? })
    }
}

cbor_enum!(Capacity { Member = 1, Expert = 2, Observer = 3 });
cbor_enum!(EntryRule { Open = 1, Granted = 2 });
cbor_enum!(RecoverStep { Announce = 1, Complete = 2 });
cbor_enum!(Reason {
    Unstated = 0, Left = 1, Lost = 2, Compromised = 3, Replaced = 4, Misuse = 5,
});
cbor_struct!(Recover { step, root });
cbor_struct!(Policy {
    suite,
    retention_days,
    idle_days,
    heartbeat_grace_days,
    revalidation_days,
});
