//! What the server says: the domain side of `ServerFrame`.

use bytes::Bytes;

use crate::{
    ids::{
        ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, InvitationId, LedgerHead,
        MemberId, NetworkId, PublicKey, RequestId, Seq, Signature, UnixMillis,
    },
    request::SealedName,
};

/// A frame from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame {
    /// The first one.
    Hello(Hello),
    /// Authenticated.
    Ok(Ok),
    /// Not authenticated; the connection ends.
    Refused(Failure),
    /// The answer to a request.
    Reply(RequestId, Result<Reply, Failure>),
    /// Unasked.
    Push(Push),
    /// A piece of a frame too large for one message.
    Part(Part),
}

/// HELLO: see design.md section 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The network served.
    pub network: NetworkId,
    /// The server's identity key.
    pub server_key: PublicKey,
    /// Fresh randomness of the server.
    pub nonce: Digest,
    /// In force here.
    pub limits: Limits,
    /// Where the ledger is.
    pub ledger: LedgerHead,
    /// The server's clock.
    pub time: UnixMillis,
}

/// Limits an operator may tune, as advertised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message on a chat connection.
    pub chat_message: u32,
    /// Bytes of a message on a bulk connection.
    pub bulk_message: u32,
    /// Records a read reply may hold.
    pub read_records: u32,
    /// Sustained appends of a device a minute.
    pub messages_per_minute: u32,
    /// Appends a device may make at once after silence.
    pub message_burst: u32,
}

/// OK: the server has proved its key too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ok {
    /// By the server's identity key, over the transcript.
    pub signature: Signature,
    /// Key packages of this device that are left.
    pub key_packages: u32,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What kind.
    pub code: Code,
    /// For people: culprit and remedy.
    pub message: String,
    /// Try again after so many milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A refusal without a time to wait.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

/// Kinds of refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The frame makes no sense.
    Malformed,
    /// Over a limit of size.
    TooLarge,
    /// Unknown, wrong or revoked: always this one.
    Unauthenticated,
    /// Known, but may not.
    NotAllowed,
    /// There is no such thing.
    NotFound,
    /// The message was made in another epoch: catch up, seal again.
    StaleEpoch,
    /// Another commit came first: process it, try again.
    Conflict,
    /// The channel waits for the removal of leaves that the ledger revoked.
    Fenced,
    /// The content was checked and refused: a statement, a commit, a root.
    Invalid,
    /// Too many: see `retry_after_ms`.
    RateLimited,
    /// Over the member's or the server's quota.
    Quota,
    /// The server cannot now.
    Unavailable,
    /// The records asked for are no longer kept.
    Trimmed,
    /// There is one already.
    Exists,
}

/// A piece of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: u32,
    /// No more follow.
    pub last: bool,
    /// The piece.
    pub bytes: Bytes,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// To `LedgerRead`.
    LedgerPage {
        /// Signed statements in order.
        statements: Vec<Bytes>,
        /// Of the whole ledger.
        head: LedgerHead,
    },
    /// To `LedgerSubmit`.
    LedgerHead(LedgerHead),
    /// To `RequestState`: waits, or closed with this answer.
    RequestState {
        /// The Board has not answered.
        waiting: bool,
        /// The answer, sealed; empty while waiting.
        answer: Bytes,
    },
    /// To `ListRequests` and `ListLinks`.
    RequestList(Vec<PendingRequest>),
    /// To `GetSealed`, in the order asked; `None`: absent.
    SealedList(Vec<(SealedName, Option<Bytes>)>),
    /// To `PutKeyPackages`: how many are there now.
    Count(u32),
    /// To `ClaimKeyPackages`, in the order asked; `None`: none left.
    KeyPackageList(Vec<(DeviceId, Option<Bytes>)>),
    /// To `Append`.
    Appended {
        /// The record's position, signed.
        head: SignedHead,
        /// It was there before.
        repeated: bool,
    },
    /// To `Read`.
    Records {
        /// In order, dense, the first right after the one asked for.
        records: Vec<Record>,
        /// The channel's head now, signed.
        head: SignedHead,
    },
    /// To `GroupState`.
    GroupState {
        /// The group's epoch.
        epoch: Epoch,
        /// The channel's head at that epoch, signed.
        head: SignedHead,
        /// For the joiner.
        group_info: Bytes,
        /// For the joiner.
        tree: Bytes,
    },
    /// To `Watch`.
    Heads(Vec<(ChannelId, ChannelHead)>),
    /// To `Welcomes`.
    WelcomeList(Vec<WaitingWelcome>),
    /// To `ItemToken`.
    Token(Bytes),
    /// To `ItemReserve`, `ItemStatus`. (`ItemPut` is answered with `Done`: a bitmap each would add up.)
    ItemState {
        /// Sealed bytes in all.
        size: u64,
        /// Sealed bytes of every chunk but the last.
        chunk: u32,
        /// Which chunks are durable; chunk 0 is the lowest bit of the first byte.
        durable: Bytes,
        /// It may be fetched.
        committed: bool,
    },
    /// To `ItemGet`.
    ItemRange {
        /// First byte.
        offset: u64,
        /// The bytes.
        bytes: Bytes,
    },
    /// To `HeadAt`.
    Head(SignedHead),
    /// To `ItemLease`.
    ItemLease(ItemLease),
    /// To `ItemUsage`.
    ItemUsage {
        /// Sealed bytes of the member's items.
        used: u64,
        /// How many they may be; 0: no limit but the disk.
        quota: u64,
        /// Sealed bytes of the largest item.
        largest: u64,
    },
    /// To `Countersign`.
    Countersigned {
        /// Of the sealed chunks that the server holds.
        root: Digest,
        /// By the server's clock.
        time: UnixMillis,
        /// By its identity key, in the order asked.
        signatures: Vec<Signature>,
    },
    /// To `GetHeartbeat`: the newest one, as signed; `None`: there is none.
    Heartbeat(Option<Bytes>),
}

/// How long an item is kept, and who has collected it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemLease {
    /// It is removed then, unless held.
    pub keep_until: UnixMillis,
    /// Nothing removes it, by the word of its sender or the operator.
    pub held: bool,
    /// Members who have fetched and verified it.
    pub collected: Vec<MemberId>,
    /// It is removed when this many named members have; 0: no matter who.
    pub wanted: u32,
    /// It is removed when so many members have; 0: no matter how many.
    pub collectors: u32,
}

/// A request for admission that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingRequest {
    /// The invitation it came by.
    pub invitation: InvitationId,
    /// The device that invited.
    pub inviter: DeviceId,
    /// When it came.
    pub time: UnixMillis,
    /// Sealed: the server cannot read who asks.
    pub sealed: Bytes,
    /// The invitation's secret, sealed to the calling device, if it was shared with it.
    pub share: Option<Bytes>,
    /// What contact points said to it, sealed.
    pub countersignatures: Vec<Bytes>,
}

/// One entry of a channel's log. Its chain hash is computed by the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Dense position.
    pub seq: Seq,
    /// Who appended it.
    pub device: DeviceId,
    /// The sender's own mark.
    pub client_id: ClientId,
    /// When the server took it.
    pub time: UnixMillis,
    /// The MLS message.
    pub bytes: Bytes,
}

/// A channel's head under the server's signature: one signature a batch, with the path to this one.
/// Checked by `plenary_certs::signed_head`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// The channel.
    pub channel: ChannelId,
    /// Position and chain hash.
    pub head: ChannelHead,
    /// When, by the server's clock.
    pub time: UnixMillis,
    /// By the server's identity key, over the root of the batch's tree.
    pub signature: Signature,
    /// Which leaf this is.
    pub index: u32,
    /// Siblings from the leaf up; empty in a batch of one.
    pub path: Vec<Digest>,
}

/// A welcome that waits, with what else its reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingWelcome {
    /// The channel it opens.
    pub channel: ChannelId,
    /// The commit it came with and the chain head there: where the reader's own log starts.
    pub head: ChannelHead,
    /// The MLS Welcome.
    pub bytes: Bytes,
    /// The ratchet tree right after that commit.
    pub tree: Bytes,
}

/// Unasked news. All are hints: what they announce can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Push {
    /// A watched channel has a new record.
    Moved {
        /// The channel.
        channel: ChannelId,
        /// The record.
        record: Record,
    },
    /// The ledger grew.
    Ledger(LedgerHead),
    /// A welcome to this channel waits.
    Welcome(ChannelId),
    /// So few key packages are left.
    KeyPackages(u32),
    /// A request for admission waits for the Board.
    AdmissionRequest,
    /// There is a roster key of this generation.
    Roster(u32),
    /// This device has no copy of the newest roster key: to the Board, whose devices may make one.
    RosterWanted(DeviceId),
    /// A newer heartbeat than the one before, as signed.
    Heartbeat(Bytes),
    /// Somebody asks to be linked by this link of the member's.
    LinkRequest(InvitationId),
    /// Somebody tried to use a link a second time.
    LinkAgain(InvitationId),
    /// The server closes this connection.
    Bye {
        /// For people.
        reason: String,
        /// Come back after so many milliseconds.
        retry_after_ms: u64,
    },
}
