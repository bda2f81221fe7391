//! What the engine tells.

use plenary_certs::{custody::Act, ledger::Freshness};
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, InvitationId, ItemId, LedgerHead, Seq};

use super::{AlarmKind, ClockTrouble, DeviceNews, Recovery};

/// News of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Authenticated, the ledger verified up to the server's.
    Online,
    /// The connection is gone; the library comes back by itself.
    Offline,
    /// Messages were stored; the channel is read up to here.
    Messages {
        /// Where.
        channel: ChannelId,
        /// The last record processed.
        through: Seq,
    },
    /// A message of this device is in the log.
    Sent {
        /// Which.
        message: ClientId,
        /// Where.
        channel: ChannelId,
        /// At which position.
        seq: Seq,
    },
    /// A message of this device will not be sent.
    Failed {
        /// Which.
        message: ClientId,
        /// Why, and what to do.
        reason: String,
    },
    /// This device is in a channel now.
    Entered(ChannelId),
    /// This device is no longer in a channel.
    Left(ChannelId),
    /// The ledger grew and was verified.
    Ledger(LedgerHead),
    /// Names became known.
    Names,
    /// Somebody, perhaps this device, stated what they did with an item.
    Custody {
        /// Where it was handed over.
        channel: ChannelId,
        /// The item.
        item: ItemId,
        /// By which device.
        device: DeviceId,
        /// What.
        act: Act,
    },
    /// Statements of custody wait for the time-stamping service that this profile names.
    Stamping(ChannelId),
    /// Statements of custody went out without a time stamp.
    NotStamped {
        /// Where the item was handed over.
        channel: ChannelId,
        /// The item.
        item: ItemId,
        /// Why.
        reason: String,
    },
    /// A request for admission waits for the Board.
    AdmissionRequest,
    /// Nobody vouches any more that the ledger is the newest one, or somebody does again.
    Heartbeat(Freshness),
    /// A recovery of the Board is under way, or waits to be confirmed. Once a day.
    Recovery(Recovery),
    /// This machine's clock and the server's are far apart.
    Clock(ClockTrouble),
    /// What is queued in a channel waits.
    Held {
        /// Where.
        channel: ChannelId,
        /// Why, and for what.
        reason: String,
    },
    /// Something was said of this member's devices, not by this one: show it. A device that its
    /// owner does not know must be revoked.
    Device(DeviceNews),
    /// Somebody asks to be linked as a further device of this member.
    LinkRequest(InvitationId),
    /// A second machine tried to use a linking code that was used already: one of the two is not
    /// the owner's.
    LinkAgain(InvitationId),
    /// Something that must not happen: show it.
    Alarm {
        /// Where, if in a channel.
        channel: Option<ChannelId>,
        /// What it is about.
        kind: AlarmKind,
        /// What, in words.
        what: String,
    },
}
