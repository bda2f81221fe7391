//! What tests everything together: the harness, and the demo.
//!
//! [`harness`] starts real servers as processes of their own, founds networks on them and admits
//! members, whose [`plenary_client::Client`]s talk to the server over TLS on the loopback.
//! [`demo`] plays a discussion on that and compares what everybody read; the binary `plenary-demo`
//! is its command line. [`drill`] backs a busy server up and compares what is restored.
//! [`report`] makes the tables of the benches. The end-to-end tests are in `tests/`.
#![forbid(unsafe_code)]

pub mod demo;
pub mod drill;
pub mod harness;
pub mod report;
