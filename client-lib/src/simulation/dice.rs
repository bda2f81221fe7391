//! Chance that can be had again: SHA-256 over a seed and a counter. For tests; nothing secret.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use plenary_certs::signing::SigningKey;
use ring::digest::{SHA256, digest};

use crate::{engine::Random, error::Error};

/// A stream of bytes that a seed determines. Clones go on with the same stream.
#[derive(Debug, Clone)]
pub struct Dice {
    seed: u64,
    name: u64,
    drawn: Arc<AtomicU64>,
}

impl Dice {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self::named(seed, 0)
    }

    /// Another stream of the same seed: what one draws does not move the other.
    pub fn split(&self, name: u64) -> Self {
        Self::named(self.seed, name)
    }

    fn named(seed: u64, name: u64) -> Self {
        Self {
            seed,
            name,
            drawn: Arc::default(),
        }
    }

    /// The seed, to be printed when a test fails.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.draw(&mut bytes);
        bytes
    }

    /// The next bytes, as many as wanted.
    pub fn some(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.draw(&mut bytes);
        bytes
    }

    /// A number below `end`, which is not 0.
    pub fn below(&self, end: usize) -> usize {
        (u64::from_be_bytes(self.bytes()) % end as u64) as usize
    }

    /// Heads or tails.
    pub fn coin(&self) -> bool {
        self.below(2) == 0
    }

    /// One of several.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// In another order.
    pub fn shuffle<T>(&self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            list.swap(end, self.below(end + 1));
        }
    }

    /// A signing key.
    pub fn key(&self) -> SigningKey {
        SigningKey::from_seed(&self.bytes()).unwrap()
    }

    fn draw(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let number = self.drawn.fetch_add(1, Ordering::Relaxed);
            let input = [self.seed, self.name, number]
                .map(u64::to_be_bytes)
                .concat();
            chunk.copy_from_slice(&digest(&SHA256, &input).as_ref()[..chunk.len()]);
        }
    }
}

impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        self.draw(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_and_streams_do_not_disturb_each_other() {
        let (one, other) = (Dice::new(7), Dice::new(7));
        let side = one.split(1);
        assert_ne!(side.bytes::<40>(), other.bytes());
        assert_eq!(one.bytes::<40>(), Dice::new(7).bytes());
        assert_ne!(one.bytes::<40>(), Dice::new(7).bytes());
        assert_ne!(Dice::new(8).bytes::<8>(), Dice::new(7).bytes());
        let mut order: Vec<_> = (0..50).collect();
        one.shuffle(&mut order);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
