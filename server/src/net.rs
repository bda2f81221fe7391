//! The transport: bytes, limits and clocks; it knows nothing of what is said.
//!
//! ```text
//! accept -> gate -> TLS -> upgrade -> connection task <-> Session
//!           (fair    (plenary-certs)   guard: every byte in     ^
//!            share)                    outbox: pushes out <- Registry
//!                                      framed: frames out, once for all readers
//! ```
//!
//! [`serve`] runs it all over a [`Service`], which opens one [`Session`] a connection.

mod beside;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connection;
mod framed;
mod gate;
mod guard;
mod lanes;
mod listener;
mod outbox;
mod registry;
mod session;
mod upgrade;
mod wide;

pub use listener::{Settings, serve};
pub use outbox::{ConnectionId, Cut, Outbox};
pub use registry::{Presence, Registry, Seen};
pub use session::{Closing, End, Later, Link, Next, Note, Service, Session, Step, Turn};
