//! Hides how long a message is: 256 bytes, or 512, 1,024, and so on up to 64 KiB.
//!
//! The bytes are followed by 0x80 and zeros up to the next size (ISO/IEC 7816-4). There is one
//! padded form for every input: another size, or anything but zeros, is refused.

use plenary_proto::limits;

/// The smallest padded size, in bytes: most messages are below it.
pub const SMALLEST: usize = 256;

const MARK: u8 = 0x80;

// Every size is the smallest times a power of two, the largest included.
const _: () = assert!(limits::PADDED_CONTENT.is_power_of_two() && SMALLEST.is_power_of_two());

/// Why bytes cannot be padded or are not padded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaddingError {
    /// No size is large enough.
    #[error("{bytes} bytes do not fit a message: at most {}", limits::PADDED_CONTENT - 1)]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Not what [`pad`] makes.
    #[error("not padded as a message must be")]
    NotPadded,
}

/// Pads to the smallest size that fits.
///
/// # Errors
/// When no size fits.
pub fn pad(mut bytes: Vec<u8>) -> Result<Vec<u8>, PaddingError> {
    let size = padded_size(bytes.len());
    if size > limits::PADDED_CONTENT {
        return Err(PaddingError::TooLarge { bytes: bytes.len() });
    }
    bytes.push(MARK);
    bytes.resize(size, 0);
    Ok(bytes)
}

/// The bytes without their padding.
///
/// # Errors
/// When they are not exactly what [`pad`] makes.
pub fn unpad(padded: &[u8]) -> Result<&[u8], PaddingError> {
    let mark = padded.iter().rposition(|byte| *byte != 0);
    let mark = mark.ok_or(PaddingError::NotPadded)?;
    let exact = padded.len() <= limits::PADDED_CONTENT && padded_size(mark) == padded.len();
    match padded[mark] == MARK && exact {
        true => Ok(&padded[..mark]),
        false => Err(PaddingError::NotPadded),
    }
}

/// The size of so many bytes once padded. One byte is the mark's.
fn padded_size(bytes: usize) -> usize {
    (bytes + 1).next_power_of_two().max(SMALLEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes() {
        for (bytes, padded) in [
            (0, 256),
            (255, 256),
            (256, 512),
            (511, 512),
            (512, 1024),
            (65_535, 65_536),
        ] {
            assert_eq!(pad(vec![0; bytes]).unwrap().len(), padded, "{bytes}");
        }
        assert_eq!(
            pad(vec![0; 65_536]),
            Err(PaddingError::TooLarge { bytes: 65_536 })
        );
    }

    #[test]
    fn pinned() {
        let padded = pad(b"hi".to_vec()).unwrap();
        assert_eq!(padded[..4], [0x68, 0x69, 0x80, 0]);
        assert!(padded[3..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn refuses_other_forms() {
        let good = pad(b"hi".to_vec()).unwrap();
        let longer = [good.as_slice(), &[0; 256]].concat();
        let mut other_mark = good.clone();
        other_mark[2] = 0x81;
        let mut tail = good.clone();
        tail[255] = 1;
        let mut huge = vec![0; 2 * limits::PADDED_CONTENT];
        huge[limits::PADDED_CONTENT] = MARK;
        for bad in [
            &good[..255],
            &longer,
            &other_mark,
            &tail,
            &huge,
            &[0; 256],
            &[],
        ] {
            assert_eq!(unpad(bad), Err(PaddingError::NotPadded));
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let padded = pad(bytes.clone()).unwrap();
            prop_assert_eq!(unpad(&padded).unwrap(), bytes.as_slice());
        }
    }
}
