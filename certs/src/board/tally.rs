//! Who has signed a request, and who is still to sign.

use std::collections::BTreeSet;

use plenary_proto::ids::{MemberId, PublicKey};

use super::{Request, RequestError, SignatureFile, request::gather};
use crate::ledger::{Body, Kind, Root, Signer, Statement, Voucher};

/// How a statement of a request stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Of which kind.
    pub kind: Kind,
    /// What it needs: one entry, or two for a ROOT. `None`: the ROOT that it is under is not
    /// enclosed, so nobody can tell here.
    pub needs: Option<Vec<Need>>,
    /// Keys that signed and have no say in it.
    pub foreign: Vec<PublicKey>,
}

/// One threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Of whom.
    pub role: Role,
    /// How many distinct people, or recovery keys.
    pub needed: usize,
    /// Who has signed; one entry a person.
    pub signed: Vec<Seat>,
    /// Who has not.
    pub open: Vec<Seat>,
}

/// Whose threshold it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The Board of the ROOT of this version.
    Board(u32),
    /// The recovery role.
    Recovery,
}

/// A person of the Board, or a recovery key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Whose; none for the recovery role.
    pub member: Option<MemberId>,
    /// With which keys: those that signed, or all of them.
    pub keys: Vec<PublicKey>,
}

impl Need {
    /// How many are still missing.
    pub fn missing(&self) -> usize {
        self.needed.saturating_sub(self.signed.len())
    }
}

impl Tally {
    /// Whether enough have signed, as far as can be told.
    pub fn complete(&self) -> bool {
        let needs = self.needs.as_ref();
        needs.is_some_and(|needs| needs.iter().all(|need| need.missing() == 0))
    }
}

/// Counts the verified signatures of all files, statement by statement. As the ledger would
/// count, if the ROOTs enclosed are the newest.
///
/// # Errors
/// As [`super::combine`].
pub fn tally(request: &Request, files: &[SignatureFile]) -> Result<Vec<Tally>, RequestError> {
    let signatures = gather(request, files)?;
    let statements = request.statements().iter().zip(signatures);
    Ok(statements
        .map(|(statement, signatures)| {
            let signers: BTreeSet<Signer> = signatures.into_keys().collect();
            let needs = needs(request, statement);
            let foreign = signers
                .iter()
                .filter(|signer| has_say(request, statement, **signer) == Some(false))
                .filter_map(|signer| match signer {
                    Signer::Board(key) | Signer::Recovery(key) => Some(*key),
                    Signer::Device(_) => None,
                });
            Tally {
                kind: statement.kind(),
                foreign: foreign.collect(),
                needs: needs.map(|needs| {
                    let needs = needs.into_iter();
                    needs
                        .map(|(role, root)| count(role, root, statement, &signers))
                        .collect()
                }),
            }
        })
        .collect())
}

/// Whether a signer counts for a statement; `None` if its ROOT is not known.
pub(super) fn has_say(request: &Request, statement: &Statement, signer: Signer) -> Option<bool> {
    let needs = needs(request, statement)?;
    Some(needs.into_iter().any(|(role, root)| match (role, signer) {
        (Role::Board(_), Signer::Board(key)) => root.person(&key).is_some(),
        (Role::Recovery, Signer::Recovery(key)) => root.recovery.keys.contains(&key),
        _ => false,
    }))
}

/// Whose thresholds a statement must reach, by the ROOTs that the request knows.
fn needs<'a>(request: &'a Request, statement: &'a Statement) -> Option<Vec<(Role, &'a Root)>> {
    let version = statement.root_version;
    let current = || request.root_of(version);
    match &statement.body {
        Body::Root(next) if statement.version == 1 => Some(vec![(Role::Board(1), next)]),
        Body::Root(next) => {
            let before = (Role::Board(version), current()?);
            Some(vec![before, (Role::Board(statement.version), next)])
        }
        Body::Recover(_) => Some(vec![(Role::Recovery, current()?)]),
        Body::Device(device) if device.voucher != Voucher::Board => None,
        _ => Some(vec![(Role::Board(version), current()?)]),
    }
}

fn count(role: Role, root: &Root, statement: &Statement, signers: &BTreeSet<Signer>) -> Need {
    let (mut signed, mut open) = (Vec::new(), Vec::new());
    let needed = match role {
        Role::Board(_) => {
            let mut people = BTreeSet::new();
            for person in &root.board {
                if !people.insert(person.member) {
                    continue;
                }
                let own = root.board.iter().filter(|one| one.member == person.member);
                let keys: Vec<_> = own.map(|one| one.key).collect();
                let used = |key: &PublicKey| signers.contains(&Signer::Board(*key));
                let with: Vec<_> = keys.iter().copied().filter(used).collect();
                let member = Some(person.member);
                if with.is_empty() {
                    open.push(Seat { member, keys });
                } else {
                    signed.push(Seat { member, keys: with });
                }
            }
            root.thresholds.of(statement.kind())
        }
        Role::Recovery => {
            for key in &root.recovery.keys {
                let seat = Seat {
                    member: None,
                    keys: vec![*key],
                };
                if signers.contains(&Signer::Recovery(*key)) {
                    signed.push(seat);
                } else {
                    open.push(seat);
                }
            }
            root.recovery.threshold
        }
    };
    Need {
        role,
        needed: needed.into(),
        signed,
        open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        board::{BoardKey, RecoveryKey, combine},
        ledger::{LedgerError, Person, Recover, RecoverStep, Target, testing::*},
        signing::SigningKey,
    };

    fn sign(request: &Request, keys: &[BoardKey]) -> Vec<SignatureFile> {
        keys.iter().map(|key| request.sign(key).unwrap()).collect()
    }

    fn seat(n: u8) -> BoardKey {
        let (member, key) = (member_id(n), board_key(n));
        BoardKey { member, key }
    }

    fn request(board: &Board, bodies: Vec<Body>) -> Request {
        let statements = board.ledger.draft_all(bodies, NOW);
        let entries = board.ledger.extract(&BTreeSet::new());
        let entries = entries.into_iter().map(<[u8]>::to_vec).collect();
        let request = Request::new(statements, vec![]).unwrap();
        let request = request.with(entries, vec![]).unwrap();
        assert_eq!(Request::parse(&request.to_text()).unwrap(), request);
        request
    }

    fn missing(tally: &Tally) -> Vec<usize> {
        let needs = tally.needs.as_ref().unwrap().iter();
        needs.map(Need::missing).collect()
    }

    /// Every subset of a Board of five: the tally says complete exactly if the ledger takes it.
    #[test]
    fn counts_as_the_ledger_does() {
        let board = Board::new(5);
        let bodies = vec![
            admit(10),
            revoke(Target::Member(member_id(10))),
            Body::Root(root(4)),
        ];
        let request = request(&board, bodies);
        for mask in 0u8..32 {
            let keys: Vec<_> = (0..5).filter(|n| mask & (1 << n) != 0).map(seat).collect();
            let files = sign(&request, &keys);
            let tallies = tally(&request, &files).unwrap();
            let signed = combine(&request, &files).unwrap();
            let mut ledger = board.ledger.clone();
            for (tally, signed) in tallies.iter().zip(signed) {
                let taken = ledger.append(&signed);
                assert_eq!(
                    taken.is_ok(),
                    tally.complete(),
                    "{mask:b} {tally:?} {taken:?}"
                );
                if taken.is_err() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_new_board_and_the_old_are_counted_apart() {
        let mut board = Board::new(3);
        let mut next = root(3);
        for (person, n) in next.board.iter_mut().zip([0, 7, 8]) {
            *person = Person {
                member: member_id(n),
                key: board_key(n).public(),
            };
        }
        // What follows the ROOT is said by the new Board.
        let request = request(&board, vec![Body::Root(next), admit(10)]);
        let words = request.describe(&|_| None);
        assert!(words[0].headline.contains("is new"), "{words:?}");
        assert!(words[0].headline.contains("is out"), "{words:?}");
        let tallies = tally(&request, &[]).unwrap();
        assert_eq!(missing(&tallies[0]), [2, 2]);
        assert_eq!(missing(&tallies[1]), [2]);
        let tallies = tally(&request, &sign(&request, &[seat(0), seat(1)])).unwrap();
        assert_eq!(missing(&tallies[0]), [0, 1], "the first is on both");
        let need = &tallies[0].needs.as_ref().unwrap()[1];
        let open: Vec<_> = need.open.iter().filter_map(|seat| seat.member).collect();
        assert_eq!(open, [member_id(7), member_id(8)]);
        assert_eq!(tallies[1].foreign, [board_key(1).public()]);
        assert!(!tallies[1].complete());
        let files = sign(&request, &[seat(0), seat(1), seat(8)]);
        assert!(tally(&request, &files).unwrap().iter().all(Tally::complete));
        // The old key has no say in the second, and does not spoil it.
        for signed in combine(&request, &files).unwrap() {
            board.ledger.append(&signed).unwrap();
        }
        assert!(board.ledger.is_board(member_id(8)));
    }

    #[test]
    fn recovery_keys_sign_recover_and_nothing_else() {
        let mut board = Board::new(3);
        let recover = Body::Recover(Recover {
            step: RecoverStep::Announce,
            root: root(2),
        });
        let announce = request(&board, vec![recover]);
        let recovery = |n: u8| {
            let seed = board.recovery[usize::from(n)].seed();
            RecoveryKey::from(SigningKey::from_seed(seed).unwrap())
        };
        let daily = request(&board, vec![admit(10)]);
        assert!(matches!(
            announce.sign(&seat(0)),
            Err(RequestError::NothingToSign(_))
        ));
        assert!(matches!(
            daily.sign_recovery(&recovery(0)),
            Err(RequestError::NothingToSign(_))
        ));
        let sign = |n| announce.sign_recovery(&recovery(n)).unwrap();
        let files = [sign(0)];
        assert_eq!(missing(&tally(&announce, &files).unwrap()[0]), [1]);
        let files = [sign(0), sign(2)];
        assert!(tally(&announce, &files).unwrap()[0].complete());
        for signed in combine(&announce, &files).unwrap() {
            board.ledger.append(&signed).unwrap();
        }
        assert!(board.ledger.announced_recovery().is_some());
    }

    #[test]
    fn an_unknown_root_is_said_to_be_unknown() {
        let board = Board::new(3);
        let statements = board.ledger.draft_all(vec![admit(10)], NOW);
        let bare = Request::new(statements, vec![]).unwrap();
        let tallies = tally(&bare, &sign(&bare, &[seat(9)])).unwrap();
        assert_eq!((&tallies[0].needs, tallies[0].complete()), (&None, false));
        // Then nobody is left out, and the ledger refuses.
        let signed = combine(&bare, &sign(&bare, &[seat(0), seat(1), seat(9)])).unwrap();
        assert!(matches!(
            board.ledger.check(&signed[0]),
            Err(LedgerError::ForeignSignature(_))
        ));
    }
}
