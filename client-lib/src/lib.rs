//! The Plenary client library.
#![forbid(unsafe_code)]

pub mod content;
mod engine;
mod error;
pub mod files;
#[allow(
    dead_code,
    unused_imports,
    reason = "the client handle is being built on it"
)]
mod net;
mod store;

pub use error::{Error, ErrorKind};
