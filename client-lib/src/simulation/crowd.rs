//! A network of as many members with one device each as wanted, founded by statements made in one
//! go: what the large worlds begin with.

use bytes::Bytes;
use plenary_certs::{
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, EntryRule, Grant, Person, Policy, Recovery,
        Root, Server, SignedStatement, Statement, Thresholds, Voucher, found, sign_as_board,
    },
    signing::SigningKey,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, MemberId, NetworkId, UnixMillis},
    label::Label,
};

use super::Dice;
use crate::store::identity::Identity;

pub(crate) const NETWORK: NetworkId = NetworkId([7; 16]);
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

pub(crate) fn member(index: usize) -> MemberId {
    MemberId((1 + index as u128).to_be_bytes())
}

pub(crate) fn device(index: usize) -> DeviceId {
    DeviceId((0x1_0000 + index as u128).to_be_bytes())
}

/// `sealing`: secret and public half.
pub(crate) fn identity(dice: &Dice, index: usize, sealing: (&[u8], &[u8])) -> Identity {
    Identity {
        address: "localhost:1".to_owned(),
        ca_pin: [0; 32],
        network: NETWORK.0,
        root1: [0; 32],
        member: member(index).0,
        device: device(index).0,
        authentication: dice.bytes(),
        mls: dice.bytes(),
        custody: dice.bytes(),
        sealing: sealing.0.to_vec(),
        sealing_public: sealing.1.to_vec(),
        invitation: None,
    }
}

/// By two of the Board.
pub(crate) fn sign(board: &[SigningKey], statement: &Statement) -> Bytes {
    let bytes = statement.encode();
    let signatures = board[..2].iter().map(|key| sign_as_board(&bytes, key));
    SignedStatement::new(bytes.clone(), signatures.collect())
        .encode()
        .into()
}

/// The statements, with the hash of ROOT 1: open channels, owned by the first member.
pub(crate) fn founding(
    board: &[SigningKey],
    server: Option<&SigningKey>,
    all: &[Identity],
    channels: &[ChannelId],
) -> (Digest, Vec<Statement>) {
    founding_by(EntryRule::Open, board, server, all, channels)
}

/// The same, of channels with any rule; where entry is by GRANT, everybody has one.
pub(crate) fn founding_by(
    rule: EntryRule,
    board: &[SigningKey],
    server: Option<&SigningKey>,
    all: &[Identity],
    channels: &[ChannelId],
) -> (Digest, Vec<Statement>) {
    let root = Root {
        board: (0..)
            .map(member)
            .zip(board)
            .map(|(member, key)| Person {
                member,
                key: key.public(),
            })
            .collect(),
        thresholds: Thresholds::for_board(3),
        heartbeat: Vec::new(),
        recovery: Recovery::default(),
    };
    let mut rest = vec![Body::Policy(Policy::default())];
    rest.extend(server.map(|server| {
        Body::Server(Server {
            key: server.public(),
        })
    }));
    for one in all {
        rest.extend(admitted(one));
    }
    for channel in channels {
        rest.push(Body::Channel(ChannelBody {
            channel: *channel,
            rule,
            ceiling: Label::Amber,
            owner: member(0),
            profile: Digest([1; 32]),
        }));
    }
    if rule == EntryRule::Granted {
        for channel in channels {
            rest.extend(all.iter().map(|one| {
                Body::Grant(Grant {
                    channel: *channel,
                    member: one.member(),
                    granted: true,
                })
            }));
        }
    }
    found(NETWORK, root, rest, NOW)
}

/// What lets a member in with a device.
pub(crate) fn admitted(one: &Identity) -> [Body; 2] {
    [
        Body::Admit(Admit {
            member: one.member(),
            capacity: Capacity::Member,
            ends: None,
            profile: Digest(one.authentication),
        }),
        Body::Device(DeviceBody {
            device: one.device(),
            member: one.member(),
            voucher: Voucher::Board,
            keys: one.device_keys().unwrap(),
        }),
    ]
}
