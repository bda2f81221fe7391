//! Who is here: devices and the channels they watch, to push to them and to cut them off.
//!
//! A frame is encoded and framed once and shared; a push never waits. There is no hub task: whoever has
//! something to tell takes the lock for reading and queues it. Pushes go to chat connections only;
//! a cut ends all.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use plenary_proto::ids::{ChannelId, DeviceId, MemberId};
use plenary_proto::request::Purpose;
use tokio::time::Instant;

use super::framed::Burst;
use super::outbox::{ConnectionId, Cut, Outbox};

/// The open connections.
#[derive(Debug, Default)]
pub struct Registry(RwLock<Tables>);

#[derive(Debug, Default)]
struct Tables {
    links: HashMap<ConnectionId, Link>,
    devices: HashMap<DeviceId, Vec<ConnectionId>>,
    watchers: HashMap<ChannelId, HashMap<ConnectionId, Outbox>>,
}

#[derive(Debug)]
struct Link {
    outbox: Outbox,
    peer: SocketAddr,
    since: Instant,
    who: Option<Who>,
    watched: HashSet<ChannelId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Who {
    device: DeviceId,
    member: MemberId,
    purpose: Purpose,
}

/// An open connection, as an operator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub id: ConnectionId,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Instant,
    /// Whose it is; nobody's before it is authenticated, and a guest's.
    pub who: Option<(DeviceId, MemberId, Purpose)>,
    /// Channels watched.
    pub watches: usize,
    /// Bytes that wait to be read by it.
    pub waiting: usize,
}

/// A connection's entry; dropping it removes all traces.
#[derive(Debug)]
pub struct Presence {
    registry: Arc<Registry>,
    id: ConnectionId,
}

impl Registry {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Enters a connection; nobody's so far.
    pub fn link(self: &Arc<Self>, outbox: Outbox, peer: SocketAddr) -> Presence {
        let id = outbox.id();
        let link = Link {
            outbox,
            peer,
            since: Instant::now(),
            who: None,
            watched: HashSet::new(),
        };
        self.write().links.insert(id, link);
        Presence {
            registry: self.clone(),
            id,
        }
    }

    /// The connection is this device's. Check that the device is still live *after* this call: a
    /// revocation before it found nothing to cut.
    pub fn enter(&self, id: ConnectionId, device: DeviceId, member: MemberId, purpose: Purpose) {
        let mut tables = self.write();
        let Some(link) = tables.links.get_mut(&id) else {
            return;
        };
        link.who = Some(Who {
            device,
            member,
            purpose,
        });
        tables.devices.entry(device).or_default().push(id);
    }

    /// Moves of these channels are pushed to the connection from now on. Again is no harm.
    pub fn watch(&self, id: ConnectionId, channels: &[ChannelId]) {
        let mut tables = self.write();
        let Tables {
            links, watchers, ..
        } = &mut *tables;
        let Some(link) = links.get_mut(&id) else {
            return;
        };
        for channel in channels {
            if link.watched.insert(*channel) {
                let channel = watchers.entry(*channel).or_default();
                channel.insert(id, link.outbox.clone());
            }
        }
    }

    /// Nothing of the channel is pushed to these devices any more.
    pub fn unwatch(&self, channel: ChannelId, devices: &[DeviceId]) {
        let mut tables = self.write();
        let ids: Vec<_> = devices
            .iter()
            .filter_map(|device| tables.devices.get(device))
            .flatten()
            .copied()
            .collect();
        for id in ids {
            if let Some(link) = tables.links.get_mut(&id) {
                link.watched.remove(&channel);
            }
            tables.forget_watcher(channel, id);
        }
    }

    /// Queues a frame for a device. How many connections took it.
    pub fn push(&self, device: DeviceId, frame: &Bytes) -> usize {
        let tables = self.read();
        let ids = tables.devices.get(&device).into_iter().flatten();
        push_to(ids.filter_map(|id| tables.chat(*id)), &one(frame))
    }

    /// Queues a frame for all devices of these members. How many connections took it.
    pub fn push_members(&self, members: &[MemberId], frame: &Bytes) -> usize {
        let members: HashSet<_> = members.iter().copied().collect();
        let tables = self.read();
        let of_members = tables
            .links
            .iter()
            .filter(|(_, link)| link.who.is_some_and(|who| members.contains(&who.member)));
        push_to(
            of_members.filter_map(|(id, _)| tables.chat(*id)),
            &one(frame),
        )
    }

    /// Queues a frame for all devices. How many connections took it.
    pub fn push_all(&self, frame: &Bytes) -> usize {
        let tables = self.read();
        push_to(
            tables.links.keys().filter_map(|id| tables.chat(*id)),
            &one(frame),
        )
    }

    /// Queues frames, made only if there is somebody, for all who watch a channel. How many
    /// connections took them.
    pub fn push_watchers(&self, channel: ChannelId, frames: impl FnOnce() -> Vec<Bytes>) -> usize {
        match self.read().watchers.get(&channel) {
            Some(watchers) => push_to(watchers.values(), &Burst::of(&frames())),
            None => 0,
        }
    }

    /// Ends all connections of these devices at once. How many there were.
    pub fn cut(&self, devices: &[DeviceId]) -> usize {
        let tables = self.read();
        let ids = devices
            .iter()
            .filter_map(|device| tables.devices.get(device))
            .flatten();
        ids.filter_map(|id| tables.links.get(id))
            .map(|link| link.outbox.cut(Cut::Revoked))
            .count()
    }

    /// All connections that stand, by their numbers.
    pub fn seen(&self) -> Vec<Seen> {
        let tables = self.read();
        let seen = |(id, link): (&ConnectionId, &Link)| Seen {
            id: *id,
            peer: link.peer,
            since: link.since,
            who: link.who.map(|who| (who.device, who.member, who.purpose)),
            watches: link.watched.len(),
            waiting: link.outbox.waiting(),
        };
        let mut all: Vec<_> = tables.links.iter().map(seen).collect();
        all.sort_by_key(|seen| seen.id);
        all
    }

    /// How many connections stand, and how many of them are chats, bulk lines and others.
    pub fn count(&self) -> (usize, usize, usize) {
        let tables = self.read();
        let of = |purpose| move |link: &&Link| link.who.is_some_and(|who| who.purpose == purpose);
        let links = || tables.links.values();
        let chat = links().filter(of(Purpose::Chat)).count();
        let bulk = links().filter(of(Purpose::Bulk)).count();
        (chat, bulk, tables.links.len() - chat - bulk)
    }

    /// Ends connections because the operator wants it; their clients may come back. How many there
    /// were.
    pub fn drop_connections(&self, ids: &[ConnectionId]) -> usize {
        let tables = self.read();
        ids.iter()
            .filter_map(|id| tables.links.get(id))
            .map(|link| link.outbox.cut(Cut::Dropped))
            .count()
    }

    /// Devices that are here.
    pub fn devices(&self) -> Vec<DeviceId> {
        self.read().devices.keys().copied().collect()
    }

    /// How many connections watch a channel.
    pub fn watchers(&self, channel: ChannelId) -> usize {
        self.read().watchers.get(&channel).map_or(0, HashMap::len)
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    /// How many connections stand, this one included.
    pub fn beside(&self) -> usize {
        self.registry.read().links.len()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut tables = self.registry.write();
        let Some(link) = tables.links.remove(&self.id) else {
            return;
        };
        for channel in link.watched {
            tables.forget_watcher(channel, self.id);
        }
        if let Some(who) = link.who
            && let Some(ids) = tables.devices.get_mut(&who.device)
        {
            ids.retain(|id| *id != self.id);
            if ids.is_empty() {
                tables.devices.remove(&who.device);
            }
        }
    }
}

impl Tables {
    fn chat(&self, id: ConnectionId) -> Option<&Outbox> {
        let link = self.links.get(&id)?;
        (link.who?.purpose == Purpose::Chat).then_some(&link.outbox)
    }

    fn forget_watcher(&mut self, channel: ChannelId, id: ConnectionId) {
        if let Some(watchers) = self.watchers.get_mut(&channel) {
            watchers.remove(&id);
            if watchers.is_empty() {
                self.watchers.remove(&channel);
            }
        }
    }
}

fn one(frame: &Bytes) -> Burst {
    Burst::of(std::slice::from_ref(frame))
}

fn push_to<'a>(outboxes: impl Iterator<Item = &'a Outbox>, burst: &Burst) -> usize {
    outboxes.filter(|outbox| outbox.push(burst)).count()
}

#[cfg(test)]
mod tests {
    use super::super::outbox::{Inbox, outbox};
    use super::*;

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);
    const ALICE: DeviceId = DeviceId([1; 16]);
    const BOB: DeviceId = DeviceId([2; 16]);
    const TALK: ChannelId = ChannelId([7; 16]);

    struct Here {
        presence: Presence,
        outbox: Outbox,
        inbox: Inbox,
    }

    impl Here {
        fn got(&mut self) -> usize {
            std::iter::from_fn(|| self.inbox.try_next()).count()
        }
    }

    fn join(registry: &Arc<Registry>, device: DeviceId, purpose: Purpose, id: u64) -> Here {
        let (outbox, inbox) = outbox(ConnectionId(id));
        let presence = registry.link(outbox.clone(), PEER);
        let member = MemberId(device.0);
        registry.enter(ConnectionId(id), device, member, purpose);
        Here {
            presence,
            outbox,
            inbox,
        }
    }

    #[test]
    fn pushes_reach_whom_they_are_for() {
        let registry = Registry::new();
        let mut alice = join(&registry, ALICE, Purpose::Chat, 1);
        let mut second = join(&registry, ALICE, Purpose::Chat, 2);
        let mut bulk = join(&registry, ALICE, Purpose::Bulk, 3);
        let mut bob = join(&registry, BOB, Purpose::Chat, 4);
        let (guest, mut at_guest) = outbox(ConnectionId(5));
        let _guest = registry.link(guest, PEER);
        registry.watch(ConnectionId(1), &[TALK, TALK]);
        registry.watch(ConnectionId(4), &[TALK]);
        assert_eq!(registry.watchers(TALK), 2);

        let frame = Bytes::from_static(b"news");
        assert_eq!(registry.push_watchers(TALK, || vec![frame.clone()]), 2);
        assert_eq!(registry.push(ALICE, &frame), 2);
        assert_eq!(registry.push_members(&[MemberId(BOB.0)], &frame), 1);
        assert_eq!(registry.push_all(&frame), 3);
        let got = [&mut alice, &mut second, &mut bulk, &mut bob].map(Here::got);
        assert_eq!(got, [3, 2, 0, 3]);
        assert_eq!(at_guest.try_next(), None);
        assert_eq!(registry.push(DeviceId([9; 16]), &frame), 0);
        let unmade = || -> Vec<Bytes> { panic!("made for nobody") };
        assert_eq!(registry.push_watchers(ChannelId([8; 16]), unmade), 0);
    }

    #[test]
    fn who_left_the_channel_hears_no_more_of_it() {
        let registry = Registry::new();
        let mut alice = join(&registry, ALICE, Purpose::Chat, 1);
        let mut bob = join(&registry, BOB, Purpose::Chat, 2);
        registry.watch(ConnectionId(1), &[TALK]);
        registry.watch(ConnectionId(2), &[TALK]);
        registry.unwatch(TALK, &[ALICE, DeviceId([9; 16])]);
        let frame = || vec![Bytes::from_static(b"news")];
        assert_eq!(registry.push_watchers(TALK, frame), 1);
        assert_eq!((alice.got(), bob.got()), (0, 1));
        // Back again.
        registry.watch(ConnectionId(1), &[TALK]);
        assert_eq!(registry.push_watchers(TALK, frame), 2);
    }

    #[test]
    fn who_leaves_leaves_nothing_behind() {
        let registry = Registry::new();
        let alice = join(&registry, ALICE, Purpose::Chat, 1);
        let second = join(&registry, ALICE, Purpose::Chat, 2);
        registry.watch(ConnectionId(1), &[TALK]);
        drop(alice.presence);
        assert_eq!(registry.watchers(TALK), 0);
        assert_eq!(registry.devices(), [ALICE]);
        drop(second.presence);
        // What comes too late for a connection is nothing.
        registry.watch(ConnectionId(1), &[TALK]);
        registry.enter(ConnectionId(1), ALICE, MemberId([1; 16]), Purpose::Chat);
        let tables = registry.read();
        assert!(tables.devices.is_empty() && tables.watchers.is_empty());
        assert!(tables.links.is_empty());
    }

    #[tokio::test]
    async fn a_cut_ends_all_connections_of_one_device_only() {
        let registry = Registry::new();
        let first = join(&registry, ALICE, Purpose::Chat, 1);
        let second = join(&registry, ALICE, Purpose::Bulk, 2);
        let bob = join(&registry, BOB, Purpose::Chat, 3);
        assert_eq!(registry.cut(&[ALICE]), 2);
        assert_eq!(first.inbox.cut().wait().await, Cut::Revoked);
        assert_eq!(second.inbox.cut().wait().await, Cut::Revoked);
        assert!(!bob.outbox.is_cut());
    }

    #[test]
    fn a_slow_reader_costs_its_peers_nothing() {
        let registry = Registry::new();
        let slow = join(&registry, ALICE, Purpose::Chat, 1);
        let mut quick = join(&registry, BOB, Purpose::Chat, 2);
        registry.watch(ConnectionId(1), &[TALK]);
        registry.watch(ConnectionId(2), &[TALK]);
        let frame = Bytes::from(vec![0; 4096]);
        let taken: usize = (0..1000)
            .map(|_| {
                let taken = registry.push_watchers(TALK, || vec![frame.clone()]);
                assert_eq!(quick.got(), 1);
                taken
            })
            .sum();
        assert!(slow.outbox.is_cut() && !quick.outbox.is_cut());
        assert_eq!(taken, 1000 + 63, "256 KiB of 4 KiB frames for the slow one");
    }
}
