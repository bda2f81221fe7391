//! Into a channel: by external commit, by founding its group, or by welcome (see [`super::welcoming`]).

use plenary_certs::ledger::EntryRule;
use plenary_certs::mls::{
    context::{ChannelContext, Rule},
    judge::Basis,
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, Epoch, MemberId, Seq, UnixMillis},
    reply::{Code, Failure, Reply},
    request::{Append, CommitExtras, Request},
};

use super::{
    AlarmKind, Channel, Engine, Event, GroupError, In, Wait, Waiting, anew::WayIn, heads::Heads,
    healing::lasting,
};
use crate::{
    error::{Error, ErrorKind},
    store::{
        channels::ChannelRow,
        pending::{Kind, PendingRow},
    },
};

/// How long to wait before another try to enter, where nothing says better.
const TRY_AGAIN_MS: u64 = 2_000;
/// After losing a race: soon, but not all at once.
const RACE_MS: u64 = 300;

impl Engine {
    /// Asks to be in a channel of the ledger. Durable; news comes as [`Event::Entered`].
    pub(crate) fn enter(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if self.ledger.read(|ledger| ledger.channel(id).is_none()) {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the ledger knows no channel {id}: `channels` lists those there are"),
            ));
        }
        match self.channels.get(&id).map(|channel| channel.row.standing) {
            Some(_) if self.stuck(id).is_some() => return self.try_again(now, id),
            Some(In::In) => {
                self.event(Event::Entered(id));
                return Ok(());
            }
            Some(In::Entering | In::Parted) => {}
            Some(In::Out) | None => self.put_row(ChannelRow::entering(id))?,
        }
        self.advance(now, id)
    }

    /// Founds a direct channel of this member with others; they are added as soon as online.
    pub(crate) fn direct(
        &mut self,
        now: UnixMillis,
        with: &[MemberId],
    ) -> Result<ChannelId, Error> {
        for member in with {
            if self
                .ledger
                .read(|ledger| ledger.devices_of(*member).next().is_none())
            {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("{member} has no device in the ledger: `members` lists the members"),
                ));
            }
        }
        let mut id = [0; 16];
        self.fill(&mut id)?;
        let id = ChannelId(id);
        self.want_in_direct(id, with)?;
        self.put_row(ChannelRow::entering(id))?;
        self.advance(now, id)?;
        Ok(id)
    }

    /// Remembers who belongs in a direct channel of this member.
    pub(super) fn want_in_direct(&self, id: ChannelId, members: &[MemberId]) -> Result<(), Error> {
        let wanted: Vec<u8> = members.iter().flat_map(|member| member.0).collect();
        self.store.put_meta(&format!("direct:{id}"), &wanted)
    }

    /// Those whom the founder of a direct channel wants in it.
    pub(super) fn direct_members(&self, id: ChannelId) -> Result<Option<Vec<MemberId>>, Error> {
        let wanted = self.store.meta(&format!("direct:{id}"))?;
        Ok(wanted.map(|bytes| {
            bytes
                .chunks_exact(16)
                .filter_map(|id| MemberId::try_from(id).ok())
                .collect()
        }))
    }

    fn put_row(&mut self, row: ChannelRow) -> Result<(), Error> {
        self.store.put_channel(&row)?;
        self.channels.insert(row.id, Channel::new(row));
        Ok(())
    }

    /// Entering goes on: send again what is pending, or ask for what entering needs.
    pub(super) fn enter_step(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        if self
            .channels
            .get(&id)
            .is_none_or(|channel| channel.appending)
        {
            return Ok(());
        }
        match self.store.pending(id)? {
            Some(row) => self.send_pending(id, &row),
            // Not again, when this device was in it before.
            None if self.direct_members(id)?.is_some() && !self.was_in(id) => {
                return self.found(now, id);
            }
            None if self.trace(id) => {}
            None => {
                self.ask(Request::GroupState(id), Waiting::Entry(id));
            }
        }
        self.appending(id, true);
        Ok(())
    }

    pub(super) fn appending(&mut self, id: ChannelId, under_way: bool) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.appending = under_way;
        }
    }

    /// Whoever is missing is still missing.
    pub(super) fn look_again(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.look_for_missing = true;
        }
    }

    pub(super) fn put_off(&mut self, now: UnixMillis, id: ChannelId, millis: u64) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.not_before = Wait::of(millis, now);
        }
    }

    pub(super) fn send_pending(&mut self, id: ChannelId, row: &PendingRow) {
        let request = match row.kind {
            Kind::Found => Request::FoundChannel {
                channel: id,
                group_info: row.group_info.clone().into(),
                tree: row.tree.clone().unwrap_or_default().into(),
            },
            Kind::Anew => Request::FoundAnew {
                channel: id,
                client_id: row.client_id,
                epoch: row.epoch,
                record: row.bytes.clone().into(),
                group_info: row.group_info.clone().into(),
                tree: row.tree.clone().unwrap_or_default().into(),
            },
            Kind::Enter | Kind::Commit => Request::Append(Append {
                channel: id,
                client_id: row.client_id,
                epoch: row.epoch,
                bytes: row.bytes.clone().into(),
                commit: Some(CommitExtras {
                    group_info: row.group_info.clone().into(),
                    welcomes: row
                        .welcomed
                        .iter()
                        .map(|device| (*device, row.welcome.clone().unwrap_or_default().into()))
                        .collect(),
                }),
            }),
        };
        let waiting = match row.kind {
            Kind::Found => Waiting::Found(id),
            Kind::Enter | Kind::Anew | Kind::Commit => Waiting::Change(id, row.client_id),
        };
        self.ask(request, waiting);
        self.appending(id, true);
    }

    /// What entering needs has come, or there is no group yet.
    pub(super) fn group_state(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.appending(id, false);
        // A welcome came first.
        if channel_row(self, id)?.standing != In::Entering {
            return Ok(());
        }
        match reply {
            Ok(Reply::GroupState {
                epoch,
                head,
                group_info,
                tree,
            }) => {
                let Some(head) = self.check_head(id, &head)? else {
                    self.put_off(now, id, TRY_AGAIN_MS);
                    return Ok(());
                };
                let made = match self.way_in(now, id, &tree)? {
                    WayIn::Commit => self.make_entry(now, id, epoch, head, &group_info, &tree),
                    WayIn::Anew(left) => self.make_anew(now, id, (epoch, head), left),
                    WayIn::Wait(why) => return self.note(now, id, why),
                };
                match made {
                    Ok(row) => {
                        self.send_pending(id, &row);
                        Ok(())
                    }
                    Err(error) if error.kind() == ErrorKind::Store => Err(error),
                    Err(error) => {
                        self.read_ledger();
                        // What waits for others, or for the ledger, is no lie.
                        let known = self.channels.get_mut(&id);
                        let first = error.kind() == ErrorKind::NotAllowed
                            && known.is_some_and(|one| !std::mem::replace(&mut one.stranger, true));
                        if error.kind() != ErrorKind::Unavailable && !first {
                            let what = format!("what the server gives to enter with: {error}");
                            self.alarm(Some(id), AlarmKind::InvalidGroup, what);
                        }
                        self.note(now, id, error.to_string())?;
                        match error.kind() {
                            ErrorKind::Unavailable => Ok(()),
                            _ => self.rejoin_failed(now, id, &error.to_string()),
                        }
                    }
                }
            }
            Err(failure) if failure.code == Code::NotFound && self.may_found(id) => {
                self.found(now, id)
            }
            Err(failure) => self.note(now, id, failure.message),
            Ok(_) => Ok(()),
        }
    }

    fn may_found(&self, id: ChannelId) -> bool {
        let member = self.identity.member();
        self.ledger.read(|ledger| {
            ledger
                .channel(id)
                .and_then(|channel| channel.current())
                .is_some_and(|channel| channel.owner == member)
        })
    }

    fn make_entry(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        epoch: Epoch,
        head: ChannelHead,
        group_info: &[u8],
        tree: &[u8],
    ) -> Result<PendingRow, Error> {
        let client_id = self.client_id(now)?;
        self.step(id, |engine| {
            let channel = engine.channels.get(&id).ok_or(GroupError::Missing)?;
            let mut data = engine.auth_data(now, channel, [0; 8]);
            data.seen = head;
            let (mut group, entry) = engine.mls.enter(id, group_info, tree, &data)?;
            group.save()?;
            let basis = Basis {
                seq: data.ledger.seq,
                time: data.time,
            };
            let (commit, info) = (entry.commit, entry.group_info);
            let row = PendingRow::alone(Kind::Enter, client_id, (epoch, basis), commit, info);
            engine.store.put_pending(id, &row)?;
            Ok(row)
        })
    }

    /// What a group of a channel says of itself.
    pub(super) fn new_context(&self, id: ChannelId) -> ChannelContext {
        let rule = self.ledger.read(|ledger| {
            ledger
                .channel(id)
                .and_then(|channel| channel.current())
                .map(|channel| channel.rule)
        });
        ChannelContext {
            network: self.identity.network(),
            channel: id,
            rule: match rule {
                Some(EntryRule::Open) => Rule::Open,
                Some(EntryRule::Granted) => Rule::Granted,
                None => Rule::Direct {
                    owner: self.identity.member(),
                },
            },
        }
    }

    /// Founds the group of a channel that this member owns.
    fn found(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let context = self.new_context(id);
        let basis = Basis {
            seq: self.ledger_seq(),
            time: now,
        };
        let client_id = self.client_id(now)?;
        let row = self.step(id, |engine| {
            let (mut group, group_info, tree) = engine.mls.found(&context, basis)?;
            group.save()?;
            let start = (Epoch(0), basis);
            let mut row = PendingRow::alone(Kind::Found, client_id, start, Vec::new(), group_info);
            row.tree = Some(tree);
            engine.store.put_pending(id, &row)?;
            Ok(row)
        })?;
        self.send_pending(id, &row);
        Ok(())
    }

    pub(super) fn founded(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.appending(id, false);
        match reply {
            Ok(_) => self.entered(now, id, ChannelHead::EMPTY, None),
            Err(failure) if failure.code == Code::Exists => {
                // Another device of the owner was first, or this one before a crash: the log
                // tells. A group of its own that nobody else knows is of no use.
                self.forget_entry(id)?;
                self.ask(Request::GroupState(id), Waiting::Entry(id));
                self.appending(id, true);
                Ok(())
            }
            Err(failure) => self.note(now, id, failure.message),
        }
    }

    /// In: the channel's log starts at `head` for this device.
    pub(super) fn entered(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        head: ChannelHead,
        basis: Option<Basis>,
    ) -> Result<(), Error> {
        self.step(id, |engine| engine.put_in(now, id, head, basis))?;
        self.is_in(now, id, head)
    }

    /// What is stored of it, all together, within the caller's transaction: a welcome is good once.
    pub(super) fn put_in(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        head: ChannelHead,
        basis: Option<Basis>,
    ) -> Result<(), Error> {
        let mut row = channel_row(self, id)?;
        let end = row.head.seq;
        row.standing = In::In;
        row.head = head;
        row.basis = basis;
        row.note = None;
        self.store.drop_pending(id)?;
        // From here on the log is yet to come: whatever was shown of it before was false.
        let before = Seq(head.seq.0.saturating_sub(1));
        self.store.set_aside(id, before, self.device())?;
        self.store.begin_chain(id, head)?;
        self.place_own(id, head.seq)?;
        self.store.unseal(id)?;
        self.store.put_entered(id, self.device(), (head.seq, now))?;
        self.save_row(row)?;
        self.drop_group(id);
        self.returned(id, end, head)
    }

    pub(super) fn is_in(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        head: ChannelHead,
    ) -> Result<(), Error> {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.server = channel.server.max(head.seq);
            channel.heads = Heads::load(&self.store, id, head.seq)?;
        }
        self.load_gaps(id)?;
        self.event(Event::Entered(id));
        self.ask(Request::Watch(vec![id]), Waiting::Watch(vec![id]));
        self.advance(now, id)
    }

    /// Entering did not work this time; it goes on.
    pub(super) fn entry_refused(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        failure: &Failure,
    ) -> Result<(), Error> {
        self.forget_entry(id)?;
        // A welcome may have been passed over for it.
        self.ask(Request::Welcomes, Waiting::Welcomes);
        match failure.code {
            Code::StaleEpoch | Code::Conflict => {
                let wait = self.jitter(RACE_MS)?;
                self.put_off(now, id, wait);
                Ok(())
            }
            _ => {
                self.note(now, id, failure.message.clone())?;
                if let (Some(told), Some(channel)) =
                    (failure.retry_after_ms, self.channels.get_mut(&id))
                {
                    channel.not_before = channel.not_before.or_longer(Wait::of(told, now));
                }
                match lasting(failure) {
                    true => self.rejoin_failed(now, id, &failure.message),
                    false => Ok(()),
                }
            }
        }
    }

    fn forget_entry(&mut self, id: ChannelId) -> Result<(), Error> {
        self.step(id, |engine| {
            engine.store.drop_pending(id)?;
            engine.mls.forget(id)?;
            Ok(())
        })?;
        self.drop_group(id);
        Ok(())
    }

    /// Remembers why entering waits, and tries again later.
    fn note(&mut self, now: UnixMillis, id: ChannelId, why: String) -> Result<(), Error> {
        let wait = TRY_AGAIN_MS + self.jitter(TRY_AGAIN_MS)?;
        self.put_off(now, id, wait);
        let mut row = channel_row(self, id)?;
        row.note = Some(why);
        self.save_row(row)
    }

    pub(super) fn save_row(&mut self, row: ChannelRow) -> Result<(), Error> {
        self.store.put_channel(&row)?;
        if let Some(channel) = self.channels.get_mut(&row.id) {
            channel.row = row;
        }
        Ok(())
    }

    /// Claims are answered: add those who have a key package.
    pub(super) fn packages_claimed(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.appending(id, false);
        let list = match reply {
            Ok(Reply::KeyPackageList(list)) => list,
            Ok(_) => return Ok(()),
            Err(failure) => {
                tracing::warn!(%failure, "no key packages");
                self.look_again(id);
                self.put_off(now, id, TRY_AGAIN_MS);
                return Ok(());
            }
        };
        let (missing, _) = self.missing(now, id)?;
        let mut packages = Vec::new();
        // Somebody else may have added one meanwhile, or the ledger put it out.
        for (device, package) in list.into_iter().filter(|(one, _)| missing.contains(one)) {
            match package {
                Some(package) if self.package_of(&package) == Some(device) => {
                    packages.push(package.to_vec());
                    continue;
                }
                Some(_) => self.alarm(
                    Some(id),
                    AlarmKind::KeyPackage,
                    format!("the server gave something else than a key package of {device:?}"),
                ),
                None => tracing::info!(?device, "has no key package left"),
            }
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.without_package.insert(device);
            }
        }
        if packages.is_empty() {
            self.look_again(id);
            return self.change_step(now, id);
        }
        self.make_change(now, id, &packages, &[])
    }

    fn package_of(&self, package: &[u8]) -> Option<DeviceId> {
        self.mls.check_key_package(package).ok()
    }

    /// A pending entry or commit is answered.
    pub(super) fn change_answered(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        client_id: ClientId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.appending(id, false);
        let pending = self
            .store
            .pending(id)?
            .filter(|row| row.client_id == client_id);
        let Some(pending) = pending else {
            return Ok(());
        };
        match (reply, pending.kind) {
            (Ok(Reply::Appended { head, .. }), Kind::Enter | Kind::Anew) => {
                match self.check_head(id, &head)? {
                    Some(head) => {
                        self.entered(now, id, head, Some(pending.basis))?;
                        // One that came meanwhile was passed over for this.
                        self.ask(Request::Welcomes, Waiting::Welcomes);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
            (Ok(Reply::Appended { head, .. }), _) => {
                if let (Some(head), Some(channel)) =
                    (self.check_head(id, &head)?, self.channels.get_mut(&id))
                {
                    channel.server = channel.server.max(head.seq);
                }
                self.advance(now, id)
            }
            (Ok(_), _) => Ok(()),
            (Err(failure), Kind::Enter | Kind::Anew) => self.entry_refused(now, id, &failure),
            (Err(failure), _) => self.change_refused(now, id, &failure),
        }
    }
}

pub(super) fn channel_row(engine: &Engine, id: ChannelId) -> Result<ChannelRow, Error> {
    engine
        .channels
        .get(&id)
        .map(|channel| channel.row.clone())
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no channel {id} here")))
}
