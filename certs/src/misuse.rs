//! Proof of misuse: two different statements of one kind, subject and version, both signed by enough.
//!
//! A ledger holds one of them at most; somebody who was shown the other one holds the proof. It
//! stands for itself: with the ROOTs that led there it is checked against the hash of ROOT 1 alone.

use std::fmt;

use plenary_proto::{
    ids::{Digest, LedgerSeq, NetworkId},
    limits,
};

use crate::{
    board::{Facts, NoFacts, describe},
    cbor::{self, Bytes, CborError, cbor_struct},
    ledger::{Body, EntryRule, Kind, Ledger, LedgerError, Statement, Subject},
    proof,
};

/// Statements that a proof may need before the two: the ROOTs, the devices of one member.
const CONTEXT: usize = 1_024;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misuse {
    network: NetworkId,
    root1: Digest,
    /// As the ledger has them, in its order: ROOTs; about a device also its member's.
    context: Vec<Bytes>,
    first: Bytes,
    second: Bytes,
}

cbor_struct!(Misuse {
    network,
    root1,
    context,
    first,
    second
});

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The one that the ledger has from which the proof was made.
    pub first: Statement,
    /// The other one.
    pub second: Statement,
}

/// Which of two statements lets in and allows less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stricter {
    /// The first one.
    First,
    /// The second one.
    Second,
    /// They allow the same.
    Same,
    /// They name different keys: neither is relied on.
    Neither,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum MisuseError {
    #[error("malformed proof: {0}")]
    Malformed(#[from] CborError),
    #[error("a proof with {0} statements before the two, more than any needs")]
    TooLong(usize),
    #[error("what leads to the two statements does not hold: {0}")]
    Context(LedgerError),
    #[error("a statement of the proof does not hold: {0}")]
    Statement(#[from] LedgerError),
    #[error("the two statements are not of one kind, subject and version, or they are the same")]
    NoConflict,
}

impl Misuse {
    /// The proof, if a signed statement conflicts with one that a ledger has.
    pub fn find(ledger: &Ledger, signed: &[u8]) -> Option<Self> {
        let Err(LedgerError::Conflicting { seq, subject, .. }) = ledger.check(signed) else {
            return None;
        };
        let context = ledger.entries_after(LedgerSeq(0)).filter(|(at, _)| {
            let Some(statement) = ledger.statement(*at) else {
                return false;
            };
            needed(ledger, &statement, subject)
        });
        Some(Self {
            network: ledger.network(),
            root1: ledger.root1(),
            context: context.map(|(_, signed)| Bytes(signed.to_vec())).collect(),
            first: Bytes(ledger.entry(seq)?.to_vec()),
            second: Bytes(signed.to_vec()),
        })
    }

    /// Holds the proof against the ROOT 1 that it names: see [`Misuse::root1`].
    ///
    /// # Errors
    /// [`MisuseError`].
    pub fn verify(&self) -> Result<Proven, MisuseError> {
        if self.context.len() > CONTEXT {
            return Err(MisuseError::TooLong(self.context.len()));
        }
        let mut ledger = Ledger::new(self.network, self.root1);
        for signed in &self.context {
            ledger.append(&signed.0).map_err(MisuseError::Context)?;
        }
        let first = ledger.attribute(&self.first.0)?;
        let second = ledger.attribute(&self.second.0)?;
        let about = |one: &Statement| (one.kind(), one.subject(), one.version);
        if about(&first) != about(&second) || first == second || first.kind() == Kind::Revoke {
            return Err(MisuseError::NoConflict);
        }
        Ok(Proven { first, second })
    }

    /// Whom the proof is about to convince compares this with the hash that invitations carry.
    pub fn root1(&self) -> Digest {
        self.root1
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The statement that the ledger did not have, as signed.
    pub fn second(&self) -> &[u8] {
        &self.second.0
    }

    /// The proof as a file that [`crate::proof::verify`] takes.
    pub fn to_file(&self) -> Vec<u8> {
        proof::pack_misuse(cbor::encode(self))
    }

    /// As [`Misuse::find`] has it, of its own file: to be verified against a known ROOT 1.
    pub(crate) fn decode(body: &[u8], root1: Digest) -> Result<Self, MisuseError> {
        let misuse: Self = cbor::decode(body)?;
        Ok(Self { root1, ..misuse })
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "two different statements of one kind, subject and version"
        )?;
        f.write_str(&self.words(&NoFacts).join("\n"))
    }
}

impl Proven {
    /// Both in words, and which of them counts until the Board says more.
    pub fn words(&self, facts: &dyn Facts) -> Vec<String> {
        let (first, second) = (&self.first, &self.second);
        let counts = match self.stricter() {
            Stricter::First => "The first one is the stricter and counts.",
            Stricter::Second => "The second one is the stricter and counts.",
            Stricter::Same => "They allow the same.",
            Stricter::Neither => "They name different keys: neither is relied on.",
        };
        vec![
            describe(first, facts).text(),
            describe(second, facts).text(),
            counts.to_owned(),
        ]
    }

    /// Which of the two counts.
    pub fn stricter(&self) -> Stricter {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (&self.first.body, &self.second.body) {
            (Body::Admit(first), Body::Admit(second)) => {
                // No end is the latest.
                let end =
                    |end: Option<plenary_proto::ids::UnixMillis>| end.map_or(u64::MAX, |end| end.0);
                end(first.ends).cmp(&end(second.ends))
            }
            (Body::Grant(first), Body::Grant(second)) => first.granted.cmp(&second.granted),
            (Body::Channel(first), Body::Channel(second)) => {
                let open = |rule| rule == EntryRule::Open;
                (open(first.rule), first.ceiling).cmp(&(open(second.rule), second.ceiling))
            }
            (Body::Policy(first), Body::Policy(second)) => {
                first.heartbeat_grace_days.cmp(&second.heartbeat_grace_days)
            }
            (Body::Suspend(_), _) | (Body::Resume(_), _) | (Body::Revoke(_), _) => Equal,
            _ => return Stricter::Neither,
        };
        match order {
            Less => Stricter::First,
            Equal => Stricter::Same,
            Greater => Stricter::Second,
        }
    }
}

/// Whether a statement of the ledger is needed to know who may sign about a subject.
fn needed(ledger: &Ledger, statement: &Statement, subject: Subject) -> bool {
    let member = match subject {
        Subject::Device(device) => ledger.device(device).map(|device| device.member),
        _ => None,
    };
    match &statement.body {
        Body::Root(_) | Body::Recover(_) => true,
        Body::Admit(admit) => Some(admit.member) == member,
        Body::Device(device) => Some(device.member) == member,
        _ => false,
    }
}

const _: () = assert!(CONTEXT * limits::STATEMENT <= 16 << 20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{testing::*, *};
    use plenary_proto::ids::UnixMillis;

    /// A ledger, and a statement by the same people that says something else of the same version.
    fn conflicting(board: &mut Board, taken: Body, other: Body) -> Vec<u8> {
        let keys: Vec<_> = board.keys.iter().collect();
        let statement = board.ledger.draft(other, NOW.plus(1));
        let signed = signed(&statement, &keys);
        board.say(taken);
        signed
    }

    #[test]
    fn two_words_of_the_board_convince_who_knows_root_1_only() {
        let mut board = Board::with_member();
        board.say(channel(1, EntryRule::Granted, 10));
        board.say(Body::Root(root(3)));
        let grant = |granted| {
            Body::Grant(Grant {
                channel: channel_id(1),
                member: member_id(10),
                granted,
            })
        };
        let other = conflicting(&mut board, grant(true), grant(false));
        let proof = Misuse::find(&board.ledger, &other).unwrap();
        assert_eq!(proof.root1(), board.ledger.root1());
        let proven = match crate::proof::verify(&proof.to_file(), board.ledger.root1()) {
            Ok(crate::proof::Proven::Misuse(proven)) => proven,
            other => panic!("{other:?}"),
        };
        let elsewhere = crate::proof::verify(&proof.to_file(), Digest([1; 32]));
        assert!(elsewhere.is_err(), "{elsewhere:?}");
        assert_eq!(proven.first.body, grant(true));
        assert_eq!(proven.second.body, grant(false));
        assert_eq!(proven.stricter(), Stricter::Second);
        assert!(proven.words(&crate::board::NoFacts)[2].starts_with("The second"));
        // Only the two ROOTs are needed for it.
        assert_eq!(proof.context.len(), 2);
    }

    #[test]
    fn what_is_no_conflict_proves_nothing() {
        let mut board = Board::with_member();
        let one = board.signed(admit(11), &[0, 1]);
        assert_eq!(Misuse::find(&board.ledger, &one), None);
        board.ledger.append(&one).unwrap();
        assert_eq!(Misuse::find(&board.ledger, &one), None, "the same");
        let admit_until = |days: u64| {
            Body::Admit(Admit {
                ends: Some(NOW.plus(days * DAY)),
                member: member_id(12),
                capacity: Capacity::Member,
                profile: Digest([12; 32]),
            })
        };
        let other = conflicting(&mut board, admit_until(9), admit_until(3));
        let proof = Misuse::find(&board.ledger, &other).unwrap();
        assert_eq!(proof.verify().unwrap().stricter(), Stricter::Second);

        let mut same = proof.clone();
        same.second = same.first.clone();
        assert_eq!(same.verify(), Err(MisuseError::NoConflict));
        let mut unrelated = proof.clone();
        unrelated.second = Bytes(one);
        assert_eq!(unrelated.verify(), Err(MisuseError::NoConflict));
        let mut pinned = proof.clone();
        pinned.root1 = Digest([1; 32]);
        assert_eq!(
            pinned.verify(),
            Err(MisuseError::Context(LedgerError::OtherRoot1))
        );
        let mut uprooted = proof.clone();
        uprooted.context.clear();
        assert!(uprooted.verify().is_err());
        let bytes = cbor::encode(&proof);
        for at in (0..bytes.len()).step_by(3) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let proof = cbor::decode::<Misuse>(&flipped);
            assert!(proof.is_err() || proof.is_ok_and(|proof| proof.verify().is_err()));
        }
    }

    #[test]
    fn too_few_signatures_are_no_proof() {
        let mut board = Board::with_member();
        let statement = board.ledger.draft(admit(11), UnixMillis(NOW.0 + 1));
        board.say(admit(11));
        let one = signed(&statement, &[&board.keys[0]]);
        assert_eq!(Misuse::find(&board.ledger, &one), None);
    }

    #[test]
    fn a_device_that_vouches_two_ways_is_proven_by_its_own_keys() {
        let mut board = Board::with_member();
        board.vouch(11, 10, 10).unwrap();
        let body = |keys| {
            Body::Device(DeviceBody {
                device: device_id(12),
                member: member_id(10),
                voucher: Voucher::Device(device_id(11)),
                keys: device_keys(keys),
            })
        };
        let sign = |board: &Board, body| {
            let bytes = board.ledger.draft(body, NOW).encode();
            let signature = sign_as_device(&bytes, device_id(11), &authentication_key(11));
            SignedStatement::new(bytes, vec![signature]).encode()
        };
        let (one, other) = (sign(&board, body(12)), sign(&board, body(13)));
        board.ledger.append(&one).unwrap();
        board.say(revoke(Target::Device(device_id(11))));
        let proof = Misuse::find(&board.ledger, &other).unwrap();
        assert_eq!(proof.verify().unwrap().stricter(), Stricter::Neither);
        assert_eq!(proof.context.len(), 5);
    }
}
