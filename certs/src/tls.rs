//! TLS identities: who the server is on the network, before anybody is authenticated.
//!
//! - [`Authority`] makes a network's own CA and short-lived server certificates under it.
//! - [`pin`] is the client's side: the chain must end in the one CA that the invitation named.
//! - [`server_config`] and [`client_config`] allow TLS 1.3 with X25519MLKEM768 and nothing else.
//! - [`exporter`] binds what is said inside a connection to that connection.
//!
//! The certificate is the outer door only. The server proves its own key in HELLO and OK, a
//! device its own in AUTH, both over [`exporter`]: a relay with a valid certificate gains nothing.

mod config;
mod exporter;
mod issue;
pub mod pin;
mod reload;

pub use config::{client_config, provider, server_config};
pub use exporter::exporter;
pub use issue::{Authority, IssueError, LEAF_LIFE, RENEW_AFTER};
pub use pin::PinnedCa;
pub use reload::{Identity, IdentityError, Reloadable};

#[cfg(test)]
mod tests;
