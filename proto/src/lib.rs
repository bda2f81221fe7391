//! Plenary's wire: bytes to domain types and back.
#![forbid(unsafe_code)]

pub mod ids;
pub mod limits;
