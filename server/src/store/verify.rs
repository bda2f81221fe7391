//! Comparing what sled has with what the journal says it should have.

use std::{
    collections::HashMap,
    ops::Bound,
    sync::atomic::{AtomicUsize, Ordering},
};

use plenary_core::store::StoreError;
use plenary_proto::ids::{ChannelId, Seq};

use super::{
    Shared,
    big::Big,
    fault::damaged,
    marks::{Mark, Marks, mark},
    rows::{
        self, APPLIED, CHANNEL, ChannelRow, Content, MARK, RECORD, RecordRow, SHARED, channel_in,
        decode_mark, decode_shared, mark_key, record_key, seq_in,
    },
    sum::{SUM, Totals},
    tree::{Row, SealedRow, Tree, seal},
};

/// Records read at once by [`Shared::verify_records`].
const PAGE: u32 = 512;

/// Marks of one channel that one thread reads in one go.
const SHARE: u64 = 1 << 15;
/// Threads that read marks: more do not help, sled is one file.
const THREADS: usize = 4;

/// Reads every row but the records and compares their total; checks both ends of every channel's
/// log and that all large content is there. Returns the marks.
///
/// sled can lose a row without a word. After this, none but a record can be missing, and a record
/// that is missing is found by the first reader, because positions are dense and chained.
pub(super) fn verify_rows(tree: &Tree, big: &Big, expected: Totals) -> Result<Marks, StoreError> {
    let mut totals = Totals::default();
    let mut channels = Vec::new();
    let mut large = Vec::new();
    let mut count = |(key, sealed): SealedRow| {
        let value = counted(tree, &mut totals, &key, &sealed)?;
        match key.first().copied() {
            Some(CHANNEL) => {
                let channel = channel_in(&key);
                let channel = channel.ok_or_else(|| tree.broken(&key, "has a torn key"))?;
                let row = tree.decoded(&key, ChannelRow::decode(value))?;
                channels.push((channel, row));
            }
            Some(SHARED) => {
                let (_, here) = tree.decoded(&key, decode_shared(value))?;
                if here.is_empty() && key[1..] != Content::of(b"").hash {
                    large.extend(<[u8; 32]>::try_from(&key[1..]));
                }
            }
            _ => {}
        }
        Ok::<_, StoreError>(())
    };
    // All but records and marks, which are many; neither is last nor first, nor next to the other.
    let mut between = Bound::Unbounded;
    let mut dense = [MARK, RECORD];
    dense.sort_unstable();
    for kind in dense {
        tree.range_sealed((between, Bound::Excluded(vec![kind])))
            .try_for_each(|row| count(row?))?;
        between = Bound::Included(vec![kind + 1]);
    }
    tree.range_sealed((between, Bound::Unbounded))
        .try_for_each(|row| count(row?))?;
    let read = read_marks(tree, &channels)?;
    totals.others = totals.others.wrapping_add(read.totals.others);
    if totals.others != expected.others {
        return Err(damaged(
            "sled and the journal disagree: rows are missing, changed or too many",
        ));
    }
    for (channel, row) in &channels {
        verify_ends(tree, *channel, row)?;
        let kept = row.head.seq.0 - row.trimmed.seq.0;
        if read.of.get(channel).copied().unwrap_or(0) != kept {
            return Err(tree.broken(&mark_key(*channel, row.head.seq), "has lost others"));
        }
    }
    big.sweep(&large)?;
    let marks = Marks::default();
    marks.take_all(read.marks);
    Ok(marks)
}

/// Verifies a row as kept and counts it in. Returns its value.
fn counted<'a>(
    tree: &Tree,
    totals: &mut Totals,
    key: &[u8],
    sealed: &'a [u8],
) -> Result<&'a [u8], StoreError> {
    tree.verify(key, sealed)?;
    let (sum, value) = sealed
        .split_first_chunk::<SUM>()
        .ok_or_else(|| tree.broken(key, "has no checksum"))?;
    totals.add(key, *sum);
    Ok(value)
}

/// What the mark rows say.
#[derive(Default)]
struct ReadMarks {
    totals: Totals,
    /// How many a channel has.
    of: HashMap<ChannelId, u64>,
    marks: Vec<(Mark, Seq)>,
}

/// Reads all mark rows, on several threads: they are most of what a start reads.
fn read_marks(tree: &Tree, channels: &[(ChannelId, ChannelRow)]) -> Result<ReadMarks, StoreError> {
    // Keys that cut the marks into shares. Nothing lies outside: a row too many is counted, too.
    let mut cuts = vec![vec![MARK], vec![MARK + 1]];
    for (channel, row) in channels {
        let kept = row.trimmed.seq.0..row.head.seq.0;
        let cut = |seq| mark_key(*channel, Seq(seq));
        cuts.extend(kept.step_by(SHARE as usize).map(cut));
    }
    cuts.sort_unstable();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut read = ReadMarks::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let (Some(from), Some(to)) = (cuts.get(at), cuts.get(at + 1)) else {
                return Ok(read);
            };
            for row in tree.range_sealed(from.clone()..to.clone()) {
                read.take(tree, &row?)?;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(THREADS).min(cuts.len() - 1);
    let mut all = ReadMarks::default();
    std::thread::scope(|scope| {
        let working: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for one in working {
            let panicked = |_| Err(damaged("reading the marks panicked"));
            all.add(one.join().unwrap_or_else(panicked)?);
        }
        Ok(all)
    })
}

impl ReadMarks {
    fn take(&mut self, tree: &Tree, (key, sealed): &SealedRow) -> Result<(), StoreError> {
        let value = counted(tree, &mut self.totals, key, sealed)?;
        let (Some(channel), Some(seq)) = (channel_in(key), seq_in(key)) else {
            return Err(tree.broken(key, "has a torn key"));
        };
        let (device, client) = tree.decoded(key, decode_mark(value))?;
        self.marks.push((mark(channel, device, client), seq));
        *self.of.entry(channel).or_default() += 1;
        Ok(())
    }

    fn add(&mut self, other: Self) {
        self.totals.others = self.totals.others.wrapping_add(other.totals.others);
        for (channel, count) in other.of {
            *self.of.entry(channel).or_default() += count;
        }
        if self.marks.is_empty() {
            self.marks = other.marks;
        } else {
            self.marks.extend(other.marks);
        }
    }
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
    for row in tree.range_sealed(vec![RECORD]..vec![RECORD + 1]) {
        let (key, sealed) = row?;
        counted(tree, &mut totals, &key, &sealed)?;
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
