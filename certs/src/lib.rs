//! Who vouches for whom: what makes a key somebody's, and what it may do.
//!
//! ```text
//! Board keys --sign--> ROOT, ADMIT, DEVICE, ... --append--> ledger::Ledger
//!  (board)              (ledger::Statement)                   |  standing(device, at, now)
//!                                                             +-> mls: who may be in a group
//! Invitation --knock--> AdmissionRequest --Board--> ADMIT     +-> handshake: who may connect
//!                                                             +-> profile: who is behind an id
//!                                                             +-> board: in words, on files
//! signed_head, chain --two views compared--> proof: what a third party checks offline
//! custody::Statement --device, server--> custody::Record      +-> custody: who did what with an item
//! ```
//!
//! The main flow: bytes that anybody hands over go to [`ledger::Ledger::append`]; everything else
//! asks the ledger. Pure, but for what makes keys: time and randomness are arguments. It opens no
//! file and no connection. The choices and their reasons are in [`manual`].
#![forbid(unsafe_code)]

pub mod admission;
pub mod board;
mod cbor;
pub mod chain;
pub mod custody;
pub mod fingerprint;
pub mod handshake;
pub mod invitation;
pub mod item_root;
pub mod ledger;
pub mod link;
pub mod manual;
pub mod misuse;
pub mod mls;
pub mod profile;
pub mod proof;
mod seal;
pub mod sealed_to;
pub mod signed_head;
pub mod signing;
mod text;
pub mod tls;
#[cfg(test)]
mod vectors;
pub mod watch;

pub use seal::SealError;
pub use text::TextError;
