//! Tests that try to get something past the ledger.

mod facts;
mod signatures;
mod standing;
mod succession;
mod vectors;
