//! The vectors of RFC 9420 (the MLS working group's) through the very provider that channels use, in its
//! classical suite: the hybrid one has a private code point, and no vectors anywhere.
//!
//! What the library's public surface reaches: the primitives under their labels, messages read and
//! written, a client that joins by a welcome and arrives at the same epoch secrets (key schedule, tree
//! hash, tree validation, welcome and GroupInfo are all on that way). What it does not: the vectors of
//! the parts by themselves (key-schedule, secret-tree, message-protection, transcript-hashes, treekem,
//! tree-math, tree-operations, tree-validation, welcome) want internal state, and the library runs them
//! itself; psk_secret and passive-client-handling-commit need pre-shared keys, which are not compiled in;
//! passive-client-random has no case in this suite.

use mls_rs::{
    CipherSuiteProvider, Client, CryptoProvider, MlsMessage,
    group::ExportedTree,
    identity::basic::BasicIdentityProvider,
    storage_provider::{KeyPackageData, in_memory::InMemoryKeyPackageStorage},
};
use serde::Deserialize;

use super::hex;
use crate::mls::suite::{CLASSICAL, crypto_provider};

#[derive(Deserialize)]
struct Vectors {
    crypto_basics: Basics,
    welcome: Vec<Welcome>,
    messages: Vec<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Basics {
    ref_hash: RefHash,
    expand_with_label: Derived,
    derive_secret: Derived,
    derive_tree_secret: Derived,
    sign_with_label: Signed,
    encrypt_with_label: Sealed,
}

#[derive(Deserialize)]
struct RefHash {
    label: String,
    value: String,
    out: String,
}

#[derive(Deserialize)]
struct Derived {
    secret: String,
    label: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    generation: u32,
    #[serde(default = "hash_length")]
    length: u16,
    out: String,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "priv")]
    secret: String,
    #[serde(rename = "pub")]
    public: String,
    content: String,
    label: String,
    signature: String,
}

#[derive(Deserialize)]
struct Sealed {
    #[serde(rename = "priv")]
    secret: String,
    #[serde(rename = "pub")]
    public: String,
    label: String,
    context: String,
    plaintext: String,
    kem_output: String,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Welcome {
    key_package: String,
    signature_priv: String,
    encryption_priv: String,
    init_priv: String,
    welcome: String,
    ratchet_tree: Option<String>,
    initial_epoch_authenticator: String,
}

fn hash_length() -> u16 {
    32
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("mls.json")).unwrap()
}

/// `opaque data<V>` of RFC 9420, section 2.1.2, for what is shorter than 16 KiB.
fn opaque(data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    let head = match len {
        0..64 => vec![len as u8],
        64..16_384 => (len | 0x4000).to_be_bytes().to_vec(),
        _ => panic!("too long for a vector"),
    };
    [head, data.to_vec()].concat()
}

/// A label with its prefix, then what it is about (sections 5.1.2 and 5.1.3).
fn labelled(label: &str, about: &[u8]) -> Vec<u8> {
    let label = format!("MLS 1.0 {label}");
    [opaque(label.as_bytes()), opaque(about)].concat()
}

#[test]
fn the_primitives_are_those_of_rfc_9420() {
    let suite = crypto_provider().cipher_suite_provider(CLASSICAL).unwrap();
    let basics = vectors().crypto_basics;

    // The label of a reference is given whole (section 5.2).
    let of = &basics.ref_hash;
    let input = [opaque(of.label.as_bytes()), opaque(&hex(&of.value))].concat();
    assert_eq!(suite.hash(&input).unwrap(), hex(&of.out));

    for of in [
        basics.expand_with_label,
        basics.derive_secret,
        basics.derive_tree_secret,
    ] {
        // DeriveTreeSecret's context is the generation (section 9.1).
        let context = match of.generation {
            0 => hex(&of.context),
            generation => generation.to_be_bytes().to_vec(),
        };
        let about = labelled(&of.label, &context);
        let info = [&of.length.to_be_bytes()[..], &about].concat();
        let length = usize::from(of.length);
        let out = suite.kdf_expand(&hex(&of.secret), &info, length).unwrap();
        assert_eq!(*out, hex(&of.out), "{}", of.label);
    }

    let of = &basics.sign_with_label;
    let content = labelled(&of.label, &hex(&of.content));
    let public = hex(&of.public).into();
    // A secret key is here the seed with the public key behind it.
    let secret = [hex(&of.secret), hex(&of.public)].concat().into();
    assert_eq!(suite.sign(&secret, &content).unwrap(), hex(&of.signature));
    assert!(suite.verify(&public, &hex(&of.signature), &content).is_ok());
    let other = labelled("Another", &hex(&of.content));
    assert!(suite.verify(&public, &hex(&of.signature), &other).is_err());

    let of = &basics.encrypt_with_label;
    let info = labelled(&of.label, &hex(&of.context));
    let (secret, public) = (hex(&of.secret).into(), hex(&of.public).into());
    let sealed = mls_rs_core::crypto::HpkeCiphertext {
        kem_output: hex(&of.kem_output),
        ciphertext: hex(&of.ciphertext),
    };
    let open = |info: &[u8]| suite.hpke_open(&sealed, &secret, &public, info, None);
    assert_eq!(open(&info).unwrap()[..], hex(&of.plaintext));
    assert!(open(&other).is_err());
}

#[test]
fn messages_are_read_and_written_to_the_byte() {
    let cases = vectors().messages;
    assert_eq!(cases.len(), 2);
    for case in cases {
        assert_eq!(case.len(), 6);
        for (kind, bytes) in case {
            let bytes = hex(&bytes);
            let message = MlsMessage::from_bytes(&bytes);
            let message = message.unwrap_or_else(|error| panic!("{kind}: {error}"));
            assert_eq!(message.to_bytes().unwrap(), bytes, "{kind}");
            let cut = &bytes[..bytes.len() - 1];
            assert!(MlsMessage::from_bytes(cut).is_err(), "{kind}");
        }
    }
}

#[test]
fn a_welcome_leads_to_the_secrets_of_its_epoch() {
    let crypto = crypto_provider();
    let suite = crypto.cipher_suite_provider(CLASSICAL).unwrap();
    let cases = vectors().welcome;
    assert_eq!(cases.len(), 4);
    for case in cases {
        let bytes = hex(&case.key_package);
        let message = MlsMessage::from_bytes(&bytes).unwrap();
        let reference = message.key_package_reference(&suite).unwrap().unwrap();
        let package = message.into_key_package().unwrap();
        let identity = package.signing_identity().clone();
        let kept = InMemoryKeyPackageStorage::new();
        // Without the version and the wire format in front.
        let data = KeyPackageData::new(
            bytes[4..].to_vec(),
            hex(&case.init_priv).into(),
            hex(&case.encryption_priv).into(),
            u64::MAX,
        );
        kept.insert(reference.to_vec(), data);
        let seed = hex(&case.signature_priv);
        let secret = [seed, identity.signature_key.to_vec()].concat();
        let client = Client::builder()
            .crypto_provider(crypto.clone())
            .identity_provider(BasicIdentityProvider::new())
            .key_package_repo(kept)
            .signing_identity(identity, secret.into(), CLASSICAL)
            .build();
        let tree = case.ratchet_tree.map(|tree| hex(&tree));
        let tree = tree.map(|tree| ExportedTree::from_bytes(&tree).unwrap().into_owned());
        let welcome = MlsMessage::from_bytes(&hex(&case.welcome)).unwrap();
        let (group, _) = client.join_group(tree, &welcome, None).unwrap();
        assert_eq!(
            group.epoch_authenticator().unwrap().to_vec(),
            hex(&case.initial_epoch_authenticator)
        );
    }
}
