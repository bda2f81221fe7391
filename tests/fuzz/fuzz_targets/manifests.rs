//! Manifests of items, and what is said of an item without its key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plenary_client::files::{Described, Manifest};

fuzz_target!(|data: &[u8]| {
    let _ = Manifest::decode(data);
    let _ = Described::decode(data);
});
