//! The Hub seam: the way to the connections that are open now. All of it is hints and cuts; what
//! must last is in the store.
//!
//! No call may block or wait: a full queue is its reader's loss (it is dropped and catches up).

use bytes::Bytes;
use plenary_proto::{
    codec::encode_server,
    ids::{ChannelId, DeviceId, MemberId},
    limits,
    reply::{Push, Record as WireRecord, ServerFrame},
    request::Purpose,
};

use crate::store::{Moved, Record};

/// Names a connection within this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Who gets a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To<'a> {
    /// Every chat connection of a device.
    Everyone,
    /// The chat connections of one device.
    Device(DeviceId),
    /// The chat connections of these members' devices.
    Members(&'a [MemberId]),
}

/// The open connections of devices. Guests are not among them.
pub trait Hub: Send + Sync + 'static {
    /// A connection is a device's from now on, until it closes. Comes before the last check that the
    /// device is live, so that a revocation at the same moment cannot miss it.
    fn enter(&self, connection: ConnectionId, device: DeviceId, member: MemberId, purpose: Purpose);

    /// Adds to the channels whose moves are pushed to a connection.
    fn watch(&self, connection: ConnectionId, channels: &[ChannelId]);

    /// These devices left the channel: nothing more of it is pushed to them.
    fn unwatch(&self, channel: ChannelId, devices: &[DeviceId]);

    /// Which devices are connected, each at least once.
    fn devices(&self) -> Vec<DeviceId>;

    /// Queues one encoded frame.
    fn push(&self, to: To<'_>, frame: Bytes);

    /// Ends all connections of these devices at once.
    fn cut(&self, devices: &[DeviceId]);

    /// Records are durable: the [`moved_frame`] of each goes to whoever watches its channel. Called
    /// from the store's writer, each channel's together and in its order.
    fn moved(&self, moved: &[Moved]);
}

/// The push for a moved channel, encoded once for all its readers. A record too large to be pushed
/// goes without its bytes (no MLS message is empty): the reader fetches it.
pub fn moved_frame(moved: &Moved) -> Bytes {
    let mut record = wire_record(&moved.record);
    if record.bytes.len() > limits::PADDED_CONTENT + 4 * 1024 {
        record.bytes = Bytes::new();
    }
    push_frame(Push::Moved {
        channel: moved.channel,
        record,
    })
}

/// An encoded push.
pub fn push_frame(push: Push) -> Bytes {
    encode_server(ServerFrame::Push(push))
}

/// A record as it travels.
pub(crate) fn wire_record(record: &Record) -> WireRecord {
    WireRecord {
        seq: record.seq,
        device: record.device,
        client_id: record.client_id,
        time: record.time,
        bytes: record.bytes.clone(),
    }
}
