//! The Plenary server: a TLS WebSocket listener over an embedded store.
//!
//! ```text
//! cli -> run -> folder, backend (store, items, core) , net::serve
//!                                            ^              |
//!                                            |   service <--+  one session a connection
//!                                            +------+
//! ```
#![forbid(unsafe_code)]

mod backend;
pub mod cli;
pub mod clock;
pub mod config;
pub mod folder;
pub mod items;
pub mod net;
mod run;
mod service;
pub mod store;
