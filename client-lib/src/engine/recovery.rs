//! Recoveries of the Board: announced ones are shown as long as they can be objected to; one that
//! came too fast for this device to have shown it is not relied on until somebody confirms it.
//!
//! The ledger's seven days are between the statements' own times, and whoever holds the recovery role
//! can back-date the first one. So this device notes by its own clock when it saw the announcement.
//! If it saw the completion less than seven days later, nobody here had the time to object: the new
//! ROOT counts in the ledger, its revocations count, but nobody that it let in is sealed to. New
//! members see every recovery of the past in one go, and are asked once.

use plenary_certs::ledger::{Body, RECOVERY_WAIT_MS, RecoverStep};
use plenary_proto::ids::{LedgerSeq, UnixMillis};

use super::{AlarmKind, Engine, Event, Wait};
use crate::{error::Error, store::Store};

/// Up to where the ledger was looked through.
const SCANNED: &str = "recovery-scanned";
/// When the announcement of a recovery was first seen here.
const SEEN: &str = "recovery-seen";
/// Where a recovery lies that was completed too fast.
const UNCONFIRMED: &str = "recovery-unconfirmed";
/// When it was told last.
const TOLD: &str = "recovery-told";
/// An announced recovery is told so often.
const TELL_MS: u64 = 24 * 3600 * 1000;

/// What the engine knows of recoveries.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    scanned: LedgerSeq,
    /// When the newest announcement was first seen here.
    seen: Option<UnixMillis>,
    /// The oldest completion that nobody confirmed.
    unconfirmed: Option<LedgerSeq>,
    told_at: Option<UnixMillis>,
}

/// A recovery of the Board that somebody should know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// Announced: the Board can still end it by any ROOT.
    Announced {
        /// When, by its authors' clock.
        announced: UnixMillis,
        /// When this device first saw it.
        seen: UnixMillis,
        /// From then on it can be completed.
        possible: UnixMillis,
    },
    /// Completed before this device had shown it for seven days: who was let in since is not sealed
    /// to until somebody confirms the new Board.
    Unconfirmed {
        /// Where the completion lies.
        at: LedgerSeq,
    },
}

impl Recoveries {
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let number = |key| -> Result<Option<u64>, Error> {
            let bytes = store.meta(key)?;
            let bytes = bytes.and_then(|bytes| bytes.as_slice().try_into().ok());
            Ok(bytes.map(u64::from_be_bytes))
        };
        Ok(Self {
            scanned: LedgerSeq(number(SCANNED)?.unwrap_or_default()),
            seen: number(SEEN)?.map(UnixMillis),
            unconfirmed: number(UNCONFIRMED)?.map(LedgerSeq),
            told_at: number(TOLD)?.map(UnixMillis),
        })
    }

    /// Up to where the ledger is relied on, if a recovery waits to be confirmed.
    pub(super) fn through(&self) -> Option<LedgerSeq> {
        Some(LedgerSeq(self.unconfirmed?.0.saturating_sub(1)))
    }
}

impl Engine {
    /// The recovery to be shown, if there is one.
    pub(crate) fn recovery(&self) -> Option<Recovery> {
        if let Some(at) = self.recoveries.unconfirmed {
            return Some(Recovery::Unconfirmed { at });
        }
        let announced = self
            .ledger
            .read(|ledger| Some(ledger.announced_recovery()?.time))?;
        Some(Recovery::Announced {
            announced,
            seen: self.recoveries.seen.unwrap_or(self.clock),
            possible: announced.plus(RECOVERY_WAIT_MS),
        })
    }

    /// Looks through what is new in the ledger.
    pub(super) fn look_for_recoveries(&mut self, now: UnixMillis) -> Result<(), Error> {
        let scanned = self.recoveries.scanned;
        let (head, steps) = self.ledger.read(|ledger| {
            let head = ledger.head().seq;
            let steps = (scanned.0 + 1..=head.0).filter_map(|seq| {
                match ledger.statement(LedgerSeq(seq))?.body {
                    Body::Recover(recover) => Some((LedgerSeq(seq), recover.step)),
                    _ => None,
                }
            });
            (head, steps.collect::<Vec<_>>())
        });
        if head == scanned {
            return Ok(());
        }
        for (seq, step) in steps {
            match step {
                RecoverStep::Announce => {
                    self.recoveries.seen = Some(now);
                    self.recoveries.told_at = None;
                    self.store.put_meta(SEEN, &now.0.to_be_bytes())?;
                }
                RecoverStep::Complete => self.completed(now, seq)?,
            }
        }
        self.recoveries.scanned = head;
        self.store.put_meta(SCANNED, &head.0.to_be_bytes())
    }

    fn completed(&mut self, now: UnixMillis, seq: LedgerSeq) -> Result<(), Error> {
        let seen = self.recoveries.seen.unwrap_or(now);
        if now >= seen.plus(RECOVERY_WAIT_MS) || self.recoveries.unconfirmed.is_some() {
            return Ok(());
        }
        self.recoveries.unconfirmed = Some(seq);
        self.recoveries.told_at = None;
        self.store.put_meta(UNCONFIRMED, &seq.0.to_be_bytes())?;
        let days = now.0.saturating_sub(seen.0) / TELL_MS;
        self.alarm(
            None,
            AlarmKind::EarlyRecovery,
            format!(
                "the Board was replaced by the recovery role, at statement {}, {days} days after this \
                 device first saw it announced: ask somebody you know on the old Board or the new \
                 one, by voice, then `plenary ledger confirm`",
                seq.0
            ),
        );
        Ok(())
    }

    /// Somebody has made sure of the new Board.
    pub(crate) fn confirm_recovery(&mut self, now: UnixMillis) -> Result<Option<LedgerSeq>, Error> {
        let Some(seq) = self.recoveries.unconfirmed.take() else {
            return Ok(None);
        };
        self.store.drop_meta(UNCONFIRMED)?;
        self.let_all_go(now)?;
        Ok(Some(seq))
    }

    /// Tells of a recovery at once and then once a day, over all starts of this profile.
    pub(super) fn tell_recovery(&mut self, now: UnixMillis) -> Result<(), Error> {
        let told = self.recoveries.told_at;
        if told.is_some_and(|at| !Wait::of(TELL_MS, at).is_over(now)) {
            return Ok(());
        }
        if let Some(recovery) = self.recovery() {
            self.recoveries.told_at = Some(now);
            self.store.put_meta(TOLD, &now.0.to_be_bytes())?;
            self.event(Event::Recovery(recovery));
        }
        Ok(())
    }
}
