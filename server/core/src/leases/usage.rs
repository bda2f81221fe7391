//! How much room leases take: counted from the store at the start, kept in step by every change.

use std::collections::HashMap;

use plenary_proto::ids::MemberId;

use super::{Lease, State};

/// What an operator sees: numbers, never whose or what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Items that may be fetched.
    pub kept: u64,
    /// Items that are coming.
    pub coming: u64,
    /// Of both, those that nothing may remove.
    pub held: u64,
    /// Sealed bytes of both.
    pub bytes: u64,
    /// Members who have any.
    pub members: u64,
    /// Sealed bytes of the member who has most.
    pub most: u64,
}

/// Room taken, in all and by member.
#[derive(Debug, Default)]
pub(crate) struct Table {
    kept: u64,
    coming: u64,
    held: u64,
    bytes: u64,
    members: HashMap<MemberId, u64>,
}

impl Table {
    /// A lease changed from one state to another; absent before or after where it was or is not.
    pub(super) fn step(&mut self, before: Option<&Lease>, after: Option<&Lease>) {
        // What is new first: no count goes below zero on the way.
        if let Some(after) = after.filter(|lease| lease.takes_room()) {
            self.count(after, u64::wrapping_add);
        }
        if let Some(before) = before.filter(|lease| lease.takes_room()) {
            self.count(before, u64::wrapping_sub);
            self.members.retain(|_, bytes| *bytes > 0);
        }
    }

    fn count(&mut self, lease: &Lease, step: fn(u64, u64) -> u64) {
        match lease.state {
            State::Reserved => self.coming = step(self.coming, 1),
            State::Kept => self.kept = step(self.kept, 1),
            State::Ended { .. } => {}
        }
        if lease.is_held() {
            self.held = step(self.held, 1);
        }
        self.bytes = step(self.bytes, lease.size);
        let member = self.members.entry(lease.member).or_default();
        *member = step(*member, lease.size);
    }

    /// Sealed bytes of a member's items.
    pub(crate) fn of(&self, member: MemberId) -> u64 {
        self.members.get(&member).copied().unwrap_or(0)
    }

    /// Sealed bytes in all.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn by_member(&self) -> Vec<(MemberId, u64)> {
        let mut members: Vec<_> = self
            .members
            .iter()
            .map(|(id, bytes)| (*id, *bytes))
            .collect();
        members.sort_by_key(|(id, bytes)| (std::cmp::Reverse(*bytes), *id));
        members
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            kept: self.kept,
            coming: self.coming,
            held: self.held,
            bytes: self.bytes,
            members: self.members.len() as u64,
            most: self.members.values().copied().max().unwrap_or(0),
        }
    }
}
