//! Two data folders, entry by entry, by the stores' own reads.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use plenary_core::items::Items;
use plenary_core::store::{Store, Versioned};
use plenary_proto::ids::{ChannelId, Seq};
use plenary_server::items::FolderItems;
use plenary_server::store::{EmbeddedStore, StoreOptions};
use serde::Serialize;

/// Entries read at once.
const PAGE: u32 = 256;
const PAGE_BYTES: usize = 4 << 20;
/// Bytes of an item read at once.
const RANGE: u32 = 1 << 20;

/// What was found equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// Channels.
    pub channels: u64,
    /// Records of them.
    pub records: u64,
    /// Values: the ledger, leases, key packages and all else.
    pub values: u64,
    /// Items, every byte of each.
    pub items: u64,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} channels, {} records, {} values, {} items",
            self.channels, self.records, self.values, self.items
        )
    }
}

/// Compares a restored folder with the one that it was made of. `whole`: both must hold the same;
/// otherwise the original has gone on since, and what is restored must be what it was at a moment.
/// No server may run on either.
///
/// # Errors
/// The first difference.
pub async fn compare(original: &Path, restored: &Path, whole: bool) -> Result<Compared> {
    let open = |path: &Path| EmbeddedStore::open(&path.join("store"), StoreOptions::default());
    let (before, after) = (open(original)?, open(restored)?);
    let mut compared = Compared::default();
    let channels = after.channels().await?;
    if whole {
        ensure!(channels == before.channels().await?, "other channels");
    }
    for channel in channels {
        compared.channels += 1;
        compared.records += records(&before, &after, channel, whole)
            .await
            .with_context(|| format!("channel {channel}"))?;
    }
    compared.values = values(&before, &after, whole).await?;
    compared.items = items(original, restored, whole).await?;
    for store in [before, after] {
        store.close()?;
    }
    Ok(compared)
}

async fn records(
    before: &EmbeddedStore,
    after: &EmbeddedStore,
    channel: ChannelId,
    whole: bool,
) -> Result<u64> {
    let (old, new) = (
        before.channel(channel).await?,
        after.channel(channel).await?,
    );
    if whole {
        ensure!(old == new, "another state");
    }
    let head = new.context("no state")?.head;
    let mut at = Seq(0);
    while at < head.seq {
        let left = u32::try_from(head.seq.0 - at.0).unwrap_or(PAGE).min(PAGE);
        let (new, _) = after.read(channel, at, left, PAGE_BYTES).await?;
        let count = new.len() as u32;
        ensure!(count > 0, "it ends at {at:?} of {:?}", head.seq);
        let (old, _) = before.read(channel, at, count, usize::MAX).await?;
        ensure!(old == new, "other records after {at:?}");
        at = Seq(at.0 + u64::from(count));
    }
    Ok(head.seq.0)
}

async fn values(before: &EmbeddedStore, after: &EmbeddedStore, whole: bool) -> Result<u64> {
    let mut count = 0;
    let mut last = None;
    loop {
        let new = after.list(b"", last.as_deref(), PAGE).await?;
        if whole {
            let old = before.list(b"", last.as_deref(), PAGE).await?;
            ensure!(old == new, "other values after {last:?}");
        }
        let Some((end, _)) = new.last() else {
            return Ok(count);
        };
        last = Some(end.clone());
        for (key, value) in &new {
            count += 1;
            let old = before.get(key).await?;
            ensure!(was(old.as_ref(), value), "another value of {key:?}");
        }
    }
}

/// Whether a value that is now `old`, or gone, was `new` at a moment before.
fn was(old: Option<&Versioned>, new: &Versioned) -> bool {
    old.is_none_or(|old| old.version > new.version || old == new)
}

async fn items(original: &Path, restored: &Path, whole: bool) -> Result<u64> {
    let open = |path: &Path| FolderItems::open(&path.join("items"));
    let (before, after) = (open(original)?, open(restored)?);
    let (old, new) = (before.list().await?, after.list().await?);
    if whole {
        ensure!(old == new, "other items");
    }
    for held in &new {
        let about = after.status(held.item).await?.context("no status")?;
        let mut at = 0;
        while at < about.reservation.size {
            let old = before.range(held.item, at, RANGE).await?;
            let new = after.range(held.item, at, RANGE).await?;
            ensure!(old == new, "other bytes of item {} at {at}", held.item);
            at += new.len() as u64;
        }
        ensure!(
            before.root(held.item).await? == after.root(held.item).await?,
            "another root of item {}",
            held.item
        );
    }
    Ok(new.len() as u64)
}
