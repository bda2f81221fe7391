//! Test support: a network in one thread. Engines, the real core of the server over the memory
//! store, and a clock that the test moves; no socket, no thread, no sleep.
//!
//! ```text
//! test --> World --> Party (engine, sealed store) <--> [Wire] <--> Session (core) --> Network
//! ```
//!
//! A [`Wire`] may stand between and do to every frame whatever a lying server could. Identifiers,
//! keys of the Board, ties and jitter come from the [`Dice`], so the same seed gives the same run;
//! what MLS draws by itself (leaf and path secrets) and the sealing keys do not, and no length,
//! order or decision depends on them.
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
mod dice;
mod keys;
mod line;
mod linking;
mod queues;
mod rekey;
mod running;
mod wire;
mod world;

pub use dice::Dice;
pub use keys::MemberKeys;
pub use rekey::{Rekey, Rekeyed, Spent};
pub use wire::{Passing, Wire};
pub use world::{Party, World, recovery_keys};

#[cfg(test)]
pub(crate) use world::connected;
pub(crate) use world::passphrase;

pub(crate) use world::block;
