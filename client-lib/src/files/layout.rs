//! How an item of a size is cut: padding, chunks, sealed lengths. A function of the size alone.

use plenary_proto::limits::{CHUNK, ITEM_CHUNKS, SMALL_CHUNK, SMALL_ITEM};

use super::ItemError;

/// Bytes of the largest item: 60 GiB, a Padme size below what the server makes room for. Far below
/// what AES-GCM may seal under one key, too.
pub const MAX_ITEM: u64 = 60 << 30;

/// Bytes every item is padded to at least: below, sizes would tell short notes apart.
const SMALLEST: u64 = 4096;

/// Bytes of the key commitment, which open chunk 0.
pub(super) const COMMITMENT: usize = 32;

/// Bytes of an AEAD tag.
pub(super) const TAG: usize = 16;

// Chunk 0 holds the commitment and more; one chunk more than the bytes need may hold its overhang.
const _: () = assert!(COMMITMENT < SMALL_CHUNK);
const _: () = assert!(MAX_ITEM / (CHUNK as u64) < ITEM_CHUNKS as u64);
const _: () = assert!(SMALL_ITEM / (SMALL_CHUNK as u64) < ITEM_CHUNKS as u64);

/// How an item is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    size: u64,
    /// Commitment and padded plaintext.
    stream: u64,
    chunk: usize,
}

impl Layout {
    /// The layout of an item of `size` bytes.
    ///
    /// # Errors
    /// When it is above [`MAX_ITEM`].
    pub fn of(size: u64) -> Result<Self, ItemError> {
        if size > MAX_ITEM {
            return Err(ItemError::TooLarge { size });
        }
        let chunk = match size {
            0..=SMALL_ITEM => SMALL_CHUNK,
            _ => CHUNK,
        };
        Ok(Self {
            size,
            stream: COMMITMENT as u64 + padme(size),
            chunk,
        })
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Chunks in all: at least one.
    pub fn chunks(&self) -> u32 {
        self.stream.div_ceil(self.chunk as u64) as u32
    }

    /// Sealed bytes in all: what the server stores.
    pub fn sealed_size(&self) -> u64 {
        self.stream + u64::from(self.chunks()) * TAG as u64
    }

    /// Sealed bytes of every chunk but the last.
    pub fn sealed_chunk(&self) -> u32 {
        (self.chunk + TAG) as u32
    }

    /// Where a chunk starts within the sealed bytes.
    pub fn sealed_start(&self, index: u32) -> u64 {
        u64::from(index) * u64::from(self.sealed_chunk())
    }

    /// Sealed bytes of one chunk; 0 beyond the last.
    pub fn sealed_len(&self, index: u32) -> usize {
        match self.stream_len(index) {
            0 => 0,
            len => len + TAG,
        }
    }

    /// Where a chunk's bytes start within the file.
    pub fn data_start(&self, index: u32) -> u64 {
        let start = u64::from(index) * self.chunk as u64;
        start.saturating_sub(COMMITMENT as u64).min(self.size)
    }

    /// The chunk that holds a byte of the file.
    pub fn chunk_of(&self, at: u64) -> u32 {
        let chunk = at.saturating_add(COMMITMENT as u64) / self.chunk as u64;
        u32::try_from(chunk).unwrap_or(u32::MAX)
    }

    /// Bytes of the file in one chunk: 0 where there is only padding.
    pub fn data_len(&self, index: u32) -> usize {
        (self.data_start(index.saturating_add(1)) - self.data_start(index)) as usize
    }

    pub(super) fn is_last(&self, index: u32) -> bool {
        index + 1 == self.chunks()
    }

    fn stream_len(&self, index: u32) -> usize {
        let start = u64::from(index) * self.chunk as u64;
        self.stream.saturating_sub(start).min(self.chunk as u64) as usize
    }
}

/// The Padme size: of the highest bits of the length only as many count as its own length has
/// bits, so that at most 12 % are added and few sizes exist.
fn padme(size: u64) -> u64 {
    let size = size.max(SMALLEST);
    let exponent = size.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1u64 << (exponent - kept)) - 1;
    (size + mask) & !mask
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn padded_sizes() {
        for (size, padded) in [
            (0, 4096),
            (4096, 4096),
            (4097, 4352),
            (100_000, 100_352),
            (1_000_000, 1_015_808),
            (SMALL_ITEM, SMALL_ITEM),
            (SMALL_ITEM + 1, 8_650_752),
            (MAX_ITEM, MAX_ITEM),
        ] {
            assert_eq!(padme(size), padded, "{size}");
        }
    }

    #[test]
    fn corner_sizes() {
        let layout = |size| {
            let layout = Layout::of(size).unwrap();
            (layout.chunks(), layout.sealed_size(), layout.sealed_chunk())
        };
        assert_eq!(layout(0), (1, 4096 + 32 + 16, 65_552));
        // The commitment pushes 32 bytes into a chunk of their own.
        assert_eq!(layout(65_536), (2, 65_536 + 32 + 32, 65_552));
        assert_eq!(layout(SMALL_ITEM).0, 129);
        assert_eq!(
            layout(SMALL_ITEM + 1),
            (9, 8_650_752 + 32 + 9 * 16, 1_048_592)
        );
        assert!(layout(MAX_ITEM).0 <= ITEM_CHUNKS);
        assert_eq!(
            Layout::of(MAX_ITEM + 1),
            Err(ItemError::TooLarge { size: MAX_ITEM + 1 })
        );
        assert_eq!(Layout::of(0).unwrap().sealed_len(1), 0);
    }

    proptest! {
        #[test]
        fn chunks_add_up(size in prop_oneof![0..100_000u64, 0..40_000_000u64]) {
            let layout = Layout::of(size).unwrap();
            let all = 0..layout.chunks();
            let sealed: u64 = all.clone().map(|i| layout.sealed_len(i) as u64).sum();
            prop_assert_eq!(sealed, layout.sealed_size());
            let data: u64 = all.clone().map(|i| layout.data_len(i) as u64).sum();
            prop_assert_eq!(data, size);
            for index in all {
                let full = layout.sealed_len(index) == layout.sealed_chunk() as usize;
                prop_assert!(full || layout.is_last(index));
                prop_assert!(layout.sealed_len(index) > TAG);
            }
        }

        #[test]
        fn padding_is_small_and_ordered(size in 4096..MAX_ITEM) {
            let padded = padme(size);
            prop_assert!(padded >= size && (padded - size) * 100 <= size * 12);
            prop_assert_eq!(padme(padded), padded);
            prop_assert!(padme(size - 1) <= padded);
        }
    }
}
