//! The data folder as the source of a backup: in the server, or by the command while none runs.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use plenary_core::items::{Items, ItemsError};
use plenary_proto::ids::ItemId;
use plenary_proto::limits::BULK_MESSAGE;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use super::layout::ItemEntry;
use super::{NamedFile, Source};
use crate::folder::FILES;
use crate::store::EmbeddedStore;

/// An open data folder. Its calls block: not for a thread that drives asynchronous tasks.
pub struct Local {
    /// The data folder.
    pub path: PathBuf,
    /// Its store.
    pub store: Arc<EmbeddedStore>,
    /// Its items.
    pub items: Arc<dyn Items>,
    /// Drives the items.
    pub runtime: Handle,
}

/// Where the hash lists of items lie in a data folder.
pub const LISTS: &str = "items/lists";

impl Source for Local {
    fn folder(&mut self, lists: bool) -> anyhow::Result<Vec<NamedFile>> {
        let mut files = Vec::new();
        let mut take = |name: String| -> anyhow::Result<()> {
            let path = self.path.join(&name);
            match fs::read(&path) {
                Ok(bytes) => files.push((name, Zeroizing::new(bytes))),
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound && lists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", path.display()));
                }
            }
            Ok(())
        };
        for name in FILES {
            take(name.to_owned())?;
        }
        if lists {
            for entry in fs::read_dir(self.path.join(LISTS))? {
                if let Some(name) = entry?.file_name().to_str() {
                    take(format!("{LISTS}/{name}"))?;
                }
            }
        }
        Ok(files)
    }

    fn store(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        Ok(self.store.export(out)?)
    }

    fn items(&mut self) -> anyhow::Result<Vec<ItemEntry>> {
        let mut entries = Vec::new();
        let held = self.runtime.block_on(self.items.list())?;
        for item in held.into_iter().filter(|held| held.committed) {
            let status = self.runtime.block_on(self.items.status(item.item));
            let status = status.with_context(|| format!("item {}", item.item))?;
            match self.runtime.block_on(self.items.root(item.item)) {
                Ok(root) => {
                    entries.extend(status.map(|status| ItemEntry::new(&status.reservation, root)));
                }
                Err(ItemsError::NotFound | ItemsError::NotCommitted) => {}
                Err(error) => return Err(error).with_context(|| format!("item {}", item.item)),
            }
        }
        Ok(entries)
    }

    fn item(&mut self, item: ItemId, size: u64, out: &mut dyn Write) -> anyhow::Result<bool> {
        let mut offset = 0;
        while offset < size {
            let wanted = (size - offset).min(BULK_MESSAGE as u64) as u32;
            let range = self.items.range(item, offset, wanted);
            let bytes = match self.runtime.block_on(range) {
                Ok(bytes) => bytes,
                Err(ItemsError::NotFound | ItemsError::NotCommitted) => return Ok(false),
                Err(error) => return Err(error).with_context(|| format!("item {item}")),
            };
            out.write_all(&bytes)?;
            offset += bytes.len() as u64;
        }
        Ok(true)
    }

    fn done(&mut self) -> anyhow::Result<()> {
        crate::operations::Operations::open(&self.path).note_backup(crate::clock::now())
    }
}
