//! Queues of the connections, as the transport would have them.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use plenary_core::{
    hub::{ConnectionId, Hub, To, moved_frame},
    store::Moved,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, MemberId},
    limits::{OUTBOUND_BYTES, OUTBOUND_FRAMES},
    request::Purpose,
};

#[derive(Default)]
pub(crate) struct Queues(Mutex<BTreeMap<ConnectionId, Queue>>);

struct Queue {
    device: DeviceId,
    member: MemberId,
    watches: Vec<ChannelId>,
    frames: Vec<Bytes>,
    bytes: usize,
    cut: bool,
}

impl Queue {
    /// As the transport does: who reads too slowly is dropped, and catches up from the store.
    fn add(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        let full = self.bytes > OUTBOUND_BYTES || self.frames.len() >= OUTBOUND_FRAMES;
        match full && !self.frames.is_empty() {
            true => self.cut = true,
            false => self.frames.push(frame),
        }
    }
}

impl Queues {
    /// What waits for a connection, and whether it was cut.
    pub(super) fn take(&self, id: ConnectionId) -> (Vec<Bytes>, bool) {
        match self.lock().get_mut(&id) {
            Some(queue) => {
                queue.bytes = 0;
                (std::mem::take(&mut queue.frames), queue.cut)
            }
            None => (vec![], false),
        }
    }

    pub(super) fn leave(&self, id: ConnectionId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectionId, Queue>> {
        self.0.lock().unwrap()
    }
}

impl Hub for Queues {
    fn enter(&self, id: ConnectionId, device: DeviceId, member: MemberId, _: Purpose) {
        let queue = Queue {
            device,
            member,
            watches: vec![],
            frames: vec![],
            bytes: 0,
            cut: false,
        };
        self.lock().insert(id, queue);
    }

    fn watch(&self, id: ConnectionId, channels: &[ChannelId]) {
        if let Some(queue) = self.lock().get_mut(&id) {
            queue.watches.extend(channels);
        }
    }

    fn unwatch(&self, channel: ChannelId, devices: &[DeviceId]) {
        for queue in self.lock().values_mut() {
            if devices.contains(&queue.device) {
                queue.watches.retain(|watched| *watched != channel);
            }
        }
    }

    fn devices(&self) -> Vec<DeviceId> {
        self.lock().values().map(|queue| queue.device).collect()
    }

    fn push(&self, to: To<'_>, frame: Bytes) {
        for queue in self.lock().values_mut() {
            let meant = match to {
                To::Everyone => true,
                To::Device(device) => queue.device == device,
                To::Members(members) => members.contains(&queue.member),
            };
            if meant {
                queue.add(frame.clone());
            }
        }
    }

    fn cut(&self, devices: &[DeviceId]) {
        for queue in self.lock().values_mut() {
            queue.cut |= devices.contains(&queue.device);
        }
    }

    fn moved(&self, moved: &[Moved]) {
        for moved in moved {
            let frame = moved_frame(moved);
            for queue in self.lock().values_mut() {
                if queue.watches.contains(&moved.channel) {
                    queue.add(frame.clone());
                }
            }
        }
    }
}
