//! The memory engine: the [`Store`] for tests and for the core's own checks. Keeps nothing.

mod export;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use plenary_proto::ids::{ChannelHead, ChannelId, ClientId, DeviceId, Epoch, Seq};

use crate::store::{
    Append, Appended, ChannelState, GroupState, Hint, Moved, Record, Store, StoreError, Versioned,
    WaitingWelcome, chain,
};

/// A [`Store`] in memory. One lock over everything: it is for correctness, not for speed.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process that used it is gone, and with it whoever watched.
    pub fn reopen(&self) {
        self.lock().hints.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change below is made after its last check, so a panicking holder leaves nothing half done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Inner {
    channels: BTreeMap<ChannelId, Log>,
    welcomes: BTreeMap<(DeviceId, ChannelId), WaitingWelcome>,
    values: BTreeMap<Bytes, Versioned>,
    queues: HashMap<Bytes, VecDeque<Bytes>>,
    hints: Vec<Hint>,
}

struct Log {
    head: ChannelHead,
    trimmed: ChannelHead,
    epoch: Epoch,
    group: GroupState,
    records: VecDeque<Arc<Record>>,
    marks: HashMap<(DeviceId, ClientId), ChannelHead>,
}

impl Inner {
    fn log(&mut self, channel: ChannelId) -> Result<&mut Log, StoreError> {
        self.channels.get_mut(&channel).ok_or(StoreError::NoChannel)
    }

    fn append(&mut self, append: Append) -> Result<Appended, StoreError> {
        let channel = append.channel;
        let log = self.channels.get_mut(&channel);
        let log = log.ok_or(StoreError::NoChannel)?;
        let mark = (append.device, append.client_id);
        if let Some(head) = log.marks.get(&mark) {
            return Ok(Appended {
                head: *head,
                repeated: true,
            });
        }
        append.check_epoch(log.epoch)?;
        let seq = log.head.seq.next();
        let hash = chain(
            &log.head.hash,
            channel,
            seq,
            append.device,
            append.client_id,
            append.time,
            &append.bytes,
        );
        let head = ChannelHead { seq, hash };
        let record = Arc::new(Record {
            seq,
            device: append.device,
            client_id: append.client_id,
            time: append.time,
            bytes: append.bytes,
            hash,
        });
        log.head = head;
        log.marks.insert(mark, head);
        log.records.push_back(Arc::clone(&record));
        if let Some(transition) = append.transition {
            log.epoch = transition.to;
            for (device, bytes) in transition.welcomes {
                let welcome = WaitingWelcome {
                    channel,
                    head,
                    bytes,
                    tree: transition.state.tree.clone(),
                };
                self.welcomes.insert((device, channel), welcome);
            }
            log.group = transition.state;
        }
        let moved = Moved { channel, record };
        for hint in &self.hints {
            hint(std::slice::from_ref(&moved));
        }
        Ok(Appended {
            head,
            repeated: false,
        })
    }
}

#[async_trait::async_trait]
impl Store for MemoryStore {
    async fn found(
        &self,
        channel: ChannelId,
        epoch: Epoch,
        group: GroupState,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.channels.contains_key(&channel) {
            return Err(StoreError::ChannelExists);
        }
        let log = Log {
            head: ChannelHead::EMPTY,
            trimmed: ChannelHead::EMPTY,
            epoch,
            group,
            records: VecDeque::new(),
            marks: HashMap::new(),
        };
        inner.channels.insert(channel, log);
        Ok(())
    }

    async fn append(&self, append: Append) -> Result<Appended, StoreError> {
        self.lock().append(append)
    }

    async fn read(
        &self,
        channel: ChannelId,
        after: Seq,
        limit: u32,
        max_bytes: usize,
    ) -> Result<(Vec<Record>, ChannelHead), StoreError> {
        let mut inner = self.lock();
        let log = inner.log(channel)?;
        if after < log.trimmed.seq {
            return Err(StoreError::Trimmed {
                trimmed: log.trimmed.seq,
            });
        }
        let mut records = Vec::new();
        let mut bytes = 0;
        let first = log.records.partition_point(|record| record.seq <= after);
        for record in log.records.range(first..) {
            bytes += record.bytes.len();
            if records.len() >= limit as usize || (bytes > max_bytes && !records.is_empty()) {
                break;
            }
            records.push(Record::clone(record));
        }
        Ok((records, log.head))
    }

    async fn find(
        &self,
        channel: ChannelId,
        device: DeviceId,
        client_id: ClientId,
    ) -> Result<Option<ChannelHead>, StoreError> {
        let mut inner = self.lock();
        Ok(inner.log(channel)?.marks.get(&(device, client_id)).copied())
    }

    async fn channel(&self, channel: ChannelId) -> Result<Option<ChannelState>, StoreError> {
        let inner = self.lock();
        Ok(inner.channels.get(&channel).map(|log| ChannelState {
            head: log.head,
            trimmed: log.trimmed.seq,
            epoch: log.epoch,
            group: log.group.clone(),
        }))
    }

    async fn channels(&self) -> Result<Vec<ChannelId>, StoreError> {
        Ok(self.lock().channels.keys().copied().collect())
    }

    async fn trim(&self, channel: ChannelId, through: Seq) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let log = inner.log(channel)?;
        while log
            .records
            .front()
            .is_some_and(|first| first.seq <= through)
        {
            if let Some(record) = log.records.pop_front() {
                log.marks.remove(&(record.device, record.client_id));
                log.trimmed = ChannelHead {
                    seq: record.seq,
                    hash: record.hash,
                };
            }
        }
        Ok(())
    }

    async fn welcomes(&self, device: DeviceId) -> Result<Vec<WaitingWelcome>, StoreError> {
        let inner = self.lock();
        let waiting = inner.welcomes.iter();
        Ok(waiting
            .filter(|((for_device, _), _)| *for_device == device)
            .map(|(_, welcome)| welcome.clone())
            .collect())
    }

    async fn drop_welcome(
        &self,
        device: DeviceId,
        channel: ChannelId,
        seq: Seq,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let waiting = inner.welcomes.get(&(device, channel));
        if waiting.is_some_and(|welcome| welcome.head.seq == seq) {
            inner.welcomes.remove(&(device, channel));
        }
        Ok(())
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        Ok(self.lock().values.get(key).cloned())
    }

    async fn list(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: u32,
    ) -> Result<Vec<(Bytes, Versioned)>, StoreError> {
        let inner = self.lock();
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let found = inner
            .values
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit as usize)
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(found.collect())
    }

    async fn put_if(
        &self,
        key: Bytes,
        version: u64,
        value: Option<Bytes>,
    ) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        let current = inner.values.get(&key).map_or(0, |value| value.version);
        if current != version {
            return Err(StoreError::WrongVersion { current });
        }
        let Some(value) = value else {
            inner.values.remove(&key);
            return Ok(0);
        };
        let version = version + 1;
        inner.values.insert(key, Versioned { version, value });
        Ok(version)
    }

    async fn push(&self, queue: Bytes, value: Bytes) -> Result<(), StoreError> {
        self.lock()
            .queues
            .entry(queue)
            .or_default()
            .push_back(value);
        Ok(())
    }

    async fn pop_one(&self, queue: Bytes) -> Result<Option<Bytes>, StoreError> {
        let mut inner = self.lock();
        let waiting = inner.queues.get_mut(&queue);
        Ok(waiting.and_then(VecDeque::pop_front))
    }

    async fn queue_len(&self, queue: &[u8]) -> Result<u64, StoreError> {
        let inner = self.lock();
        Ok(inner
            .queues
            .get(queue)
            .map_or(0, |queue| queue.len() as u64))
    }

    fn watch(&self, hint: Hint) {
        self.lock().hints.push(hint);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::MemoryStore;

    /// Nothing in this engine waits, so a future that is not ready at once is a fault.
    fn at_once<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().expect("the memory engine waited")
    }

    crate::store_suite!(at_once, Box::new(MemoryStore::new()));
}
