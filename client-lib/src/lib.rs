//! The Plenary client library.
#![forbid(unsafe_code)]

pub mod content;
mod engine;
mod error;
mod store;

pub use error::{Error, ErrorKind};
