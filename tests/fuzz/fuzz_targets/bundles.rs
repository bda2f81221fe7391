//! What a bundle is made of: custody statements with their countersignatures, and proofs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plenary_certs::{custody, proof};
use plenary_proto::ids::Digest;

fuzz_target!(|data: &[u8]| {
    if let Ok(entries) = custody::decode_entries(data) {
        let again = custody::encode_entries(&entries);
        assert_eq!(custody::decode_entries(&again).as_ref(), Ok(&entries));
    }
    if let Ok(statement) = custody::Statement::decode(data) {
        assert_eq!(statement.encode(), data);
    }
    let _ = proof::verify(data, Digest([0; 32]));
});
