//! A small Board for tests.
