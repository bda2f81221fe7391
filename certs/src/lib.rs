//! Who vouches for whom.
#![forbid(unsafe_code)]

pub mod chain;
pub mod handshake;
pub mod mls;
pub mod signed_head;
pub mod tls;
