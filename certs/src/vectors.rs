//! Published vectors against what wraps the library's primitives: that nothing is added or left out.

mod mls;

use plenary_proto::ids::{PublicKey, Signature};

use crate::{
    seal,
    signing::{SigningKey, verify},
};

fn hex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().unwrap()
}

/// RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
const ED25519: [[&str; 4]; 3] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
];

#[test]
fn signatures_are_those_of_rfc_8032() {
    for [seed, public, message, signature] in ED25519 {
        let key = SigningKey::from_seed(&array(seed)).unwrap();
        let (public, signature) = (PublicKey(array(public)), Signature(array(signature)));
        assert_eq!(key.public(), public);
        assert_eq!(key.sign(&hex(message)), signature);
        assert_eq!(verify(&public, &hex(message), &signature), Ok(()));
        let mut other = signature;
        other.0[0] ^= 1;
        assert!(verify(&public, &hex(message), &other).is_err());
    }
}

/// RFC 8439, section 2.8.2, with the nonce before the ciphertext as it is kept.
#[test]
fn a_seal_opens_as_rfc_8439_says() {
    let key = array("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
    let aad = hex("50515253c0c1c2c3c4c5c6c7");
    let sealed = hex(concat!(
        "070000004041424344454647",
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6",
        "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36",
        "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc",
        "3ff4def08e4b7a9de576d26586cec64b6116",
        "1ae10b594f09e26a7e902ecbd0600691",
    ));
    let opened = seal::open(&key, &aad, &sealed).unwrap();
    let said = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for \
                the future, sunscreen would be it.";
    assert_eq!(opened.as_slice(), said.as_bytes());
    assert!(seal::open(&key, b"", &sealed).is_err());
}

/// RFC 5869 has no example with a secret of 32 bytes: computed with Python's hmac.
#[test]
fn keys_are_derived_as_rfc_5869_says() {
    let secret: [u8; 32] = std::array::from_fn(|n| n as u8);
    let key = seal::derive(&secret, &[b"plenary", b" vector"]).unwrap();
    let expected: [u8; 32] =
        array("2c3e48ce51263e281c01b6a7ece375a18eb144257de5078048b8a62c83c753c4");
    assert_eq!(*key, expected);
}
