//! The Plenary server: a TLS WebSocket listener over an embedded store.
#![forbid(unsafe_code)]

pub mod config;
pub mod folder;
pub mod net;
pub mod store;
