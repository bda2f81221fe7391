//! Plenary.

pub mod content;
