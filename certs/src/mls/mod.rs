//! What MLS (RFC 9420) is told, the same for every member and the server: the suite, who may be in
//! a group, and which commits are valid.
//!
//! - [`suite`]: the cryptography.
//! - [`credential`]: a leaf names a device, nothing else.
//! - [`context`]: what a group says of itself, for ever.
//! - [`auth_data`]: what each commit and message says of its sender's knowledge.
//! - [`judge`]: validity of leaves and commits: a function of the commit, the ledger prefix and the
//!   time that its authenticated data names.
//! - [`key_package`]: what the server takes in.
//! - [`anew`]: the record that ends a group without a live leaf and begins the next.
//! - [`observer`]: the server's view of a group.

pub mod anew;
pub mod auth_data;
pub mod context;
pub mod credential;
pub mod judge;
pub mod key_package;
pub mod observer;
pub mod suite;
