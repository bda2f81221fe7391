//! What a statement is of, and about whom.

use std::fmt;

use minicbor::Decoder;
use plenary_proto::ids::{ChannelId, DeviceId, MemberId};

use crate::cbor::{Cbor, CborError, Writer, array, unknown};

/// The kind of a statement. The numbers are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Board keys, thresholds, heartbeat keys, recovery role.
    Root,
    /// A member is in.
    Admit,
    /// A device of a member.
    Device,
    /// Out, for ever.
    Revoke,
    /// Out, until resumed.
    Suspend,
    /// In again after a suspension.
    Resume,
    /// A channel.
    Channel,
    /// A member may enter a channel.
    Grant,
    /// Rules of the network.
    Policy,
    /// The server's identity.
    Server,
    /// A new ROOT by the recovery role.
    Recover,
}

impl Kind {
    /// All kinds, in the order of their numbers, from 1.
    pub const ALL: [Self; 11] = [
        Self::Root,
        Self::Admit,
        Self::Device,
        Self::Revoke,
        Self::Suspend,
        Self::Resume,
        Self::Channel,
        Self::Grant,
        Self::Policy,
        Self::Server,
        Self::Recover,
    ];

    /// The number that travels.
    pub fn code(self) -> u8 {
        match self {
            Self::Root => 1,
            Self::Admit => 2,
            Self::Device => 3,
            Self::Revoke => 4,
            Self::Suspend => 5,
            Self::Resume => 6,
            Self::Channel => 7,
            Self::Grant => 8,
            Self::Policy => 9,
            Self::Server => 10,
            Self::Recover => 11,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "ROOT",
            Self::Admit => "ADMIT",
            Self::Device => "DEVICE",
            Self::Revoke => "REVOKE",
            Self::Suspend => "SUSPEND",
            Self::Resume => "RESUME",
            Self::Channel => "CHANNEL",
            Self::Grant => "GRANT",
            Self::Policy => "POLICY",
            Self::Server => "SERVER",
            Self::Recover => "RECOVER",
        })
    }
}

impl Cbor for Kind {
    fn put(&self, w: &mut Writer) {
        self.code().put(w);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        let code = u8::get(d)?;
        Self::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
            .ok_or_else(|| unknown("kind of statement", code.into()))
    }
}

/// Who is revoked, suspended or resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A member with all devices.
    Member(MemberId),
    /// One device.
    Device(DeviceId),
}

/// What a statement is about. Versions are counted for each kind and subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// The network as a whole.
    Network,
    /// A member.
    Member(MemberId),
    /// A device.
    Device(DeviceId),
    /// A channel.
    Channel(ChannelId),
    /// A member in a channel.
    Entry(ChannelId, MemberId),
}

impl From<Target> for Subject {
    fn from(target: Target) -> Self {
        match target {
            Target::Member(member) => Self::Member(member),
            Target::Device(device) => Self::Device(device),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Subject::from(*self).fmt(f)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("the network"),
            Self::Member(member) => write!(f, "member {member}"),
            Self::Device(device) => write!(f, "device {device}"),
            Self::Channel(channel) => write!(f, "channel {channel}"),
            Self::Entry(channel, member) => write!(f, "member {member} in channel {channel}"),
        }
    }
}

impl Cbor for Subject {
    fn put(&self, w: &mut Writer) {
        let fields = match self {
            Self::Network => 1,
            Self::Member(_) | Self::Device(_) | Self::Channel(_) => 2,
            Self::Entry(..) => 3,
        };
        let _ = w.array(fields);
        match self {
            Self::Network => 0u8.put(w),
            Self::Member(member) => {
                1u8.put(w);
                member.put(w);
            }
            Self::Device(device) => {
                2u8.put(w);
                device.put(w);
            }
            Self::Channel(channel) => {
                3u8.put(w);
                channel.put(w);
            }
            Self::Entry(channel, member) => {
                4u8.put(w);
                channel.put(w);
                member.put(w);
            }
        }
    }

    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        // The length is checked by the re-encoding.
        let start = d.position();
        let len = d.array()?.unwrap_or_default();
        d.set_position(start);
        array(d, len.clamp(1, 3))?;
        match u8::get(d)? {
            0 => Ok(Self::Network),
            1 => Ok(Self::Member(Cbor::get(d)?)),
            2 => Ok(Self::Device(Cbor::get(d)?)),
            3 => Ok(Self::Channel(Cbor::get(d)?)),
            4 => Ok(Self::Entry(Cbor::get(d)?, Cbor::get(d)?)),
            other => Err(unknown("kind of subject", other.into())),
        }
    }
}
