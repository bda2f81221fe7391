//! The reading operations: from sled and the layers over it, which hold only what is durable.
//!
//! Rows that belong together are read one after the other while the writer goes on. Where that
//! could mix two states, the reader looks again whether the first row still stands.

use bytes::Bytes;
use plenary_core::store::{
    ChannelState, GroupState, Record, StoreError, Versioned, WaitingWelcome, chain,
};
use plenary_proto::ids::{ChannelHead, ChannelId, ClientId, DeviceId, Digest, Seq};

use super::{
    Shared, base,
    layers::View,
    marks::mark,
    rows::{
        self, ChannelRow, NumberedRow, RecordRow, Slot, WelcomeRow, channel_key, decode_entry,
        decode_pair, decode_shared, entry_key, group_key, queue_key, record_key, shared_key,
        value_key,
    },
};

/// How often a reader looks again. Each time the writer has finished a batch on the same channel
/// in between, so a second look is rare and a third an event.
const LOOKS: usize = 32;

/// What reading several rows came to.
enum Look<T> {
    Clear(T),
    /// Something was gone that the first row names.
    Gone(StoreError),
}

impl Shared {
    pub(super) fn read(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, ChannelHead), StoreError> {
        let key = channel_key(channel);
        self.steady(&key, |rows, row| {
            let Some(row) = row else {
                return Err(StoreError::NoChannel);
            };
            let row = self.tree.decoded(&key, ChannelRow::decode(row))?;
            if after < row.trimmed.seq {
                return Err(StoreError::Trimmed {
                    trimmed: row.trimmed.seq,
                });
            }
            Ok(
                match self.records(rows, channel, &row, after, limit, max_bytes)? {
                    Look::Clear(records) => Look::Clear((records, row.head)),
                    Look::Gone(error) => Look::Gone(error),
                },
            )
        })
    }

    fn records(
        &self,
        rows: &View<'_>,
        channel: ChannelId,
        row: &ChannelRow,
        after: Seq,
        limit: u32,
        max_bytes: usize,
    ) -> Result<Look<Vec<Record>>, StoreError> {
        let mut records = Vec::new();
        if limit == 0 || after >= row.head.seq {
            return Ok(Look::Clear(records));
        }
        let Some(mut hash) = self.hash_at(rows, channel, row, after)? else {
            let key = record_key(channel, after);
            return Ok(Look::Gone(self.tree.broken(&key, "is missing")));
        };
        let mut bytes = 0;
        let mut seq = after.next();
        let from = record_key(channel, seq);
        let found = rows.range(from..=record_key(channel, row.head.seq));
        for found in found {
            let (key, value) = found?;
            if key != record_key(channel, seq) {
                break;
            }
            let record = self.tree.decoded(&key, RecordRow::decode(&value))?;
            let len = match &record.slot {
                Slot::Here(bytes) => bytes.len(),
                Slot::Elsewhere(shared) => usize::try_from(shared.len).unwrap_or(usize::MAX),
            };
            bytes = len.saturating_add(bytes);
            if records.len() >= limit as usize || (bytes > max_bytes && !records.is_empty()) {
                return Ok(Look::Clear(records));
            }
            let Some(content) = self.content(rows, &record.slot)? else {
                return Ok(Look::Gone(self.tree.broken(&key, "has lost its content")));
            };
            let (device, client, time) = (record.device, record.client_id, record.time);
            hash = chain(&hash, channel, seq, device, client, time, &content);
            let last = seq == row.head.seq;
            if hash != record.hash || (last && hash != row.head.hash) {
                return Err(self.tree.broken(&key, "breaks the channel's chain"));
            }
            records.push(record.record(seq, content));
            if last {
                return Ok(Look::Clear(records));
            }
            seq = seq.next();
        }
        // sled had fewer than the head says.
        if records.len() >= limit as usize {
            return Ok(Look::Clear(records));
        }
        let key = record_key(channel, seq);
        Ok(Look::Gone(self.tree.broken(&key, "is missing")))
    }

    fn hash_at(
        &self,
        rows: &View<'_>,
        channel: ChannelId,
        row: &ChannelRow,
        seq: Seq,
    ) -> Result<Option<Digest>, StoreError> {
        if seq == row.trimmed.seq {
            return Ok(Some(row.trimmed.hash));
        }
        let key = record_key(channel, seq);
        let Some(record) = rows.get(&key)? else {
            return Ok(None);
        };
        let record = self.tree.decoded(&key, RecordRow::decode(&record))?;
        Ok(Some(record.hash))
    }

    pub(super) fn find(
        &self,
        channel: ChannelId,
        device: DeviceId,
        client_id: ClientId,
    ) -> Result<Option<ChannelHead>, StoreError> {
        let key = channel_key(channel);
        let mark = mark(channel, device, client_id);
        self.steady(&key, |rows, row| {
            if row.is_none() {
                return Err(StoreError::NoChannel);
            }
            let Some(seq) = self.marks.get(mark) else {
                return Ok(Look::Clear(None));
            };
            let at = record_key(channel, seq);
            let Some(record) = rows.get(&at)? else {
                return Ok(Look::Gone(self.tree.broken(&at, "is missing")));
            };
            let hash = self.tree.decoded(&at, RecordRow::decode(&record))?.hash;
            Ok(Look::Clear(Some(ChannelHead { seq, hash })))
        })
    }

    pub(super) fn channel(&self, channel: ChannelId) -> Result<Option<ChannelState>, StoreError> {
        let found = self.channel_and_trim(channel)?;
        Ok(found.map(|(state, _)| state))
    }

    /// A channel's state, and the chain head at its last trimmed record.
    pub(super) fn channel_and_trim(
        &self,
        channel: ChannelId,
    ) -> Result<Option<(ChannelState, ChannelHead)>, StoreError> {
        let key = channel_key(channel);
        self.steady(&key, |rows, row| {
            let Some(row) = row else {
                return Ok(Look::Clear(None));
            };
            let row = self.tree.decoded(&key, ChannelRow::decode(row))?;
            let mut parts = [const { Bytes::new() }; 3];
            for (part, content) in (0..).zip(&mut parts) {
                let key = group_key(channel, part);
                let gone = || Look::Gone(self.tree.broken(&key, "is missing"));
                let Some(found) = rows.get(&key)? else {
                    return Ok(gone());
                };
                let found = self.tree.decoded(&key, NumberedRow::decode(&found))?;
                match self.content(rows, &found.slot)? {
                    Some(bytes) if found.number == row.epoch.0 => *content = bytes,
                    _ => return Ok(gone()),
                }
            }
            let [snapshot, group_info, tree] = parts;
            let state = ChannelState {
                head: row.head,
                trimmed: row.trimmed.seq,
                epoch: row.epoch,
                group: GroupState {
                    snapshot,
                    group_info,
                    tree,
                },
            };
            Ok(Look::Clear(Some((state, row.trimmed))))
        })
    }

    pub(super) fn channels(&self) -> Result<Vec<ChannelId>, StoreError> {
        self.view()
            .prefix(&[rows::CHANNEL])
            .map(|row| {
                let (key, _) = row?;
                rows::channel_in(&key).ok_or_else(|| self.tree.broken(&key, "has a torn key"))
            })
            .collect()
    }

    pub(super) fn welcomes(&self, device: DeviceId) -> Result<Vec<WaitingWelcome>, StoreError> {
        let mut waiting = Vec::new();
        for row in self
            .view()
            .prefix(&rows::key(rows::WELCOME, &[device.as_bytes()]))
        {
            let (key, _) = row?;
            let channel = rows::channel_in(&key);
            let channel = channel.ok_or_else(|| self.tree.broken(&key, "has a torn key"))?;
            let welcome = self.steady(&key, |rows, row| {
                let Some(row) = row else {
                    return Ok(Look::Clear(None));
                };
                let row = self.tree.decoded(&key, WelcomeRow::decode(row))?;
                let tree = self.content(rows, &Slot::Elsewhere(row.tree))?;
                let (Some(bytes), Some(tree)) = (self.content(rows, &row.slot)?, tree) else {
                    return Ok(Look::Gone(self.tree.broken(&key, "has lost its content")));
                };
                Ok(Look::Clear(Some(WaitingWelcome {
                    channel,
                    head: row.head,
                    bytes,
                    tree,
                })))
            })?;
            waiting.extend(welcome);
        }
        Ok(waiting)
    }

    pub(super) fn get(&self, name: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let key = value_key(name);
        self.steady(&key, |rows, row| {
            let Some(row) = row else {
                return Ok(Look::Clear(None));
            };
            let row = self.tree.decoded(&key, NumberedRow::decode(row))?;
            Ok(match self.content(rows, &row.slot)? {
                Some(value) => Look::Clear(Some(Versioned {
                    version: row.number,
                    value,
                })),
                None => Look::Gone(self.tree.broken(&key, "has lost its content")),
            })
        })
    }

    /// A value that lies in its row; `None` if it must be fetched from a file.
    pub(super) fn get_here(&self, name: &[u8]) -> Result<Option<Option<Versioned>>, StoreError> {
        let key = value_key(name);
        let Some(row) = self.view().get(&key)? else {
            return Ok(Some(None));
        };
        let row = self.tree.decoded(&key, NumberedRow::decode(&row))?;
        Ok(match row.slot {
            Slot::Here(value) => Some(Some(Versioned {
                version: row.number,
                value,
            })),
            Slot::Elsewhere(_) => None,
        })
    }

    pub(super) fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Vec<(Bytes, Versioned)>, StoreError> {
        let begin = value_key(prefix);
        let from = match after {
            // The least key after it.
            Some(after) if after >= prefix => [&value_key(after)[..], &[0]].concat(),
            _ => begin.clone(),
        };
        let mut found = Vec::new();
        for row in self.view().range(from..) {
            if found.len() >= limit as usize {
                break;
            }
            let (key, _) = row?;
            if !key.starts_with(&begin) {
                break;
            }
            let name = Bytes::copy_from_slice(&key[1..]);
            // Removed meanwhile: then it is not listed.
            if let Some(value) = self.get(&name)? {
                found.push((name, value));
            }
        }
        Ok(found)
    }

    pub(super) fn queue_len(&self, queue: &[u8]) -> Result<u64, StoreError> {
        let key = queue_key(queue);
        let Some(row) = self.view().get(&key)? else {
            return Ok(0);
        };
        let (first, end) = self.tree.decoded(&key, decode_pair(&row))?;
        Ok(end.saturating_sub(first))
    }

    /// Every queue that has entries.
    pub(super) fn queues(&self) -> Result<Vec<Bytes>, StoreError> {
        self.view()
            .prefix(&[rows::QUEUE])
            .map(|row| row.map(|(key, _)| Bytes::copy_from_slice(&key[1..])))
            .collect()
    }

    /// The entries of a queue, oldest first.
    pub(super) fn queue(&self, queue: &[u8]) -> Result<Vec<Bytes>, StoreError> {
        let key = queue_key(queue);
        self.steady(&key, |rows, row| {
            let Some(row) = row else {
                return Ok(Look::Clear(Vec::new()));
            };
            let (first, end) = self.tree.decoded(&key, decode_pair(row))?;
            let mut entries = Vec::new();
            for index in first..end {
                let key = entry_key(queue, index);
                let gone = || Look::Gone(self.tree.broken(&key, "is missing"));
                let Some(row) = rows.get(&key)? else {
                    return Ok(gone());
                };
                let slot = self.tree.decoded(&key, decode_entry(&row))?;
                match self.content(rows, &slot)? {
                    Some(content) => entries.push(content),
                    None => return Ok(gone()),
                }
            }
            Ok(Look::Clear(entries))
        })
    }

    /// The bytes of a slot, `None` if they are gone.
    fn content(&self, rows: &View<'_>, slot: &Slot) -> Result<Option<Bytes>, StoreError> {
        let shared = match slot {
            Slot::Here(bytes) => return Ok(Some(bytes.clone())),
            Slot::Elsewhere(shared) => shared,
        };
        if shared.in_file() {
            return self.big.read(shared);
        }
        let key = shared_key(&shared.hash);
        let Some(row) = rows.get(&key)? else {
            return Ok(None);
        };
        let (_, content) = self.tree.decoded(&key, decode_shared(&row))?;
        Ok(Some(Bytes::copy_from_slice(content)))
    }

    /// Runs `look` on the row at `key`; again if what it named was gone because the row changed.
    /// Gone although the row did not change: damage.
    fn steady<T>(
        &self,
        key: &[u8],
        look: impl Fn(&View<'_>, Option<&[u8]>) -> Result<Look<T>, StoreError>,
    ) -> Result<T, StoreError> {
        let mut rows = self.view();
        let mut row = rows.get(key)?;
        for _ in 0..LOOKS {
            let error = match look(&rows, row.as_deref())? {
                Look::Clear(found) => return Ok(found),
                Look::Gone(error) => error,
            };
            rows = self.view();
            let now = rows.get(key)?;
            if now == row {
                base::note_torn(&self.path);
                return Err(error);
            }
            row = now;
        }
        Err(StoreError::Unavailable(
            "the channel changes faster than it can be read; try again".into(),
        ))
    }
}
