//! Pages: several rows of one log, dense by number, in one sled row.
//!
//! ```text
//! key    kind:1 channel:16 first:8
//! body   count:4 length:4 x count, then the rows, each checksum and value
//! ```
//! A page needs no checksum: each row in it has its own, and density says how many there must be.

use super::rows::{Fields, MARK, Malformed, RECORD};

/// Bytes at which a page is full. sled writes a whole page for each row of it that changes.
const FULL: usize = 8 * 1024;

/// Bytes of a paged row's key before its number.
const LOG: usize = 17;

/// Bytes of a paged row's key.
const KEY: usize = LOG + 8;

/// Whether a row of this key lies in a page.
pub(super) fn is_paged(key: &[u8]) -> bool {
    key.len() == KEY && matches!(key.first(), Some(&(MARK | RECORD)))
}

/// The part of a paged row's key that all rows of its log share.
pub(super) fn log(key: &[u8]) -> &[u8] {
    key.get(..LOG).unwrap_or(key)
}

/// Whether two paged rows are of one log.
pub(super) fn same_log(one: &[u8], two: &[u8]) -> bool {
    is_paged(two) && log(one) == log(two)
}

fn number(key: &[u8]) -> Result<u64, Malformed> {
    let mut fields = Fields(key.get(LOG..).ok_or(Malformed)?);
    let number = fields.u64()?;
    fields.end()?;
    Ok(number)
}

/// Key of a row in a page, and its checksum and value.
pub(super) type PagedRow<'a> = (Vec<u8>, &'a [u8]);

/// One page as sled keeps it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub key: Vec<u8>,
    pub body: Vec<u8>,
}

impl Page {
    /// The row at `key`, if it is in this page.
    pub fn get(&self, key: &[u8]) -> Result<Option<&[u8]>, Malformed> {
        let Some(index) = number(key)?.checked_sub(number(&self.key)?) else {
            return Ok(None);
        };
        let mut rows = self.slices()?;
        Ok(usize::try_from(index)
            .ok()
            .and_then(|index| rows.nth(index)))
    }

    /// Whether the page has the row at `key` or one after it.
    pub fn reaches(&self, key: &[u8]) -> Result<bool, Malformed> {
        let count = Fields(&self.body).u32()?;
        Ok(number(key)? < number(&self.key)?.saturating_add(count.into()))
    }

    /// All rows with their keys, in order.
    pub fn rows(&self) -> Result<Vec<PagedRow<'_>>, Malformed> {
        let first = number(&self.key)?;
        // No log is so long: a page whose numbers would run over is not one of ours.
        let count = Fields(&self.body).u32()?;
        let end = first.checked_add(count.into()).ok_or(Malformed)?;
        let rows = self.slices()?.zip(first..end);
        Ok(rows
            .map(|(row, number)| ([log(&self.key), &number.to_be_bytes()].concat(), row))
            .collect())
    }

    fn slices(&self) -> Result<impl Iterator<Item = &[u8]>, Malformed> {
        let mut fields = Fields(&self.body);
        let count = fields.u32()? as usize;
        let lengths = count.checked_mul(4).ok_or(Malformed)?;
        let (lengths, mut rest) = fields.0.split_at_checked(lengths).ok_or(Malformed)?;
        let mut rows = Vec::with_capacity(count);
        for length in lengths.chunks_exact(4) {
            let length = Fields(length).u32()? as usize;
            let (row, after) = rest.split_at_checked(length).ok_or(Malformed)?;
            rows.push(row);
            rest = after;
        }
        if rest.is_empty() {
            Ok(rows.into_iter())
        } else {
            Err(Malformed)
        }
    }
}

/// Rows of one log, in order, as pages: a new one where a number is missing or one is full.
pub(super) fn build<'a>(rows: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Page> {
    let mut built = Vec::new();
    let mut open: Vec<(&[u8], &[u8])> = Vec::new();
    let mut bytes = 0;
    for (key, row) in rows {
        let follows = open
            .last()
            .is_none_or(|(last, _)| number(last).map(|last| last.wrapping_add(1)) == number(key));
        if !open.is_empty() && (!follows || bytes + row.len() > FULL) {
            built.extend(close(&open));
            open.clear();
            bytes = 0;
        }
        bytes += row.len();
        open.push((key, row));
    }
    built.extend(close(&open));
    built
}

fn close(rows: &[(&[u8], &[u8])]) -> Option<Page> {
    let (key, _) = rows.first()?;
    let mut body = Vec::new();
    let len = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    body.extend_from_slice(&len(rows.len()));
    for (_, row) in rows {
        body.extend_from_slice(&len(row.len()));
    }
    for (_, row) in rows {
        body.extend_from_slice(row);
    }
    Some(Page {
        key: key.to_vec(),
        body,
    })
}

#[cfg(test)]
mod tests {
    use plenary_proto::ids::{ChannelId, Seq};

    use super::*;
    use crate::store::rows::record_key;

    fn key(n: u64) -> Vec<u8> {
        record_key(ChannelId([1; 16]), Seq(n))
    }

    #[test]
    fn the_bytes_on_disk_stay_as_they_are() {
        let rows = [
            (key(5), b"one".as_slice()),
            (key(6), b"".as_slice()),
            (key(7), b"three"),
        ];
        let built = build(rows.iter().map(|(key, row)| (&key[..], *row)));
        assert_eq!(built.len(), 1);
        let expected = b"\0\0\0\x03\0\0\0\x03\0\0\0\0\0\0\0\x05onethree";
        assert_eq!(
            (&built[0].key, &built[0].body[..]),
            (&key(5), &expected[..])
        );
        assert_eq!(built[0].rows().unwrap(), rows);
        for (n, row) in (5..).zip(rows) {
            assert_eq!(built[0].get(&key(n)), Ok(Some(row.1)));
            assert_eq!(built[0].reaches(&key(n)), Ok(true));
        }
        assert_eq!(built[0].get(&key(4)), Ok(None));
        assert_eq!(built[0].get(&key(8)), Ok(None));
        assert_eq!(built[0].reaches(&key(8)), Ok(false));
        for cut in 0..expected.len() {
            let page = Page {
                key: key(5),
                body: expected[..cut].to_vec(),
            };
            assert_eq!(page.rows(), Err(Malformed), "cut at {cut}");
        }
    }

    #[test]
    fn a_page_whose_numbers_run_over_is_malformed() {
        let body = b"\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec();
        let at = |n| Page {
            key: key(n),
            body: body.clone(),
        };
        assert_eq!(at(u64::MAX - 1).rows(), Err(Malformed));
        assert_eq!(at(u64::MAX - 2).rows().map(|rows| rows.len()), Ok(2));
    }

    #[test]
    fn breaks_where_it_is_full_and_where_a_number_is_missing() {
        let large = vec![7; FULL / 2];
        let huge = vec![8; FULL * 2];
        let numbers = [
            (1, &large),
            (2, &large),
            (3, &large),
            (5, &large),
            (6, &huge),
            (7, &large),
        ];
        let keys: Vec<_> = numbers.iter().map(|(n, row)| (key(*n), *row)).collect();
        let built = build(keys.iter().map(|(key, row)| (&key[..], &row[..])));
        let firsts: Vec<_> = built.iter().map(|page| page.key.clone()).collect();
        assert_eq!(firsts, [1, 3, 5, 6, 7].map(key));
        assert!(build(std::iter::empty()).is_empty());
    }
}
