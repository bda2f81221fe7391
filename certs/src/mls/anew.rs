//! A group founded anew: the record that ends a group without a live leaf and begins the next one,
//! in the same channel, in the same log.
//!
//! An external commit takes out nobody but its author's own former leaf, so a group whose every
//! leaf the ledger has out can be entered by nobody. Any other group stays closed to this record:
//! it names all leaves of the group it ends, and is valid only if none of them is live (the
//! founder's own excepted, which is its own to give up) as of the ledger prefix and the time that
//! it names. Server and members judge it alike; who has the ledger can check it ten years later.

use plenary_proto::ids::{DeviceId, Digest, Epoch, NetworkId, PublicKey, Signature};

use super::{
    auth_data::AuthData,
    context::{ChannelContext, Rule},
    judge::{Basis, JudgeError, entry, live},
};
use crate::{
    cbor::{self, Bytes, CborError, cbor_struct},
    ledger::{Ledger, hash},
    signing::{self, SigningKey},
};

const SIGN_TAG: &[u8] = b"plenary group founded anew v1\0";
const GROUP_TAG: &[u8] = b"plenary group at its founding v1\0";

/// The record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anew {
    /// Network and channel, with the entry rule that the new group says of itself.
    pub context: ChannelContext,
    /// The ledger, the time and the log as of which it is judged; no epoch authenticator.
    pub data: AuthData,
    /// Who founds.
    pub founder: DeviceId,
    /// The epoch that the old group ends in.
    pub ends: Epoch,
    /// Every leaf of the old group, ascending.
    pub left: Vec<DeviceId>,
    /// The group that follows: [`group_digest`].
    pub group: Digest,
}

struct Wire {
    context: ChannelContext,
    data: Bytes,
    founder: DeviceId,
    ends: u64,
    left: Vec<DeviceId>,
    group: Digest,
}

struct Signed {
    body: Bytes,
    signature: Signature,
}

cbor_struct!(Wire {
    context,
    data,
    founder,
    ends,
    left,
    group
});
cbor_struct!(Signed { body, signature });

/// The group that a record ends, as its reader knows it.
#[derive(Debug, Clone)]
pub struct Ended {
    /// What the group says of itself.
    pub context: ChannelContext,
    /// The epoch it is in.
    pub epoch: Epoch,
    /// As of when its last commit was judged.
    pub basis: Option<Basis>,
    /// Every device in it, in any order.
    pub leaves: Vec<DeviceId>,
}

/// Names a group at its founding, by its GroupInfo and tree.
pub fn group_digest(group_info: &[u8], tree: &[u8]) -> Digest {
    let length = (group_info.len() as u64).to_be_bytes();
    hash(&[GROUP_TAG, &length, group_info, tree])
}

impl Anew {
    /// Whether bytes of a log are meant as such a record: an MLS message begins otherwise.
    pub fn is(bytes: &[u8]) -> bool {
        bytes.first() == Some(&0x82)
    }

    /// The bytes for the log, signed with the founder's MLS key.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let body = cbor::encode(&Wire {
            context: self.context,
            data: Bytes(self.data.encode()),
            founder: self.founder,
            ends: self.ends.0,
            left: self.left.clone(),
            group: self.group,
        });
        let signature = key.sign(&to_be_signed(self.context.network, &body));
        cbor::encode(&Signed {
            body: Bytes(body),
            signature,
        })
    }

    /// Reads and verifies a record against the ledger and the group that it ends: shape,
    /// signature, that its founder is live and may found, and that no leaf is live.
    ///
    /// # Errors
    /// Any [`JudgeError`].
    pub fn open(bytes: &[u8], ledger: &Ledger, old: &Ended) -> Result<(Self, Basis), JudgeError> {
        let signed: Signed = cbor::decode(bytes).map_err(|error| unreadable(&error))?;
        let wire: Wire = cbor::decode(&signed.body.0).map_err(|error| unreadable(&error))?;
        let anew = Self {
            context: wire.context,
            data: AuthData::decode(&wire.data.0).map_err(|error| unreadable(&error))?,
            founder: wire.founder,
            ends: Epoch(wire.ends),
            left: wire.left,
            group: wire.group,
        };
        let key = founder_key(&anew, ledger)?;
        let text = to_be_signed(anew.context.network, &signed.body.0);
        signing::verify(&key, &text, &signed.signature)
            .map_err(|error| JudgeError::AuthData(error.to_string()))?;
        let basis = Basis::of(&anew.data, ledger, old.basis)?;
        anew.check(ledger, basis, old)?;
        Ok((anew, basis))
    }

    fn check(&self, ledger: &Ledger, basis: Basis, old: &Ended) -> Result<(), JudgeError> {
        live(ledger, self.founder, basis)?;
        let (owner, rule) = entry(&old.context, ledger, basis.seq)?;
        if !may_found_anew(ledger, self.founder, rule, owner) {
            return Err(JudgeError::NotAllowed {
                device: self.founder,
                what: "found anew",
            });
        }
        let mut leaves = old.leaves.clone();
        leaves.sort_unstable();
        if self.context != old.context || self.ends != old.epoch || self.left != leaves {
            return Err(JudgeError::Context(
                "the record ends another group than this one".to_owned(),
            ));
        }
        let alive = leaves
            .into_iter()
            .find(|leaf| *leaf != self.founder && live(ledger, *leaf, basis).is_ok());
        match alive {
            Some(device) => Err(JudgeError::StillLive(device)),
            None => Ok(()),
        }
    }
}

/// Whether a device may found a channel's group anew: in an open channel any, since it may enter
/// by itself and a founder has no more rights than who enters; elsewhere the owner's.
pub fn may_found_anew(
    ledger: &Ledger,
    founder: DeviceId,
    rule: Rule,
    owner: plenary_proto::ids::MemberId,
) -> bool {
    rule == Rule::Open
        || ledger
            .device(founder)
            .is_some_and(|device| device.member == owner)
}

fn founder_key(anew: &Anew, ledger: &Ledger) -> Result<PublicKey, JudgeError> {
    ledger
        .device(anew.founder)
        .map(|device| device.keys.mls)
        .ok_or(JudgeError::NotLive {
            device: anew.founder,
            standing: crate::ledger::Standing::Unknown,
        })
}

fn to_be_signed(network: NetworkId, body: &[u8]) -> Vec<u8> {
    [SIGN_TAG, network.as_bytes(), body].concat()
}

fn unreadable(error: &CborError) -> JudgeError {
    JudgeError::AuthData(error.to_string())
}

#[cfg(test)]
mod tests {
    use plenary_proto::ids::{ChannelHead, ChannelId, LedgerSeq, UnixMillis};

    use super::*;
    use crate::ledger::{Target, Voucher, testing::*};

    const CHANNEL: ChannelId = ChannelId([9; 16]);

    fn anew(board: &Board, founder: u8, left: &[u8]) -> Anew {
        Anew {
            context: ChannelContext {
                network: NETWORK,
                channel: CHANNEL,
                rule: Rule::Direct {
                    owner: member_id(10),
                },
            },
            data: AuthData {
                ledger: board.ledger.head(),
                time: NOW,
                seen: ChannelHead::EMPTY,
                epoch_authenticator: [0; 8],
            },
            founder: device_id(founder),
            ends: Epoch(4),
            left: left.iter().map(|n| device_id(*n)).collect(),
            group: group_digest(b"info", b"tree"),
        }
    }

    fn ended(anew: &Anew, leaves: &[u8]) -> Ended {
        Ended {
            context: anew.context,
            epoch: Epoch(4),
            basis: None,
            leaves: leaves.iter().map(|n| device_id(*n)).collect(),
        }
    }

    fn open(board: &Board, anew: &Anew, n: u8, leaves: &[u8]) -> Result<Basis, JudgeError> {
        let old = ended(anew, leaves);
        Anew::open(&anew.sign(&key(3, n)), &board.ledger, &old).map(|(_, basis)| basis)
    }

    #[test]
    fn only_a_group_without_a_live_leaf_is_ended() {
        let mut board = Board::with_member();
        for n in [11, 12, 13] {
            board.say(device(n, 10, Voucher::Board));
        }
        let both = anew(&board, 13, &[11, 12]);
        let alive = open(&board, &both, 13, &[12, 11]);
        assert_eq!(alive, Err(JudgeError::StillLive(device_id(11))));
        board.say(revoke(Target::Device(device_id(11))));
        let before = board.ledger.head().seq;
        let one = anew(&board, 13, &[11, 12]);
        let alive = open(&board, &one, 13, &[11, 12]);
        assert_eq!(alive, Err(JudgeError::StillLive(device_id(12))));
        board.say(revoke(Target::Device(device_id(12))));
        // Judged as of what it names: an older ledger in which a leaf was live does not serve.
        let old = open(&board, &one, 13, &[11, 12]);
        assert_eq!(old, Err(JudgeError::StillLive(device_id(12))));
        let now = anew(&board, 13, &[11, 12]);
        let basis = open(&board, &now, 13, &[12, 11]).unwrap();
        assert!(basis.seq > before && basis.time == NOW);
        // A leaf kept quiet, or one too many.
        assert!(open(&board, &now, 13, &[11, 12, 13]).is_err());
        assert!(open(&board, &anew(&board, 13, &[11]), 13, &[11, 12]).is_err());
        // The founder's own leaf is its own to give up; another's is not.
        assert!(open(&board, &anew(&board, 13, &[11, 13]), 13, &[11, 13]).is_ok());
        let other = open(&board, &anew(&board, 10, &[11, 13]), 10, &[11, 13]);
        assert_eq!(other, Err(JudgeError::StillLive(device_id(13))));
    }

    #[test]
    fn nobody_else_founds_and_nothing_is_altered() {
        let mut board = Board::with_member();
        board.say(admit(20));
        board.say(device(21, 20, Voucher::Board));
        board.say(device(11, 10, Voucher::Board));
        board.say(revoke(Target::Device(device_id(11))));
        let right = anew(&board, 10, &[11]);
        assert!(open(&board, &right, 10, &[11]).is_ok());
        // Signed by another; by a device that does not own the channel; by the one that is out.
        assert!(open(&board, &right, 21, &[11]).is_err());
        assert!(matches!(
            open(&board, &anew(&board, 21, &[11]), 21, &[11]),
            Err(JudgeError::NotAllowed { .. })
        ));
        assert!(matches!(
            open(&board, &anew(&board, 11, &[11]), 11, &[11]),
            Err(JudgeError::NotLive { .. })
        ));
        let bytes = right.sign(&key(3, 10));
        let old = ended(&right, &[11]);
        for other in [
            Ended {
                epoch: Epoch(5),
                ..old.clone()
            },
            Ended {
                context: ChannelContext {
                    channel: ChannelId([8; 16]),
                    ..old.context
                },
                ..old.clone()
            },
        ] {
            let refused = Anew::open(&bytes, &board.ledger, &other);
            assert!(
                matches!(refused, Err(JudgeError::Context(_))),
                "{refused:?}"
            );
        }
        assert!(Anew::is(&bytes) && !Anew::is(&[0, 1, 0, 1]));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Anew::open(&flipped, &board.ledger, &old).is_err(), "{at}");
        }
        let later = Ended {
            basis: Some(Basis {
                seq: LedgerSeq(0),
                time: UnixMillis(NOW.0 + 1),
            }),
            ..old
        };
        assert_eq!(
            Anew::open(&bytes, &board.ledger, &later).map(|_| ()),
            Err(JudgeError::Backwards)
        );
    }
}
