//! The Plenary client library.
#![forbid(unsafe_code)]

pub mod content;
mod engine;
mod error;
pub mod files;
mod store;

pub use error::{Error, ErrorKind};
