//! The sweep: what is due goes, what a crash left goes, what is missing is told. By the caller's
//! clock and by ids only.

use std::collections::HashMap;

use plenary_proto::ids::{ItemId, UnixMillis};

use super::{Ended, Lease, ORPHAN_MS, REMEMBERED_MS, State};
use crate::{
    error::OpError,
    items::{Held, ItemsError},
    network::Network,
};

/// What a sweep did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads that were never completed.
    pub abandoned: u64,
    /// Items whose time was over.
    pub expired: u64,
    /// Items that all for whom they were have collected.
    pub collected: u64,
    /// Bytes without a lease, and bytes of ended ones.
    pub orphans: u64,
    /// Items that are owed and not there: to be restored from a backup.
    pub missing: Vec<ItemId>,
}

impl Swept {
    /// Whether there is nothing to tell.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl Network {
    /// Removes what is due and what belongs to nobody. For an hourly sweep; repeating it is safe, and
    /// so is a crash in the middle.
    ///
    /// # Errors
    /// [`OpError::Internal`]; what was removed so far stays removed.
    pub async fn sweep_items(&self, now: UnixMillis) -> Result<Swept, OpError> {
        // Before the leases are read: whatever is reserved meanwhile has its lease already.
        let there = self.items.list().await.map_err(OpError::from)?;
        let mut there: HashMap<_, _> = there.into_iter().map(|held| (held.item, held)).collect();
        let mut swept = Swept::default();
        let mut pages = self.lease_pages(None);
        while let Some(page) = pages.next().await? {
            for (_, held) in page {
                let lease = Lease::decode(&held.value)?;
                let held = there.remove(&lease.item);
                self.sweep_one(lease.item, held, now, &mut swept).await?;
            }
        }
        for (item, held) in there {
            let age = held.reserved.map(|time| now.0.saturating_sub(time.0));
            if age.is_none_or(|age| age > ORPHAN_MS) && self.remove_orphan(item).await? {
                swept.orphans += 1;
            }
        }
        Ok(swept)
    }

    async fn sweep_one(
        &self,
        item: ItemId,
        held: Option<Held>,
        now: UnixMillis,
        swept: &mut Swept,
    ) -> Result<(), OpError> {
        let mut table = self.leases.lock().await;
        // Read again, under the lock.
        let Some(lease) = self.lease(item).await? else {
            return Ok(());
        };
        if let State::Ended { time, .. } = lease.state {
            if held.is_some() {
                self.items.remove(item).await?;
                swept.orphans += 1;
            }
            if now.0.saturating_sub(time.0) > REMEMBERED_MS {
                self.write_lease(&mut table, Some(&lease), None).await?;
            }
            return Ok(());
        }
        if let Some(why) = lease.due(now) {
            self.end_lease(&mut table, &lease, why, now).await?;
            match why {
                Ended::Abandoned => swept.abandoned += 1,
                Ended::Expired => swept.expired += 1,
                Ended::Collected => swept.collected += 1,
                Ended::Withdrawn => {}
            }
            return Ok(());
        }
        let lost = lease.state == State::Kept && !held.is_some_and(|held| held.committed);
        // It may have been completed since the list was made.
        if lost
            && self
                .items
                .status(item)
                .await?
                .is_none_or(|status| !status.committed)
        {
            swept.missing.push(item);
        }
        Ok(())
    }

    async fn remove_orphan(&self, item: ItemId) -> Result<bool, OpError> {
        let _table = self.leases.lock().await;
        if self.lease(item).await?.is_some() {
            return Ok(false);
        }
        self.items.remove(item).await?;
        Ok(true)
    }

    /// Checks the bytes of the next kept item after `after` against its list of hashes: the item, its
    /// sealed size, and its first chunk that is not as it was put. `None` after the last item. For a
    /// scrub that sets its own pace.
    ///
    /// # Errors
    /// [`OpError::Internal`].
    pub async fn scrub_next(
        &self,
        after: Option<ItemId>,
    ) -> Result<Option<(ItemId, u64, Option<u32>)>, OpError> {
        let mut pages = self.lease_pages(after);
        while let Some(page) = pages.next().await? {
            for (_, held) in page {
                let lease = Lease::decode(&held.value)?;
                if lease.state != State::Kept {
                    continue;
                }
                let damaged = match self.items.check(lease.item).await {
                    Ok(damaged) => damaged,
                    // Gone since the page was read, or missing: the sweep tells.
                    Err(ItemsError::NotFound | ItemsError::NotCommitted) => None,
                    Err(error) => return Err(error.into()),
                };
                return Ok(Some((lease.item, lease.size, damaged)));
            }
        }
        Ok(None)
    }
}
