//! For measurements: an engine put into groups that others filled, past the server.

use plenary_certs::mls::{
    auth_data::AuthData,
    context::{ChannelContext, Rule},
    judge::{Basis, LedgerHandle},
};
use plenary_certs::signing::SigningKey;
use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Epoch, UnixMillis},
    reply::Record,
};

use super::{Channel, Engine, In, mls::Mls};
use crate::{
    error::{Error, ErrorKind},
    store::{Store, channels::ChannelRow},
};

/// GroupInfo and ratchet tree, as a joiner is given them.
pub(crate) type Open = (Vec<u8>, Vec<u8>);

/// A group that these devices entered one after another, each by its own commit: a filled tree.
/// Nothing of it is kept in `scratch`.
pub(crate) fn filled(
    scratch: &Store,
    ledger: &LedgerHandle,
    channel: ChannelId,
    devices: &[(DeviceId, SigningKey)],
    now: UnixMillis,
) -> Result<Open, Error> {
    let data = data(ledger, now);
    let basis = Basis {
        seq: data.ledger.seq,
        time: now,
    };
    let context = ChannelContext {
        network: ledger.read(|ledger| ledger.network()),
        channel,
        rule: Rule::Open,
    };
    let mut open: Option<Open> = None;
    for (device, key) in devices {
        let mls = Mls::new(scratch, ledger, *device, key);
        open = Some(match &open {
            None => {
                let (_, info, tree) = mls.found(&context, basis)?;
                (info, tree)
            }
            Some((info, tree)) => {
                let (group, entry) = mls.enter(channel, info, tree, &data)?;
                (entry.group_info, group.tree()?)
            }
        });
    }
    open.ok_or_else(|| Error::new(ErrorKind::Input, "a group without anybody"))
}

fn data(ledger: &LedgerHandle, now: UnixMillis) -> AuthData {
    AuthData {
        ledger: ledger.read(|ledger| ledger.head()),
        time: now,
        seen: ChannelHead::EMPTY,
        epoch_authenticator: [0; 8],
    }
}

impl Engine {
    /// Enters a group as if the server had taken the commit at once.
    pub(crate) fn stage(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        (info, tree): &Open,
    ) -> Result<(), Error> {
        let data = data(&self.ledger, now);
        self.step(id, |engine| {
            let (mut group, _) = engine.mls.enter(id, info, tree, &data)?;
            group.save()?;
            let mut row = ChannelRow::entering(id);
            row.standing = In::In;
            engine.store.put_channel(&row)?;
            engine.store.put_heard(id, engine.device(), now)?;
            engine.channels.insert(id, Channel::new(row));
            Ok(())
        })
    }

    /// Makes a commit that changes nothing but this device's own path, if it could commit now.
    pub(crate) fn race(&mut self, now: UnixMillis, id: ChannelId) -> Result<bool, Error> {
        let ready = self.channels.get(&id).is_some_and(|channel| {
            self.online && channel.caught_up() && !channel.appending && channel.fence_at.is_none()
        });
        if !ready || self.store.pending(id)?.is_some() {
            return Ok(false);
        }
        self.make_change(now, id, &[], &[])?;
        Ok(true)
    }

    /// How many devices are in a channel; none, if this one is not.
    pub(crate) fn leaf_count(&mut self, id: ChannelId) -> usize {
        self.devices_within(id).map_or(0, |devices| devices.len())
    }

    /// Loads a group, as it is in a client that has been running.
    pub(crate) fn warm(&mut self, id: ChannelId) -> Result<Epoch, Error> {
        Ok(self.group(id)?.epoch())
    }

    /// Sees who is out and makes the commit that removes them: on disk when this returns.
    /// Gives the commit's size in bytes.
    pub(crate) fn stage_removal(&mut self, now: UnixMillis, id: ChannelId) -> Result<usize, Error> {
        self.plan_fence(now, id)?;
        self.make_change(now, id, &[], &[])?;
        while self.poll().is_some() {}
        let pending = self.store.pending(id)?;
        Ok(pending.map_or(0, |row| row.bytes.len()))
    }

    /// The commit comes back from the log.
    pub(crate) fn stage_return(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(row) = self.store.pending(id)? else {
            return Err(Error::new(ErrorKind::NotFound, "nothing is pending"));
        };
        let record = Record {
            seq: self
                .channels
                .get(&id)
                .map_or_else(Default::default, |channel| channel.row.head.seq.next()),
            device: self.device(),
            client_id: row.client_id,
            time: now,
            bytes: row.bytes.into(),
        };
        self.moved(id, record);
        self.settle(now)
    }
}
