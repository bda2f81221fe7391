//! What the server took and what the parties show, for whoever compares them.

use plenary_core::store::{Moved, Store as _};
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, MemberId, Seq, UnixMillis};

use super::{block, world::World};
use crate::{
    content::{Content, Kind},
    engine::Event,
    error::Error,
    store::{Fault, channels::Standing as In},
};

/// How an MLS message begins that is sealed for a group (RFC 9420, section 6): version and wire
/// format.
const PRIVATE: &[u8] = &[0, 1, 0, 2];

/// One record of the server's log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Where.
    pub channel: ChannelId,
    /// At which position.
    pub seq: Seq,
    /// By whom.
    pub device: DeviceId,
    /// The sender's mark.
    pub client_id: ClientId,
    /// Sealed for the group, not a change of it.
    pub sealed: bool,
    /// Those in the group right after it, by the server's own observation, in order.
    pub devices: std::sync::Arc<Vec<DeviceId>>,
    /// Of these, those that the ledger has out now.
    pub out: Vec<DeviceId>,
}

/// One message as a party shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Over all channels, in the order learned.
    pub position: u64,
    /// Where.
    pub channel: ChannelId,
    /// At which position.
    pub seq: Seq,
    /// The sender's mark.
    pub client_id: ClientId,
    /// By whom.
    pub device: DeviceId,
    /// Not read in the log, but handed on by this device.
    pub handed_by: Option<DeviceId>,
    /// What it says.
    pub text: String,
}

impl World {
    /// Takes down what the store took since.
    pub(super) fn note_records(&mut self) {
        let fresh = std::mem::take(&mut *self.fresh.lock().unwrap());
        for Moved { channel, record } in fresh {
            let sealed = record.bytes.starts_with(PRIVATE);
            let known = self.groups.get(&channel).filter(|_| sealed).cloned();
            let devices = known.unwrap_or_else(|| {
                let mut devices = block(self.network.devices_in(channel)).unwrap();
                devices.sort_unstable();
                std::sync::Arc::new(devices)
            });
            self.groups.insert(channel, devices.clone());
            let out = self.network.not_live(&devices, self.server_clock());
            self.log.push(Logged {
                channel,
                seq: record.seq,
                device: record.device,
                client_id: record.client_id,
                sealed,
                devices,
                out,
            });
        }
    }

    /// What leaves a device is sealed to nobody whom its own ledger has out.
    pub(super) fn check_sealed(&mut self, index: usize, channel: ChannelId) {
        let party = &mut self.parties[index];
        let now = party.clock(self.now);
        let Ok(devices) = party.engine.devices_in(channel) else {
            return;
        };
        let out = party.engine.read_ledger_with(|ledger| {
            let live = |device: &DeviceId| {
                let standing = ledger.standing(*device, ledger.head().seq, now);
                standing == plenary_certs::ledger::Standing::Live
            };
            devices.into_iter().find(|device| !live(device))
        });
        assert_eq!(
            out, None,
            "party {index} sent what was sealed to a device that its own ledger has out"
        );
    }

    /// What a party shows after a position, at most so much.
    pub fn shown_after(&self, index: usize, position: u64, limit: u32) -> Vec<Shown> {
        let store = self.parties[index].engine.store();
        let rows = store.messages_after(position, limit).unwrap();
        rows.into_iter()
            .map(|row| Shown {
                position: row.position,
                channel: row.channel,
                seq: row.seq,
                client_id: row.client_id,
                device: row.device,
                handed_by: row.handed_by,
                text: match Content::decode(&row.content).unwrap().kind() {
                    Kind::Text { text, .. } => text.to_owned(),
                    other => format!("{other:?}"),
                },
            })
            .collect()
    }

    /// The position of the last message that a party shows; 0 where it shows none.
    pub fn last_shown(&self, index: usize) -> u64 {
        let store = self.parties[index].engine.store();
        let sql = "SELECT coalesce(max(position), 0) FROM message";
        let last: i64 = store.lock().query_row(sql, [], |row| row.get(0)).unwrap();
        last as u64
    }

    /// Those in a channel now, by the server's own observation.
    pub fn group_of(&self, channel: ChannelId) -> Vec<DeviceId> {
        block(self.network.devices_in(channel)).unwrap_or_default()
    }

    /// Takes what a party's engine told since.
    pub fn take_events(&mut self, index: usize) -> Vec<Event> {
        std::mem::take(&mut self.parties[index].events)
    }

    /// Where the server has a message, by its device and mark.
    pub fn find(&self, channel: ChannelId, device: DeviceId, message: ClientId) -> Option<Seq> {
        let found = block(self.store.find(channel, device, message));
        Some(found.ok()??.seq)
    }

    /// The end of a channel's log at the server; nothing where there is none.
    pub fn head_of(&self, channel: ChannelId) -> Seq {
        let state = block(self.store.channel(channel)).unwrap();
        state.map_or(Seq(0), |state| state.head.seq)
    }

    /// Whether a party is in a channel, as it has it.
    pub fn is_in(&self, index: usize, channel: ChannelId) -> bool {
        let engine = &self.parties[index].engine;
        let rows = engine.store().channels().unwrap();
        let row = rows.iter().find(|row| row.id == channel);
        row.is_some_and(|row| row.standing == In::In)
    }

    /// The channels that a party knows, and how it stands in each, in words.
    pub fn standings(&self, index: usize) -> Vec<(ChannelId, String)> {
        let engine = &self.parties[index].engine;
        let rows = engine.store().channels().unwrap();
        rows.into_iter()
            .map(|row| {
                let stuck = engine.stuck(row.id).unwrap_or_default();
                let held = engine.held(row.id).unwrap_or_default().to_owned();
                let seq = row.head.seq.0;
                (row.id, format!("{:?} at {seq} {stuck}{held}", row.standing))
            })
            .collect()
    }

    /// What a party misses of the channels that it is in: after and before which record, and how often
    /// it asked.
    pub fn gaps(&self, index: usize) -> Vec<(ChannelId, Seq, Option<Seq>, u32)> {
        let store = self.parties[index].engine.store();
        let rows = store.channels().unwrap();
        rows.iter()
            .filter(|row| row.standing == In::In)
            .flat_map(|row| {
                let gaps = store.gaps(row.id).unwrap();
                gaps.into_iter()
                    .map(|gap| (row.id, gap.after, gap.before, gap.tries))
            })
            .collect()
    }

    /// What a party could hand on: whether it has the message at a position, and has a device as inside
    /// there.
    pub fn could_hand(
        &self,
        index: usize,
        channel: ChannelId,
        seq: Seq,
        to: DeviceId,
    ) -> (bool, bool) {
        let store = self.parties[index].engine.store();
        (
            store.has_message(channel, seq).unwrap(),
            store.was_leaf(channel, to, seq).unwrap(),
        )
    }

    /// Whether a party is online and has read everything that it heard of.
    pub fn is_caught_up(&self, index: usize) -> bool {
        self.parties[index].engine.is_caught_up()
    }

    /// Whether the true ledger has a party's device in.
    pub fn is_live(&self, index: usize) -> bool {
        let device = self.device(index);
        let now: UnixMillis = self.server_clock();
        self.network.not_live(&[device], now).is_empty()
    }

    /// A party's process dies at a transaction of its store that is still to come: after so many, and
    /// right before or right after the fatal one is committed.
    pub fn die_at(&mut self, index: usize, after: u32, committed: bool) {
        let store = self.parties[index].engine.store();
        *store.trial.fault.lock().unwrap() = Some(Fault { after, committed });
    }

    /// A party's call failed: it is started again if it died in its store.
    pub fn survive_simulated(&mut self, index: usize, error: Error) {
        self.survive(index, Err(error));
    }

    /// Whose a party's device is.
    pub fn member_of(&self, index: usize) -> MemberId {
        self.parties[index].engine.identity().member()
    }

    /// A party makes a commit that changes nothing but its own path, if it could commit now.
    pub fn commit(&mut self, index: usize, channel: ChannelId) -> bool {
        let party = &mut self.parties[index];
        let made = party.engine.race(party.clock(self.now), channel);
        match made {
            Ok(made) => made,
            Err(error) => {
                self.survive(index, Err(error));
                false
            }
        }
    }
}
