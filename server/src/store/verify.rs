//! Comparing what sled has with what the journal says it should have.

use std::{collections::HashMap, ops::Bound};

use plenary_core::store::StoreError;
use plenary_proto::ids::{ChannelId, Seq};

use super::{
    Shared,
    big::Big,
    fault::damaged,
    marks::{Marks, mark},
    rows::{
        self, APPLIED, CHANNEL, ChannelRow, Content, MARK, RECORD, RecordRow, SHARED, channel_in,
        decode_mark, decode_shared, mark_key, record_key, seq_in,
    },
    sum::{Totals, row_sum},
    tree::{Row, Tree, seal},
};

/// Records read at once by [`Shared::verify_records`].
const PAGE: u32 = 512;

/// Reads every row but the records and compares their total; checks both ends of every channel's
/// log and that all large content is there. Returns the marks.
///
/// sled can lose a row without a word. After this, none but a record can be missing, and a record
/// that is missing is found by the first reader, because positions are dense and chained.
pub(super) fn verify_rows(tree: &Tree, big: &Big, expected: Totals) -> Result<Marks, StoreError> {
    let mut totals = Totals::default();
    let mut channels = Vec::new();
    let mut large = Vec::new();
    let marks = Marks::default();
    let mut marked: HashMap<ChannelId, u64> = HashMap::new();
    let mut count = |(key, value): Row| {
        totals.add(&key, row_sum(&key, &value));
        match key.first().copied() {
            Some(CHANNEL) => {
                let channel = channel_in(&key);
                let channel = channel.ok_or_else(|| tree.broken(&key, "has a torn key"))?;
                let row = tree.decoded(&key, ChannelRow::decode(&value))?;
                channels.push((channel, row));
            }
            Some(SHARED) => {
                let (_, here) = tree.decoded(&key, decode_shared(&value))?;
                if here.is_empty() && key[1..] != Content::of(b"").hash {
                    large.extend(<[u8; 32]>::try_from(&key[1..]));
                }
            }
            Some(MARK) => {
                let (Some(channel), Some(seq)) = (channel_in(&key), seq_in(&key)) else {
                    return Err(tree.broken(&key, "has a torn key"));
                };
                let (device, client) = tree.decoded(&key, decode_mark(&value))?;
                marks.take([(mark(channel, device, client), Some(seq))]);
                *marked.entry(channel).or_default() += 1;
            }
            _ => {}
        }
        Ok::<_, StoreError>(())
    };
    tree.range(..vec![RECORD]).try_for_each(|row| count(row?))?;
    tree.range((Bound::Included(vec![RECORD + 1]), Bound::Unbounded))
        .try_for_each(|row| count(row?))?;
    if totals.others != expected.others {
        return Err(damaged(
            "sled and the journal disagree: rows are missing, changed or too many",
        ));
    }
    for (channel, row) in &channels {
        verify_ends(tree, *channel, row)?;
        let kept = row.head.seq.0 - row.trimmed.seq.0;
        if marked.get(channel).copied().unwrap_or(0) != kept {
            return Err(tree.broken(&mark_key(*channel, row.head.seq), "has lost others"));
        }
    }
    big.sweep(&large)?;
    Ok(marks)
}

fn verify_ends(tree: &Tree, channel: ChannelId, row: &ChannelRow) -> Result<(), StoreError> {
    let record = |seq: Seq| {
        let key = record_key(channel, seq);
        let found = tree.get(&key)?;
        let found = found.ok_or_else(|| tree.broken(&key, "is missing"))?;
        let hash = tree.decoded(&key, RecordRow::decode(&found))?.hash;
        Ok::<_, StoreError>((key, hash))
    };
    if row.head.seq == row.trimmed.seq {
        return Ok(());
    }
    record(row.trimmed.seq.next())?;
    let (key, hash) = record(row.head.seq)?;
    if hash != row.head.hash {
        return Err(tree.broken(&key, "is not the channel's head"));
    }
    Ok(())
}

impl Shared {
    /// Reads every record of every channel and verifies its place in the chain. Returns how many.
    pub(super) fn verify_records(&self) -> Result<u64, StoreError> {
        let mut verified = 0;
        for channel in self.channels()? {
            let mut after = Seq(0);
            loop {
                match self.read(channel, after, PAGE, 4 << 20) {
                    Ok((records, _)) => {
                        verified += records.len() as u64;
                        let Some(last) = records.last() else { break };
                        after = last.seq;
                    }
                    // Trimmed before or meanwhile: the rest is still to be read.
                    Err(StoreError::Trimmed { trimmed }) => after = trimmed,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(verified)
    }
}

/// Compares the total of all records with `expected`: finds also what lies outside any log.
pub(super) fn verify_record_total(tree: &Tree, expected: Totals) -> Result<(), StoreError> {
    let mut totals = Totals::default();
    for row in tree.range(vec![RECORD]..vec![RECORD + 1]) {
        let (key, value) = row?;
        totals.add(&key, row_sum(&key, &value));
    }
    if totals.records == expected.records {
        Ok(())
    } else {
        Err(damaged(
            "sled and the journal disagree: records are missing, changed or too many",
        ))
    }
}

/// The row that says which store sled's files are of and how far they are.
pub(super) fn applied_row(id: &[u8; 16], frame: u64) -> Row {
    let key = vec![APPLIED];
    let row = seal(&key, &rows::encode_applied(id, frame));
    (key, row)
}

/// Which store sled's files are of, and the last frame applied to them.
pub(super) fn applied(tree: &Tree) -> Result<Option<([u8; 16], u64)>, StoreError> {
    let key = [APPLIED];
    tree.get(&key)?
        .map(|row| tree.decoded(&key, rows::decode_applied(&row)))
        .transpose()
}
