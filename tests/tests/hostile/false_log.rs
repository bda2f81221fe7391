//! A log of the server's own for one channel: takes everything, checks nothing, signs all of it.

use plenary_certs::{chain::chain, signed_head::sign_heads, signing::SigningKey};
use plenary_client::simulation::World;
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, Epoch, NetworkId, Seq, UnixMillis},
    reply::{Push, Record, Reply, SignedHead},
    request::Request,
};

use bytes::Bytes;

use crate::liar::{Fate, Scene, Seen};

/// Begins where the true log is when it is made; what came before is the same in both.
pub struct FalseLog {
    network: NetworkId,
    key: SigningKey,
    channel: ChannelId,
    base: ChannelHead,
    now: UnixMillis,
    /// What it has after the base.
    pub records: Vec<Record>,
    heads: Vec<ChannelHead>,
    /// How many were pushed.
    pushed: usize,
    /// Appends of these parties are not answered.
    pub deaf: bool,
    /// For those who want to enter.
    pub group: Option<(Epoch, Bytes, Bytes)>,
}

impl FalseLog {
    /// From the true head on, as this party may read it.
    pub fn new(world: &mut World, reader: usize, channel: ChannelId) -> Self {
        let head = true_head(world, reader, channel);
        let key = SigningKey::from_seed(world.server.seed()).unwrap();
        Self {
            network: NetworkId([7; 16]),
            key,
            channel,
            base: head,
            now: world.now,
            records: Vec::new(),
            heads: Vec::new(),
            pushed: 0,
            deaf: false,
            group: None,
        }
    }

    /// Where it ends.
    pub fn head(&self) -> ChannelHead {
        self.heads.last().copied().unwrap_or(self.base)
    }

    /// Takes whatever is given, in whoever's name.
    pub fn append(&mut self, device: DeviceId, client_id: ClientId, bytes: impl Into<Bytes>) {
        let record = Record {
            seq: self.head().seq.next(),
            device,
            client_id,
            time: self.now,
            bytes: bytes.into(),
        };
        self.take(record);
    }

    /// Takes a record as it is.
    pub fn take(&mut self, record: Record) {
        let head = self.head();
        let hash = chain(
            &head.hash,
            self.channel,
            record.seq,
            record.device,
            record.client_id,
            record.time,
            &record.bytes,
        );
        self.heads.push(ChannelHead {
            seq: record.seq,
            hash,
        });
        self.records.push(record);
    }

    /// Its own head under the server's signature.
    pub fn signed(&self, head: ChannelHead) -> SignedHead {
        let heads = [(self.channel, head)];
        sign_heads(self.key.pair(), self.network, self.now, &heads).remove(0)
    }

    /// What these parties see of the channel is this log.
    #[allow(clippy::needless_pass_by_value, reason = "as the liar has it")]
    pub fn lie(&mut self, to: &[usize], scene: &mut Scene, who: usize, seen: Seen<'_>) -> Fate {
        self.now = scene.now;
        if matches!(seen, Seen::Idle) {
            for record in self.records.drain(..).collect::<Vec<_>>() {
                if self.pushed < self.heads.len() && record.seq == self.heads[self.pushed].seq {
                    self.pushed += 1;
                    for party in to {
                        let push = Push::Moved {
                            channel: self.channel,
                            record: record.clone(),
                        };
                        scene.pushes.push((*party, push));
                    }
                }
                self.records.push(record);
            }
            return Fate::Pass;
        }
        if !to.contains(&who) {
            return Fate::Pass;
        }
        match seen {
            Seen::Push(Push::Moved { channel, .. }) if *channel == self.channel => Fate::Drop,
            Seen::Reply(Request::Watch(_), Ok(Reply::Heads(heads))) => {
                let head = self.head();
                for (channel, known) in heads {
                    if *channel == self.channel {
                        *known = head;
                    }
                }
                Fate::Pass
            }
            Seen::Request(Request::Read { channel, after, .. })
                if *channel == self.channel && *after >= self.base.seq =>
            {
                let after = *after;
                let records = self.records.iter().filter(|record| record.seq > after);
                Fate::answer(Reply::Records {
                    records: records.cloned().collect(),
                    head: self.signed(self.head()),
                })
            }
            Seen::Request(Request::GroupState(channel)) if *channel == self.channel => {
                match self.group.clone() {
                    Some((epoch, group_info, tree)) => Fate::answer(Reply::GroupState {
                        epoch,
                        head: self.signed(self.head()),
                        group_info,
                        tree,
                    }),
                    None => Fate::Pass,
                }
            }
            Seen::Request(Request::Append(append)) if append.channel == self.channel => {
                if self.deaf {
                    return Fate::Drop;
                }
                let device = DeviceId([who as u8 + 101; 16]);
                let known = self.records.iter().position(|record| {
                    (record.device, record.client_id) == (device, append.client_id)
                });
                let position = known.unwrap_or_else(|| {
                    self.append(device, append.client_id, append.bytes.clone());
                    self.records.len() - 1
                });
                Fate::answer(Reply::Appended {
                    head: self.signed(self.heads[position]),
                    repeated: known.is_some(),
                })
            }
            _ => Fate::Pass,
        }
    }
}

/// Where the honest server's log of a channel ends.
pub fn true_head(world: &mut World, reader: usize, channel: ChannelId) -> ChannelHead {
    let read = Request::Read {
        channel,
        after: Seq(u64::MAX / 2),
        limit: 1,
    };
    match world.request_as(reader, read) {
        Ok(Reply::Records { head, .. }) => head.head,
        other => panic!("{other:?}"),
    }
}
