//! What a client asks: the domain side of `ClientFrame`.

use bytes::Bytes;

use crate::{
    ids::{
        ChannelId, ClientId, DeviceId, Digest, Epoch, InvitationId, ItemId, LedgerSeq, MemberId,
        RequestId, Seq, Signature, UnixMillis,
    },
    reply::Part,
};

/// A frame from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// A device identifies itself; the answer is OK or a refusal.
    Auth(Auth),
    /// Somebody not yet admitted comes with an invitation.
    Knock(Knock),
    /// An operation, after OK.
    Request(RequestId, Request),
    /// A piece of a frame too large for one message.
    Part(Part),
}

/// AUTH: see design.md section 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// The device that connects.
    pub device: DeviceId,
    /// What the connection is for.
    pub purpose: Purpose,
    /// Fresh randomness of the client.
    pub nonce: Digest,
    /// By the device's authentication key, over the transcript.
    pub signature: Signature,
}

/// KNOCK: see design.md section 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// The invitation held.
    pub invitation: InvitationId,
    /// Fresh randomness of the guest.
    pub nonce: Digest,
    /// By a key derived from the invitation's secret, over the transcript.
    pub mac: Digest,
}

/// What a connection is for. Bulk carries items, so that chat never waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Discussion, ledger, everything but items' bytes.
    Chat,
    /// Items' bytes only.
    Bulk,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Statements after a position.
    LedgerRead {
        /// The last one known.
        after: LedgerSeq,
        /// At most so many.
        limit: u32,
    },
    /// Appends signed statements, in order, up to the first refused one. A repeat is no error.
    LedgerSubmit(Vec<Bytes>),
    /// A guest's sealed request for admission. Once an invitation.
    PutRequest(Bytes),
    /// What became of the guest's request.
    RequestState,
    /// Lets somebody knock.
    PutInvitation {
        /// Its name.
        invitation: InvitationId,
        /// What a knock is checked by; derived from the secret, which never comes here.
        verifier: Digest,
        /// After this it opens nothing.
        expires: UnixMillis,
    },
    /// Requests for admission that wait for the Board.
    ListRequests,
    /// Closes a request; the answer is handed to the guest.
    AnswerRequest {
        /// The invitation it came by.
        invitation: InvitationId,
        /// For the guest; sealed.
        answer: Bytes,
    },
    /// Hands an invitation's secret, sealed to each, to devices that may read the request that
    /// comes by it: those of the Board and of the contact point. By the inviting device, or one it
    /// was shared with.
    ShareInvitation {
        /// Which.
        invitation: InvitationId,
        /// To whom, and what is sealed to it.
        shares: Vec<(DeviceId, Bytes)>,
    },
    /// A contact point's word on the request that came by an invitation. By a member's device that
    /// made the invitation or was given it.
    VouchRequest {
        /// By which invitation it came.
        invitation: InvitationId,
        /// Sealed for the Board.
        sealed: Bytes,
    },
    /// Lets a further device of the caller's member knock, for a quarter of an hour. Fields as in
    /// [`Request::PutInvitation`].
    PutLink {
        /// Its name.
        link: InvitationId,
        /// What a knock is checked by.
        verifier: Digest,
        /// After this it opens nothing.
        expires: UnixMillis,
    },
    /// Requests to be linked that came by the calling device's links and wait for it.
    ListLinks,
    /// Closes a request to be linked. By the device whose link it came by.
    AnswerLink {
        /// The link it came by.
        link: InvitationId,
        /// For the new device; sealed.
        answer: Bytes,
    },
    /// Stores sealed profiles and roster keys. By the Board's members only.
    PutSealed(Vec<(SealedName, Bytes)>),
    /// Reads sealed profiles, and roster keys sealed to the caller.
    GetSealed(Vec<SealedName>),
    /// Adds key packages of the calling device.
    PutKeyPackages {
        /// Each used once.
        packages: Vec<Bytes>,
        /// Handed out when none is left; replaces the one before.
        last_resort: Option<Bytes>,
    },
    /// One key package of each device, to add them to a channel.
    ClaimKeyPackages {
        /// The channel they are to be added to: the caller must be in it.
        channel: ChannelId,
        /// The devices.
        devices: Vec<DeviceId>,
    },
    /// Opens a channel's log with its group at epoch 0.
    FoundChannel {
        /// The channel.
        channel: ChannelId,
        /// MLS GroupInfo with `external_pub`, without tree.
        group_info: Bytes,
        /// The ratchet tree.
        tree: Bytes,
    },
    /// The next generation of the roster key, sealed to every live device, and the profiles under
    /// it. By the Board's members only; the first one wins.
    RotateRoster {
        /// The last one plus one.
        generation: u32,
        /// Roster keys of this generation, and profiles.
        entries: Vec<(SealedName, Bytes)>,
    },
    /// The server's signature on a channel's head as it was at a record.
    HeadAt {
        /// The channel.
        channel: ChannelId,
        /// The record.
        seq: Seq,
    },
    /// Ends a group in which nobody live is left, and begins the channel's next one, in the same
    /// log. Answered as an append.
    FoundAnew {
        /// The channel.
        channel: ChannelId,
        /// The sender's own mark: a repeat is recognised by it.
        client_id: ClientId,
        /// The epoch that the old group ends in.
        epoch: Epoch,
        /// The record for the log that says so, signed.
        record: Bytes,
        /// MLS GroupInfo of the new group with `external_pub`, without tree.
        group_info: Bytes,
        /// Its ratchet tree.
        tree: Bytes,
    },
    /// Appends an MLS message to a channel's log.
    Append(Append),
    /// Records after a position. A device that was taken out of the channel has them up to that record.
    Read {
        /// The channel.
        channel: ChannelId,
        /// The last one known.
        after: Seq,
        /// At most so many.
        limit: u32,
    },
    /// What an external joiner needs.
    GroupState(ChannelId),
    /// Pushes what moves in these channels from now on; answers with their heads. Adds to what is watched.
    Watch(Vec<ChannelId>),
    /// Welcomes that wait for the calling device.
    Welcomes,
    /// A welcome is used or useless.
    DropWelcome {
        /// The channel.
        channel: ChannelId,
        /// The commit it came with.
        seq: Seq,
    },
    /// A right to one item, for this device and a short time.
    ItemToken {
        /// The item.
        item: ItemId,
        /// The channel it is handed over in: the caller must be in it.
        channel: ChannelId,
        /// What for.
        right: Right,
    },
    /// Bulk: makes room for an item.
    ItemReserve {
        /// A token with [`Right::Put`].
        token: Bytes,
        /// Sealed bytes in all.
        size: u64,
        /// Sealed bytes of every chunk but the last.
        chunk: u32,
        /// How long it is kept. Those of the first reservation count.
        terms: ItemTerms,
    },
    /// Bulk: one sealed chunk; answered when durable.
    ItemPut {
        /// A reserved item.
        item: ItemId,
        /// From 0.
        index: u32,
        /// The chunk.
        bytes: Bytes,
    },
    /// Bulk: all chunks are there; makes the item available.
    ItemCommit {
        /// The item.
        item: ItemId,
        /// Root over the sealed chunks: the server checks it.
        root: Digest,
    },
    /// Bulk: bytes of a committed item.
    ItemGet {
        /// A token with [`Right::Get`].
        token: Bytes,
        /// First byte.
        offset: u64,
        /// How many, at most a chunk.
        length: u32,
    },
    /// Bulk: what of an item is durable.
    ItemStatus {
        /// A token for the item.
        token: Bytes,
    },
    /// The server's word on when it saw statements of custody, and on the root it holds.
    Countersign {
        /// A committed item.
        item: ItemId,
        /// Where it was handed over: the caller must be in it.
        channel: ChannelId,
        /// Ids of the statements (`plenary_certs::custody`), at most `limits::COUNTERSIGN`.
        statements: Vec<Digest>,
    },
    /// Takes an item back: by a device of the member who put it up. Repeating it is no error.
    ItemWithdraw {
        /// The item.
        item: ItemId,
        /// Where it was handed over: the caller must be in it.
        channel: ChannelId,
    },
    /// A heartbeat, as its machine signed it: kept if newer than the one before.
    PutHeartbeat(Bytes),
    /// The newest heartbeat.
    GetHeartbeat,
    /// Changes how long an item is kept: by a device of the member who put it up.
    ItemKeep {
        /// The item.
        item: ItemId,
        /// Where it was handed over: the caller must be in it.
        channel: ChannelId,
        /// A new end, within what the network allows; `None`: the one it has.
        keep_until: Option<UnixMillis>,
        /// Whether nothing may remove it; `None`: as it is.
        hold: Option<bool>,
    },
    /// Lets those in another channel fetch an item, too: by whoever may fetch it.
    ItemShare {
        /// The item.
        item: ItemId,
        /// Where it was handed over: the caller must be in it.
        channel: ChannelId,
        /// Where else: the caller must be in it.
        to: ChannelId,
    },
    /// The calling member has fetched and verified the item.
    ItemCollected {
        /// The item.
        item: ItemId,
        /// Where it was handed over: the caller must be in it.
        channel: ChannelId,
    },
    /// How long an item is kept, and who has collected it.
    ItemLease {
        /// The item.
        item: ItemId,
        /// Where it was handed over: the caller must be in it.
        channel: ChannelId,
    },
    /// How much room the calling member's items take, and how much they may.
    ItemUsage,
}

/// How long the server keeps an item, by its sender's choice and within the network's limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemTerms {
    /// Until then; `None`: as long as the network keeps items.
    pub keep_until: Option<UnixMillis>,
    /// Until so many other members have collected it; 0: whoever collects it.
    pub collectors: u32,
    /// Until all these members have collected it; none: no matter who. At most
    /// `limits::COLLECTORS`.
    pub wanted: Vec<MemberId>,
}

/// What an append carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The log.
    pub channel: ChannelId,
    /// The sender's own mark: a repeat is recognised by it.
    pub client_id: ClientId,
    /// The epoch the message was made in.
    pub epoch: Epoch,
    /// The MLS message.
    pub bytes: Bytes,
    /// With a commit: the rest of what it brings.
    pub commit: Option<CommitExtras>,
}

/// What comes with a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitExtras {
    /// GroupInfo of the new epoch, with `external_pub`, without tree.
    pub group_info: Bytes,
    /// Welcomes, one a device added.
    pub welcomes: Vec<(DeviceId, Bytes)>,
}

/// Names a sealed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SealedName {
    /// A profile, by the hash that ADMIT or CHANNEL carries; sealed under the roster key.
    Profile(Digest),
    /// A generation of the roster key, sealed to one device.
    RosterKey {
        /// Counts from 1. To be read: 0 for the newest there is.
        generation: u32,
        /// Who can open it.
        device: DeviceId,
    },
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Right {
    /// To put up the item, of so many sealed bytes.
    Put {
        /// Sealed bytes in all.
        size: u64,
    },
    /// To fetch it.
    Get,
}
