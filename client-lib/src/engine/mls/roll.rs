//! Who is in a group, and what the ledger says of them: asked for with every message, and the same
//! until a commit, a statement or the end of an admission changes it. With 1,000 leaves, asking the
//! tree and the ledger anew took longer than sealing.

use plenary_certs::ledger::{Ledger, Standing};
use plenary_proto::ids::{DeviceId, LedgerHead, UnixMillis};

/// The leaves of one epoch.
pub(super) struct Roll {
    epoch: u64,
    leaves: Vec<(u32, DeviceId)>,
    judged: Option<Judged>,
    withdrawn: Option<(LedgerHead, Vec<DeviceId>)>,
}

/// What a ledger says of the leaves within a stretch of time.
struct Judged {
    head: LedgerHead,
    from: UnixMillis,
    /// When the next admission ends.
    until: Option<UnixMillis>,
    out: Vec<DeviceId>,
}

impl Judged {
    fn holds(&self, head: LedgerHead, now: UnixMillis) -> bool {
        self.head == head && self.from <= now && self.until.is_none_or(|until| now < until)
    }
}

impl Roll {
    /// `leaves`: in the order of their numbers.
    pub(super) fn new(epoch: u64, leaves: impl Iterator<Item = (u32, DeviceId)>) -> Self {
        Self {
            epoch,
            leaves: leaves.collect(),
            judged: None,
            withdrawn: None,
        }
    }

    pub(super) fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = DeviceId> + '_ {
        self.leaves.iter().map(|(_, device)| *device)
    }

    pub(super) fn at(&self, leaf: u32) -> Option<DeviceId> {
        let place = self.leaves.binary_search_by_key(&leaf, |(index, _)| *index);
        Some(self.leaves.get(place.ok()?)?.1)
    }

    /// Devices that a ledger has out at its end.
    pub(super) fn not_live(&mut self, ledger: &Ledger, now: UnixMillis) -> &[DeviceId] {
        let head = ledger.head();
        let known = self.judged.take_if(|judged| judged.holds(head, now));
        let judged = known.unwrap_or_else(|| self.judge(ledger, now));
        &self.judged.insert(judged).out
    }

    fn judge(&self, ledger: &Ledger, now: UnixMillis) -> Judged {
        let head = ledger.head();
        let live = |device: &DeviceId| ledger.standing(*device, head.seq, now) == Standing::Live;
        let ends = self
            .devices()
            .filter_map(|device| ledger.admission_ends(device, head.seq));
        Judged {
            head,
            from: now,
            until: ends.filter(|end| *end > now).min(),
            out: self.devices().filter(|device| !live(device)).collect(),
        }
    }

    /// Devices of which `find` says, as of a ledger's end, that they are to go.
    pub(super) fn withdrawn(
        &mut self,
        ledger: &Ledger,
        find: impl FnOnce(&[(u32, DeviceId)]) -> Vec<DeviceId>,
    ) -> &[DeviceId] {
        let head = ledger.head();
        let known = self.withdrawn.take_if(|(at, _)| *at == head);
        let found = known.unwrap_or_else(|| (head, find(&self.leaves)));
        &self.withdrawn.insert(found).1
    }
}

#[cfg(test)]
mod tests {
    use plenary_certs::{
        ledger::{Admit, Body, Capacity, Reason, Revoke, Target},
        signing::SigningKey,
    };

    use super::*;
    use crate::simulation::{
        Dice,
        crowd::{NETWORK, NOW, device, founding, identity, member, sign},
    };

    fn say(ledger: &mut Ledger, board: &[SigningKey], body: Body) {
        let statement = ledger.draft(body, NOW);
        ledger.append(&sign(board, &statement)).unwrap();
    }

    fn out(roll: &mut Roll, ledger: &Ledger, now: UnixMillis) -> Vec<DeviceId> {
        let fresh = Roll::new(1, roll.leaves.clone().into_iter())
            .not_live(ledger, now)
            .to_vec();
        assert_eq!(roll.not_live(ledger, now), fresh, "what is kept is stale");
        fresh
    }

    #[test]
    fn what_is_kept_of_the_leaves_holds_until_a_statement_or_the_end_of_an_admission() {
        let dice = Dice::new(3);
        let board = vec![dice.key(), dice.key(), dice.key()];
        let all: Vec<_> = (0..5)
            .map(|index| identity(&dice, index, (&[1; 32], &[1; 32])))
            .collect();
        let (root1, statements) = founding(&board, None, &all, &[]);
        let mut ledger = Ledger::new(NETWORK, root1);
        for statement in &statements {
            ledger.append(&sign(&board, statement)).unwrap();
        }
        let mut roll = Roll::new(1, (0..5).map(|index| (2 * index, device(index as usize))));
        assert_eq!(out(&mut roll, &ledger, NOW), []);
        let (soon, later) = (NOW.plus(1_000), NOW.plus(2_000));
        for (index, ends) in [(1, later), (2, soon)] {
            let body = Body::Admit(Admit {
                member: member(index),
                capacity: Capacity::Expert,
                ends: Some(ends),
                profile: plenary_proto::ids::Digest([9; 32]),
            });
            say(&mut ledger, &board, body);
            assert_eq!(out(&mut roll, &ledger, NOW), []);
        }
        let before = |at: UnixMillis| UnixMillis(at.0 - 1);
        for (now, gone) in [
            (before(soon), vec![]),
            (soon, vec![device(2)]),
            (before(later), vec![device(2)]),
            (later.plus(86_400_000), vec![device(1), device(2)]),
            // A clock that is set back.
            (soon, vec![device(2)]),
            (NOW, vec![]),
        ] {
            assert_eq!(out(&mut roll, &ledger, now), gone, "{now:?}");
        }
        let target = Target::Member(member(4));
        let reason = Reason::Lost;
        say(&mut ledger, &board, Body::Revoke(Revoke { target, reason }));
        assert_eq!(out(&mut roll, &ledger, NOW), [device(4)]);
        assert_eq!((roll.at(8), roll.at(7)), (Some(device(4)), None));
    }
}
