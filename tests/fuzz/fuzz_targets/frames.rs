//! Frames from either side: refused, or what they say is said again the same way; and the scanner,
//! which judges bytes as they come in pieces of any size.
#![no_main]

use std::time::Instant;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use plenary_proto::{codec, scanner};

const RULES: scanner::Rules = scanner::Rules {
    message: 72 * 1024,
    fragments: 64,
    controls: 10,
    text: false,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = codec::decode_client(Bytes::copy_from_slice(data)) {
        let again = codec::encode_client(frame.clone());
        assert_eq!(codec::decode_client(again), Ok(frame));
    }
    if let Ok(frame) = codec::decode_server(Bytes::copy_from_slice(data)) {
        let again = codec::encode_server(frame.clone());
        assert_eq!(codec::decode_server(again), Ok(frame));
    }
    let now = Instant::now();
    let scan = |piece: usize| {
        let mut scanner = scanner::Scanner::new(RULES);
        data.chunks(piece)
            .try_for_each(|piece| scanner.scan(piece, now))
    };
    let whole = scan(data.len().max(1)).is_ok();
    assert_eq!(whole, scan(1).is_ok());
});
