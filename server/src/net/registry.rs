//! Who is here: devices and the channels they watch, to push to them and to cut them off.
//!
//! A frame is encoded once and shared; a push never waits. There is no hub task: whoever has
//! something to tell takes the lock for reading and queues it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use plenary_proto::ids::{ChannelId, DeviceId};

use super::outbox::{ConnectionId, Cut, Outbox};

/// The live authenticated connections.
#[derive(Debug, Default)]
pub struct Registry(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    devices: HashMap<DeviceId, Vec<Outbox>>,
    watchers: HashMap<ChannelId, Vec<Outbox>>,
}

/// A connection's entry; dropping it removes all traces.
#[derive(Debug)]
pub struct Presence {
    registry: Arc<Registry>,
    device: DeviceId,
    outbox: Outbox,
    watched: Vec<ChannelId>,
}

impl Registry {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Enters an authenticated connection. Check that the device is still live *after* this call:
    /// a revocation before it found nothing to cut.
    pub fn enter(self: &Arc<Self>, device: DeviceId, outbox: Outbox) -> Presence {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        tables
            .devices
            .entry(device)
            .or_default()
            .push(outbox.clone());
        Presence {
            registry: self.clone(),
            device,
            outbox,
            watched: Vec::new(),
        }
    }

    /// Queues a frame for every connection of a device. How many took it.
    pub fn push(&self, device: DeviceId, frame: &Bytes) -> usize {
        self.read(|tables| push_to(tables.devices.get(&device).into_iter().flatten(), frame))
    }

    /// Queues a frame for everybody who watches a channel. How many took it.
    pub fn push_watchers(&self, channel: ChannelId, frame: &Bytes) -> usize {
        self.read(|tables| push_to(tables.watchers.get(&channel).into_iter().flatten(), frame))
    }

    /// Queues a frame for everybody. How many took it.
    pub fn push_all(&self, frame: &Bytes) -> usize {
        self.read(|tables| push_to(tables.devices.values().flatten(), frame))
    }

    /// Ends a device's connections at once. How many there were.
    pub fn cut(&self, device: DeviceId) -> usize {
        self.read(|tables| {
            let live = tables.devices.get(&device).map_or(&[][..], Vec::as_slice);
            live.iter().for_each(|outbox| outbox.cut(Cut::Revoked));
            live.len()
        })
    }

    /// Devices that are here.
    pub fn devices(&self) -> Vec<DeviceId> {
        self.read(|tables| tables.devices.keys().copied().collect())
    }

    /// How many watch a channel.
    pub fn watchers(&self, channel: ChannelId) -> usize {
        self.read(|tables| tables.watchers.get(&channel).map_or(0, Vec::len))
    }

    fn read<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Presence {
    /// The device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Pushes of `channel` come here from now on. Again is no harm.
    pub fn watch(&mut self, channel: ChannelId) {
        if self.watched.contains(&channel) {
            return;
        }
        self.watched.push(channel);
        let mut tables = self
            .registry
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let watchers = tables.watchers.entry(channel).or_default();
        watchers.push(self.outbox.clone());
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut tables = self
            .registry
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        remove(&mut tables.devices, &self.device, self.outbox.id());
        for channel in &self.watched {
            remove(&mut tables.watchers, channel, self.outbox.id());
        }
    }
}

fn push_to<'a>(outboxes: impl Iterator<Item = &'a Outbox>, frame: &Bytes) -> usize {
    outboxes.filter(|outbox| outbox.push(frame.clone())).count()
}

fn remove<K: Hash + Eq>(table: &mut HashMap<K, Vec<Outbox>>, key: &K, id: ConnectionId) {
    if let Some(outboxes) = table.get_mut(key) {
        outboxes.retain(|outbox| outbox.id() != id);
        if outboxes.is_empty() {
            table.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::outbox::{Inbox, outbox};
    use super::*;

    const ALICE: DeviceId = DeviceId([1; 16]);
    const BOB: DeviceId = DeviceId([2; 16]);
    const TALK: ChannelId = ChannelId([7; 16]);

    fn join(registry: &Arc<Registry>, device: DeviceId, id: u64) -> (Presence, Inbox) {
        let (outbox, inbox) = outbox(ConnectionId(id));
        (registry.enter(device, outbox), inbox)
    }

    #[test]
    fn pushes_reach_whom_they_are_for() {
        let registry = Registry::new();
        let (mut alice, mut at_alice) = join(&registry, ALICE, 1);
        let (_second, mut at_second) = join(&registry, ALICE, 2);
        let (mut bob, mut at_bob) = join(&registry, BOB, 3);
        alice.watch(TALK);
        alice.watch(TALK);
        bob.watch(TALK);
        assert_eq!(registry.watchers(TALK), 2);

        let frame = Bytes::from_static(b"news");
        assert_eq!(registry.push_watchers(TALK, &frame), 2);
        assert_eq!(registry.push(ALICE, &frame), 2);
        assert_eq!(registry.push_all(&frame), 3);
        let count = |inbox: &mut Inbox| std::iter::from_fn(|| inbox.try_next()).count();
        assert_eq!(count(&mut at_alice), 3);
        assert_eq!(count(&mut at_second), 2);
        assert_eq!(count(&mut at_bob), 2);
        assert_eq!(registry.push(DeviceId([9; 16]), &frame), 0);
    }

    #[test]
    fn who_leaves_leaves_nothing_behind() {
        let registry = Registry::new();
        let (mut alice, _inbox) = join(&registry, ALICE, 1);
        let (second, _inbox2) = join(&registry, ALICE, 2);
        alice.watch(TALK);
        drop(alice);
        assert_eq!(registry.watchers(TALK), 0);
        assert_eq!(registry.devices(), [ALICE]);
        drop(second);
        let tables = registry.0.read().unwrap();
        assert!(tables.devices.is_empty() && tables.watchers.is_empty());
    }

    #[tokio::test]
    async fn a_cut_ends_all_connections_of_one_device_only() {
        let registry = Registry::new();
        let (_a, first) = join(&registry, ALICE, 1);
        let (_b, second) = join(&registry, ALICE, 2);
        let (bob, _inbox) = join(&registry, BOB, 3);
        assert_eq!(registry.cut(ALICE), 2);
        assert_eq!(first.cut().wait().await, Cut::Revoked);
        assert_eq!(second.cut().wait().await, Cut::Revoked);
        assert!(!bob.outbox.is_cut());
    }

    #[test]
    fn a_slow_reader_costs_its_peers_nothing() {
        let registry = Registry::new();
        let (mut slow, _unread) = join(&registry, ALICE, 1);
        let (mut quick, mut inbox) = join(&registry, BOB, 2);
        slow.watch(TALK);
        quick.watch(TALK);
        let frame = Bytes::from(vec![0; 4096]);
        let taken: usize = (0..1000)
            .map(|_| {
                let taken = registry.push_watchers(TALK, &frame);
                assert!(inbox.try_next().is_some());
                taken
            })
            .sum();
        assert!(slow.outbox.is_cut() && !quick.outbox.is_cut());
        assert_eq!(taken, 1000 + 64, "256 KiB of 4 KiB frames for the slow one");
    }
}
