//! Backup, restore, and the way to another engine, in the form of [`plenary_core::export`].

use std::{
    collections::{HashMap, VecDeque},
    fs,
    io::{Read, Write},
    path::Path,
};

use bytes::Bytes;
use plenary_core::{
    export::{Item, Reader, Writer},
    store::StoreError,
};
use plenary_proto::ids::{ChannelId, DeviceId};
use tokio::sync::oneshot;

use super::{
    EmbeddedStore, Shared, StoreOptions, fault::io as io_fault, folder::sync_dir, rows, writer::Job,
};

/// Restored items in flight: what one batch of the writer takes.
const WINDOW: usize = 1_024;

impl EmbeddedStore {
    /// Writes everything into `out` while the store goes on; trims wait meanwhile. Blocks.
    ///
    /// Errors: [`StoreError::Unavailable`] if `out` refuses, [`StoreError::Damaged`] if the store is.
    pub fn export(&self, out: &mut dyn Write) -> Result<(), StoreError> {
        let _no_trims = self.trims.blocking_write();
        let mut writer = Writer::new(out)?;
        self.shared.export(|item| writer.item(&item))?;
        writer.end()
    }

    /// Makes a new store in `folder`, which must not exist or be empty, out of an export. Blocks,
    /// and must not run on a thread that drives asynchronous tasks.
    ///
    /// All or nothing: `folder` is only there afterwards if every byte verified. Errors:
    /// [`StoreError::Damaged`] if the export is not whole, [`StoreError::Unavailable`] if the disk
    /// or `from` refuses.
    pub fn import(folder: &Path, from: &mut dyn Read) -> Result<(), StoreError> {
        let name = folder.file_name().ok_or_else(|| {
            StoreError::Unavailable(format!("{} names no folder", folder.display()))
        })?;
        let mut beside = name.to_os_string();
        beside.push(".import");
        let beside = folder.with_file_name(beside);
        if beside.exists() {
            return Err(StoreError::Unavailable(format!(
                "{} is left from an import that did not end; remove it",
                beside.display()
            )));
        }
        if folder.exists() {
            // Refuses what is not empty, before the long work.
            fs::remove_dir(folder).map_err(|error| io_fault("replace", folder, &error))?;
        }
        let imported = import_into(&beside, from);
        if imported.is_err() {
            let _ = fs::remove_dir_all(&beside);
        }
        imported?;
        fs::rename(&beside, folder).map_err(|error| io_fault("make", folder, &error))?;
        match folder.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
            _ => sync_dir(Path::new(".")),
        }
    }
}

fn import_into(folder: &Path, from: &mut dyn Read) -> Result<(), StoreError> {
    let store = EmbeddedStore::open(folder, StoreOptions::default())?;
    let mut reader = Reader::new(from)?;
    let mut waiting: VecDeque<oneshot::Receiver<Result<(), StoreError>>> = VecDeque::new();
    let gone = || StoreError::Unavailable("the new store stopped".into());
    while let Some(item) = reader.item()? {
        if waiting.len() >= WINDOW
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.blocking_recv().map_err(|_| gone())??;
        }
        let (done, answer) = oneshot::channel();
        store
            .jobs
            .send(Job::Restore(Box::new(item), done))
            .map_err(|_| gone())?;
        waiting.push_back(answer);
    }
    for answer in waiting {
        answer.blocking_recv().map_err(|_| gone())??;
    }
    store.close()
}

impl Shared {
    /// Hands every thing in the store to `out`.
    fn export(
        &self,
        mut out: impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut devices = HashMap::new();
        for row in self.view().prefix(&[rows::WELCOME]) {
            let (key, _) = row?;
            if let Some(device) = key.get(1..17).and_then(|id| DeviceId::try_from(id).ok()) {
                devices.insert(device, ());
            }
        }
        for device in devices.into_keys() {
            for welcome in self.welcomes(device)? {
                out(Item::Welcome(device, welcome))?;
            }
        }
        for channel in self.channels()? {
            self.export_channel(channel, &mut out)?;
        }
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.list(b"", after.as_deref(), 256)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (key, value) in page {
                out(Item::Value(key, value.version, value.value))?;
            }
        }
        for queue in self.queues()? {
            for value in self.queue(&queue)? {
                out(Item::Entry(queue.clone(), value))?;
            }
        }
        Ok(())
    }

    fn export_channel(
        &self,
        channel: ChannelId,
        out: &mut impl FnMut(Item) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some((state, trimmed)) = self.channel_and_trim(channel)? else {
            return Ok(());
        };
        out(Item::Channel(channel, trimmed, state.epoch, state.group))?;
        let mut after = trimmed.seq;
        while after < state.head.seq {
            let limit = u32::try_from(state.head.seq.0 - after.0).unwrap_or(u32::MAX);
            let (records, _) = self.read(channel, after, limit.min(1_000), 4 << 20)?;
            for record in records {
                after = record.seq;
                out(Item::Record(channel, record))?;
            }
        }
        Ok(())
    }
}
