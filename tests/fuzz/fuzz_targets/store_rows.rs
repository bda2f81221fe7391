//! Rows, pages and journal frames of the store.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| plenary_server::store::fuzzing::read(data));
