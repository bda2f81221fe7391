//! A lease as it lies in the store.

use bytes::Bytes;
use minicbor::{Decode, Encode, bytes::ByteArray};
use plenary_proto::ids::{ChannelId, DeviceId, ItemId, MemberId, UnixMillis};

use super::{Ended, Lease, State};
use crate::error::OpError;

#[derive(Encode, Decode)]
struct Form {
    #[n(0)]
    item: ByteArray<16>,
    #[n(1)]
    device: ByteArray<16>,
    #[n(2)]
    member: ByteArray<16>,
    #[n(3)]
    channels: Vec<ByteArray<16>>,
    #[n(4)]
    size: u64,
    #[n(5)]
    chunk: u32,
    #[n(6)]
    reserved: u64,
    /// 0 reserved, 1 kept, then the reasons.
    #[n(7)]
    state: u8,
    #[n(8)]
    ended: u64,
    #[n(9)]
    keep_until: u64,
    #[n(10)]
    wanted: Vec<ByteArray<16>>,
    #[n(11)]
    collectors: u32,
    #[n(12)]
    collected: Vec<ByteArray<16>>,
    #[n(13)]
    held_by_sender: bool,
    #[n(14)]
    held_by_operator: bool,
}

impl Lease {
    /// For the store.
    pub(super) fn encode(&self) -> Result<Bytes, OpError> {
        let (state, ended) = match self.state {
            State::Reserved => (0, 0),
            State::Kept => (1, 0),
            State::Ended { why, time } => {
                let why = match why {
                    Ended::Abandoned => 2,
                    Ended::Expired => 3,
                    Ended::Collected => 4,
                    Ended::Withdrawn => 5,
                };
                (why, time.0)
            }
        };
        let members = |members: &[MemberId]| members.iter().map(|id| id.0.into()).collect();
        let form = Form {
            item: self.item.0.into(),
            device: self.device.0.into(),
            member: self.member.0.into(),
            channels: self.channels.iter().map(|id| id.0.into()).collect(),
            size: self.size,
            chunk: self.chunk,
            reserved: self.reserved.0,
            state,
            ended,
            keep_until: self.keep_until.0,
            wanted: members(&self.wanted),
            collectors: self.collectors,
            collected: members(&self.collected),
            held_by_sender: self.held_by_sender,
            held_by_operator: self.held_by_operator,
        };
        minicbor::to_vec(form)
            .map(Bytes::from)
            .map_err(|error| OpError::Internal(error.to_string()))
    }

    /// From the store.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        let damaged = |why: &str| OpError::Internal(format!("a lease is damaged: {why}"));
        let form: Form = minicbor::decode(bytes).map_err(|error| damaged(&error.to_string()))?;
        let ended = |why| State::Ended {
            why,
            time: UnixMillis(form.ended),
        };
        let state = match form.state {
            0 => State::Reserved,
            1 => State::Kept,
            2 => ended(Ended::Abandoned),
            3 => ended(Ended::Expired),
            4 => ended(Ended::Collected),
            5 => ended(Ended::Withdrawn),
            _ => return Err(damaged("an unknown state")),
        };
        let members = |ids: Vec<ByteArray<16>>| ids.into_iter().map(|id| MemberId(id.into()));
        Ok(Self {
            item: ItemId(form.item.into()),
            device: DeviceId(form.device.into()),
            member: MemberId(form.member.into()),
            channels: form
                .channels
                .into_iter()
                .map(|id| ChannelId(id.into()))
                .collect(),
            size: form.size,
            chunk: form.chunk,
            reserved: UnixMillis(form.reserved),
            state,
            keep_until: UnixMillis(form.keep_until),
            wanted: members(form.wanted).collect(),
            collectors: form.collectors,
            collected: members(form.collected).collect(),
            held_by_sender: form.held_by_sender,
            held_by_operator: form.held_by_operator,
        })
    }
}
