//! The memory engine's way out to another engine, and in from one.

use std::{
    collections::{HashMap, VecDeque},
    io::{Read, Write},
    sync::{Arc, Mutex},
};

use plenary_proto::ids::ChannelId;

use super::{Inner, Log, MemoryStore};
use crate::{
    export::{Item, Reader, Writer, follow},
    store::{Record, StoreError, Versioned},
};

impl MemoryStore {
    /// Writes everything into `out`. Errors: [`StoreError::Unavailable`] if it refuses.
    pub fn export(&self, out: &mut dyn Write) -> Result<(), StoreError> {
        let inner = self.lock();
        let mut writer = Writer::new(out)?;
        for ((device, _), welcome) in &inner.welcomes {
            writer.item(&Item::Welcome(*device, welcome.clone()))?;
        }
        for (channel, log) in &inner.channels {
            let group = log.group.clone();
            writer.item(&Item::Channel(*channel, log.trimmed, log.epoch, group))?;
            for record in &log.records {
                writer.item(&Item::Record(*channel, Record::clone(record)))?;
            }
        }
        for (key, value) in &inner.values {
            let bytes = value.value.clone();
            writer.item(&Item::Value(key.clone(), value.version, bytes))?;
        }
        for (queue, values) in &inner.queues {
            for value in values {
                writer.item(&Item::Entry(queue.clone(), value.clone()))?;
            }
        }
        writer.end()
    }

    /// A store made of an export, whichever engine's.
    ///
    /// Errors: [`StoreError::Damaged`] if the export is not whole, [`StoreError::Unavailable`] if
    /// `from` refuses.
    pub fn import(from: &mut dyn Read) -> Result<Self, StoreError> {
        let mut reader = Reader::new(from)?;
        let mut inner = Inner::default();
        while let Some(item) = reader.item()? {
            inner.restore(item)?;
        }
        Ok(Self {
            inner: Mutex::new(inner),
        })
    }
}

impl Inner {
    fn restore(&mut self, item: Item) -> Result<(), StoreError> {
        match item {
            Item::Welcome(device, welcome) => {
                self.welcomes.insert((device, welcome.channel), welcome);
            }
            Item::Channel(channel, trimmed, epoch, group) => {
                if self.channels.contains_key(&channel) {
                    return Err(StoreError::ChannelExists);
                }
                let log = Log {
                    head: trimmed,
                    trimmed,
                    epoch,
                    group,
                    records: VecDeque::new(),
                    marks: HashMap::new(),
                };
                self.channels.insert(channel, log);
            }
            Item::Record(channel, record) => self.restore_record(channel, record)?,
            Item::Value(key, version, value) => {
                self.values.insert(key, Versioned { version, value });
            }
            Item::Entry(queue, value) => self.queues.entry(queue).or_default().push_back(value),
        }
        Ok(())
    }

    fn restore_record(&mut self, channel: ChannelId, record: Record) -> Result<(), StoreError> {
        let log = self.log(channel)?;
        log.head = follow(&log.head, channel, &record)?;
        log.marks
            .insert((record.device, record.client_id), log.head);
        log.records.push_back(Arc::new(record));
        Ok(())
    }
}
