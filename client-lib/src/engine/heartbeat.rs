//! The newest heartbeat, and what its absence forbids: see [`Freshness`].
//!
//! | heartbeat | what is done |
//! |---|---|
//! | newer, names a head known here | kept; what was held back is sent |
//! | not newer, or going back | passed over |
//! | names a longer ledger | the rest is fetched, then it is looked at again |
//! | the same, and the server shows no more | alarm: it withholds statements |
//! | names another hash than is here | alarm: a fork |
//! | by no key of the ROOT in force, early | passed over |
//! | malformed or forged | alarm |

use bytes::Bytes;
use plenary_certs::ledger::{Freshness, Heartbeat, HeartbeatError};
use plenary_proto::{
    ids::UnixMillis,
    reply::{Failure, Reply},
    request::Request,
};

use super::{AlarmKind, Engine, Event, Wait, Waiting};
use crate::{error::Error, store::Store};

/// Where the newest heartbeat lies in the store.
const HEARTBEAT: &str = "heartbeat";
/// The server pushes each one. Asked for all the same, in case one was lost on the way.
const ASK_AGAIN_MS: u64 = 3_600_000;
/// The same once nobody vouches for the ledger.
const ASK_SOON_MS: u64 = 60_000;

/// What the engine knows of heartbeats.
#[derive(Debug, Default)]
pub(super) struct Beat {
    /// The newest one, under the ROOT in force.
    newest: Option<Heartbeat>,
    /// As signed: another ROOT may end it.
    signed: Option<Bytes>,
    /// One that names a longer ledger than this one: waits for the rest.
    ahead: Option<Bytes>,
    /// That nobody vouches any more was told.
    told: bool,
    /// When to ask again.
    ask_at: Wait,
}

impl Beat {
    /// What was kept last time.
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let signed = store.meta(HEARTBEAT)?;
        Ok(Self {
            signed: signed.map(|bytes| Bytes::copy_from_slice(&bytes)),
            ..Self::default()
        })
    }

    /// Asked for again with the next connection.
    pub(super) fn disconnected(&mut self) {
        self.ask_at = Wait::OVER;
    }
}

impl Engine {
    /// How long ago somebody vouched that this ledger is the newest.
    pub(crate) fn freshness(&self, now: UnixMillis) -> Freshness {
        self.ledger.read(|ledger| {
            let freshness = Freshness::of(ledger, self.beat.newest.as_ref(), now);
            match (freshness, self.disputes.grace_days(ledger)) {
                (Freshness::Lapsed { since, through, .. }, Some(days)) => Freshness::Lapsed {
                    since,
                    through,
                    sends_until: since.plus(u64::from(days) * 24 * 3600 * 1000),
                },
                (freshness, _) => freshness,
            }
        })
    }

    /// The newest heartbeat.
    pub(crate) fn heartbeat(&self) -> Option<&Heartbeat> {
        self.beat.newest.as_ref()
    }

    /// Asks for the newest heartbeat, where there are any.
    pub(super) fn ask_heartbeat(&mut self, now: UnixMillis) {
        let freshness = self.freshness(now);
        let waits = |waiting: &Waiting| matches!(waiting, Waiting::Heartbeat);
        if freshness == Freshness::Unkept || self.waiting.values().any(waits) {
            return;
        }
        let pause = match freshness.is_lapsed() {
            true => ASK_SOON_MS,
            false => ASK_AGAIN_MS,
        };
        self.beat.ask_at = Wait::of(pause, now);
        self.ask(Request::GetHeartbeat, Waiting::Heartbeat);
    }

    pub(super) fn heartbeat_came(
        &mut self,
        now: UnixMillis,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        match reply {
            Ok(Reply::Heartbeat(Some(signed))) => self.take_heartbeat(now, signed),
            Ok(_) => Ok(()),
            Err(failure) => {
                tracing::warn!(%failure, "no heartbeat");
                Ok(())
            }
        }
    }

    /// Holds a heartbeat against the ledger; see the module.
    pub(crate) fn take_heartbeat(&mut self, now: UnixMillis, signed: Bytes) -> Result<(), Error> {
        let verified = self
            .ledger
            .read(|ledger| Heartbeat::verify(&signed, ledger, now));
        match verified {
            Ok(heartbeat) => {
                let newest = self.beat.newest.as_ref();
                if newest.is_some_and(|newest| !heartbeat.replaces(newest)) {
                    return Ok(());
                }
                self.store.put_meta(HEARTBEAT, &signed)?;
                self.beat.newest = Some(heartbeat);
                self.beat.signed = Some(signed);
                self.vouched(now)
            }
            Err(HeartbeatError::Behind { .. }) => {
                self.beat.ahead = Some(signed);
                self.read_ledger();
                Ok(())
            }
            Err(error @ HeartbeatError::Fork { .. }) => {
                self.alarm(None, AlarmKind::LedgerForked, error.to_string());
                Ok(())
            }
            // A ROOT on its way to here or there has other keys; a clock is wrong.
            Err(error @ (HeartbeatError::Foreign(_) | HeartbeatError::Early { .. })) => {
                tracing::warn!(%error, "a heartbeat is passed over");
                Ok(())
            }
            Err(
                error @ (HeartbeatError::Malformed(_)
                | HeartbeatError::Text(_)
                | HeartbeatError::OtherNetwork(_)
                | HeartbeatError::BadSignature),
            ) => {
                self.alarm(None, AlarmKind::InvalidHeartbeat, error.to_string());
                Ok(())
            }
        }
    }

    /// The ledger moved: another ROOT may have ended the newest heartbeat, and one that was ahead
    /// may hold now.
    pub(super) fn heartbeat_again(&mut self, now: UnixMillis) -> Result<(), Error> {
        self.recall_heartbeat();
        let Some(ahead) = self.beat.ahead.take() else {
            return Ok(());
        };
        let verified = self
            .ledger
            .read(|ledger| Heartbeat::verify(&ahead, ledger, now));
        match verified {
            // Everything that the server shows was read.
            Err(error @ HeartbeatError::Behind { .. }) => {
                let what = format!("{error}, and the server shows no more of it");
                self.alarm(None, AlarmKind::LedgerWithheld, what);
                Ok(())
            }
            _ => self.take_heartbeat(now, ahead),
        }
    }

    /// What was kept counts if it holds under the ROOT in force.
    pub(super) fn recall_heartbeat(&mut self) {
        self.beat.newest = self.beat.signed.as_ref().and_then(|signed| {
            self.ledger
                .read(|ledger| Heartbeat::recall(signed, ledger))
                .ok()
        });
    }

    /// Somebody vouches for the ledger again: what was held back goes on.
    fn vouched(&mut self, now: UnixMillis) -> Result<(), Error> {
        if self.freshness(now).is_lapsed() {
            return Ok(());
        }
        if std::mem::take(&mut self.beat.told) {
            self.event(Event::Heartbeat(self.freshness(now)));
        }
        self.let_all_go(now)
    }

    /// Says once that nobody vouches for the ledger any more, and asks now and then.
    pub(super) fn watch_heartbeat(&mut self, now: UnixMillis) {
        if self.beat.ask_at.is_over(now) {
            self.ask_heartbeat(now);
        }
        let asked = |waiting: &Waiting| matches!(waiting, Waiting::Heartbeat | Waiting::Ledger);
        if self.beat.told || self.waiting.values().any(asked) {
            return;
        }
        let freshness = self.freshness(now);
        if freshness.is_lapsed() {
            self.beat.told = true;
            self.event(Event::Heartbeat(freshness));
        }
    }
}
