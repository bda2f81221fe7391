//! The groups of channels, as the server follows them: a bounded cache over the store.
//!
//! The store is the truth. What is cached is at most one commit behind it, and only between the
//! store's answer and the swap; whoever meets a newer epoch loads again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use futures_util::lock::{Mutex as AsyncMutex, MutexGuard};
use plenary_certs::mls::{judge::LedgerHandle, observer::ObservedGroup};
use plenary_proto::ids::{ChannelId, DeviceId, Epoch, LedgerSeq, UnixMillis};

use crate::{error::OpError, store::Store};

/// How long an empty fence is believed while the ledger stands still: admissions end by the clock.
const FENCE_MS: u64 = 1_000;

/// The cache.
pub(crate) struct Channels {
    limit: usize,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    by_channel: HashMap<ChannelId, (Arc<Slot>, u64)>,
    clock: u64,
}

/// One channel's place in the cache.
pub(crate) struct Slot {
    channel: ChannelId,
    commits: AsyncMutex<()>,
    group: RwLock<Option<Arc<Group>>>,
}

/// A group at one epoch.
pub(crate) struct Group {
    pub observed: ObservedGroup,
    /// Its leaves: asked for at every request, and a walk over the tree each time adds up.
    devices: HashSet<DeviceId>,
    /// Not fenced at this ledger, as of this moment.
    clear: Mutex<Option<(LedgerSeq, UnixMillis)>>,
}

impl Channels {
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            slots: Mutex::default(),
        }
    }

    /// The place of a channel, whether or not there is such a channel.
    pub fn slot(&self, channel: ChannelId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.clock += 1;
        let clock = slots.clock;
        if let Some((slot, used)) = slots.by_channel.get_mut(&channel) {
            *used = clock;
            return slot.clone();
        }
        if slots.by_channel.len() >= self.limit {
            // A slot in use stays: two of one channel would not exclude each other.
            let oldest = slots
                .by_channel
                .iter()
                .filter(|(_, (slot, _))| Arc::strong_count(slot) == 1)
                .min_by_key(|(_, (_, used))| *used)
                .map(|(channel, _)| *channel);
            if let Some(oldest) = oldest {
                slots.by_channel.remove(&oldest);
            }
        }
        let slot = Arc::new(Slot {
            channel,
            commits: AsyncMutex::new(()),
            group: RwLock::default(),
        });
        slots.by_channel.insert(channel, (slot.clone(), clock));
        slot
    }
}

impl Slot {
    /// One commit at a time is observed and appended.
    pub async fn commits(&self) -> MutexGuard<'_, ()> {
        self.commits.lock().await
    }

    /// The group, from memory or from the store. Errors: [`OpError::NotFound`].
    pub async fn group(
        &self,
        store: &dyn Store,
        ledger: &LedgerHandle,
    ) -> Result<Arc<Group>, OpError> {
        match self.cached() {
            Some(group) => Ok(group),
            None => self.load(store, ledger).await,
        }
    }

    /// The group at least at this epoch, if there is such a one.
    pub async fn group_at(
        &self,
        epoch: Epoch,
        store: &dyn Store,
        ledger: &LedgerHandle,
    ) -> Result<Arc<Group>, OpError> {
        match self.cached() {
            Some(group) if group.observed.epoch() >= epoch => Ok(group),
            _ => self.load(store, ledger).await,
        }
    }

    /// The group after an accepted commit.
    pub fn swap(&self, observed: ObservedGroup) {
        self.keep(Arc::new(Group::new(observed)));
    }

    /// The store knows better.
    pub fn forget(&self) {
        *self.group.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn cached(&self) -> Option<Arc<Group>> {
        self.group
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn load(&self, store: &dyn Store, ledger: &LedgerHandle) -> Result<Arc<Group>, OpError> {
        let state = store
            .channel(self.channel)
            .await?
            .ok_or(OpError::NotFound("there is no such channel"))?;
        let observed = ObservedGroup::load(ledger, &state.group.snapshot).map_err(|error| {
            OpError::Internal(format!(
                "the group of channel {} cannot be loaded: {error}",
                self.channel
            ))
        })?;
        let group = Arc::new(Group::new(observed));
        self.keep(group.clone());
        Ok(group)
    }

    /// Never back to an older generation or epoch: a slow load may end after a swap.
    fn keep(&self, group: Arc<Group>) {
        let age = |group: &Group| (group.observed.generation(), group.observed.epoch());
        let mut place = self.group.write().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_none_or(|kept| age(kept) <= age(&group)) {
            *place = Some(group);
        }
    }
}

impl Group {
    fn new(observed: ObservedGroup) -> Self {
        Self {
            devices: observed.devices().into_iter().collect(),
            observed,
            clear: Mutex::default(),
        }
    }

    /// Whether a device has a leaf.
    pub fn contains(&self, device: DeviceId) -> bool {
        self.devices.contains(&device)
    }

    /// Whether a leaf must be removed before anything else may happen.
    pub fn fenced(&self, ledger: LedgerSeq, now: UnixMillis) -> bool {
        let clear = *self.clear.lock().unwrap_or_else(PoisonError::into_inner);
        let believed =
            clear.is_some_and(|(seq, at)| seq == ledger && now >= at && now < at.plus(FENCE_MS));
        if believed {
            return false;
        }
        let fenced = !self.observed.must_remove(now).is_empty();
        if !fenced {
            *self.clear.lock().unwrap_or_else(PoisonError::into_inner) = Some((ledger, now));
        }
        fenced
    }

    /// Leaves of this group that are not in another.
    pub fn gone_in(&self, next: &ObservedGroup) -> Vec<DeviceId> {
        let next: HashSet<_> = next.devices().into_iter().collect();
        self.devices.difference(&next).copied().collect()
    }
}
