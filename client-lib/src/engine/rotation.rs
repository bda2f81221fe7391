//! The roster key is replaced after a revocation, by the first live device of the Board that sees
//! one without it: whoever submitted the statement, if of the Board, is among the first.
//!
//! Everything is sealed again under the new key, so a new device needs no other. The server can
//! keep a key back, not plant one: a copy is signed by a live device of the Board and says how much
//! of the ledger its maker knew. Who knows of a later revocation waits, and says so after a while.

use plenary_certs::{
    ledger::{Ledger, Standing},
    profile::{
        Generation, RosterError, RosterKey, SaltedProfile, SealingKey, open_roster_key,
        seal_roster_key,
    },
};
use plenary_proto::{
    ids::{DeviceId, Digest, LedgerSeq, UnixMillis},
    reply::{Code, Failure, Reply},
    request::{Request, SealedName},
};
use ring::rand::SystemRandom;

use super::{AlarmKind, Engine, Wait, Waiting, horizon::Horizon, upkeep::turn};
use crate::error::{Error, ErrorKind};

/// Between one device's turn to replace the key and the next one's.
const TURN_MS: u64 = 5_000;
/// Who does not know every profile waits so long before it replaces the key without them.
const PATIENCE_MS: u64 = 60_000;
/// Without a new key for so long, somebody must be told.
const WITHHELD_MS: u64 = 10 * 60_000;

/// Before the key is handed to the same device again.
const HAND_MS: u64 = 15_000;

/// Since when a new key is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// The revocation.
    at: LedgerSeq,
    noticed: UnixMillis,
    /// Somebody else may be at it.
    turn: Wait,
    /// Who does not know every profile leaves it to those who do.
    patience: Wait,
    told: bool,
}

/// Whether a device replaces the key: a live one of the Board, and not beyond the horizon, or it would
/// know names that nobody may hand it.
fn makes_keys(ledger: &Ledger, horizon: &Horizon, device: DeviceId, now: UnixMillis) -> bool {
    let member = ledger.device(device).map(|device| device.member);
    member.is_some_and(|member| ledger.is_board(member))
        && ledger.standing(device, ledger.head().seq, now) == Standing::Live
        && horizon.reaches(ledger, device, now)
}

type Shelf = Vec<(SealedName, bytes::Bytes)>;

impl Engine {
    /// The revocation since which the roster key is due.
    pub(super) fn roster_due(&self) -> Option<LedgerSeq> {
        let revoked = self.ledger.read(Ledger::last_revocation)?;
        let newest = self.roster.newest?;
        (newest.since < revoked).then_some(revoked)
    }

    /// Replaces the key when it is due and this device's turn.
    pub(super) fn watch_roster(&mut self, now: UnixMillis) -> Result<(), Error> {
        let Some(at) = self.roster_due() else {
            self.roster.due = None;
            return Ok(());
        };
        let due = match self.roster.due {
            // One that was noticed later than it is now was noticed by a clock that was set back.
            Some(due) if due.at == at && due.noticed <= now => due,
            before => {
                let turn = self.rotation_turn(now) * TURN_MS;
                let due = Due {
                    at,
                    noticed: now,
                    turn: Wait::of(turn, now),
                    patience: Wait::of(turn + PATIENCE_MS, now),
                    told: before.is_some_and(|due| due.at == at && due.told),
                };
                self.roster.due = Some(due);
                self.ask_names();
                due
            }
        };
        if !due.told && now >= due.noticed.plus(WITHHELD_MS) {
            self.roster.due = Some(Due { told: true, ..due });
            self.alarm(
                None,
                AlarmKind::RosterKey,
                format!(
                    "no roster key was made after the revocation at statement {}: nobody of the \
                     Board was online, or the server keeps it back",
                    at.0
                ),
            );
        }
        let wait = match self.missing_names().is_empty() {
            true => due.turn,
            false => due.patience,
        };
        if !wait.is_over(now) {
            return Ok(());
        }
        self.replace_roster_key(now)
    }

    fn rotation_turn(&self, now: UnixMillis) -> u64 {
        let own = self.device();
        let horizon = self.horizon(now);
        self.ledger.read(|ledger| {
            let devices = ledger.devices().map(|device| device.id);
            let devices = devices.filter(|device| makes_keys(ledger, &horizon, *device, now));
            turn(devices, own, &ledger.head())
        })
    }

    /// Makes the next generation, if this device may; nothing while one is under way.
    pub(crate) fn replace_roster_key(&mut self, now: UnixMillis) -> Result<(), Error> {
        let under_way = self
            .waiting
            .values()
            .any(|waiting| matches!(waiting, Waiting::Roster(..)));
        let (own, horizon) = (self.device(), self.horizon(now));
        let may = self
            .ledger
            .read(|ledger| makes_keys(ledger, &horizon, own, now));
        let (Some(newest), false, true) = (self.roster.newest, under_way, may && self.online)
        else {
            return Ok(());
        };
        let generation = Generation {
            number: newest.number.max(self.roster.floor).saturating_add(1),
            since: self.ledger_seq(),
        };
        let key = RosterKey::generate(&SystemRandom::new()).map_err(failed)?;
        let devices: Vec<DeviceId> = self.ledger.read(|ledger| {
            let live = |device: &DeviceId| {
                ledger.standing(*device, generation.since, now) == Standing::Live
            };
            let all = ledger.devices().map(|device| device.id);
            all.filter(live).collect()
        });
        let mut entries = self.sealed_to(&devices, generation, &key, now)?;
        entries.extend(self.sealed_under(&self.profile_hashes(), &key)?);
        self.ask(
            Request::RotateRoster {
                generation: generation.number,
                entries,
            },
            Waiting::Roster(generation, key),
        );
        Ok(())
    }

    pub(super) fn rotated(
        &mut self,
        now: UnixMillis,
        generation: Generation,
        key: &RosterKey,
        reply: &Result<Reply, Failure>,
    ) -> Result<(), Error> {
        match reply {
            Ok(_) => return self.keep_roster_key(generation, key),
            // Somebody else's: it is asked for. If there is none for this device, the next number.
            Err(failure) if failure.code == Code::Exists => {
                self.roster.floor = self.roster.floor.max(generation.number);
                self.ask_names();
            }
            Err(failure) => tracing::warn!(%failure, "the roster key could not be replaced"),
        }
        let turn = TURN_MS + self.rotation_turn(now) * TURN_MS;
        if let Some(due) = &mut self.roster.due {
            due.turn = Wait::of(turn, now);
            due.patience = Wait::of(turn + PATIENCE_MS, now);
        }
        Ok(())
    }

    /// There is a newer one.
    pub(super) fn hear_of_roster(&mut self, generation: u32) {
        self.roster.heard = self.roster.heard.max(generation);
        self.ask_names();
    }

    /// A roster key as the server hands it out.
    pub(super) fn take_roster_key(&mut self, now: UnixMillis, sealed: &[u8]) -> Result<(), Error> {
        let sealing = SealingKey::from_parts(
            self.identity.sealing.clone(),
            self.identity.sealing_public.clone(),
        );
        let own = self.device();
        let opened = self
            .ledger
            .read(|ledger| open_roster_key(sealed, ledger, now, (own, &sealing)));
        match (opened, self.roster.newest) {
            (Ok((generation, key)), newest)
                if newest.is_none_or(|newest| generation.number > newest.number) =>
            {
                self.keep_roster_key(generation, &key)
            }
            (Ok((generation, _)), Some(newest)) if generation.number < newest.number => {
                self.alarm(
                    None,
                    AlarmKind::RosterKey,
                    format!(
                        "the server gave generation {} of the roster key as the newest; this \
                         device has {}",
                        generation.number, newest.number
                    ),
                );
                Ok(())
            }
            (Ok((generation, key)), _) => {
                let keys = self.store.roster_keys()?;
                let mut known = keys.iter().filter(|(known, _)| *known == generation);
                if !known.any(|(_, known)| **known == *key.as_bytes()) {
                    let what = "somebody hands out another roster key than the one in use";
                    self.alarm(None, AlarmKind::RosterKey, what);
                }
                Ok(())
            }
            (Err(RosterError::Ahead(_)), _) => {
                self.read_ledger();
                Ok(())
            }
            // Its maker was revoked since: then the next one is due anyway.
            (Err(RosterError::Sender { .. }), _) if self.roster_due().is_some() => Ok(()),
            // Perhaps it was made before that; another copy is on its way from the Board's devices.
            (Err(error), _) if self.is_stale(&error) => {
                tracing::info!(%error, "another copy of the roster key is waited for");
                Ok(())
            }
            (Err(error), _) => {
                self.alarm(
                    None,
                    AlarmKind::RosterKey,
                    format!("the roster key does not open: {error}"),
                );
                Ok(())
            }
        }
    }

    /// Whether a copy is refused only because its sender no longer is what it was.
    fn is_stale(&self, error: &RosterError) -> bool {
        match error {
            RosterError::Sender { standing, .. } => {
                matches!(standing, Standing::Suspended { .. } | Standing::Lapsed)
            }
            RosterError::NotBoard(by) => self.ledger.read(|ledger| {
                let member = ledger.device(*by).map(|device| device.member);
                let mut people = ledger.roots().flat_map(|(_, root)| &root.board);
                people.any(|person| Some(person.member) == member)
            }),
            _ => false,
        }
    }

    fn keep_roster_key(&mut self, generation: Generation, key: &RosterKey) -> Result<(), Error> {
        self.store.put_roster_key(generation, key.as_bytes())?;
        self.roster.newest = Some(generation);
        self.roster.handed.clear();
        Ok(())
    }

    /// A live device has no copy of the newest key: its maker did not know it, or it was suspended
    /// then, or not relied on. The Board's devices hand it theirs; it asks until it has it.
    pub(super) fn roster_wanted(&mut self, now: UnixMillis, device: DeviceId) -> Result<(), Error> {
        let member = self.identity.member();
        let keys = self.store.roster_keys()?;
        let (true, None, Some((generation, key))) = (
            self.ledger.read(|ledger| ledger.is_board(member)),
            // The next one is sealed to it anyway.
            self.roster_due(),
            keys.first(),
        ) else {
            return Ok(());
        };
        let lately = self.roster.handed.get(&device);
        if lately.is_some_and(|wait| !wait.is_over(now)) {
            return Ok(());
        }
        let key = RosterKey::from_bytes(**key);
        let entries = self.sealed_to(&[device], *generation, &key, now)?;
        if !entries.is_empty() {
            self.roster.handed.insert(device, Wait::of(HAND_MS, now));
            self.ask(Request::PutSealed(entries), Waiting::Forget);
        }
        Ok(())
    }

    /// What goes to the server's shelf: these profiles under the newest roster key, and that key
    /// sealed to each of these devices that is live.
    ///
    /// Errors: [`ErrorKind::NotFound`] without a key, [`ErrorKind::Unavailable`] while a profile
    /// would be sealed under a key that somebody revoked has, or a key to a device beyond the
    /// [`horizon`](super::horizon).
    pub(crate) fn shelf(&self, devices: &[DeviceId], profiles: &[Digest]) -> Result<Shelf, Error> {
        let keys = self.store.roster_keys()?;
        let Some((generation, key)) = keys.first() else {
            return if devices.is_empty() && profiles.is_empty() {
                Ok(Vec::new())
            } else {
                Err(Error::new(
                    ErrorKind::NotFound,
                    "this device has no roster key yet: wait until names are known, submit again",
                ))
            };
        };
        if !profiles.is_empty() && self.roster_due().is_some() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the roster key is being replaced after a revocation: submit again in a minute",
            ));
        }
        let horizon = self.horizon(self.clock);
        let beyond = self.ledger.read(|ledger| {
            let accepts = |device: &DeviceId| horizon.accepts(ledger, *device, self.clock);
            devices.iter().copied().find(|device| !accepts(device))
        });
        if let Some(device) = beyond {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!(
                    "what was stated is in force, but nobody vouches that the ledger is the newest: \
                     device {device} is given names after the next heartbeat; do the same again then"
                ),
            ));
        }
        let key = RosterKey::from_bytes(**key);
        let mut shelf = self.sealed_to(devices, *generation, &key, self.clock)?;
        shelf.extend(self.sealed_under(profiles, &key)?);
        Ok(shelf)
    }

    /// Whether profiles can be sealed; if not, what can be done for it is begun.
    pub(crate) fn roster_ready(&mut self, now: UnixMillis) -> Result<bool, Error> {
        if self.roster_due().is_none() {
            return Ok(true);
        }
        self.replace_roster_key(now)?;
        Ok(false)
    }

    fn sealed_to(
        &self,
        devices: &[DeviceId],
        generation: Generation,
        key: &RosterKey,
        now: UnixMillis,
    ) -> Result<Shelf, Error> {
        let network = self.identity.network();
        let signer = self.identity.authentication_key()?;
        let by = (self.device(), &signer);
        let horizon = self.horizon(now);
        let mut shelf = Vec::with_capacity(devices.len());
        for device in devices {
            let sealing = self.ledger.read(|ledger| {
                let live = ledger.standing(*device, ledger.head().seq, now) == Standing::Live;
                let relied_on = live && horizon.accepts(ledger, *device, now);
                let known = ledger.device(*device).filter(|_| relied_on);
                known.map(|device| device.keys.sealing.clone())
            });
            let Some(sealing) = sealing else { continue };
            let to = (*device, sealing.as_slice());
            match seal_roster_key(key, generation, network, to, by) {
                Ok(sealed) => {
                    let name = SealedName::RosterKey {
                        generation: generation.number,
                        device: *device,
                    };
                    shelf.push((name, sealed.into()));
                }
                // One bad key in the ledger must not keep the rest from theirs.
                Err(RosterError::Key) => tracing::warn!(?device, "no sealing key"),
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(shelf)
    }

    fn sealed_under(&self, profiles: &[Digest], key: &RosterKey) -> Result<Shelf, Error> {
        let network = self.identity.network();
        let known = profiles.iter().filter_map(|hash| self.roster.get(hash));
        known
            .map(|profile: &SaltedProfile| {
                let sealed = profile
                    .seal(key, network, &SystemRandom::new())
                    .map_err(failed)?;
                Ok((SealedName::Profile(profile.hash()), sealed.into()))
            })
            .collect()
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, error.to_string())
}
