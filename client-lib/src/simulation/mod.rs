//! Test support: a network in one thread. Engines, the real core of the server over the memory
//! store, and a clock that the test moves; no socket, no thread, no sleep.
//!
//! ```text
//! test --> World --> Party (engine, sealed store) <--> [Wire] <--> Session (core) --> Network
//! ```
//!
//! A [`Wire`] may stand between and do to every frame whatever a lying server could. Identifiers,
//! all keys that the ledger names, ties and jitter come from the [`Dice`], so the same seed gives the
//! same run; what MLS draws by itself (leaf and path secrets) does not, and no length, order or
//! decision depends on it.
//!
//! The stores are in memory. A crash leaves what was committed, a loss of power what was durable
//! ([`Loss`]).
//!
//! Only built for tests and with the feature `simulation`, which is for the tests of this workspace:
//! no promise is made about it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test's world: what does not work must stop the test"
)]

mod board;
pub(crate) mod crowd;
mod dice;
mod keys;
mod large;
mod line;
mod linking;
mod log;
mod many;
mod queues;
mod rekey;
mod running;
mod shelf;
mod spent;
mod wire;
mod world;

pub use crate::store::Loss;
pub use dice::Dice;
pub use keys::MemberKeys;
pub use large::{Added, Large, Seat};
pub use log::{Logged, Shown};
pub use many::{Many, Started};
pub use rekey::{Rekey, Rekeyed};
pub use shelf::{Looking, Shelf};
pub use spent::Spent;
pub use wire::{Passing, Wire};
pub use world::{Party, Shape, World, recovery_keys};

#[cfg(test)]
pub(crate) use world::connected;
pub(crate) use world::passphrase;

pub(crate) use world::block;
