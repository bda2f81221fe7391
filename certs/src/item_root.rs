//! The list over an item's sealed chunks: what sender, server and recipient agree on without
//! the server holding a key.
//!
//! Every sealed chunk has a BLAKE3 hash; the root is BLAKE3 over size, chunk size and all these
//! hashes in order. Both use BLAKE3's key-derivation mode as domain separation, so that neither
//! can pass for the other or for a hash of something else.

use plenary_proto::ids::Digest;

const CHUNK_CONTEXT: &str = "plenary 2026-11 item sealed chunk v1";
const LIST_CONTEXT: &str = "plenary 2026-11 item chunk list v1";

/// Hash of one sealed chunk, as it travels.
pub fn chunk_hash(sealed: &[u8]) -> Digest {
    Digest(blake3::derive_key(CHUNK_CONTEXT, sealed))
}

/// Builds the root, chunk hash by chunk hash, in constant memory.
#[derive(Debug, Clone)]
pub struct ItemRoot {
    hasher: blake3::Hasher,
}

impl ItemRoot {
    /// Starts the list of an item of `sealed_size` bytes in all, every chunk but the last
    /// `sealed_chunk` bytes. Both are part of the root, big-endian.
    pub fn new(sealed_size: u64, sealed_chunk: u32) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(LIST_CONTEXT);
        hasher.update(&sealed_size.to_be_bytes());
        hasher.update(&sealed_chunk.to_be_bytes());
        Self { hasher }
    }

    /// Adds the next chunk's hash.
    pub fn push(&mut self, chunk: &Digest) {
        self.hasher.update(chunk.as_bytes());
    }

    /// The root over everything pushed.
    pub fn finish(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(size: u64, chunk: u32, chunks: &[&[u8]]) -> Digest {
        let mut root = ItemRoot::new(size, chunk);
        for bytes in chunks {
            root.push(&chunk_hash(bytes));
        }
        root.finish()
    }

    #[test]
    fn pinned() {
        assert_eq!(
            chunk_hash(b"sealed").to_string(),
            "92a2fc9a4775b9d2ec970564b719bff140472d29f85125cb745e9c2a21d85b9b"
        );
        assert_eq!(
            root(12, 6, &[b"sealed", b"chunks"]).to_string(),
            "ecfb3a5606f779bb5b2bc82bd6addc7670d22f82335dd97c3a442286e16b94f8"
        );
    }

    #[test]
    fn order_number_and_sizes_count() {
        let right = root(12, 6, &[b"sealed", b"chunks"]);
        for wrong in [
            root(12, 6, &[b"chunks", b"sealed"]),
            root(12, 6, &[b"sealed"]),
            root(12, 6, &[b"sealed", b"chunks", b""]),
            root(13, 6, &[b"sealed", b"chunks"]),
            root(12, 7, &[b"sealed", b"chunks"]),
        ] {
            assert_ne!(wrong, right);
        }
    }
}
