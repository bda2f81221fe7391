//! What the heartbeat's machine knows: the ledger as the server shows it, the statements that it was
//! given directly, and the last head that it vouched for. Pure: files and connections are elsewhere.
//!
//! ```text
//! request + signature files --give--> direct statements \
//! server's ledger ----------follow--> own ledger --------+--> heartbeat: signed, or refused
//! last heartbeat ---------------------------------------/
//! ```

use std::collections::BTreeMap;

use plenary_proto::ids::{Digest, LedgerHead, LedgerSeq, PublicKey, UnixMillis};

use crate::{
    ledger::{Heartbeat, Ledger, LedgerError, SignedStatement, Statement, statement_id},
    misuse::Misuse,
    signing::SigningKey,
};

/// See the module.
#[derive(Debug, Clone)]
pub struct Watch {
    ledger: Ledger,
    /// As signed, by the statement's id.
    direct: BTreeMap<Digest, Vec<u8>>,
    last: Option<Heartbeat>,
}

/// What a statement given directly turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// The server's ledger does not have it yet: it must, before anything is vouched for.
    New(Digest),
    /// It was given before, and the ledger still lacks it.
    Waiting(Digest),
    /// The ledger says so already.
    Known(LedgerSeq),
    /// More people must sign: other signature files may come.
    TooFew(LedgerError),
    /// Another one of the same kind, subject and version is known.
    Misuse(Box<Misuse>),
    /// No ledger that goes on from here can have it.
    Unfit(LedgerError),
}

/// A statement that was given directly and can no longer come into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overtaken {
    /// Which.
    pub id: Digest,
    /// Why.
    pub error: LedgerError,
    /// The proof, if the ledger has another one in its place.
    pub misuse: Option<Box<Misuse>>,
}

/// Why nothing is vouched for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum WatchError {
    #[error("the ledger is empty: the network is not founded, or nothing was fetched yet")]
    Empty,
    #[error("ROOT {version} does not name the heartbeat key {key}: the Board must state it first")]
    NotNamed { key: PublicKey, version: u32 },
    #[error(
        "the server's ledger lacks {} that the Board handed over: it withholds them, or nobody \
         submitted them", count(.0.len())
    )]
    Withheld(Vec<Digest>),
    #[error(
        "the ledger ends at {ours}, before {signed}, up to where it was vouched for: not the same folder?"
    )]
    Back { ours: u64, signed: u64 },
    #[error("another ledger at {0} than the one vouched for before: a fork")]
    Fork(u64),
    #[error("the clock shows no later time than at the last heartbeat: set it")]
    Clock,
}

fn count(statements: usize) -> String {
    match statements {
        1 => "one statement".to_owned(),
        many => format!("{many} statements"),
    }
}

impl Watch {
    /// From what was kept: a verified ledger, the direct statements that were new when they came,
    /// the last heartbeat signed.
    pub fn new(ledger: Ledger, direct: Vec<Vec<u8>>, last: Option<Heartbeat>) -> Self {
        let direct = direct.into_iter().filter_map(|signed| {
            let id = id_of(&signed)?;
            Some((id, signed))
        });
        Self {
            ledger,
            direct: direct.collect(),
            last,
        }
    }

    /// The ledger as far as it was followed.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Takes the next statement of the server's ledger.
    ///
    /// # Errors
    /// Any [`LedgerError`].
    pub fn follow(&mut self, signed: &[u8]) -> Result<LedgerHead, LedgerError> {
        self.ledger.append(signed)
    }

    /// Takes a statement that comes from the Board itself.
    pub fn give(&mut self, signed: &[u8]) -> Given {
        if let Some(seq) = self.ledger.find(signed) {
            return Given::Known(seq);
        }
        if let Some(id) = id_of(signed).filter(|id| self.direct.contains_key(id)) {
            return Given::Waiting(id);
        }
        let (known, _) = self.with_direct();
        match known.check(signed) {
            Ok(statement) => {
                let id = statement.id();
                self.direct.insert(id, signed.to_vec());
                Given::New(id)
            }
            Err(LedgerError::Known { seq }) => Given::Known(seq),
            Err(error @ LedgerError::TooFew { .. }) => Given::TooFew(error),
            Err(error) => match Misuse::find(&known, signed) {
                Some(misuse) => Given::Misuse(Box::new(misuse)),
                None => Given::Unfit(error),
            },
        }
    }

    /// Statements given directly that the ledger lacks and could have, in an order in which it can
    /// take them.
    pub fn missing(&self) -> Vec<(Digest, &[u8])> {
        let (_, missing) = self.with_direct();
        let signed = |id| Some((id, self.direct.get(&id)?.as_slice()));
        missing.into_iter().filter_map(signed).collect()
    }

    /// A statement given directly.
    pub fn direct(&self, id: Digest) -> Option<Statement> {
        let (_, statement) = SignedStatement::decode(self.direct.get(&id)?).ok()?;
        Some(statement)
    }

    /// Statements given directly that are in the ledger by now, and so need not be kept.
    pub fn arrived(&self) -> Vec<Digest> {
        let known = |signed: &[u8]| {
            self.ledger.find(signed).is_some()
                || matches!(self.ledger.check(signed), Err(LedgerError::Known { .. }))
        };
        let direct = self.direct.iter();
        direct
            .filter(|(_, signed)| known(signed))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Statements given directly that the ledger can no longer take: a ROOT or another version came
    /// first. To be told to the Board, which signs again what it still wants.
    pub fn overtaken(&self) -> Vec<Overtaken> {
        let (known, missing) = self.with_direct();
        let arrived = self.arrived();
        let left = self
            .direct
            .iter()
            .filter(|(id, _)| !missing.contains(id) && !arrived.contains(id));
        left.filter_map(|(id, signed)| {
            Some(Overtaken {
                id: *id,
                error: known.check(signed).err()?,
                misuse: Misuse::find(&known, signed).map(Box::new),
            })
        })
        .collect()
    }

    /// Forgets a statement given directly: it arrived, or was overtaken and told.
    pub fn forget(&mut self, id: Digest) {
        self.direct.remove(&id);
    }

    /// Signs that the ledger is the newest there is. It must be kept before it is handed out: the
    /// next one will not go behind it.
    ///
    /// # Errors
    /// Any [`WatchError`].
    pub fn heartbeat(
        &self,
        key: &SigningKey,
        now: UnixMillis,
    ) -> Result<(Heartbeat, Vec<u8>), WatchError> {
        let root = self.ledger.root().ok_or(WatchError::Empty)?;
        if !root.heartbeat.contains(&key.public()) {
            return Err(WatchError::NotNamed {
                key: key.public(),
                version: self.ledger.root_version(),
            });
        }
        let head = self.ledger.head();
        if let Some(last) = &self.last {
            match self.ledger.head_at(last.head.seq) {
                None => {
                    return Err(WatchError::Back {
                        ours: head.seq.0,
                        signed: last.head.seq.0,
                    });
                }
                Some(ours) if ours != last.head => {
                    return Err(WatchError::Fork(last.head.seq.0));
                }
                Some(_) if now <= last.time => return Err(WatchError::Clock),
                Some(_) => {}
            }
        }
        let missing: Vec<_> = self.missing().into_iter().map(|(id, _)| id).collect();
        if !missing.is_empty() {
            return Err(WatchError::Withheld(missing));
        }
        let heartbeat = Heartbeat {
            network: self.ledger.network(),
            head,
            time: now,
        };
        let signed = heartbeat.sign(key);
        Ok((heartbeat, signed))
    }

    /// The heartbeat is kept and may be handed out.
    pub fn signed(&mut self, heartbeat: Heartbeat) {
        self.last = Some(heartbeat);
    }

    /// The ledger with whatever else it could have of what was given directly, and what that is, in
    /// order.
    fn with_direct(&self) -> (Ledger, Vec<Digest>) {
        let mut ledger = self.ledger.clone();
        let mut left: Vec<_> = self.direct.iter().collect();
        let mut missing = Vec::new();
        loop {
            let before = left.len();
            left.retain(|(id, signed)| match ledger.append(signed) {
                Ok(_) => {
                    missing.push(**id);
                    false
                }
                Err(_) => true,
            });
            if left.len() == before {
                return (ledger, missing);
            }
        }
    }
}

fn id_of(signed: &[u8]) -> Option<Digest> {
    let (signed, _) = SignedStatement::decode(signed).ok()?;
    Some(statement_id(signed.statement()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{testing::*, *};

    /// The Board's own ledger, and the machine that follows a server up to there.
    fn watched() -> (Board, Watch) {
        let board = Board::with_member();
        let watch = Watch::new(board.ledger.clone(), vec![], None);
        (board, watch)
    }

    fn beat(watch: &mut Watch, now: UnixMillis) -> Result<LedgerSeq, WatchError> {
        let (heartbeat, signed) = watch.heartbeat(&key(5, 0), now)?;
        assert_eq!(
            Heartbeat::verify(&signed, watch.ledger(), now),
            Ok(heartbeat.clone())
        );
        let seq = heartbeat.head.seq;
        watch.signed(heartbeat);
        Ok(seq)
    }

    #[test]
    fn a_head_without_a_statement_given_directly_is_not_vouched_for() {
        let (mut board, mut watch) = watched();
        assert_eq!(beat(&mut watch, NOW), Ok(LedgerSeq(3)));
        let out = board.signed(revoke(Target::Device(device_id(10))), &[0, 1]);
        let Given::New(id) = watch.give(&out) else {
            panic!("not new");
        };
        assert_eq!(watch.give(&out), Given::Waiting(id));
        assert_eq!(
            beat(&mut watch, NOW.plus(1)),
            Err(WatchError::Withheld(vec![id]))
        );
        // The server goes on without it.
        let other = board.signed(admit(11), &[0, 2]);
        watch.follow(&other).unwrap();
        assert_eq!(watch.missing(), [(id, &out[..])]);
        assert_eq!(
            beat(&mut watch, NOW.plus(2)),
            Err(WatchError::Withheld(vec![id]))
        );
        assert_eq!(watch.direct(id).unwrap().kind(), Kind::Revoke);
        // Kept over a restart.
        let kept = vec![out.clone()];
        let mut again = Watch::new(watch.ledger.clone(), kept, watch.last);
        assert!(beat(&mut again, NOW.plus(2)).is_err());
        again.follow(&out).unwrap();
        assert_eq!(again.arrived(), [id]);
        assert_eq!(again.give(&out), Given::Known(LedgerSeq(5)));
        again.forget(id);
        assert_eq!(beat(&mut again, NOW.plus(2)), Ok(LedgerSeq(5)));
        board.ledger.append(&other).unwrap();
    }

    #[test]
    fn another_revocation_of_the_same_is_as_good() {
        let (board, mut watch) = watched();
        let target = Target::Device(device_id(10));
        let given = board.signed(revoke(target), &[0, 1]);
        let Given::New(id) = watch.give(&given) else {
            panic!("not new");
        };
        let taken = Body::Revoke(Revoke {
            target,
            reason: Reason::Misuse,
        });
        watch.follow(&board.signed(taken, &[1, 2])).unwrap();
        assert_eq!(watch.arrived(), [id]);
        assert_eq!(beat(&mut watch, NOW), Ok(LedgerSeq(4)));
        assert_eq!(watch.overtaken(), []);
    }

    #[test]
    fn a_request_s_statements_may_hang_on_one_another_and_come_in_any_order() {
        let (mut board, mut watch) = watched();
        let first = board.signed(admit(11), &[0, 1]);
        board.ledger.append(&first).unwrap();
        let second = board.signed(device(11, 11, Voucher::Board), &[0, 1]);
        assert!(matches!(watch.give(&second), Given::Unfit(_)));
        assert!(matches!(watch.give(&first), Given::New(_)));
        assert!(matches!(watch.give(&second), Given::New(_)));
        let order: Vec<_> = watch.missing().iter().map(|(_, s)| s.to_vec()).collect();
        assert_eq!(order, [first, second]);
    }

    #[test]
    fn what_cannot_count_is_told_apart() {
        let (mut board, mut watch) = watched();
        let few = board.signed(admit(11), &[0]);
        assert!(matches!(watch.give(&few), Given::TooFew(_)));
        assert!(matches!(watch.give(b"noise"), Given::Unfit(_)));
        let one = board.signed(admit(11), &[0, 1]);
        assert!(matches!(watch.give(&one), Given::New(_)));
        // Another one in its place, while the server has neither.
        let statement = board.ledger.draft(admit(11), NOW.plus(5));
        let two = signed(&statement, &[&board.keys[1], &board.keys[2]]);
        assert!(matches!(watch.give(&two), Given::Misuse(_)));
        // The server takes that one.
        watch.follow(&two).unwrap();
        let [overtaken] = &watch.overtaken()[..] else {
            panic!("{:?}", watch.overtaken());
        };
        let proven = overtaken.misuse.as_ref().unwrap().verify().unwrap();
        assert_eq!(proven.first, statement);
        board.ledger.append(&two).unwrap();
    }

    #[test]
    fn a_root_overtakes_what_was_signed_before() {
        let (mut board, mut watch) = watched();
        let late = board.signed(admit(11), &[0, 1]);
        let Given::New(id) = watch.give(&late) else {
            panic!("not new");
        };
        let next = board.signed(Body::Root(root(3)), &[0, 1]);
        board.ledger.append(&next).unwrap();
        watch.follow(&next).unwrap();
        let overtaken = watch.overtaken();
        assert_eq!(overtaken[0].id, id);
        assert_eq!(
            overtaken[0].error,
            LedgerError::StaleRoot { got: 1, current: 2 }
        );
        assert_eq!(beat(&mut watch, NOW), Ok(LedgerSeq(4)));
    }

    #[test]
    fn it_never_goes_back_or_aside() {
        let (mut board, mut watch) = watched();
        board.say(admit(11));
        watch
            .follow(board.ledger.entry(LedgerSeq(4)).unwrap())
            .unwrap();
        assert_eq!(beat(&mut watch, NOW), Ok(LedgerSeq(4)));
        assert_eq!(beat(&mut watch, NOW), Err(WatchError::Clock));
        let short = Board::with_member();
        let mut back = Watch::new(short.ledger.clone(), vec![], watch.last.clone());
        assert_eq!(
            beat(&mut back, NOW.plus(1)),
            Err(WatchError::Back { ours: 3, signed: 4 })
        );
        let mut other = short;
        other.say(admit(12));
        let mut fork = Watch::new(other.ledger, vec![], watch.last.clone());
        assert_eq!(beat(&mut fork, NOW.plus(1)), Err(WatchError::Fork(4)));
        let mut unnamed = root(3);
        unnamed.heartbeat.clear();
        let next = board.signed(Body::Root(unnamed), &[0, 1]);
        watch.follow(&next).unwrap();
        assert!(matches!(
            beat(&mut watch, NOW.plus(1)),
            Err(WatchError::NotNamed { version: 2, .. })
        ));
    }
}
