//! What an item is sealed with, against what others compute.

use plenary_proto::ids::ItemId;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, UnboundKey};

use super::*;
use crate::files::key::ChunkNonce;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cipher, commitment, and the fourth chunk, the last: computed with Python's `cryptography` 48 (HKDF of
/// RFC 5869, AES-256-GCM of NIST SP 800-38D, ChaCha20-Poly1305 of RFC 8439) from the layout that `key.rs`
/// states.
const SEALED: [(Cipher, &str, &str); 2] = [
    (
        Cipher::Aes256Gcm,
        "f077b238f46edc83f673b28577135bc9f44f06650f9a2e330e6f945aed681257",
        "66d179f387dbe40b485ccdddd377922b2df0974e0f9dd0d148fb2e597fcb2da2d544ea7ab23cc4",
    ),
    (
        Cipher::ChaCha20Poly1305,
        "c01c672b97fd90b51ffe9b5cde4374cbd58f9cd204a4a83b026466f0b753abdd",
        "599cd9f814d50480d497fc129d5239b57ae10c7ed2d7915622c4c47a829bddd5d9237495ba70f1",
    ),
];

#[test]
fn keys_nonces_and_seals_are_those_of_the_standards() {
    let (key, item) = (ItemKey::from_bytes([1; 32]), ItemId([2; 16]));
    for (cipher, commitment, sealed) in SEALED {
        let committed = key.commitment(item, cipher).unwrap();
        assert_eq!(hex(committed.as_bytes()), commitment);
        let mut chunk = b"the last of four chunks".to_vec();
        let payload = key.payload(item, cipher).unwrap();
        let nonce = ChunkNonce::new(3, true).into();
        payload
            .seal_in_place_append_tag(nonce, Aad::empty(), &mut chunk)
            .unwrap();
        assert_eq!(hex(&chunk), sealed);
    }
}

/// McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14: the first nonce of an item is
/// twelve zeros.
#[test]
fn the_first_chunk_of_a_key_of_zeros_is_the_published_one() {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[0; 32]).unwrap());
    let mut chunk = vec![0; 16];
    key.seal_in_place_append_tag(ChunkNonce::new(0, false).into(), Aad::empty(), &mut chunk)
        .unwrap();
    let published = "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919";
    assert_eq!(hex(&chunk), published);
}
