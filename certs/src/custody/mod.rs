//! Custody: who did what with an item, and when, in a form that stands without the network
//! (design.md section 6).
//!
//! ```text
//! Facts (what the manifest says) --Record::next--> Statement --Entry::sign--> Entry --> channel
//!                                                     | id (salted hash)
//!                                                     +--> server: Countersignature (time, root)
//!                                    Entry::to_stamp ----> time-stamping service: token (RFC 3161)
//! Entry --check: ledger, signatures--> Record::add: order, whose turn, replays
//! ```
//!
//! A record has no single writer. Each device's statements about an item are a chain (`number`,
//! `previous`); `seen` names the ends of the other chains that the signer knew. So nobody can take
//! back or reorder their own, and each statement fixes what had been said before it.
//!
//! Pure: time and randomness are arguments, the ledger says whose key is whose.

mod countersignature;
mod entry;
mod error;
mod record;
mod stamp;
mod statement;
#[cfg(test)]
mod tests;

pub use countersignature::{Countersignature, check_countersignature, countersign};
pub use entry::{Entry, decode_entries, encode_entries};
pub use error::CustodyError;
pub use record::{Added, Facts, MAX_SEEN, Record};
pub use stamp::{
    Authorities, MAX_STAMP, Stamp, StampError, check_stamp, stamp_reply, stamp_request,
};
pub use statement::{Act, FileFacts, Statement, statement_id};
