//! Tests that try to get something past the ledger.

mod facts;
mod prefix;
mod signatures;
mod standing;
mod subsets;
mod succession;
mod vectors;
mod vouching;
