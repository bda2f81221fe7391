//! How long ago somebody vouched that a ledger is the newest there is, and what follows.
//!
//! A function of ledger, newest heartbeat and clock: two clients that know the same do the same.
//! It governs what a client itself seals, never what it accepts of others.

use plenary_proto::ids::{LedgerSeq, UnixMillis};

use super::{HEARTBEAT_LIFE, Heartbeat, Ledger};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// ROOT names no heartbeat key: there are no heartbeats and no rules about them.
    Unkept,
    /// Vouched for.
    Fresh {
        /// Until then, unless a heartbeat comes.
        until: UnixMillis,
    },
    /// Nobody has vouched for 72 hours.
    Lapsed {
        /// Since then.
        since: UnixMillis,
        /// Up to where the ledger was vouched for: who came in later is not sealed to.
        through: LedgerSeq,
        /// From then on nothing is sent; by POLICY.
        sends_until: UnixMillis,
    },
}

impl Freshness {
    /// `newest`: the newest heartbeat that [`Heartbeat::verify`] took under the ROOT in force.
    ///
    /// Where there is none yet, the ROOT that brought the heartbeat keys in stands for it: the
    /// Board signed it, with its time, so the server cannot make it younger.
    pub fn of(ledger: &Ledger, newest: Option<&Heartbeat>, now: UnixMillis) -> Self {
        let Some((root_seq, root_time)) = keys_since(ledger) else {
            return Self::Unkept;
        };
        let (through, time) = match newest {
            Some(heartbeat) if heartbeat.time >= root_time => {
                (heartbeat.head.seq.max(root_seq), heartbeat.time)
            }
            _ => (root_seq, root_time),
        };
        let until = time.plus(HEARTBEAT_LIFE.as_millis() as u64);
        if now <= until {
            return Self::Fresh { until };
        }
        let grace = u64::from(ledger.policy().heartbeat_grace_days) * DAY_MS;
        Self::Lapsed {
            since: until,
            through,
            sends_until: until.plus(grace),
        }
    }

    /// Whether nobody vouches for the ledger any more.
    pub fn is_lapsed(&self) -> bool {
        matches!(self, Self::Lapsed { .. })
    }
}

/// The ROOT with which the heartbeat keys in force came in, and when it was drafted.
fn keys_since(ledger: &Ledger) -> Option<(LedgerSeq, UnixMillis)> {
    let keys = &ledger.root()?.heartbeat;
    if keys.is_empty() {
        return None;
    }
    let same = ledger
        .roots()
        .rev()
        .take_while(|(_, root)| root.heartbeat == *keys);
    let (seq, _) = same.last()?;
    Some((*seq, ledger.statement(*seq)?.time))
}

#[cfg(test)]
mod tests {
    use super::super::{testing::*, *};
    use super::*;

    const LIFE: u64 = 3 * DAY;

    fn beat(board: &Board, seq: u64, time: UnixMillis) -> Heartbeat {
        let bytes = Heartbeat {
            network: NETWORK,
            head: board.ledger.head_at(LedgerSeq(seq)).unwrap(),
            time,
        }
        .sign(&key(5, 0));
        Heartbeat::verify(&bytes, &board.ledger, time).unwrap()
    }

    #[test]
    fn without_keys_there_are_no_rules() {
        let mut board = Board::new(3);
        let mut none = root(3);
        none.heartbeat.clear();
        board.say(Body::Root(none));
        let late = NOW.plus(1_000 * DAY);
        assert_eq!(Freshness::of(&board.ledger, None, late), Freshness::Unkept);
        let old = Freshness::of(&Ledger::new(NETWORK, Digest([0; 32])), None, late);
        assert_eq!(old, Freshness::Unkept);
    }

    #[test]
    fn the_root_that_brought_the_keys_stands_for_the_first_heartbeat() {
        let mut board = Board::with_member();
        let of = |board: &Board, now| Freshness::of(&board.ledger, None, now);
        let until = NOW.plus(LIFE);
        assert_eq!(of(&board, until), Freshness::Fresh { until });
        let lapsed = |seq| Freshness::Lapsed {
            since: until,
            through: LedgerSeq(seq),
            sends_until: until.plus(7 * DAY),
        };
        assert_eq!(of(&board, until.plus(1)), lapsed(1));
        // Another ROOT with the same keys does not; one with others does.
        board.say(Body::Root(root(3)));
        assert_eq!(of(&board, until.plus(1)), lapsed(1));
        let mut other = root(3);
        other.heartbeat.push(key(5, 1).public());
        board.say(Body::Root(other));
        assert_eq!(of(&board, until.plus(1)), lapsed(5));
    }

    #[test]
    fn a_heartbeat_renews_and_its_head_is_the_horizon() {
        let mut board = Board::with_member();
        let time = NOW.plus(DAY);
        let heartbeat = beat(&board, 2, time);
        let of = |board: &Board, now| Freshness::of(&board.ledger, Some(&heartbeat), now);
        let until = time.plus(LIFE);
        assert_eq!(of(&board, until), Freshness::Fresh { until });
        board.say(Body::Policy(Policy {
            heartbeat_grace_days: 2,
            ..Policy::default()
        }));
        assert_eq!(
            of(&board, until.plus(1)),
            Freshness::Lapsed {
                since: until,
                through: LedgerSeq(2),
                sends_until: until.plus(2 * DAY),
            }
        );
    }

    #[test]
    fn one_from_before_the_keys_changed_counts_no_more() {
        let mut board = Board::with_member();
        let heartbeat = beat(&board, 3, UnixMillis(NOW.0 - 1));
        let mut other = root(3);
        other.heartbeat.push(key(5, 1).public());
        board.say(Body::Root(other));
        let until = NOW.plus(LIFE);
        let fresh = Freshness::of(&board.ledger, Some(&heartbeat), NOW);
        assert_eq!(fresh, Freshness::Fresh { until });
        let lapsed = Freshness::of(&board.ledger, Some(&heartbeat), until.plus(1));
        let Freshness::Lapsed { through, .. } = lapsed else {
            panic!("{lapsed:?}");
        };
        assert_eq!(through, LedgerSeq(4));
    }
}
