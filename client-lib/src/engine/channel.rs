//! What the engine holds of a channel.

use std::collections::BTreeSet;

use plenary_proto::{
    ids::{DeviceId, LedgerSeq, Seq},
    reply::Record,
};

use super::{
    handing,
    heads::Heads,
    healing, horizon,
    mls::{self, Group},
    tracing,
    wait::Wait,
    welcoming,
};
use crate::store::{
    channels::{ChannelRow, Standing as In},
    returns::Gap,
};

/// A channel of this device, in memory.
pub(super) struct Channel {
    pub(super) row: ChannelRow,
    pub(super) group: Option<Group>,
    /// Who is in the group while it is put away, and when it may be.
    pub(super) resting: Option<mls::Members>,
    pub(super) rest_at: Wait,
    /// The newest record the server was heard to have.
    pub(super) server: Seq,
    /// On this connection it was heard: before, what is sealed may be for an epoch long over.
    pub(super) heard: bool,
    /// A read, an append or an entry is under way.
    pub(super) reading: bool,
    pub(super) appending: bool,
    /// Not before this.
    pub(super) not_before: Wait,
    /// The server's word on statements of custody is not asked for before this.
    pub(super) countersign_at: Wait,
    /// When to remove whom the ledger has out, if nobody else did.
    pub(super) fence_at: Option<Wait>,
    /// When to add whoever is missing, if nobody else did.
    pub(super) add_at: Option<Wait>,
    /// Pushed records that wait to be processed together.
    pub(super) pushed: Vec<Record>,
    /// When to look for silent devices; `None` before the first look.
    pub(super) idle_at: Option<Wait>,
    /// Whether somebody belongs in who is not, is to be looked at again.
    pub(super) look_for_missing: bool,
    /// Of those missing, who had no key package when asked: the others come first.
    pub(super) without_package: BTreeSet<DeviceId>,
    /// Cannot go on, and why.
    pub(super) stuck: Option<String>,
    /// Stays so until a person enters the channel.
    pub(super) gave_up: bool,
    /// What was given to enter with held somebody whom the ledger as read here does not know; once
    /// may be a matter of who is faster.
    pub(super) stranger: bool,
    /// What comes next in the log does not hold.
    pub(super) doubt: Option<healing::Doubt>,
    /// Before a return: a look at the log that is not at its end.
    pub(super) trace: Option<tracing::Trace>,
    /// A welcome to a channel that this device is in.
    pub(super) welcome: welcoming::Welcome,
    /// Reading waits for a longer ledger: up to here.
    pub(super) needs_ledger: Option<LedgerSeq>,
    /// Why what is queued waits.
    pub(super) held: Option<horizon::Held>,
    /// What the server signed.
    pub(super) heads: Heads,
    /// What was missed.
    pub(super) gaps: Vec<Gap>,
    /// Whom this device may have to answer.
    pub(super) turns: Vec<handing::Turn>,
    /// Whose messages did not open lately.
    pub(super) failing: BTreeSet<DeviceId>,
    /// When to write the group whole, unless messages go on.
    pub(super) settle_at: Option<Wait>,
}

impl Channel {
    pub(super) fn new(row: ChannelRow) -> Self {
        Self {
            row,
            group: None,
            resting: None,
            rest_at: Wait::OVER,
            server: Seq(0),
            heard: false,
            reading: false,
            appending: false,
            not_before: Wait::OVER,
            countersign_at: Wait::OVER,
            fence_at: None,
            add_at: None,
            idle_at: None,
            pushed: Vec::new(),
            look_for_missing: true,
            without_package: BTreeSet::new(),
            stuck: None,
            gave_up: false,
            stranger: false,
            doubt: None,
            trace: None,
            welcome: welcoming::Welcome::None,
            needs_ledger: None,
            held: None,
            heads: Heads::default(),
            gaps: Vec::new(),
            turns: Vec::new(),
            failing: BTreeSet::new(),
            settle_at: None,
        }
    }

    /// In, and everything the server is known to have is processed.
    pub(super) fn caught_up(&self) -> bool {
        self.row.standing == In::In
            && self.heard
            && !self.reading
            && self.stuck.is_none()
            && self.row.head.seq >= self.server
    }
}
