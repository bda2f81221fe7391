//! Chunks and manifests that are not as they were.

use plenary_proto::{
    ids::{Digest, ItemId},
    label::Label,
    limits::SMALL_ITEM,
};
use proptest::prelude::*;

use super::*;

/// A plan whose key and id everybody knows.
fn fixed_plan(data: &[u8]) -> Plan {
    let mut plan = plan("report.pdf", data).label(Label::Amber);
    plan.item = ItemId([2; 16]);
    plan.key = ItemKey::from_bytes([1; 32]);
    plan
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn pinned() {
    let data = b"the evidence";
    let (manifest, chunks) = seal(fixed_plan(data), data);
    assert_eq!(
        hex(&chunks[0].bytes[..64]),
        "f077b238f46edc83f673b28577135bc9f44f06650f9a2e330e6f945aed681257c30ff4c5a556aa58d46549161c0d835117f6eafd6dfa3afe84848b0b92b508b3"
    );
    assert_eq!(
        hex(&chunks[0].bytes[4112..]),
        "f57735a0d364a618c47005a0bfc037f2d153e25fe466d2d6c2786befc68dcb5c"
    );
    assert_eq!(
        hex(&manifest.encode()),
        "8f0150020202020202020202020202020202026a7265706f72742e7064666a746578742f706c61696e0c1910301a000100100158202a1d54b0872c685e86ec936646d6502b3549733aa3d64028ab21d7c1fe1ecff85820fbebb0a085e59d79a67eee307294ceaebd000e523e5780b138b1ce105763c800582001010101010101010101010101010101010101010101010101010101010101015820f077b238f46edc83f673b28577135bc9f44f06650f9a2e330e6f945aed68125702f4f6"
    );
    assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
}

#[test]
fn large_chunks_and_both_ciphers() {
    let data = bytes(SMALL_ITEM as usize + 1);
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
        let (manifest, chunks) = seal(plan("large", &data).cipher(cipher), &data);
        assert_eq!(chunks[0].bytes.len(), (1 << 20) + 16);
        let read = Manifest::decode(&manifest.encode()).unwrap();
        assert!(open(&read, &chunks).unwrap() == data);
        let sha256 = ring::digest::digest(&ring::digest::SHA256, &data);
        assert_eq!(manifest.sha256().0, sha256.as_ref());
    }
}

#[test]
fn equal_files_share_nothing() {
    let data = bytes(100);
    let (_, one) = seal(plan("a", &data), &data);
    let (_, other) = seal(plan("a", &data), &data);
    let (one, other) = (&one[0].bytes, &other[0].bytes);
    let same = one.iter().zip(other).filter(|(a, b)| a == b).count();
    assert!(same < 100, "{same} of {} bytes agree", one.len());
}

#[test]
fn a_flipped_bit_is_refused_wherever_it_is() {
    let (_, manifest, chunks) = sample();
    for index in 0..chunks.len() {
        for at in [0, 31, 32, 47, 5000, chunks[index].bytes.len() - 1] {
            let Some(at) = Some(at).filter(|at| *at < chunks[index].bytes.len()) else {
                continue;
            };
            let mut bad = chunks.clone();
            bad[index].bytes[at] ^= 0x10;
            let expected = match (index, at) {
                (0, 0..32) => ItemError::WrongKey,
                _ => ItemError::ChunkRefused {
                    index: index as u32,
                },
            };
            assert_eq!(
                open(&manifest, &bad),
                Err(expected),
                "chunk {index}, byte {at}"
            );
        }
    }
}

#[test]
fn order_number_and_length_of_chunks() {
    let (data, manifest, chunks) = sample();
    let only = |order: &[usize]| -> Vec<SealedChunk> {
        order.iter().map(|i| chunks[*i].clone()).collect()
    };
    let out_of_order = |expected, got| Err(ItemError::OutOfOrder { expected, got });
    assert_eq!(open(&manifest, &only(&[0, 2, 1, 3])), out_of_order(1, 2));
    assert_eq!(open(&manifest, &only(&[0, 2, 3])), out_of_order(1, 2));
    assert_eq!(open(&manifest, &only(&[0, 0, 1])), out_of_order(1, 0));
    assert_eq!(open(&manifest, &only(&[0, 1, 2, 3, 3])), out_of_order(4, 3));
    assert_eq!(
        open(&manifest, &only(&[0, 1, 2])),
        Err(ItemError::Incomplete { have: 3, of: 4 })
    );

    // Under a false index: the nonce tells.
    let mut swapped = only(&[0, 2, 1, 3]);
    (swapped[1].index, swapped[2].index) = (1, 2);
    assert_eq!(
        open(&manifest, &swapped),
        Err(ItemError::ChunkRefused { index: 1 })
    );
    let mut doubled = only(&[0, 1, 1, 3]);
    doubled[2].index = 2;
    assert_eq!(
        open(&manifest, &doubled),
        Err(ItemError::ChunkRefused { index: 2 })
    );

    for index in 0..4 {
        let mut cut = chunks.clone();
        let expected = cut[index].bytes.len();
        for bytes in [
            &chunks[index].bytes[..expected - 1],
            &[],
            &[&chunks[index].bytes[..], &[0]].concat(),
        ] {
            cut[index].bytes = bytes.to_vec();
            assert_eq!(
                open(&manifest, &cut),
                Err(ItemError::ChunkLength {
                    index: index as u32,
                    expected,
                    got: bytes.len()
                })
            );
        }
    }

    // A refusal changes nothing: the right chunk is taken afterwards.
    let mut opener = Opener::new(&manifest).unwrap();
    let mut read = Vec::new();
    for chunk in &chunks {
        let mut bad = chunk.bytes.clone();
        bad[100] ^= 1;
        assert!(opener.open(chunk.index, &mut bad).is_err());
        let mut good = chunk.bytes.clone();
        read.extend_from_slice(opener.open(chunk.index, &mut good).unwrap().data);
    }
    assert_eq!(opener.finish(), Ok(()));
    assert!(read == data);
}

#[test]
fn a_chunk_of_another_item_is_refused() {
    let (data, manifest, chunks) = sample();
    let (_, other) = seal(plan("other", &data), &data);
    for index in 0..4 {
        let mut mixed = chunks.clone();
        mixed[index] = other[index].clone();
        let expected = match index {
            0 => ItemError::WrongKey,
            _ => ItemError::ChunkRefused {
                index: index as u32,
            },
        };
        assert_eq!(open(&manifest, &mixed), Err(expected));
    }
}

#[test]
fn two_keys_for_one_upload_are_refused() {
    let (_, manifest, chunks) = sample();
    // A second manifest for the same bytes, honest in everything but the key.
    let mut other = manifest.clone();
    other.plan.key = ItemKey::generate().unwrap();
    let other = Manifest::decode(&other.encode()).unwrap();
    assert_eq!(open(&other, &chunks), Err(ItemError::WrongKey));
    // The same key with the first one's commitment in place of its own.
    let mut bytes = manifest.encode().to_vec();
    let key = manifest.plan.key.as_bytes();
    let at = bytes.windows(32).position(|part| part == key).unwrap();
    bytes[at] ^= 1;
    assert_eq!(Manifest::decode(&bytes), Err(ItemError::WrongKey));
}

#[test]
fn root_and_digest_are_compared() {
    let (_, manifest, chunks) = sample();
    let mut other = manifest.clone();
    other.root.0[0] ^= 1;
    assert_eq!(open(&other, &chunks), Err(ItemError::Root));
    let mut other = manifest;
    other.sha256.0[0] ^= 1;
    assert_eq!(open(&other, &chunks), Err(ItemError::Digest));
}

#[test]
fn the_list_refuses_early_and_must_be_the_right_one() {
    let (data, manifest, chunks) = sample();
    let list: Vec<Digest> = chunks.iter().map(|chunk| chunk.hash).collect();
    let mut opener = Opener::new(&manifest)
        .unwrap()
        .with_list(list.clone())
        .unwrap();
    for chunk in &chunks {
        opener.open(chunk.index, &mut chunk.bytes.clone()).unwrap();
    }
    assert_eq!(opener.finish(), Ok(()));

    let with = |list: &[Digest]| {
        let opener = Opener::new(&manifest).unwrap().with_list(list.to_vec());
        opener.map(|_| ())
    };
    assert_eq!(with(&list[..3]), Err(ItemError::Root));
    assert_eq!(with(&[]), Err(ItemError::Root));
    let mut swapped = list.clone();
    swapped.swap(0, 1);
    assert_eq!(with(&swapped), Err(ItemError::Root));

    // A member with the key seals other bytes: the list tells at once, not the root at the end.
    let (_, forged) = seal(manifest.plan.clone(), &vec![0; data.len()]);
    let mut opener = Opener::new(&manifest).unwrap().with_list(list).unwrap();
    assert_eq!(
        opener.open(0, &mut forged[0].bytes.clone()).map(|_| ()),
        Err(ItemError::ChunkRefused { index: 0 })
    );
    assert_eq!(open(&manifest, &forged), Err(ItemError::Root));
}

#[test]
fn padding_hides_nothing() {
    // Sealed by somebody who claims a smaller size than there are bytes.
    let data = bytes(5000);
    let (manifest, _) = seal(fixed_plan(&data[..4990]), &data[..4990]);
    let (_, chunks) = seal(fixed_plan(&data), &data);
    assert_eq!(
        open(&manifest, &chunks),
        Err(ItemError::Padding { index: 0 })
    );
}

#[test]
fn the_sealer_takes_exactly_the_file() {
    let data = bytes(100_000);
    let mut sealer = Sealer::new(plan("x", &data)).unwrap();
    let wants = sealer.wants().unwrap();
    assert_eq!(
        sealer.seal(&data[..wants - 1]),
        Err(ItemError::SourceChanged)
    );
    assert_eq!(
        sealer.seal(&data[..wants + 1]),
        Err(ItemError::SourceChanged)
    );
    sealer.seal(&data[..wants]).unwrap();
    assert_eq!(
        sealer.finish(),
        Err(ItemError::Incomplete { have: 1, of: 2 })
    );
}

#[test]
fn manifests_are_strict_and_silent() {
    let plan = fixed_plan(b"x").malware().supersedes(ItemId([9; 16]));
    let (manifest, _) = seal(plan, b"x");
    let good = manifest.encode();
    let read = Manifest::decode(&good).unwrap();
    assert!(read.carries_malware());
    assert_eq!(read.supersedes(), Some(ItemId([9; 16])));
    assert_eq!(read.label(), Some(Label::Amber));
    assert_eq!((read.name(), read.size()), ("report.pdf", 1));

    for cut in 0..good.len() {
        assert!(Manifest::decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Manifest::decode(&[&good[..], &[0]].concat()).is_err());
    for bit in 0..good.len() * 8 {
        let mut flipped = good.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Manifest::decode(&flipped) {
            assert_eq!(*other.encode(), flipped);
        }
    }
    let mut newer = good.to_vec();
    newer[1] = 2;
    assert_eq!(Manifest::decode(&newer), Err(ItemError::Version(2)));

    let shown = format!("{manifest:?} {:?}", manifest.plan);
    assert!(
        !shown.contains("report") && !shown.contains("0101"),
        "{shown}"
    );
    assert_eq!(
        Plan::new("", "", 0),
        Err(ItemError::Manifest {
            field: "name",
            expected: "1 to 1,024 bytes"
        })
    );
    assert!(Plan::new("n".repeat(1025), "", 0).is_err());
    assert!(Plan::new("n", "m".repeat(513), 0).is_err());
}

#[test]
fn a_plan_survives_the_store() {
    let plan = fixed_plan(b"x");
    assert_eq!(Plan::from_bytes(&plan.to_bytes()), Ok(plan));
    assert!(Plan::from_bytes(b"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_file_comes_back(len in prop_oneof![0..5_000usize, 60_000..140_000usize], name in ".{1,40}") {
        let data = bytes(len);
        let (manifest, chunks) = seal(plan(&name, &data), &data);
        let sealed: u64 = chunks.iter().map(|chunk| chunk.bytes.len() as u64).sum();
        prop_assert_eq!(sealed, manifest.layout().sealed_size());
        let read = Manifest::decode(&manifest.encode()).unwrap();
        prop_assert!(open(&read, &chunks).unwrap() == data);
        prop_assert_eq!(read, manifest);
    }

    #[test]
    fn noise_is_no_manifest(noise in any::<Vec<u8>>()) {
        prop_assert!(Manifest::decode(&noise).is_err());
    }
}
