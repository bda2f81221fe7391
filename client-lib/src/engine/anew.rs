//! Coming back: how a device that the ledger had out returns to its channels, and what is done
//! with a group in which nobody live is left.

use plenary_certs::{
    ledger::{EntryRule, Standing},
    mls::{
        anew::{Anew, group_digest, may_found_anew},
        auth_data::AuthData,
        context::Rule,
        judge::{Basis, JudgeError},
    },
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Epoch, LedgerSeq, UnixMillis},
    reply::Record,
};

use super::{
    AlarmKind, Engine, GroupError, In,
    entering::channel_row,
    taking::{Step, Stop},
};
use crate::{
    error::Error,
    store::{
        channels::ChannelRow,
        pending::{Kind, PendingRow},
    },
};

/// How this device gets into a group that it has seen.
pub(super) enum WayIn {
    /// By an external commit.
    Commit,
    /// By founding the group anew: these are left in the old one, none of them live.
    Anew(Vec<DeviceId>),
    /// Somebody else must do something first.
    Wait(String),
}

impl Engine {
    /// Live again: what was left because the ledger had this device out is entered again.
    pub(super) fn come_back(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if self.standing(now) != Standing::Live {
            return Ok(());
        }
        let mut row = channel_row(self, id)?;
        row.standing = In::Entering;
        row.note = None;
        self.save_row(row)?;
        self.enter_step(now, id)
    }

    pub(super) fn was_in(&self, id: ChannelId) -> bool {
        self.channels
            .get(&id)
            .is_some_and(|channel| channel.row.basis.is_some())
    }

    pub(super) fn basis_now(&self, now: UnixMillis) -> Basis {
        Basis {
            seq: self.ledger_seq(),
            time: now,
        }
    }

    pub(super) fn was_live(&self, basis: Basis) -> bool {
        let own = self.device();
        self.ledger
            .read(|ledger| ledger.standing(own, basis.seq, basis.time) == Standing::Live)
    }

    /// Whether this device was out of the ledger at any time since the channel's last commit
    /// known here: then that is why it is no longer in the channel.
    pub(super) fn was_out_since(&self, id: ChannelId, now: UnixMillis) -> bool {
        let since = self
            .channels
            .get(&id)
            .and_then(|channel| channel.row.basis)
            .map_or(LedgerSeq(0), |basis| basis.seq);
        let own = self.device();
        self.ledger.read(|ledger| {
            let known = ledger.device(own).is_some();
            // Up to the statement after it, whose time is about when it ceased to be the last.
            let until = |seq: u64| match ledger.statement(LedgerSeq(seq + 1)) {
                Some(next) => next.time,
                None => now,
            };
            known
                && (since.0..=ledger.head().seq.0)
                    .map(|seq| ledger.standing(own, LedgerSeq(seq), until(seq)))
                    .skip_while(|standing| *standing == Standing::Unknown)
                    .any(|standing| standing != Standing::Live)
        })
    }

    /// What the tree of a group allows this device to do.
    pub(super) fn way_in(
        &self,
        now: UnixMillis,
        id: ChannelId,
        tree: &[u8],
    ) -> Result<WayIn, Error> {
        let Ok(mut leaves) = self.mls.leaves(tree) else {
            // Building the commit says what is wrong with it.
            return Ok(WayIn::Commit);
        };
        leaves.sort_unstable();
        let own = self.device();
        let member = self.identity.member();
        Ok(self.ledger.read(|ledger| {
            let at = ledger.head().seq;
            let live = |device| ledger.standing(device, at, now) == Standing::Live;
            let current = ledger.channel(id).and_then(|channel| channel.current());
            let (owner, rule) = match current {
                Some(body) if body.rule == EntryRule::Open => (body.owner, Rule::Open),
                Some(body) => (body.owner, Rule::Granted),
                None => (member, Rule::Direct { owner: member }),
            };
            let mut others = leaves.iter().filter(|leaf| **leaf != own).peekable();
            if others.peek().is_some() && others.all(|leaf| !live(*leaf)) {
                return match may_found_anew(ledger, own, rule, owner) {
                    true => WayIn::Anew(leaves),
                    false => WayIn::Wait(
                        "nobody live is left in the channel: its owner begins it again".to_owned(),
                    ),
                };
            }
            if rule == Rule::Open || leaves.contains(&own) {
                WayIn::Commit
            } else {
                WayIn::Wait("waits to be added by those who are in the channel".to_owned())
            }
        }))
    }

    /// Makes and stores a new group for a channel, with the record that ends the old one.
    pub(super) fn make_anew(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        (ends, seen): (Epoch, ChannelHead),
        left: Vec<DeviceId>,
    ) -> Result<PendingRow, Error> {
        let client_id = self.client_id(now)?;
        let context = self.new_context(id);
        let data = AuthData {
            ledger: self.ledger_head(),
            time: now,
            seen,
            epoch_authenticator: [0; 8],
        };
        let basis = self.basis_now(now);
        self.step(id, |engine| {
            engine.mls.forget(id)?;
            let (mut group, group_info, tree) = engine.mls.found(&context, basis)?;
            group.save()?;
            let record = Anew {
                context,
                data,
                founder: engine.device(),
                ends,
                left,
                group: group_digest(&group_info, &tree),
            }
            .sign(&engine.mls_key);
            let start = (ends, basis);
            let mut row = PendingRow::alone(Kind::Anew, client_id, start, record, group_info);
            row.tree = Some(tree);
            engine.store.put_pending(id, &row)?;
            Ok(row)
        })
    }

    /// A record that ends this device's group. It holds only if this device was out, too.
    pub(super) fn take_anew(
        &mut self,
        row: &mut ChannelRow,
        record: &Record,
        step: &mut Step,
    ) -> Result<(), Stop> {
        let ended = self
            .group(row.id)
            .and_then(|group| group.ended(row.basis))
            .map_err(|error| Stop::Fork(AlarmKind::InvalidCommit, error.to_string()))?;
        let opened = self
            .ledger
            .read(|ledger| Anew::open(&record.bytes, ledger, &ended));
        match opened {
            Ok((anew, basis)) if anew.founder == record.device => {
                self.store.drop_pending(row.id)?;
                row.basis = Some(basis);
                step.removed = true;
                step.parted = true;
                Ok(())
            }
            Ok(_) => Err(Stop::Fork(
                AlarmKind::WrongSender,
                "a group founded anew by another than the server says".to_owned(),
            )),
            Err(JudgeError::LedgerAhead { named }) => Err(Stop::Ledger(named)),
            Err(error) => Err(Stop::Fork(
                AlarmKind::InvalidCommit,
                GroupError::from(error).to_string(),
            )),
        }
    }
}
