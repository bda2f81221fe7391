//! Generated from `schema/plenary.v1.proto`; never leaves this crate.
#![allow(
    missing_docs,
    reason = "generated; the domain types carry the documentation"
)]
#![allow(clippy::all, clippy::pedantic, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/plenary.v1.rs"));
