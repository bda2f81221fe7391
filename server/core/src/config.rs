//! What an operator may tune in the core, with its cost.

use plenary_proto::{limits, reply::Limits};

/// Limits of one network. The defaults are the design's.
///
/// Memory in the worst case: `groups` x 4 MiB (a group of 1,000 hybrid devices), and one
/// [`limits::FRAME_IN_PARTS`] for every connection that is in the middle of a frame in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What HELLO advertises and the transport enforces.
    pub limits: Limits,
    /// Groups kept in memory; others are loaded from the store when needed.
    pub groups: usize,
    /// Invitations a device may have open at once.
    pub invitations: usize,
    /// The same for devices of Board members, who admit by the dozen.
    pub board_invitations: usize,
    /// Linking codes a device may have open at once.
    pub links: usize,
    /// DEVICE statements that a member's own devices may add to the ledger an hour, after a burst of
    /// [`plenary_certs::ledger::LIVE_DEVICES`]. Everybody keeps them for ever, and a stolen device
    /// must not fill the ledger. Revocations are not counted: there are no more of them than devices.
    pub vouches_per_hour: u32,
    /// Sealed bytes of the largest item.
    pub item_size: u64,
    /// Sealed bytes of all items of one member; 0: no limit.
    pub member_bytes: u64,
    /// Sealed bytes of all items; 0: no limit but the disk.
    pub total_bytes: u64,
    /// How long an item is kept, where its sender does not say.
    pub keep_days: u32,
    /// How long a sender may have it kept.
    pub longest_keep_days: u32,
    /// Key packages a device may claim a minute: each is used once and was made by another's work.
    pub claims_per_minute: u32,
    /// Key packages a device may put up a minute, and at once after silence: each is verified. Twice
    /// what it may keep, with the one of last resort, so that an honest device never waits.
    pub packages_per_minute: u32,
    /// Statements of custody countersigned for a device a minute: each is an Ed25519 signature.
    pub countersignatures_per_minute: u32,
    /// Requests a guest may make on one connection.
    pub guest_requests: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits {
                chat_message: limits::CHAT_MESSAGE as u32,
                bulk_message: limits::BULK_MESSAGE as u32,
                read_records: limits::READ_RECORDS,
                messages_per_minute: limits::MESSAGES_PER_MINUTE,
                message_burst: limits::MESSAGE_BURST,
            },
            groups: 256,
            invitations: 16,
            board_invitations: 1_000,
            links: 4,
            vouches_per_hour: 2,
            item_size: 64 << 30,
            member_bytes: 512 << 30,
            total_bytes: 0,
            keep_days: 90,
            longest_keep_days: 3_650,
            claims_per_minute: 200,
            packages_per_minute: 2 * (limits::KEY_PACKAGES as u32 + 1),
            countersignatures_per_minute: 240,
            guest_requests: 2_000,
        }
    }
}
