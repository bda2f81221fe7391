//! Statements for the Board to sign, several in one round.

use std::collections::BTreeMap;

use plenary_proto::ids::{Digest, NetworkId, UnixMillis};

use super::{
    Body, Kind, Ledger, LedgerError, RecoverStep, Root, Statement, Subject, root1_hash, rules,
};

/// ROOT 1 and what follows it, in the order to be appended, and the hash of ROOT 1 that
/// everybody pins. The whole list goes to the Board in one request.
pub fn found(
    network: NetworkId,
    root: Root,
    rest: Vec<Body>,
    time: UnixMillis,
) -> (Digest, Vec<Statement>) {
    let empty = Ledger::new(network, Digest([0; 32]));
    let bodies = std::iter::once(Body::Root(root)).chain(rest).collect();
    let statements = empty.draft_all(bodies, time);
    let hash = statements
        .first()
        .map_or(Digest([0; 32]), |root1| root1_hash(&root1.encode()));
    (hash, statements)
}

impl Ledger {
    /// A statement for the Board (or a device, or the recovery role) to sign: says `body` as of
    /// this ledger.
    pub fn draft(&self, body: Body, time: UnixMillis) -> Statement {
        Statement {
            network: self.network,
            root_version: self.root_version(),
            version: self.next_version(body.kind(), body.subject()),
            body,
            time,
        }
    }

    /// Statements to be appended in this order: each is drafted as if those before it were in the
    /// ledger. What follows a ROOT is signed by the Board that this ROOT puts in force.
    pub fn draft_all(&self, bodies: Vec<Body>, time: UnixMillis) -> Vec<Statement> {
        let mut earlier: BTreeMap<(Kind, Subject), u32> = BTreeMap::new();
        let mut roots = 0;
        let draft = |body: Body| {
            let (kind, subject) = (body.kind(), body.subject());
            let count = earlier.entry((kind, subject)).or_default();
            let mut statement = self.draft(body, time);
            if kind != Kind::Revoke {
                statement.version = statement.version.saturating_add(*count);
            }
            if kind == Kind::Root {
                statement.version = statement.version.max(self.root_version() + roots + 1);
            }
            statement.root_version = statement.root_version.saturating_add(roots);
            *count += 1;
            let complete = matches!(
                &statement.body,
                Body::Recover(recover) if recover.step == RecoverStep::Complete
            );
            roots += u32::from(kind == Kind::Root || complete);
            statement
        };
        bodies.into_iter().map(draft).collect()
    }

    /// Whether the ledger would take statements one after the other, signed as they must be: to
    /// refuse what makes no sense before people sign it.
    ///
    /// # Errors
    /// The [`LedgerError`] that [`Ledger::append`] would give, but for signatures.
    pub fn rehearse(&self, statements: &[Statement]) -> Result<(), LedgerError> {
        let mut copy = self.clone();
        let mut seq = self.head().seq;
        for statement in statements {
            rules::sensible(&copy, statement)?;
            seq.0 += 1;
            copy.apply(seq, statement.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{testing::*, *};

    #[test]
    fn a_new_board_and_what_it_says_first_fit_one_request() {
        let mut board = Board::new(3);
        let mut next = root(3);
        next.thresholds.admit = 1;
        let bodies = vec![
            admit(10),
            Body::Root(next),
            admit(10),
            revoke(Target::Member(member_id(10))),
        ];
        let statements = board.ledger.draft_all(bodies, NOW);
        let said: Vec<_> = statements
            .iter()
            .map(|one| (one.version, one.root_version))
            .collect();
        assert_eq!(said, [(1, 1), (2, 1), (2, 2), (0, 2)]);
        assert_eq!(board.ledger.rehearse(&statements), Ok(()));
        let resume = Body::Resume(Resume {
            target: Target::Member(member_id(10)),
        });
        let senseless = board.ledger.draft_all(vec![admit(10), resume], NOW);
        assert_eq!(
            board.ledger.rehearse(&senseless),
            Err(LedgerError::NotSuspended(Target::Member(member_id(10))))
        );
        let all: Vec<_> = board.keys.iter().collect();
        for statement in &statements {
            board.ledger.append(&signed(statement, &all)).unwrap();
        }
        assert_eq!(board.ledger.root_version(), 2);
    }

    #[test]
    fn a_network_is_founded_in_one_round() {
        let rest = vec![
            Body::Policy(Policy::default()),
            Body::Server(Server {
                key: key(9, 0).public(),
            }),
            admit(0),
            device(0, 0, Voucher::Board),
            channel(1, EntryRule::Open, 0),
            channel(1, EntryRule::Open, 0),
        ];
        let (root1, statements) = found(NETWORK, root(3), rest, NOW);
        let mut ledger = Ledger::new(NETWORK, root1);
        let (one, two) = (board_key(0), board_key(2));
        for statement in &statements {
            ledger.append(&signed(statement, &[&one, &two])).unwrap();
        }
        assert_eq!(ledger.len(), 7);
        assert_eq!(
            ledger.standing(device_id(0), LedgerSeq(7), NOW),
            Standing::Live
        );
    }
}
