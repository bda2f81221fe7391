//! A clean break: since a statement of the Board, somebody is out of these channels, and could read
//! this much before.
//!
//! The ledger and the server's signed heads are checked by whoever reads the file. What the issuing
//! device says of epochs, of times and of what could be read, it answers for with its custody key:
//! only those who were in a channel know.

use std::fmt;

use plenary_proto::{
    ids::{
        ChannelHead, ChannelId, DeviceId, Digest, Epoch, LedgerHead, LedgerSeq, MemberId,
        NetworkId, PublicKey, Seq, Signature, UnixMillis,
    },
    reply::SignedHead,
};

use super::{CLEAN_BREAK, ProofError, pack, two_logs::moment, view::Head};
use crate::{
    cbor::{self, Bytes, Cbor, CborError, Writer, array, cbor_struct},
    ledger::{Body, Ledger, Standing, Subject, Target},
    signed_head::check_head,
    signing::{self, SigningKey},
};

const SIGN_TAG: &[u8] = b"plenary clean break v1\0";

/// What a device says of somebody's leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CleanBreak {
    /// The network.
    pub network: NetworkId,
    /// Who says so.
    pub issuer: DeviceId,
    /// When, by its clock.
    pub issued: UnixMillis,
    /// The ledger as of then.
    pub ledger: LedgerHead,
    /// Who is out.
    pub member: MemberId,
    /// By which statement: a REVOKE, a SUSPEND, or the ADMIT that ended.
    pub statement: LedgerHead,
    /// Since when: the statement's time, or the end that it set.
    pub since: UnixMillis,
    /// Channels that it has left.
    pub gone: Vec<Gone>,
    /// Devices of it that are still in a channel: to be removed by the next commit there.
    pub pending: Vec<(ChannelId, DeviceId)>,
    /// Channels that the issuer could not examine: those inside can.
    pub unexamined: Vec<ChannelId>,
    /// What it could read, by channel.
    pub exposure: Vec<Exposure>,
}

/// A leaf that is gone from a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Where.
    pub channel: ChannelId,
    /// Whose leaf.
    pub device: DeviceId,
    /// The record that brought it in; `None`: it was there before the issuer.
    pub entered: Option<Seq>,
    /// The epoch of the last record that it could read: the record before the removal.
    pub epoch: Epoch,
    /// The removal commit, and the log's hash there. The epoch after is `epoch + 1`.
    pub removal: ChannelHead,
    /// When the server took it.
    pub time: UnixMillis,
    /// Who removed it.
    pub by: DeviceId,
    /// The ledger that the removal was made with.
    pub basis: LedgerSeq,
    /// The server's signature on the log up to there, if it could be had.
    pub signed: Option<SignedHead>,
}

/// What could be read in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// Where.
    pub channel: ChannelId,
    /// After this record, which brought it or, if later, the issuer in.
    pub after: Seq,
    /// Up to this one.
    pub through: Seq,
    /// Whether `after` is where its own reading began; else it may have read more before.
    pub whole: bool,
    /// How many messages.
    pub messages: u64,
    /// Files handed over in them.
    pub items: Vec<Item>,
}

/// A file that could be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// SHA-256 of its content.
    pub sha256: Digest,
    /// Its name, where the issuer chose to show it.
    pub name: Option<String>,
}

/// What a file proves, and under which key of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proven {
    /// What was said.
    pub said: CleanBreak,
    /// The statement in words of the ledger: `REVOKE`, `SUSPEND` or `ADMIT`.
    pub kind: &'static str,
}

struct File {
    said: Bytes,
    signature: Signature,
    /// From ROOT 1 up to the position that it names.
    ledger: Vec<Bytes>,
}

cbor_struct!(File {
    said,
    signature,
    ledger
});
cbor_struct!(Item { sha256, name });

impl CleanBreak {
    /// Whether nothing is left to be done: removed everywhere that the issuer knows of.
    pub fn is_complete(&self) -> bool {
        self.pending.is_empty()
    }

    /// The proof file: signed by the issuer's custody key, with the ledger up to the head named.
    pub fn file(&self, ledger: &Ledger, custody: &SigningKey) -> Vec<u8> {
        let said = cbor::encode(self);
        let signature = custody.sign(&to_be_signed(self.network, &said));
        let ledger = ledger
            .entries_after(LedgerSeq(0))
            .take_while(|(seq, _)| *seq <= self.ledger.seq)
            .map(|(_, signed)| Bytes(signed.to_vec()))
            .collect();
        let file = File {
            said: Bytes(said),
            signature,
            ledger,
        };
        pack(CLEAN_BREAK, cbor::encode(&file))
    }
}

pub(super) fn verify(body: &[u8], root1: Digest) -> Result<Proven, ProofError> {
    let file: File = cbor::decode(body)?;
    let said: CleanBreak = cbor::decode(&file.said.0)?;
    let mut ledger = Ledger::new(said.network, root1);
    for Bytes(signed) in &file.ledger {
        let seq = LedgerSeq(ledger.head().seq.0 + 1);
        ledger
            .append(signed)
            .map_err(|error| ProofError::Ledger { seq, error })?;
    }
    if ledger.head() != said.ledger {
        return Err(ProofError::CleanBreak(
            "it names another ledger than it holds",
        ));
    }
    let issuer = ledger
        .device(said.issuer)
        .filter(|_| standing(&ledger, said.issuer, said.issued) == Standing::Live)
        .ok_or(ProofError::CleanBreak(
            "its issuer is no live device of the ledger",
        ))?;
    signing::verify(
        &issuer.keys.custody,
        &to_be_signed(said.network, &file.said.0),
        &file.signature,
    )
    .map_err(|_| ProofError::CleanBreak("the issuer's signature does not hold"))?;
    let kind = check_statement(&said, &ledger)?;
    for gone in &said.gone {
        check_gone(gone, &said, &ledger)?;
    }
    Ok(Proven { said, kind })
}

fn standing(ledger: &Ledger, device: DeviceId, now: UnixMillis) -> Standing {
    ledger.standing(device, ledger.head().seq, now)
}

fn check_statement(said: &CleanBreak, ledger: &Ledger) -> Result<&'static str, ProofError> {
    let at = said.statement;
    let statement = ledger
        .statement(at.seq)
        .filter(|_| ledger.head_at(at.seq) == Some(at))
        .ok_or(ProofError::CleanBreak("the ledger has no such statement"))?;
    let member = Target::Member(said.member);
    let (kind, since) = match &statement.body {
        Body::Revoke(revoke) if revoke.target == member => ("REVOKE", Some(statement.time)),
        Body::Suspend(suspend) if suspend.target == member => ("SUSPEND", Some(statement.time)),
        Body::Admit(admit) if admit.member == said.member => ("ADMIT", admit.ends),
        _ => return Err(ProofError::CleanBreak("the statement puts nobody out")),
    };
    let out = ledger.member_standing(said.member, said.ledger.seq, said.issued) != Standing::Live;
    if since != Some(said.since) || !out {
        return Err(ProofError::CleanBreak(
            "the member is not out by that statement",
        ));
    }
    Ok(kind)
}

fn check_gone(gone: &Gone, said: &CleanBreak, ledger: &Ledger) -> Result<(), ProofError> {
    let refused = |why| Err(ProofError::CleanBreak(why));
    let member = ledger.device(gone.device).map(|device| device.member);
    if member != Some(said.member) {
        return refused("a device in it is not the member's");
    }
    if gone.removal.seq.0 == 0 || gone.basis > said.ledger.seq {
        return refused("a removal in it cannot be");
    }
    if let Some(signed) = &gone.signed {
        let covers = signed.channel == gone.channel && signed.head == gone.removal;
        let holds = ledger
            .server_keys()
            .any(|(_, key): (_, PublicKey)| check_head(&key, said.network, signed).is_ok());
        if !covers || !holds {
            return refused("the server's signature on a removal does not hold");
        }
    }
    Ok(())
}

fn to_be_signed(network: NetworkId, said: &[u8]) -> Vec<u8> {
    [SIGN_TAG, network.as_bytes(), said].concat()
}

impl Proven {
    /// In words, a line each thing said; `name` gives the names that the reader knows.
    pub fn words(&self, name: &dyn Fn(Subject) -> Option<String>) -> Vec<String> {
        let said = &self.said;
        let named = |subject: Subject| match name(subject) {
            Some(name) => format!("{name:?} ({subject})"),
            None => subject.to_string(),
        };
        let channel = |id| named(Subject::Channel(id));
        let device = |id| named(Subject::Device(id));
        let mut lines = vec![
            format!(
                "Clean break with {} of network {}.",
                named(Subject::Member(said.member)),
                said.network
            ),
            format!(
                "Out since {} by statement {} ({}) of the Board's ledger, hash {}.",
                moment(said.since),
                said.statement.seq.0,
                self.kind,
                said.statement.hash
            ),
            format!(
                "Issued by {} at {}, with the ledger up to statement {}.",
                device(said.issuer),
                moment(said.issued),
                said.ledger.seq.0
            ),
        ];
        for gone in &said.gone {
            lines.push(format!(
                "In {}, {} could read up to record {} (epoch {}). Record {} removed it (epoch {}) at \
                 {}, by {}; log hash {}, {}.",
                channel(gone.channel),
                device(gone.device),
                gone.removal.seq.0.saturating_sub(1),
                gone.epoch.0,
                gone.removal.seq.0,
                gone.epoch.0.saturating_add(1),
                moment(gone.time),
                device(gone.by),
                gone.removal.hash,
                match gone.signed {
                    Some(_) => "signed by the server",
                    None => "by the issuer's word alone",
                }
            ));
        }
        for exposure in &said.exposure {
            lines.push(format!(
                "In {} it could read {} messages, files handed over: {}, in records {} to {}{}.",
                channel(exposure.channel),
                exposure.messages,
                exposure.items.len(),
                exposure.after.0.saturating_add(1),
                exposure.through.0,
                match exposure.whole {
                    true => "",
                    false => ", and whatever was there before the issuer came",
                }
            ));
            lines.extend(exposure.items.iter().map(|item| match &item.name {
                Some(name) => format!("  file {} {name:?}", item.sha256),
                None => format!("  file {}", item.sha256),
            }));
        }
        for (place, leaf) in &said.pending {
            lines.push(format!(
                "PENDING: {} is still in {}.",
                device(*leaf),
                channel(*place)
            ));
        }
        for place in &said.unexamined {
            lines.push(format!(
                "Not examined: {}. Those inside can.",
                channel(*place)
            ));
        }
        lines.push(match said.is_complete() {
            true => "Complete as far as examined.".to_owned(),
            false => "NOT complete.".to_owned(),
        });
        lines
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&|_| None).join("\n"))
    }
}

impl Cbor for CleanBreak {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(11);
        self.network.put(w);
        self.issuer.put(w);
        self.issued.put(w);
        (self.ledger.seq, self.ledger.hash).put(w);
        self.member.put(w);
        (self.statement.seq, self.statement.hash).put(w);
        self.since.put(w);
        self.gone.put(w);
        self.pending.put(w);
        self.unexamined.put(w);
        self.exposure.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 11)?;
        let head = |(seq, hash)| LedgerHead { seq, hash };
        Ok(Self {
            network: Cbor::get(d)?,
            issuer: Cbor::get(d)?,
            issued: Cbor::get(d)?,
            ledger: head(Cbor::get(d)?),
            member: Cbor::get(d)?,
            statement: head(Cbor::get(d)?),
            since: Cbor::get(d)?,
            gone: Cbor::get(d)?,
            pending: Cbor::get(d)?,
            unexamined: Cbor::get(d)?,
            exposure: Cbor::get(d)?,
        })
    }
}

impl Cbor for Gone {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(10);
        self.channel.put(w);
        self.device.put(w);
        self.entered.map(|seq| seq.0).put(w);
        self.epoch.0.put(w);
        self.removal.seq.0.put(w);
        self.removal.hash.put(w);
        self.time.put(w);
        self.by.put(w);
        self.basis.put(w);
        self.signed.as_ref().map(Head::from).put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 10)?;
        let channel = Cbor::get(d)?;
        Ok(Self {
            channel,
            device: Cbor::get(d)?,
            entered: Option::<u64>::get(d)?.map(Seq),
            epoch: Epoch(Cbor::get(d)?),
            removal: ChannelHead {
                seq: Seq(Cbor::get(d)?),
                hash: Cbor::get(d)?,
            },
            time: Cbor::get(d)?,
            by: Cbor::get(d)?,
            basis: Cbor::get(d)?,
            signed: Option::<Head>::get(d)?.map(|head| head.signed(channel)),
        })
    }
}

impl Cbor for Exposure {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(6);
        self.channel.put(w);
        self.after.0.put(w);
        self.through.0.put(w);
        u8::from(self.whole).put(w);
        self.messages.put(w);
        self.items.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 6)?;
        Ok(Self {
            channel: Cbor::get(d)?,
            after: Seq(Cbor::get(d)?),
            through: Seq(Cbor::get(d)?),
            whole: match u8::get(d)? {
                0 => false,
                1 => true,
                other => return Err(cbor::unknown("answer", other.into())),
            },
            messages: Cbor::get(d)?,
            items: Cbor::get(d)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::Ed25519KeyPair;

    use super::*;
    use crate::{
        ledger::{Server, Voucher, testing::*},
        proof,
        signed_head::sign_heads,
    };

    const CHANNEL: ChannelId = ChannelId([9; 16]);

    fn server() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(key(8, 1).seed()).unwrap()
    }

    /// Member 10 issues, member 20 is out.
    fn said() -> (Board, CleanBreak) {
        let mut board = Board::with_member();
        board.say(Body::Server(Server {
            key: key(8, 1).public(),
        }));
        board.say(admit(20));
        board.say(device(21, 20, Voucher::Board));
        let statement = board.say(revoke(Target::Member(member_id(20))));
        let removal = ChannelHead {
            seq: Seq(7),
            hash: Digest([7; 32]),
        };
        let signed = sign_heads(&server(), NETWORK, NOW, &[(CHANNEL, removal)]).remove(0);
        let said = CleanBreak {
            network: NETWORK,
            issuer: device_id(10),
            issued: NOW,
            ledger: board.ledger.head(),
            member: member_id(20),
            statement,
            since: NOW,
            gone: vec![Gone {
                channel: CHANNEL,
                device: device_id(21),
                entered: Some(Seq(2)),
                epoch: Epoch(3),
                removal,
                time: NOW,
                by: device_id(10),
                basis: statement.seq,
                signed: Some(signed),
            }],
            pending: vec![],
            unexamined: vec![ChannelId([8; 16])],
            exposure: vec![Exposure {
                channel: CHANNEL,
                after: Seq(2),
                through: Seq(6),
                whole: true,
                messages: 4,
                items: vec![Item {
                    sha256: Digest([5; 32]),
                    name: None,
                }],
            }],
        };
        (board, said)
    }

    fn check(board: &Board, said: &CleanBreak) -> Result<proof::Proven, ProofError> {
        let file = said.file(&board.ledger, &key(4, 10));
        proof::verify(&file, board.ledger.root1())
    }

    #[test]
    fn a_third_party_checks_it_with_root_1_alone() {
        let (board, said) = said();
        let proven = check(&board, &said).unwrap();
        assert_eq!(proven.kind(), "clean-break");
        let text = proven.to_string();
        for part in [
            "REVOKE",
            "up to record 6 (epoch 3)",
            "Record 7 removed it (epoch 4)",
            "4 messages, files handed over: 1",
            "signed by the server",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let pending = CleanBreak {
            pending: vec![(CHANNEL, device_id(21))],
            ..said
        };
        let text = check(&board, &pending).unwrap().to_string();
        assert!(
            text.contains("PENDING") && text.ends_with("NOT complete."),
            "{text}"
        );
    }

    #[test]
    fn nothing_else_passes() {
        let (board, right) = said();
        let gone = right.gone[0].clone();
        let mut other_hash = gone.clone();
        other_hash.removal.hash = Digest([6; 32]);
        let mut other_device = gone.clone();
        other_device.device = device_id(10);
        let mut later = gone;
        later.basis = LedgerSeq(99);
        for wrong in [
            CleanBreak {
                member: member_id(10),
                ..right.clone()
            },
            CleanBreak {
                issuer: device_id(21),
                ..right.clone()
            },
            CleanBreak {
                since: UnixMillis(1),
                ..right.clone()
            },
            CleanBreak {
                statement: board.ledger.head_at(LedgerSeq(2)).unwrap(),
                ..right.clone()
            },
            CleanBreak {
                ledger: right.statement,
                statement: right.ledger,
                network: NetworkId([1; 16]),
                ..right.clone()
            },
            CleanBreak {
                gone: vec![other_hash],
                ..right.clone()
            },
            CleanBreak {
                gone: vec![other_device],
                ..right.clone()
            },
            CleanBreak {
                gone: vec![later],
                ..right.clone()
            },
        ] {
            assert!(check(&board, &wrong).is_err(), "{wrong:?}");
        }
        let forged = right.file(&board.ledger, &key(4, 21));
        assert!(proof::verify(&forged, board.ledger.root1()).is_err());
        let file = right.file(&board.ledger, &key(4, 10));
        assert!(proof::verify(&file, Digest([0; 32])).is_err());
        for at in (0..file.len()).step_by(5) {
            let mut flipped = file.clone();
            flipped[at] ^= 1;
            assert!(
                proof::verify(&flipped, board.ledger.root1()).is_err(),
                "{at}"
            );
        }
    }

    #[test]
    fn who_is_back_is_not_out() {
        let (mut board, mut said) = said();
        board.say(admit(30));
        board.say(device(31, 30, Voucher::Board));
        said.statement = board.say(suspend(Target::Member(member_id(30))));
        said.member = member_id(30);
        said.gone.clear();
        said.ledger = board.ledger.head();
        assert!(check(&board, &said).is_ok());
        said.ledger = board.say(Body::Resume(crate::ledger::Resume {
            target: Target::Member(member_id(30)),
        }));
        assert!(check(&board, &said).is_err());
    }
}
