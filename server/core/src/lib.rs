//! The pure core of the server.
#![forbid(unsafe_code)]

pub mod memory;
pub mod store;
#[cfg(any(test, feature = "store-suite"))]
pub mod store_suite;
