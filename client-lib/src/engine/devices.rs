//! This member's devices: what is said of them, what this one says of others, what a new one is
//! handed.

use plenary_certs::{
    ledger::{Body, LedgerError, Revoke, SignedStatement, Signer, Target, Voucher, sign_as_device},
    link::{Handover, check_name},
    mls::context::Rule,
};
use plenary_proto::ids::{ChannelId, DeviceId, LedgerSeq, MemberId, UnixMillis};

use super::{Engine, Event, In};
use crate::{
    error::{Error, ErrorKind},
    store::Store,
};

/// Up to where the owner has seen what was said of the devices.
const SEEN: &str = "device-news-seen";

/// Channels that are handed over: a channel's id takes 17 bytes of 16 KiB.
const HANDED_OVER: usize = 400;

/// Members of direct channels that are handed over.
const HANDED_MEMBERS: usize = 400;

/// What was said of one of this member's devices, by another than this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceNews {
    /// Where in the ledger.
    pub seq: LedgerSeq,
    /// When, by the statement.
    pub time: UnixMillis,
    /// About which.
    pub device: DeviceId,
    /// What.
    pub change: DeviceChange,
    /// The device that said it; `None`: the Board.
    pub by: Option<DeviceId>,
}

/// What is said of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeviceChange {
    /// It is new.
    Added,
    /// Somebody else vouches for it, too.
    Vouched,
    /// It is out, for ever, with all that hang on it.
    Revoked,
    /// It is out, until resumed.
    Suspended,
    /// It is in again.
    Resumed,
}

impl Engine {
    /// What was said of this member's devices after a position, and after this device was stated.
    pub(crate) fn device_news(&self, after: LedgerSeq) -> Vec<DeviceNews> {
        let (own, member) = (self.device(), self.identity.member());
        self.ledger.read(|ledger| {
            let first = |device| {
                let device = ledger.device(device)?;
                device.vouchers.iter().next().map(|(seq, _)| *seq)
            };
            let Some(begin) = first(own) else {
                return Vec::new();
            };
            let theirs = |device| {
                ledger
                    .device(device)
                    .is_some_and(|one| one.member == member)
            };
            let mut news = Vec::new();
            for (seq, bytes) in ledger.entries_after(after.max(begin)) {
                let Ok((signed, statement)) = SignedStatement::decode(bytes) else {
                    continue;
                };
                let (device, change) = match &statement.body {
                    Body::Device(body) if first(body.device) == Some(seq) => {
                        (body.device, DeviceChange::Added)
                    }
                    Body::Device(body) => (body.device, DeviceChange::Vouched),
                    Body::Revoke(body) => match body.target {
                        Target::Device(device) => (device, DeviceChange::Revoked),
                        Target::Member(_) => continue,
                    },
                    Body::Suspend(body) => match body.target {
                        Target::Device(device) => (device, DeviceChange::Suspended),
                        Target::Member(_) => continue,
                    },
                    Body::Resume(body) => match body.target {
                        Target::Device(device) => (device, DeviceChange::Resumed),
                        Target::Member(_) => continue,
                    },
                    _ => continue,
                };
                let by = signed.signatures().iter().find_map(|one| match one.signer {
                    Signer::Device(by) => Some(by),
                    Signer::Board(_) | Signer::Recovery(_) => None,
                });
                if theirs(device) && by != Some(own) {
                    news.push(DeviceNews {
                        seq,
                        time: statement.time,
                        device,
                        change,
                        by,
                    });
                }
            }
            news
        })
    }

    /// Tells what was said of this member's devices since the ledger ended there.
    pub(super) fn tell_device_news(&mut self, after: LedgerSeq) {
        for news in self.device_news(after) {
            self.event(Event::Device(news));
        }
    }

    /// What the owner has not seen so far.
    pub(crate) fn unseen_device_news(&self) -> Result<Vec<DeviceNews>, Error> {
        let seen = self.store.meta(SEEN)?;
        let seen = seen.and_then(|bytes| Some(u64::from_be_bytes(bytes[..].try_into().ok()?)));
        Ok(self.device_news(LedgerSeq(seen.unwrap_or(0))))
    }

    /// The owner has seen everything up to there.
    pub(crate) fn device_news_seen(&self, through: LedgerSeq) -> Result<(), Error> {
        self.store.put_meta(SEEN, &through.0.to_be_bytes())
    }

    /// A statement that this device alone signs. Checked first: nothing leaves that the ledger
    /// would refuse.
    pub(crate) fn say_as_device(&self, body: Body, now: UnixMillis) -> Result<Vec<u8>, Error> {
        let key = self.identity.authentication_key()?;
        let own = self.device();
        self.ledger.read(|ledger| {
            let statement = ledger.draft(body, now).encode();
            let signature = sign_as_device(&statement, own, &key);
            let signed = SignedStatement::new(statement, vec![signature]).encode();
            match ledger.check(&signed) {
                Ok(_) | Err(LedgerError::Known { .. }) => Ok(signed),
                Err(error) => Err(Error::new(ErrorKind::NotAllowed, error.to_string())),
            }
        })
    }

    /// This device puts out one of its member's; with those that fall too.
    pub(crate) fn put_out(
        &self,
        revoke: Revoke,
        now: UnixMillis,
    ) -> Result<(Vec<u8>, Vec<DeviceId>), Error> {
        let falls = match revoke.target {
            Target::Device(device) => self.ledger.read(|ledger| ledger.hanging_on(device)),
            Target::Member(_) => Vec::new(),
        };
        Ok((self.say_as_device(Body::Revoke(revoke), now)?, falls))
    }

    /// Which device first vouched for this one; `None`: the Board, or nobody so far.
    pub(crate) fn added_by(&self, device: DeviceId) -> Option<DeviceId> {
        self.ledger.read(|ledger| {
            let first = ledger.device(device)?.vouchers.iter().next();
            match first.map(|(_, voucher)| *voucher) {
                Some(Voucher::Device(by)) => Some(by),
                Some(Voucher::Board) | None => None,
            }
        })
    }

    /// What a new device of this member is handed.
    pub(crate) fn handover(&mut self) -> Result<Handover, Error> {
        let member = self.identity.member();
        let mut handover = Handover {
            names: self.store.device_names()?,
            ..Handover::default()
        };
        let mut members = 0;
        for id in self.channel_ids() {
            if self.channels.get(&id).map(|one| one.row.standing) != Some(In::In) {
                continue;
            }
            if handover.channels.len() < HANDED_OVER {
                handover.channels.push(id);
            }
            let belong = self.belong(id, member)?;
            members += belong.len();
            if !belong.is_empty() && members <= HANDED_MEMBERS {
                handover.direct.push((id, belong));
            }
        }
        Ok(handover)
    }

    /// Who belongs in a direct channel that this member founded; nobody in any other.
    fn belong(&mut self, id: ChannelId, owner: MemberId) -> Result<Vec<MemberId>, Error> {
        let mut belong = self.direct_members(id)?.unwrap_or_default();
        let group = match self.group(id) {
            Ok(group) => group,
            Err(_) => return Ok(Vec::new()),
        };
        if !matches!(group.entry(), Ok((_, Rule::Direct { owner: of })) if of == owner) {
            return Ok(Vec::new());
        }
        let inside = group.devices();
        belong.extend(
            inside
                .into_iter()
                .filter_map(|device| self.member_of(device)),
        );
        belong.sort_unstable();
        belong.dedup();
        belong.retain(|one| *one != owner);
        Ok(belong)
    }

    /// As the new device: names are kept, open channels entered as soon as there is a connection.
    /// Into others it is added.
    pub(crate) fn take_handover(
        &mut self,
        now: UnixMillis,
        handover: &Handover,
    ) -> Result<(), Error> {
        for (device, name) in &handover.names {
            if *device != self.device() {
                self.store.put_device_name(*device, name)?;
            }
        }
        for (channel, members) in &handover.direct {
            self.want_in_direct(*channel, members)?;
        }
        for channel in &handover.channels {
            let open = self
                .ledger_channel(*channel)
                .is_some_and(|body| body.rule == plenary_certs::ledger::EntryRule::Open);
            if open && !self.channels.contains_key(channel) {
                self.enter(now, *channel)?;
            }
        }
        Ok(())
    }

    /// The owner calls a device so. Kept on this device only.
    pub(crate) fn name_device(&self, device: DeviceId, name: &str) -> Result<(), Error> {
        check_name(name).map_err(|error| Error::new(ErrorKind::Input, error.to_string()))?;
        self.store.put_device_name(device, name)
    }
}

/// Where names lie among the small values.
const NAME: &str = "device-name:";

impl Store {
    pub(crate) fn put_device_name(&self, device: DeviceId, name: &str) -> Result<(), Error> {
        self.put_meta(&format!("{NAME}{device}"), name.as_bytes())
    }

    pub(crate) fn device_names(&self) -> Result<Vec<(DeviceId, String)>, Error> {
        let rows = self.metas(NAME)?;
        Ok(rows
            .into_iter()
            .filter_map(|(key, value)| {
                let device = key.strip_prefix(NAME)?.parse().ok()?;
                Some((device, String::from_utf8(value.to_vec()).ok()?))
            })
            .collect())
    }
}
