//! The pure core of the server.
#![forbid(unsafe_code)]

pub mod store;
