//! The pure core of the server: what is said on a connection, who may do what, what becomes
//! durable. No runtime, clock, randomness, disk or socket: time and random bytes are arguments, I/O
//! is behind three seams.
//!
//! ```text
//!            message                   request                     store.rs  (Store)
//! transport ---------> session/ ------------> dispatch -> ops/ --> items/    (Items)
//!           <---------          <------------                 \--> hub.rs    (Hub: pushes, cuts)
//!            frames     reply or failure
//! ```
//!
//! One loop: [`Session::receive`](session::Session::receive) takes one WebSocket message and the
//! time, and returns the next session and the frames to write. What all sessions share is in
//! [`Network`](network::Network): the ledger, the groups' cache, keys, limits.
//!
//! Adding an operation touches the schema, `Request`, one file in `ops/`, one arm in `dispatch`.
#![forbid(unsafe_code)]

#[cfg(all(plenary_seeded_bugs, not(feature = "simulation")))]
compile_error!("seeded bugs are for the simulation alone: leave out --cfg plenary_seeded_bugs");

mod channels;
pub mod complete_ledger;
pub mod config;
mod dispatch;
pub mod error;
pub mod export;
pub mod fields;
mod heads;
pub mod hub;
pub mod items;
mod keys;
pub mod leases;
pub mod manual;
pub mod memory;
pub mod network;
mod ops;
mod pages;
mod rate;
mod retention;
#[cfg(plenary_seeded_bugs)]
pub mod seeded;
pub mod server_key;
pub mod session;
pub mod store;
#[cfg(any(test, feature = "store-suite"))]
pub mod store_suite;
mod stored;
mod stored_ledger;

#[cfg(test)]
mod fixture;
