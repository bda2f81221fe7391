//! Checksums: 16 bytes of BLAKE3 on everything, and two running sums over all rows.
//!
//! They find what disks and bugs do; against an attacker with the disk they promise nothing (the
//! channels' chains and signatures do).

const ROW: &[u8] = b"plenary store row v1\0";

/// Length of a checksum in bytes.
pub(super) const SUM: usize = 16;

/// The first 16 bytes of BLAKE3 over `parts`, in a row.
pub(super) fn sum(parts: &[&[u8]]) -> [u8; SUM] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let mut sum = [0; SUM];
    sum.copy_from_slice(&hasher.finalize().as_bytes()[..SUM]);
    sum
}

/// Checksum of a row: bound to its key, so that a row in another's place is found too.
pub(super) fn row_sum(key: &[u8], value: &[u8]) -> [u8; SUM] {
    sum(&[ROW, &(key.len() as u64).to_be_bytes(), key, value])
}

/// The wrapping sums of all rows' checksums: equal only if no row is missing, changed or left over.
///
/// Records have one of their own, so that a start can check everything else without reading them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Over the records.
    pub records: u128,
    /// Over all other rows but the one that says how far sled is.
    pub others: u128,
}

impl Totals {
    /// Counts a row in.
    pub fn add(&mut self, key: &[u8], sum: [u8; SUM]) {
        if let Some(total) = self.of(key) {
            *total = total.wrapping_add(u128::from_be_bytes(sum));
        }
    }

    /// Takes a row out.
    pub fn take(&mut self, key: &[u8], sum: [u8; SUM]) {
        if let Some(total) = self.of(key) {
            *total = total.wrapping_sub(u128::from_be_bytes(sum));
        }
    }

    fn of(&mut self, key: &[u8]) -> Option<&mut u128> {
        match key.first() {
            Some(&super::rows::RECORD) => Some(&mut self.records),
            Some(&super::rows::APPLIED) => None,
            _ => Some(&mut self.others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_do_not_depend_on_order_and_notice_every_row() {
        let rows: [(&[u8], &[u8]); 3] = [(b"ra", b"1"), (b"ka", b"1"), (b"kb", b"1")];
        let total = |rows: &[(&[u8], &[u8])]| {
            let mut totals = Totals::default();
            for (key, value) in rows {
                totals.add(key, row_sum(key, value));
            }
            totals
        };
        let all = total(&rows);
        assert_eq!(all, total(&[rows[2], rows[0], rows[1]]));
        assert_ne!(all.others, total(&rows[..2]).others);
        assert_ne!(all.records, total(&rows[1..]).records);
        assert_ne!(row_sum(b"ka", b"1"), row_sum(b"k", b"a1"));
        let mut less = all;
        less.take(b"kb", row_sum(b"kb", b"1"));
        assert_eq!(less, total(&rows[..2]));
    }
}
