//! The Store seam: the few operations the core needs of an engine, and what is atomic in each.
//!
//! `Ok` means it survives power loss. No operation is atomic over two objects: what must go
//! together is one call on one object. Every engine passes the one suite in
//! `store_suite`. design.md section 7 gives the table this trait writes out.

use std::sync::Arc;

use bytes::Bytes;
use plenary_proto::ids::{ChannelHead, ChannelId, ClientId, DeviceId, Epoch, Seq, UnixMillis};

/// One entry of a channel's log, as stored and as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Dense position, from 1.
    pub seq: Seq,
    /// Who appended it.
    pub device: DeviceId,
    /// The sender's own mark, by which a repeat is recognised.
    pub client_id: ClientId,
    /// When the server took it.
    pub time: UnixMillis,
    /// The MLS message, opaque to the store.
    pub bytes: Bytes,
    /// Chain hash up to and including this record: see [`chain`].
    pub hash: plenary_proto::ids::Digest,
}

/// What an accepted commit, or a founding anew, changes beside the log; stored atomically with the
/// record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The epoch the commit was made in. The append is refused unless the channel is still there.
    pub from: Epoch,
    /// The epoch after it: the next one, or the first of a group founded anew.
    pub to: Epoch,
    /// The group after it.
    pub state: GroupState,
    /// Welcomes released with the commit, one a device. A newer one replaces an older unread one.
    pub welcomes: Vec<(DeviceId, Bytes)>,
}

/// The group as the server follows it; opaque to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// The observer's own snapshot.
    pub snapshot: Bytes,
    /// GroupInfo for joiners.
    pub group_info: Bytes,
    /// Ratchet tree for joiners.
    pub tree: Bytes,
}

/// One append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The log.
    pub channel: ChannelId,
    /// Who appends.
    pub device: DeviceId,
    /// The sender's own mark: one record a (channel, device, client id).
    pub client_id: ClientId,
    /// Now, by the server's clock.
    pub time: UnixMillis,
    /// The epoch an application message was sealed in: refused unless the channel is there.
    /// `None` only together with `transition`, whose `from` says it.
    pub epoch: Option<Epoch>,
    /// The MLS message.
    pub bytes: Bytes,
    /// For a commit: what it changes.
    pub transition: Option<Transition>,
}

impl Append {
    /// Whether the append may follow in a channel at epoch `current`: every epoch that it names
    /// must be that one, and it must name one. Errors: [`StoreError::WrongEpoch`].
    pub fn check_epoch(&self, current: Epoch) -> Result<(), StoreError> {
        let from = self.transition.as_ref().map(|transition| transition.from);
        let mut named = self.epoch.iter().chain(&from).peekable();
        if named.peek().is_some() && named.all(|epoch| *epoch == current) {
            Ok(())
        } else {
            Err(StoreError::WrongEpoch { current })
        }
    }
}

/// The answer to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the record lies, and the chain head at it.
    pub head: ChannelHead,
    /// It lay there before: the sender repeated itself.
    pub repeated: bool,
}

/// A channel's durable state beside its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelState {
    /// Last record and chain head.
    pub head: ChannelHead,
    /// Records up to and including this one are trimmed away; zero at first.
    pub trimmed: Seq,
    /// The group's epoch.
    pub epoch: Epoch,
    /// The group.
    pub group: GroupState,
}

/// A welcome that waits for its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingWelcome {
    /// The channel it opens.
    pub channel: ChannelId,
    /// The commit it came with, and the chain head there.
    pub head: ChannelHead,
    /// The MLS Welcome.
    pub bytes: Bytes,
    /// The ratchet tree right after that commit ([`GroupState::tree`] of its transition): by the
    /// time the device reads, the channel may be epochs further. Stored once a commit, not once a welcome.
    pub tree: Bytes,
}

/// A value with its version: 1 when first put, one more at each change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// Counts the changes.
    pub version: u64,
    /// The value.
    pub value: Bytes,
}

/// Why the store did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The channel has no log yet, or none any more.
    #[error("no such channel in the store")]
    NoChannel,
    /// The channel has one already.
    #[error("the channel exists")]
    ChannelExists,
    /// Another commit came first, or the message was sealed in another epoch.
    #[error("the channel is in epoch {current:?}")]
    WrongEpoch {
        /// Where the channel is.
        current: Epoch,
    },
    /// The value changed meanwhile.
    #[error("the key is at version {current}")]
    WrongVersion {
        /// Zero if the key is absent.
        current: u64,
    },
    /// The records asked for are trimmed away.
    #[error("records up to {trimmed:?} are no longer kept")]
    Trimmed {
        /// The last one trimmed.
        trimmed: Seq,
    },
    /// What lies on disk is not what was written: named for the operator, with the remedy.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Disk full, I/O error, writer gone. Nothing was acknowledged.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// A lossy hint that a channel's head moved: who listens fills in by [`Store::read`].
#[derive(Debug, Clone)]
pub struct Moved {
    /// The channel.
    pub channel: ChannelId,
    /// The record, durable by now, shared and not copied.
    pub record: Arc<Record>,
}

/// Who is told what became durable together.
pub type Hint = Box<dyn Fn(&[Moved]) + Send + Sync>;

/// The store. Implemented by the embedded engine and by the memory one.
#[async_trait::async_trait]
pub trait Store: Send + Sync + 'static {
    /// Opens a channel's log with the group at its first epoch (`epoch`).
    ///
    /// Atomic: all or nothing. Errors: [`StoreError::ChannelExists`].
    async fn found(
        &self,
        channel: ChannelId,
        epoch: Epoch,
        group: GroupState,
    ) -> Result<(), StoreError>;

    /// Appends one record. Looks up (device, client id) first: a repeat gets the stored position
    /// and hash back, whatever else it carries.
    ///
    /// Atomic in the channel: record, head, epoch, group, welcomes, dedupe mark.
    /// Errors: [`StoreError::WrongEpoch`], [`StoreError::NoChannel`].
    async fn append(&self, append: Append) -> Result<Appended, StoreError>;

    /// Up to `limit` records after `after`, at most `max_bytes` of them (but at least one), and the
    /// channel's head at that moment. A contiguous durable prefix, each record verified.
    ///
    /// Errors: [`StoreError::Trimmed`], [`StoreError::NoChannel`], [`StoreError::Damaged`].
    async fn read(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, ChannelHead), StoreError>;

    /// Whether (device, client id) is in the log, and where.
    async fn find(
        &self,
        channel: ChannelId,
        device: DeviceId,
        client_id: ClientId,
    ) -> Result<Option<ChannelHead>, StoreError>;

    /// The channel's state, or `None` where there is no log.
    async fn channel(&self, channel: ChannelId) -> Result<Option<ChannelState>, StoreError>;

    /// Every channel with a log.
    async fn channels(&self) -> Result<Vec<ChannelId>, StoreError>;

    /// Drops records up to and including `through`. Idempotent, monotone. Dedupe marks go with them.
    async fn trim(&self, channel: ChannelId, through: Seq) -> Result<(), StoreError>;

    /// Welcomes that wait for a device, in no particular order.
    async fn welcomes(&self, device: DeviceId) -> Result<Vec<WaitingWelcome>, StoreError>;

    /// Forgets the welcome that came with record `seq`, unless a newer one took its place.
    async fn drop_welcome(
        &self,
        device: DeviceId,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<(), StoreError>;

    /// One value.
    async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError>;

    /// Up to `limit` keys that start with `prefix` and come after `after` (if given), in byte order, with values.
    async fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Vec<(Bytes, Versioned)>, StoreError>;

    /// Sets (`Some`) or removes (`None`) a value if its version is still `version` (0: absent).
    /// Returns the new version (0 after removal). Errors: [`StoreError::WrongVersion`].
    async fn put_if(
        &self,
        key: Bytes,
        version: u64,
        value: Option<Bytes>,
    ) -> Result<u64, StoreError>;

    /// Adds to the end of a queue.
    async fn push(&self, queue: Bytes, value: Bytes) -> Result<(), StoreError>;

    /// Takes the oldest of a queue; its removal is durable before the return.
    async fn pop_one(&self, queue: Bytes) -> Result<Option<Bytes>, StoreError>;

    /// How many wait in a queue.
    async fn queue_len(&self, queue: &[u8]) -> Result<u64, StoreError>;

    /// Calls `hint` with the records that became durable together, each channel's one after the other
    /// and in its order, from the writer: it must not block.
    fn watch(&self, hint: Hint);
}

/// Chain hash of a record: SHA-256 over a domain tag, the previous hash and every field of the record.
///
/// Shapes: `previous` and the result 32 bytes; integers big-endian; the record's bytes last, so no
/// length is ambiguous.
pub use plenary_certs::chain::chain;
