//! Everything that can be done to an item on its way, over many seeds: each refused by its name.
//!
//! `ITEM_SEEDS=5000 cargo test -p plenary-client hostile_items` plays more than the everyday 12.

use plenary_proto::{ids::ItemId, limits::SMALL_CHUNK};

use super::*;

/// SplitMix64 (Steele et al. 2014): the same seed, the same attack.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// What of a download the disk has when the item was refused, and why it was.
fn attempt(manifest: &Manifest, chunks: &[SealedChunk]) -> (ItemError, Vec<u8>) {
    let desk = Desk::new();
    let mut incoming = Incoming::create(desk.folder.path(), manifest).unwrap();
    let part = desk.folder.path().join(
        desk.names()
            .into_iter()
            .find(|name| name.ends_with(".part"))
            .unwrap(),
    );
    for chunk in chunks {
        if let Err(error) = incoming.write(chunk.index, &mut chunk.bytes.clone()) {
            return (error, fs::read(&part).unwrap());
        }
    }
    let error = incoming.finish().unwrap_err();
    assert!(desk.names().iter().all(|name| name.contains(".part")));
    (error, fs::read(&part).unwrap_or_default())
}

#[test]
fn hostile_items_are_refused_by_name_and_leave_no_byte_of_a_bad_chunk() {
    let seeds = std::env::var("ITEM_SEEDS").ok();
    let seeds = seeds.map_or(12, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let len = SMALL_CHUNK * (2 + dice.below(3)) + dice.below(SMALL_CHUNK);
        let data: Vec<u8> = (0..len).map(|_| dice.next() as u8).collect();
        let (manifest, chunks) = seal(plan("item.bin", &data), &data);
        let (_, others) = seal(plan("item.bin", &data), &data);
        let at = dice.below(chunks.len());
        let index = at as u32;
        let refused = |forged: &[SealedChunk], manifest: &Manifest, expected: ItemError| {
            let (error, disk) = attempt(manifest, forged);
            assert_eq!(error, expected, "seed {seed}, chunk {at}");
            assert!(
                data.starts_with(&disk),
                "seed {seed}: foreign bytes on disk"
            );
            disk
        };
        // What a wrong chunk at this place is called.
        let altered = match at {
            0 => ItemError::WrongKey,
            _ => ItemError::ChunkRefused { index },
        };
        let good = |upto: u32| manifest.layout().data_start(upto) as usize;

        let mut flipped = chunks.clone();
        let length = flipped[at].bytes.len();
        let bit = (32 + dice.below(length - 32)) * 8 + dice.below(8);
        flipped[at].bytes[bit / 8] ^= 1 << (bit % 8);
        let disk = refused(&flipped, &manifest, ItemError::ChunkRefused { index });
        assert_eq!(disk.len(), good(index));

        let other = (at + 1 + dice.below(chunks.len() - 1)) % chunks.len();
        let first = at.min(other);
        let mut swapped = chunks.clone();
        swapped.swap(at, other);
        let out_of_order = ItemError::OutOfOrder {
            expected: first as u32,
            got: at.max(other) as u32,
        };
        let disk = refused(&swapped, &manifest, out_of_order);
        assert_eq!(disk.len(), good(first as u32));
        // Under the other's index: nonce, commitment or length tells.
        for (n, chunk) in swapped.iter_mut().enumerate() {
            chunk.index = n as u32;
        }
        let (error, disk) = attempt(&manifest, &swapped);
        assert!(
            matches!(
                error,
                ItemError::WrongKey
                    | ItemError::ChunkRefused { .. }
                    | ItemError::ChunkLength { .. }
            ),
            "seed {seed}: {error:?}"
        );
        assert_eq!(disk.len(), good(first as u32));

        let mut dropped = chunks.clone();
        dropped.remove(at);
        let expected = match at + 1 == chunks.len() {
            true => ItemError::Incomplete {
                have: index,
                of: index + 1,
            },
            false => ItemError::OutOfOrder {
                expected: index,
                got: index + 1,
            },
        };
        refused(&dropped, &manifest, expected);

        let mut doubled = chunks.clone();
        doubled.insert(at, chunks[at].clone());
        let expected = ItemError::OutOfOrder {
            expected: index + 1,
            got: index,
        };
        refused(&doubled, &manifest, expected);

        let mut cut = chunks.clone();
        let got = dice.below(length);
        cut[at].bytes.truncate(got);
        let expected = ItemError::ChunkLength {
            index,
            expected: length,
            got,
        };
        refused(&cut, &manifest, expected);

        let mut foreign = chunks.clone();
        foreign[at] = others[at].clone();
        refused(&foreign, &manifest, altered);

        // A second key for the same upload: refused at the first chunk, nothing is written.
        let mut second = manifest.clone();
        second.plan.key = ItemKey::generate().unwrap();
        let disk = refused(&chunks, &second, ItemError::WrongKey);
        assert_eq!(disk, b"");
        // A second upload under the same key and id: the root tells.
        let twin: Vec<u8> = data.iter().map(|byte| byte ^ 1).collect();
        let (_, forged) = seal(manifest.plan.clone(), &twin);
        assert_eq!(attempt(&manifest, &forged).0, ItemError::Root);

        // A changed manifest: each field tells by itself.
        type Change = fn(&mut Manifest);
        let changes: [(Change, ItemError); 3] = [
            (|it| it.root.0[7] ^= 1, ItemError::Root),
            (|it| it.sha256.0[7] ^= 1, ItemError::Digest),
            (|it| it.plan.item = ItemId([3; 16]), ItemError::WrongKey),
        ];
        for (change, expected) in changes {
            let mut changed = manifest.clone();
            change(&mut changed);
            assert_eq!(attempt(&changed, &chunks).0, expected);
            assert_ne!(changed.describe().hash(), manifest.describe().hash());
        }
        let bytes = manifest.encode();
        let bit = dice.below(bytes.len() * 8);
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // One that still reads says something else, and custody names it by another hash.
        if let Ok(changed) = Manifest::decode(&flipped) {
            assert_ne!(changed.describe().hash(), manifest.describe().hash());
        }
    }
}

#[test]
fn without_its_key_a_manifest_says_the_same_and_is_as_strict() {
    let data = bytes(5000);
    let (manifest, _) = seal(plan("report.pdf", &data).malware(), &data);
    let described = manifest.describe();
    let bytes = described.encode();
    assert_eq!(Described::decode(&bytes), Ok(described.clone()));
    assert_eq!(described.name(), manifest.name());
    let key = manifest.plan.key.as_bytes();
    assert!(!bytes.windows(32).any(|part| part == key));
    assert!(Described::decode(&manifest.encode()).is_err());
    assert!(Manifest::decode(&bytes).is_err());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Described::decode(&flipped) {
            assert_ne!(other.hash(), described.hash());
        }
    }
    assert!(!format!("{described:?}").contains("report"));
}
