//! A small Board for tests: keys from counters, everybody signs in order.

use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, LedgerHead, MemberId, NetworkId, PublicKey, UnixMillis},
    label::Label,
};

use super::*;
use crate::signing::SigningKey;

pub(crate) const NETWORK: NetworkId = NetworkId([0xAA; 16]);
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const DAY: u64 = 24 * 3600 * 1000;

/// A ledger and the keys of everybody who may write to it.
pub(crate) struct Board {
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) recovery: Vec<SigningKey>,
    pub(crate) ledger: Ledger,
}

pub(crate) fn key(kind: u8, n: u8) -> SigningKey {
    let mut seed = [kind; 32];
    seed[0] = n;
    SigningKey::from_seed(&seed).unwrap()
}

pub(crate) fn board_key(n: u8) -> SigningKey {
    key(1, n)
}

pub(crate) fn authentication_key(n: u8) -> SigningKey {
    key(2, n)
}

pub(crate) fn member_id(n: u8) -> MemberId {
    MemberId([n; 16])
}

pub(crate) fn device_id(n: u8) -> DeviceId {
    DeviceId([n; 16])
}

pub(crate) fn channel_id(n: u8) -> ChannelId {
    ChannelId([n; 16])
}

pub(crate) fn device_keys(n: u8) -> DeviceKeys {
    DeviceKeys {
        authentication: authentication_key(n).public(),
        mls: key(3, n).public(),
        custody: key(4, n).public(),
        sealing: vec![n; 40],
    }
}

pub(crate) fn root(people: u8) -> Root {
    Root {
        board: (0..people)
            .map(|n| Person {
                member: member_id(n),
                key: board_key(n).public(),
            })
            .collect(),
        thresholds: Thresholds::for_board(people.into()),
        heartbeat: vec![key(5, 0).public()],
        recovery: Recovery {
            keys: (0..3)
                .map(|n| key(6, n).public())
                .collect::<Vec<PublicKey>>(),
            threshold: 2,
        },
    }
}

pub(crate) fn signed(statement: &Statement, keys: &[&SigningKey]) -> Vec<u8> {
    let bytes = statement.encode();
    let signatures = keys.iter().map(|key| sign_as_board(&bytes, key)).collect();
    SignedStatement::new(bytes, signatures).encode()
}

pub(crate) fn admit(n: u8) -> Body {
    Body::Admit(Admit {
        member: member_id(n),
        capacity: Capacity::Member,
        ends: None,
        profile: Digest([n; 32]),
    })
}

pub(crate) fn device(n: u8, member: u8, voucher: Voucher) -> Body {
    Body::Device(DeviceBody {
        device: device_id(n),
        member: member_id(member),
        voucher,
        keys: device_keys(n),
    })
}

pub(crate) fn channel(n: u8, rule: EntryRule, owner: u8) -> Body {
    Body::Channel(ChannelBody {
        channel: channel_id(n),
        rule,
        ceiling: Label::Amber,
        owner: member_id(owner),
        profile: Digest([n; 32]),
    })
}

pub(crate) fn revoke(target: Target) -> Body {
    Body::Revoke(Revoke {
        target,
        reason: Reason::Lost,
    })
}

pub(crate) fn suspend(target: Target) -> Body {
    Body::Suspend(Suspend {
        target,
        reason: Reason::Misuse,
    })
}

impl Board {
    /// A ledger of a Board of so many people, with ROOT 1 in it.
    pub(crate) fn new(people: u8) -> Self {
        let keys: Vec<_> = (0..people).map(board_key).collect();
        let root1 = Ledger::new(NETWORK, Digest([0; 32])).draft(Body::Root(root(people)), NOW);
        let mut ledger = Ledger::new(NETWORK, root1_hash(&root1.encode()));
        let all: Vec<_> = keys.iter().collect();
        ledger.append(&signed(&root1, &all)).unwrap();
        Self {
            keys,
            recovery: (0..3).map(|n| key(6, n)).collect(),
            ledger,
        }
    }

    /// A Board of three with member 10 and their device 10, vouched for by the Board.
    pub(crate) fn with_member() -> Self {
        let mut board = Self::new(3);
        board.say(admit(10));
        board.say(device(10, 10, Voucher::Board));
        board
    }

    /// Signed by those of the Board.
    pub(crate) fn signed(&self, body: Body, signers: &[usize]) -> Vec<u8> {
        let keys: Vec<_> = signers.iter().map(|n| &self.keys[*n]).collect();
        signed(&self.ledger.draft(body, NOW), &keys)
    }

    /// The whole Board says it.
    pub(crate) fn try_say(&mut self, body: Body) -> Result<LedgerHead, LedgerError> {
        let all: Vec<_> = (0..self.keys.len()).collect();
        let signed = self.signed(body, &all);
        self.ledger.append(&signed)
    }

    /// The whole Board says it, and the ledger takes it.
    #[track_caller]
    pub(crate) fn say(&mut self, body: Body) -> LedgerHead {
        self.try_say(body).unwrap()
    }

    /// Device `voucher` vouches for a new device of its member.
    pub(crate) fn vouch(
        &mut self,
        n: u8,
        member: u8,
        voucher: u8,
    ) -> Result<LedgerHead, LedgerError> {
        let body = device(n, member, Voucher::Device(device_id(voucher)));
        let bytes = self.ledger.draft(body, NOW).encode();
        let signature = sign_as_device(&bytes, device_id(voucher), &authentication_key(voucher));
        let signed = SignedStatement::new(bytes, vec![signature]).encode();
        self.ledger.append(&signed)
    }

    /// Device `by` revokes a device.
    pub(crate) fn put_out(&mut self, n: u8, by: u8) -> Result<LedgerHead, LedgerError> {
        let bytes = self
            .ledger
            .draft(revoke(Target::Device(device_id(n))), NOW)
            .encode();
        let signature = sign_as_device(&bytes, device_id(by), &authentication_key(by));
        let signed = SignedStatement::new(bytes, vec![signature]).encode();
        self.ledger.append(&signed)
    }

    pub(crate) fn standing(&self, n: u8) -> Standing {
        self.ledger
            .standing(device_id(n), self.ledger.head().seq, NOW)
    }
}
