//! Copying what is large.

use bytes::BufMut;

/// Bytes copied at a time. More than 2 KiB glibc leaves to `rep movsb`; before 2.39 also on processors of
/// AMD, where it is several times slower if both sides lie at about the same place of a page, as large
/// buffers do (its bug 30994).
const PIECE: usize = 2048;

/// Appends all of it. There must be room, where `to` does not grow.
pub fn append(to: &mut impl BufMut, from: &[u8]) {
    for piece in from.chunks(PIECE) {
        to.put_slice(piece);
    }
}
