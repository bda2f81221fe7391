//! The first statements of a network, all signed in one round.

use std::collections::BTreeMap;

use plenary_proto::ids::{Digest, NetworkId, UnixMillis};

use super::{Body, Kind, Root, Statement, root1_hash};

/// ROOT 1 and what follows it, in the order to be appended, and the hash of ROOT 1 that
/// everybody pins. The whole list goes to the Board in one request.
pub fn found(
    network: NetworkId,
    root: Root,
    rest: Vec<Body>,
    time: UnixMillis,
) -> (Digest, Vec<Statement>) {
    let root1 = Statement {
        network,
        root_version: 0,
        version: 1,
        body: Body::Root(root),
        time,
    };
    let hash = root1_hash(&root1.encode());
    let mut versions = BTreeMap::new();
    let mut statements = vec![root1];
    statements.extend(rest.into_iter().map(|body| {
        let version = versions
            .entry((body.kind(), body.subject()))
            .and_modify(|version| *version += 1)
            .or_insert(u32::from(body.kind() != Kind::Revoke));
        Statement {
            network,
            root_version: 1,
            version: *version,
            body,
            time,
        }
    }));
    (hash, statements)
}

#[cfg(test)]
mod tests {
    use super::super::{testing::*, *};

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
