//! Leases: which item is kept, for whom, how long, and why it goes.
//!
//! ```text
//! reserve -> Reserved --commit--> Kept --expired, collected, withdrawn--> Ended --90 days--> forgotten
//!                \-- not completed in 14 days, withdrawn ----------------^
//! ```
//!
//! A lease is one value in the store, changed by `put_if` only; [`Items`](crate::items::Items) has the
//! bytes. The order is such that every crash leaves what the next `sweep` completes:
//!
//! - a lease is there before any byte of its item, so bytes without a lease are nobody's;
//! - a lease says that it ended before its bytes are removed, so none is owed that is not there.
//!
//! Sizes, times and identifiers are all that is known here: no name, no key, no content.

mod change;
mod form;
mod sweep;
mod usage;

use plenary_proto::ids::{ChannelId, DeviceId, ItemId, MemberId, UnixMillis};

pub use change::Asked;
pub use sweep::Swept;
pub(crate) use usage::Table;
pub use usage::Usage;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// An upload that was not completed in this time is removed.
pub const ABANDONED_MS: u64 = 14 * DAY_MS;

/// How long it is known why an item is gone.
pub const REMEMBERED_MS: u64 = 90 * DAY_MS;

/// Bytes without a lease are removed at this age: younger ones may be from a moment that a restored
/// backup of the store does not know.
pub const ORPHAN_MS: u64 = DAY_MS;

/// What the network owes an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub item: ItemId,
    /// Who put it up.
    pub device: DeviceId,
    /// Whose device that was: it counts against this member's quota.
    pub member: MemberId,
    /// Where it may be fetched, in the order in which it was handed over.
    pub channels: Vec<ChannelId>,
    /// Sealed bytes.
    pub size: u64,
    /// Sealed bytes of every chunk but the last.
    pub chunk: u32,
    /// When it was reserved.
    pub reserved: UnixMillis,
    /// Where it stands.
    pub state: State,
    /// It goes then, unless held.
    pub keep_until: UnixMillis,
    /// It goes when all these have collected it; empty: no matter who.
    pub wanted: Vec<MemberId>,
    /// It goes when so many have collected it; 0: no matter how many.
    pub collectors: u32,
    /// Who has collected it.
    pub collected: Vec<MemberId>,
    /// Its sender has it held.
    pub held_by_sender: bool,
    /// The operator has it held.
    pub held_by_operator: bool,
}

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Room is taken; bytes are coming.
    Reserved,
    /// It may be fetched.
    Kept,
    /// It is gone.
    Ended {
        /// Why.
        why: Ended,
        /// Since when.
        time: UnixMillis,
    },
}

/// Why an item is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was never completed.
    Abandoned,
    /// Its time was over.
    Expired,
    /// Everybody it was for has it.
    Collected,
    /// Its sender took it back.
    Withdrawn,
}

impl Ended {
    /// What whoever asks for it is told.
    pub fn why(self) -> &'static str {
        match self {
            Self::Abandoned => "the item was never completed and is gone: send it as a new one",
            Self::Expired => {
                "the item is no longer kept: its time is over; ask for it to be sent again"
            }
            Self::Collected => {
                "the item is no longer kept: all for whom it was have it; ask for it to be sent again"
            }
            Self::Withdrawn => "the item was withdrawn by its sender",
        }
    }
}

impl Lease {
    /// Whether nothing may remove it.
    pub fn is_held(&self) -> bool {
        self.held_by_sender || self.held_by_operator
    }

    /// Whether it takes room.
    pub fn takes_room(&self) -> bool {
        !matches!(self.state, State::Ended { .. })
    }

    /// Why it must go now, if it must.
    pub fn due(&self, now: UnixMillis) -> Option<Ended> {
        match self.state {
            State::Ended { .. } => None,
            State::Reserved => {
                let age = now.0.saturating_sub(self.reserved.0);
                (age > ABANDONED_MS).then_some(Ended::Abandoned)
            }
            State::Kept if self.is_held() => None,
            State::Kept if self.all_collected() => Some(Ended::Collected),
            State::Kept => (now >= self.keep_until).then_some(Ended::Expired),
        }
    }

    fn all_collected(&self) -> bool {
        let has = |member| self.collected.contains(member);
        let named = !self.wanted.is_empty() && self.wanted.iter().all(has);
        let cap = self.collectors > 0 && self.collected.len() >= self.collectors as usize;
        named || cap
    }

    /// Notes that a member has it. The one who put it up does not count, nor does a repeat.
    pub fn collect(&mut self, member: MemberId) {
        let counts = member != self.member
            && !self.collected.contains(&member)
            && (self.wanted.is_empty() || self.wanted.contains(&member));
        if counts {
            self.collected.push(member);
        }
    }
}

#[cfg(test)]
mod tests;
