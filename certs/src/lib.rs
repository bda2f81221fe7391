//! Who vouches for whom.
#![forbid(unsafe_code)]

pub mod admission;
pub mod board;
mod cbor;
pub mod chain;
pub mod handshake;
pub mod invitation;
pub mod item_root;
pub mod ledger;
pub mod manual;
pub mod mls;
pub mod profile;
mod seal;
pub mod signed_head;
pub mod signing;
mod text;
pub mod tls;

pub use seal::SealError;
pub use text::TextError;
