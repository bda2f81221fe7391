//! Coming back after a break: what was missed, how often entering again was tried, and since when each
//! device has been in a channel, which decides what may be handed on to it.

use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Seq, UnixMillis};
use rusqlite::{OptionalExtension, Row, params, types::ValueRef};

use super::{Store, column};
use crate::{content::Carries, error::Error};

/// Records that this device has missed: those between two positions, both excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) id: i64,
    pub(crate) after: Seq,
    /// Unknown until this device is back.
    pub(crate) before: Option<Seq>,
    /// How often it was asked for in vain.
    pub(crate) tries: u32,
    /// Not to be asked for before this.
    pub(crate) at: UnixMillis,
    /// The message that asked last.
    pub(crate) ask: Option<ClientId>,
}

/// Entering again after the channel could not be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Healing {
    pub(crate) tries: u32,
    pub(crate) last: UnixMillis,
    pub(crate) why: String,
    pub(crate) given_up: bool,
}

fn gap(row: &Row<'_>) -> rusqlite::Result<Gap> {
    Ok(Gap {
        id: row.get(0)?,
        after: Seq(row.get::<_, i64>(1)? as u64),
        before: row.get::<_, Option<i64>>(2)?.map(|seq| Seq(seq as u64)),
        tries: row.get(3)?,
        at: UnixMillis(row.get::<_, i64>(4)? as u64),
        ask: match row.get_ref(5)? {
            ValueRef::Null => None,
            _ => Some(column(row, 5)?),
        },
    })
}

impl Store {
    /// From here on nothing is read until this device is back.
    pub(crate) fn open_gap(&self, channel: ChannelId, after: Seq) -> Result<(), Error> {
        self.lock().execute(
            "INSERT INTO gap(channel, after, tries, at) SELECT ?1, ?2, 0, 0
             WHERE NOT EXISTS (SELECT 1 FROM gap WHERE channel = ?1 AND before IS NULL)",
            params![channel.0, after.0 as i64],
        )?;
        Ok(())
    }

    /// What follows a record that was not read is missed, up to where this device began to read next.
    pub(crate) fn miss_after(&self, channel: ChannelId, after: Seq) -> Result<(), Error> {
        if self.hash_at(channel, after)?.is_some() {
            return Ok(());
        }
        self.lock().execute(
            "INSERT INTO gap(channel, after, before, tries, at)
             SELECT ?1, ?2, back, 0, 0 FROM
                 (SELECT min(first) - 1 AS back FROM chain
                  WHERE channel = ?1 AND first > ?2 AND NOT aside)
             WHERE back > ?2 + 1 AND NOT EXISTS
                 (SELECT 1 FROM gap
                  WHERE channel = ?1 AND after <= ?2 AND (before IS NULL OR before >= back))",
            params![channel.0, after.0 as i64],
        )?;
        Ok(())
    }

    /// Back, with this record: what lies between is what was missed.
    pub(crate) fn close_gap(&self, channel: ChannelId, back: Seq) -> Result<(), Error> {
        let connection = self.lock();
        connection.execute(
            "UPDATE gap SET before = ?2 WHERE channel = ?1 AND before IS NULL",
            params![channel.0, back.0 as i64],
        )?;
        connection.execute(
            "DELETE FROM gap WHERE channel = ? AND before <= after + 1",
            [channel.0],
        )?;
        Ok(())
    }

    /// What was read after a position is not in the log any more: what this device sent there waits
    /// again, what others sent will come once more. Chain and heads are kept as evidence, beside.
    pub(crate) fn set_aside(
        &self,
        channel: ChannelId,
        after: Seq,
        own: DeviceId,
    ) -> Result<(), Error> {
        let at = (channel.0, after.0 as i64);
        self.split_chain(channel, after)?;
        let connection = self.lock();
        // Before whatever waits already.
        connection.execute(
            "INSERT INTO outbox(position, client_id, channel, content, carries)
             SELECT (SELECT coalesce(min(position), 0) FROM outbox)
                    - row_number() OVER (ORDER BY seq DESC),
                    client_id, channel, content, ?4
             FROM message WHERE channel = ?1 AND seq > ?2 AND device = ?3",
            params![channel.0, after.0 as i64, own.0, Carries::Content.code()],
        )?;
        for sql in [
            "DELETE FROM message WHERE channel = ? AND seq > ?",
            "UPDATE outbox SET seq = NULL WHERE channel = ? AND seq > ?",
            "DELETE FROM stay WHERE channel = ? AND entered > ?",
            "UPDATE stay SET left_seq = NULL, left_hash = NULL, left_epoch = NULL, left_time = NULL,
                 left_by = NULL, left_basis = NULL, left_silent = NULL
             WHERE channel = ? AND left_seq > ?",
            "UPDATE custody SET said = NULL, waits = 1 WHERE channel = ? AND said > ?",
            "DELETE FROM gap WHERE channel = ? AND after >= ?",
            "DELETE FROM leaf WHERE channel = ? AND since > ?",
            "UPDATE leaf SET until = NULL WHERE channel = ? AND until > ?",
            "UPDATE signed_head SET agrees = 0, aside = 1 WHERE channel = ? AND seq > ?",
            "UPDATE chain SET aside = 1
             WHERE channel = ?1 AND first > ?2 AND (first > ?2 + 1 OR length(entries) > 0)",
        ] {
            connection.execute(sql, at)?;
        }
        Ok(())
    }

    pub(crate) fn gaps(&self, channel: ChannelId) -> Result<Vec<Gap>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT id, after, before, tries, at, ask FROM gap WHERE channel = ? ORDER BY after",
        )?;
        let rows = query.query_map([channel.0], gap)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn put_gap(&self, gap: &Gap) -> Result<(), Error> {
        self.lock().execute(
            "UPDATE gap SET tries = ?, at = ?, ask = ? WHERE id = ?",
            params![gap.tries, gap.at.0 as i64, gap.ask.map(|ask| ask.0), gap.id],
        )?;
        Ok(())
    }

    /// All records after `from` up to `through` are had, as far as there is anything to have: what
    /// is left of a gap, in one piece or two, is asked for anew.
    pub(crate) fn fill_gap(
        &self,
        channel: ChannelId,
        gap: &Gap,
        from: Seq,
        through: Seq,
    ) -> Result<(), Error> {
        let Some(before) = gap.before else {
            return Ok(());
        };
        let connection = self.lock();
        connection.execute("DELETE FROM gap WHERE id = ?", [gap.id])?;
        let left = [
            (gap.after, Seq(from.0.saturating_add(1)).min(before)),
            (through.max(gap.after), before),
        ];
        for (after, before) in left {
            if after.0.saturating_add(1) < before.0 {
                connection.execute(
                    "INSERT INTO gap(channel, after, before, tries, at, ask)
                     VALUES(?, ?, ?, 0, 0, ?)",
                    params![
                        channel.0,
                        after.0 as i64,
                        before.0 as i64,
                        gap.ask.map(|ask| ask.0)
                    ],
                )?;
            }
        }
        Ok(())
    }

    pub(crate) fn healing(&self, channel: ChannelId) -> Result<Option<Healing>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT tries, last, why, given_up FROM healing WHERE channel = ?")?;
        let found = query
            .query_row([channel.0], |row| {
                Ok(Healing {
                    tries: row.get(0)?,
                    last: UnixMillis(row.get::<_, i64>(1)? as u64),
                    why: row.get(2)?,
                    given_up: row.get(3)?,
                })
            })
            .optional()?;
        Ok(found)
    }

    /// `None` forgets it.
    pub(crate) fn put_healing(
        &self,
        channel: ChannelId,
        healing: Option<&Healing>,
    ) -> Result<(), Error> {
        let connection = self.lock();
        match healing {
            Some(one) => connection.execute(
                "INSERT OR REPLACE INTO healing VALUES(?, ?, ?, ?, ?)",
                params![
                    channel.0,
                    one.tries,
                    one.last.0 as i64,
                    one.why,
                    one.given_up,
                ],
            )?,
            None => connection.execute("DELETE FROM healing WHERE channel = ?", [channel.0])?,
        };
        Ok(())
    }

    /// This device is in from a record on, with these; what was known of who is in ended after `end`.
    pub(crate) fn begin_leaves(
        &self,
        channel: ChannelId,
        end: Seq,
        since: Seq,
        devices: &[DeviceId],
    ) -> Result<(), Error> {
        self.lock().execute(
            "UPDATE leaf SET until = ? WHERE channel = ? AND until IS NULL",
            params![end.next().0 as i64, channel.0],
        )?;
        self.add_leaves(channel, since, devices)
    }

    /// A commit at `since` brought devices in.
    pub(crate) fn add_leaves(
        &self,
        channel: ChannelId,
        since: Seq,
        devices: &[DeviceId],
    ) -> Result<(), Error> {
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("INSERT OR IGNORE INTO leaf VALUES(?, ?, ?, NULL)")?;
        for device in devices {
            query.execute(params![channel.0, device.0, since.0 as i64])?;
        }
        Ok(())
    }

    /// A commit at `until` took devices out.
    pub(crate) fn end_leaves(
        &self,
        channel: ChannelId,
        until: Seq,
        devices: &[DeviceId],
    ) -> Result<(), Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "UPDATE leaf SET until = ? WHERE channel = ? AND device = ? AND until IS NULL",
        )?;
        for device in devices {
            query.execute(params![until.0 as i64, channel.0, device.0])?;
        }
        Ok(())
    }

    /// Whether a device was in the channel at a record, as far as this device knows.
    pub(crate) fn was_leaf(
        &self,
        channel: ChannelId,
        device: DeviceId,
        at: Seq,
    ) -> Result<bool, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT 1 FROM leaf WHERE channel = ? AND device = ? AND since < ?3
             AND (until IS NULL OR until > ?3) LIMIT 1",
        )?;
        Ok(query.exists(params![channel.0, device.0, at.0 as i64])?)
    }

    /// The first stretch between two positions that this device has read by itself: all records after
    /// the first up to the second.
    pub(crate) fn covered(
        &self,
        channel: ChannelId,
        after: Seq,
        before: Seq,
    ) -> Result<Option<(Seq, Seq)>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT first, length(entries) / 32 FROM chain
             WHERE channel = ? AND first < ? AND NOT aside AND length(entries) > 0
             ORDER BY first",
        )?;
        let rows = query.query_map(params![channel.0, before.0 as i64], |row| {
            let first = row.get::<_, i64>(0)? as u64;
            Ok((first, first + row.get::<_, i64>(1)? as u64 - 1))
        })?;
        let mut found: Option<(u64, u64)> = None;
        for row in rows {
            let (first, last) = row?;
            match found {
                _ if last <= after.0 => {}
                Some((_, end)) if first > end + 1 => break,
                Some((from, end)) => found = Some((from, end.max(last))),
                // The record before a stretch is the commit that it came in with: nothing to hand on.
                None => found = Some((first.saturating_sub(2).max(after.0), last)),
            }
        }
        Ok(found.map(|(from, through)| (Seq(from), Seq(through.min(before.0.saturating_sub(1))))))
    }
}

#[cfg(test)]
mod tests {
    use plenary_proto::ids::{ChannelHead, Digest, ItemId};
    use secrecy::SecretString;

    use super::*;
    use crate::store::custody::CustodyRow;

    const CHANNEL: ChannelId = ChannelId([1; 16]);

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = SecretString::from("a".to_owned());
        let store = Store::create(&folder.path().join("p"), &passphrase).unwrap();
        (folder, store)
    }

    fn spans(store: &Store) -> Vec<(u64, u64)> {
        let gaps = store.gaps(CHANNEL).unwrap();
        gaps.iter()
            .map(|gap| (gap.after.0, gap.before.map_or(0, |seq| seq.0)))
            .collect()
    }

    #[test]
    fn what_was_said_between_a_welcome_and_an_entry_is_missed() {
        let (_folder, store) = store();
        let head = |seq| ChannelHead {
            seq: Seq(seq),
            hash: Digest([seq as u8; 32]),
        };
        store.miss_after(CHANNEL, Seq(3)).unwrap();
        assert_eq!(spans(&store), [], "never in");
        store.begin_chain(CHANNEL, head(2)).unwrap();
        let entries = [Digest([3; 32]), Digest([4; 32])];
        store.add_entries(CHANNEL, head(2), &entries).unwrap();
        store.begin_chain(CHANNEL, head(12)).unwrap();
        for (welcomed, missed) in [
            (2, vec![]),
            (4, vec![]),
            (12, vec![]),
            (20, vec![]),
            (11, vec![]),
            (9, vec![(9, 12)]),
            (9, vec![(9, 12)]),
            (10, vec![(9, 12)]),
        ] {
            store.miss_after(CHANNEL, Seq(welcomed)).unwrap();
            assert_eq!(spans(&store), missed, "{welcomed}");
        }
    }

    #[test]
    fn a_gap_is_filled_from_any_side_and_in_the_middle() {
        for (from, through, left) in [
            (10, 19, vec![]),
            (0, 100, vec![]),
            (10, 14, vec![(14, 20)]),
            (15, 19, vec![(10, 16)]),
            (12, 15, vec![(10, 13), (15, 20)]),
            (10, 10, vec![(10, 20)]),
            (18, 19, vec![(10, 19)]),
        ] {
            let (_folder, store) = store();
            store.open_gap(CHANNEL, Seq(10)).unwrap();
            store.open_gap(CHANNEL, Seq(12)).unwrap();
            assert_eq!(spans(&store), [(10, 0)]);
            store.close_gap(CHANNEL, Seq(20)).unwrap();
            let gap = store.gaps(CHANNEL).unwrap()[0];
            store
                .fill_gap(CHANNEL, &gap, Seq(from), Seq(through))
                .unwrap();
            assert_eq!(spans(&store), left, "{from} {through}");
        }
        let (_folder, store) = store();
        store.open_gap(CHANNEL, Seq(10)).unwrap();
        store.close_gap(CHANNEL, Seq(11)).unwrap();
        assert_eq!(spans(&store), []);
    }

    #[test]
    fn who_was_in_is_known_from_commit_to_commit() {
        let (_folder, store) = store();
        let [a, b] = [DeviceId([1; 16]), DeviceId([2; 16])];
        store.begin_leaves(CHANNEL, Seq(0), Seq(5), &[a]).unwrap();
        store.add_leaves(CHANNEL, Seq(8), &[b]).unwrap();
        store.end_leaves(CHANNEL, Seq(12), &[b]).unwrap();
        store.add_leaves(CHANNEL, Seq(15), &[b]).unwrap();
        let was = |device, at| store.was_leaf(CHANNEL, device, Seq(at)).unwrap();
        assert_eq!(
            [4, 5, 6, 99].map(|at| was(a, at)),
            [false, false, true, true]
        );
        assert_eq!(
            [8, 9, 11, 12, 14, 15, 16].map(|at| was(b, at)),
            [false, true, true, false, false, false, true]
        );
        // Away after 20, back with 30.
        store.begin_leaves(CHANNEL, Seq(20), Seq(30), &[a]).unwrap();
        assert_eq!(
            [20, 21, 30, 31].map(|at| was(a, at)),
            [true, false, false, true]
        );
        assert!(!was(b, 31));
    }

    #[test]
    fn what_was_stated_in_a_false_log_is_stated_again() {
        let (_folder, store) = store();
        for (id, said) in [(1, Some(8)), (2, Some(12)), (3, None)] {
            let id = Digest([id; 32]);
            let row = CustodyRow {
                id,
                item: ItemId([1; 16]),
                channel: CHANNEL,
                entry: vec![],
                waits: false,
            };
            store.put_custody(&row).unwrap();
            if let Some(at) = said {
                store.custody_said(&id, Seq(at)).unwrap();
            }
        }
        store
            .set_aside(CHANNEL, Seq(10), DeviceId([1; 16]))
            .unwrap();
        let waiting = store.custody_waiting(CHANNEL, 9).unwrap();
        let waiting: Vec<_> = waiting.iter().map(|row| row.id.0[0]).collect();
        assert_eq!(waiting, [2]);
    }

    #[test]
    fn what_is_covered_ends_at_the_first_hole() {
        let (_folder, store) = store();
        let head = |seq| ChannelHead {
            seq: Seq(seq),
            hash: Digest([seq as u8; 32]),
        };
        let entries = [Digest([1; 32]); 100];
        store.add_entries(CHANNEL, head(10), &entries).unwrap();
        store.add_entries(CHANNEL, head(200), &entries).unwrap();
        let covered = |after, before| {
            let found = store.covered(CHANNEL, Seq(after), Seq(before)).unwrap();
            found.map(|(from, through)| (from.0, through.0))
        };
        assert_eq!(covered(5, 50), Some((9, 49)), "10 is how it came in");
        assert_eq!(covered(20, 1_000), Some((20, 110)));
        assert_eq!(covered(110, 1_000), Some((199, 300)));
        assert_eq!(covered(300, 1_000), None);
        assert_eq!(covered(1, 10), None);
    }
}
