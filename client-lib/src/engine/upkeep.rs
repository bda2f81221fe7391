//! Changes of a channel that this device makes without being asked: whoever the ledger has out is
//! removed (the fence), and whoever is entitled to a channel of this member is added.

use plenary_certs::{
    ledger::Standing,
    mls::{context::Rule, judge::Basis},
};
use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, LedgerHead, UnixMillis},
    reply::{Code, Failure},
    request::Request,
};
use ring::digest::{SHA256, digest};

use super::{AlarmKind, Engine, GroupError, In, Wait, Waiting};
use crate::{
    error::Error,
    store::pending::{Kind, PendingRow},
};

/// Between one device's turn to remove and the next one's.
const TURN_MS: u64 = 200;
/// Between one device's turn to add and the next one's, where no device of the owner is there.
const ADD_TURN_MS: u64 = 1_000;
/// So many turns the owner's devices have before a member's own add a sibling.
const OWNER_TURNS: u64 = 5;
/// Before key packages are asked for again, at least and at most.
const PACKAGES_SOON_MS: u64 = 250;
const PACKAGES_LATE_MS: u64 = 10_000;
/// Devices added by one commit: without a path each costs its key package only.
pub(super) const BATCH: usize = 50;

impl Engine {
    /// Admissions end by the clock, without a statement: then every channel is looked at.
    pub(super) fn watch_ends(&mut self, now: UnixMillis) -> Result<(), Error> {
        if self.ends_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.note_ends(now);
        for channel in self.channel_ids() {
            self.plan_fence(now, channel)?;
        }
        Ok(())
    }

    /// Notes when the next admission ends.
    pub(super) fn note_ends(&mut self, now: UnixMillis) {
        self.ends_at = self.ledger.read(|ledger| {
            let ends = ledger
                .members()
                .filter_map(|member| member.admission()?.ends);
            ends.filter(|end| *end > now).min()
        });
    }

    /// Notes when it is this device's turn to remove whom the ledger has out, or [`Self::leavers`].
    ///
    /// A sender with something queued goes first; else the rank of the leaf's hash with the ledger
    /// head decides, so that one acts and the others rarely.
    pub(super) fn plan_fence(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(channel) = self.channels.get(&id) else {
            return Ok(());
        };
        if channel.row.standing != In::In || channel.stuck.is_some() {
            return Ok(());
        }
        if !self.is_sound(now, id)? {
            return Ok(());
        }
        let head = self.ledger_head();
        let own = self.device();
        let mut out = self.leavers(id)?;
        out.extend(self.not_live(now, id)?);
        let devices = self.devices_within(id)?;
        let planned = self.channels.get(&id).and_then(|channel| channel.fence_at);
        let fence_at = match (out.is_empty(), planned) {
            (true, _) => None,
            (false, Some(at)) => Some(at),
            // Ranked only when somebody is to be removed.
            (false, None) if self.store.queued(Some(id))? > 0 => {
                Some(Wait::of(self.jitter(TURN_MS / 4)?, now))
            }
            (false, None) => {
                let left = devices.into_iter().filter(|device| !out.contains(device));
                let wait = turn(left, own, &head) * TURN_MS;
                Some(Wait::of(wait + self.jitter(TURN_MS / 4)?, now))
            }
        };
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.fence_at = fence_at;
        }
        Ok(())
    }

    /// The fence does not wait any longer.
    pub(super) fn fence_now(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.fence_at = Some(Wait::OVER);
        }
        self.change_step(now, id)
    }

    /// Makes the change that the channel needs, if it is this device's turn.
    pub(super) fn change_step(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(channel) = self.channels.get(&id) else {
            return Ok(());
        };
        if !channel.caught_up() || channel.appending || self.standing(now) != Standing::Live {
            return Ok(());
        }
        let due = channel.fence_at.is_some_and(|at| at.is_over(now));
        if let Some(pending) = self.store.pending(id)? {
            self.send_pending(id, &pending);
            return Ok(());
        }
        if due {
            let go = self.leavers(id)?;
            return self.make_change(now, id, &[], &go);
        }
        if channel.fence_at.is_some() {
            return Ok(());
        }
        if self.idle_step(now, id)? {
            return Ok(());
        }
        let Some(channel) = self.channels.get(&id) else {
            return Ok(());
        };
        if !channel.look_for_missing || channel.add_at.is_some_and(|at| !at.is_over(now)) {
            return Ok(());
        }
        let (missing, turn) = self.missing(now, id)?;
        let channel = self.channels.get_mut(&id).ok_or(GroupError::Missing)?;
        if !missing.is_empty() && turn > 0 && channel.add_at.is_none() {
            // Others first: then perhaps nobody is missing any more.
            channel.add_at = Some(Wait::of(turn * ADD_TURN_MS, now));
            return Ok(());
        }
        channel.look_for_missing = false;
        channel.add_at = None;
        if missing.is_empty() {
            return match channel.without_package.is_empty() {
                true => Ok(()),
                false => self.add_later(now, id),
            };
        }
        self.ask(
            Request::ClaimKeyPackages {
                channel: id,
                devices: missing,
            },
            Waiting::Packages(id),
        );
        self.appending(id, true);
        Ok(())
    }

    /// Live devices that belong into a channel and are not in it, as far as this device may add
    /// them, and which turn is this device's to do so.
    ///
    /// The owner's devices add whoever is entitled. Where none of them is inside (the owner came
    /// back from a suspension, or the channel was given to somebody new), the others add the owner
    /// and those with a GRANT, one after another: a channel without its owner heals. Where one is
    /// inside but does not come (it is offline), a member's devices add their siblings.
    pub(super) fn missing(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
    ) -> Result<(Vec<DeviceId>, u64), Error> {
        let wanted = self.direct_members(id)?;
        let member = self.identity.member();
        let own = self.device();
        let (owner, rule) = self.entry(id)?;
        if rule == Rule::Open {
            return Ok((Vec::new(), 0));
        }
        let inside = self.devices_within(id)?;
        let horizon = self.horizon(now);
        let put_out = self.put_out_by(owner, id)?;
        let disputes = &self.disputes;
        let channel = self.channels.get(&id).ok_or(GroupError::Missing)?;
        let without = &channel.without_package;
        Ok(self.ledger.read(|ledger| {
            let at = ledger.head().seq;
            let of = |device: DeviceId| ledger.device(device).map(|device| device.member);
            let live = |device| ledger.standing(device, at, now) == Standing::Live;
            let owns = owner == member;
            let owner_inside = inside
                .iter()
                .any(|device| of(*device) == Some(owner) && live(*device));
            let siblings_only = !owns && owner_inside;
            let entitled = |of_member| match rule {
                _ if put_out.contains(&of_member) => false,
                Rule::Granted => {
                    ledger.granted(id, of_member, at) && !disputes.denies(ledger, id, of_member)
                }
                Rule::Direct { .. } => {
                    owns && (wanted
                        .as_ref()
                        .is_some_and(|wanted| wanted.contains(&of_member))
                        || inside.iter().any(|device| of(*device) == Some(of_member)))
                }
                Rule::Open => false,
            };
            let candidates: Vec<_> = match siblings_only {
                true => ledger.devices_of(member).collect(),
                false => ledger.devices().collect(),
            };
            let missing = candidates
                .into_iter()
                .filter(|device| !inside.contains(&device.id) && !without.contains(&device.id))
                .filter(|device| match siblings_only {
                    true => rule != Rule::Granted || ledger.granted(id, member, at),
                    false => device.member == owner || entitled(device.member),
                })
                .filter(|device| live(device.id))
                .filter(|device| horizon.accepts(ledger, device.id, now))
                .map(|device| device.id)
                .take(BATCH)
                .collect();
            let turn = if owns {
                0
            } else if siblings_only {
                let mut siblings = inside
                    .iter()
                    .copied()
                    .filter(|one| of(*one) == Some(member));
                OWNER_TURNS + siblings.position(|one| one == own).unwrap_or(0) as u64
            } else {
                turn(
                    inside.iter().copied().filter(|one| live(*one)),
                    own,
                    &ledger.head(),
                )
            };
            (missing, turn)
        }))
    }

    /// None of those still missing has a key package. A device that is new puts up its own any moment, so
    /// it is asked for soon; the longer it is known, the later. Nothing else waits for it.
    pub(super) fn add_later(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.without_package.clear();
        }
        let (missing, _) = self.missing(now, id)?;
        let newest = self.ledger.read(|ledger| {
            let stated = missing.iter().filter_map(|device| {
                let (seq, _) = ledger.device(*device)?.vouchers.iter().next()?;
                Some(ledger.statement(*seq)?.time)
            });
            stated.max()
        });
        let age = newest.map_or(u64::MAX, |time| now.0.saturating_sub(time.0));
        let wait = (age / 2).clamp(PACKAGES_SOON_MS, PACKAGES_LATE_MS);
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.look_for_missing = true;
            channel.add_at = Some(Wait::of(wait, now));
        }
        Ok(())
    }

    /// Makes and stores a commit, then sends it. The group moves when the log shows it.
    pub(super) fn make_change(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        add: &[Vec<u8>],
        remove: &[DeviceId],
    ) -> Result<(), Error> {
        let client_id = self.client_id(now)?;
        let made = self.step(id, |engine| {
            engine.store_change(now, id, client_id, add, remove)
        });
        match made {
            Ok(row) => {
                self.send_pending(id, &row);
                Ok(())
            }
            Err(error) if error.kind() == crate::ErrorKind::Store => Err(error),
            Err(error) => {
                self.alarm(
                    Some(id),
                    AlarmKind::ChangeFailed,
                    format!("a change of the channel could not be made: {error}"),
                );
                self.look_again(id);
                self.put_off(now, id, 10 * TURN_MS);
                Ok(())
            }
        }
    }

    fn store_change(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        client_id: ClientId,
        add: &[Vec<u8>],
        remove: &[DeviceId],
    ) -> Result<PendingRow, Error> {
        let authenticator = self.group(id)?.epoch_authenticator()?;
        let channel = self.channels.get(&id).ok_or(GroupError::Missing)?;
        let data = self.auth_data(now, channel, authenticator);
        let commit = self.group(id)?.commit(add, remove, &data)?;
        let row = PendingRow {
            kind: Kind::Commit,
            client_id,
            epoch: commit.epoch,
            basis: Basis {
                seq: data.ledger.seq,
                time: data.time,
            },
            bytes: commit.bytes,
            group_info: commit.group_info,
            welcome: commit.welcome,
            welcomed: commit.welcomed,
            secrets: Some(commit.secrets),
            tree: None,
        };
        self.store.put_pending(id, &row)?;
        Ok(row)
    }

    /// The server did not take the commit: what comes next in the log says why, and what is still
    /// needed is made again from there.
    pub(super) fn change_refused(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        failure: &Failure,
    ) -> Result<(), Error> {
        match failure.code {
            Code::RateLimited | Code::Unavailable => {
                self.put_off(now, id, failure.retry_after_ms.unwrap_or(5 * TURN_MS));
                return Ok(());
            }
            Code::StaleEpoch | Code::Conflict => {}
            Code::Fenced => self.read_ledger(),
            _ => self.alarm(
                Some(id),
                AlarmKind::ChangeRefused,
                format!("the server refused a change: {}", failure.message),
            ),
        }
        self.store.drop_pending(id)?;
        self.look_again(id);
        self.put_off(now, id, TURN_MS);
        self.read_on(id);
        Ok(())
    }
}

/// Which turn is this device's: the rank of its hash with the ledger head among all that are left.
pub(super) fn turn(left: impl Iterator<Item = DeviceId>, own: DeviceId, head: &LedgerHead) -> u64 {
    let mut turns: Vec<_> = left
        .map(|device| {
            let mut hash = [0; 32];
            let input = [&head.hash.0[..], &device.0[..]].concat();
            hash.copy_from_slice(digest(&SHA256, &input).as_ref());
            (hash, device)
        })
        .collect();
    turns.sort_unstable();
    turns
        .iter()
        .position(|(_, device)| *device == own)
        .unwrap_or(0) as u64
}
