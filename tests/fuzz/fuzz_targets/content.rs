//! Content of messages: refused, or canonical bytes that say the same; envelopes around it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plenary_client::content::{Content, Envelope};

fuzz_target!(|data: &[u8]| {
    if let Ok(content) = Content::decode(data) {
        let again = content.encode().expect("what was read can be written");
        assert_eq!(Content::decode(&again).as_ref(), Ok(&content));
    }
    let _ = Envelope::open(data);
});
