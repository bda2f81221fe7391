//! The Plenary server: a TLS WebSocket listener over an embedded store.
//!
//! ```text
//! cli -> run -> folder, backend (store, items, core) , net::serve
//!                                            ^              |
//!                                            |   service <--+  one session a connection
//!                                            +------+
//! cli admin, backup --socket--> admin::Office --> network, store, registry, certificate
//! ```
#![forbid(unsafe_code)]

pub mod admin;
mod backend;
pub mod backup;
mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod folder;
pub mod items;
pub mod metrics;
pub mod net;
mod notify;
mod operations;
mod rebuild;
mod run;
mod scrub;
mod service;
pub mod store;
mod upkeep;
