//! Who vouches for whom.
#![forbid(unsafe_code)]

pub mod chain;
pub mod mls;
pub mod tls;
