//! The network: what moves frames between the engine and the server. All waiting happens here.
//!
//! ```text
//! Credentials --open--> Connection --split--> Sender / Receiver
//!   TCP, TLS (pinned CA), upgrade, HELLO, AUTH or KNOCK, OK: within ten seconds
//! ```
//!
//! The certificate is the outer door only: the server proves its key in OK, over the TLS exporter.

mod backoff;
mod connection;
pub(crate) mod driver;
mod frames;
mod guard;
pub(crate) mod guest;
mod opening;

#[cfg(test)]
mod driver_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use backoff::jittered;
pub(crate) use connection::{Connection, Receiver, Sender};
#[cfg(any(test, feature = "simulation"))]
pub(crate) use frames::{Frames, broken};
pub(crate) use opening::{Credentials, Expected, OpenerKey, open};
