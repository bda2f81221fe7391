//! Plenary.
