//! Statements of custody between the server's word and the channel, while a time-stamping service
//! is asked.
//!
//! In memory alone: whoever is killed here asks the server anew. Whatever the service does, the
//! statements go out, after [`PATIENCE_MS`] at the latest, and without a stamp if there is none.

use std::collections::BTreeMap;

use plenary_certs::custody::{Entry, MAX_STAMP};
use plenary_proto::{
    ids::{ChannelId, Digest, ItemId, UnixMillis},
    limits,
};

use super::{Engine, Event, Wait};
use crate::{
    error::Error,
    store::{Store, custody::CustodyRow},
};

/// How long statements wait for a service; longer than whoever asks it does.
const PATIENCE_MS: u64 = 15_000;

/// Of what one message carries: entries, beside what is around them.
const ROOM: usize = limits::CONTENT - 4 * 1024;
const _: () = assert!(4 * MAX_STAMP > ROOM && MAX_STAMP + 4 * 1024 < ROOM);

/// Where the profile keeps the service's address.
pub(crate) const SERVICE: &str = "time stamping";

/// What waits, by channel.
#[derive(Debug, Default)]
pub(super) struct Stamping {
    wanted: bool,
    waiting: BTreeMap<ChannelId, Unstamped>,
}

#[derive(Debug)]
struct Unstamped {
    item: ItemId,
    entries: Vec<Entry>,
    patience: Wait,
}

/// What to have stamped: the statement, and the digest that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToStamp {
    pub(crate) statement: Digest,
    pub(crate) digest: Digest,
}

impl Stamping {
    pub(super) fn load(store: &Store) -> Result<Self, Error> {
        let service = store.meta(SERVICE)?;
        Ok(Self {
            wanted: service.is_some_and(|service| !service.is_empty()),
            waiting: BTreeMap::new(),
        })
    }

    pub(super) fn waits(&self, channel: ChannelId) -> bool {
        self.waiting.contains_key(&channel)
    }
}

impl Engine {
    /// Whether statements are to be stamped from now on.
    pub(crate) fn want_stamps(&mut self, wanted: bool) {
        self.stamping.wanted = wanted;
    }

    /// What waits to be stamped in a channel.
    pub(crate) fn to_stamp(&self, channel: ChannelId) -> Vec<ToStamp> {
        let waiting = self.stamping.waiting.get(&channel);
        let entries = waiting.map(|one| one.entries.as_slice());
        let digests = entries.unwrap_or_default().iter().map(|entry| ToStamp {
            statement: entry.id(),
            digest: entry.to_stamp(),
        });
        digests.collect()
    }

    /// Channels in which something waits.
    pub(crate) fn unstamped(&self) -> Vec<ChannelId> {
        self.stamping.waiting.keys().copied().collect()
    }

    /// The service's tokens by statement, checked; and why there are not more.
    pub(crate) fn stamped(
        &mut self,
        now: UnixMillis,
        channel: ChannelId,
        tokens: &[(Digest, Vec<u8>)],
        trouble: Option<String>,
    ) -> Result<(), Error> {
        let Some(waited) = self.stamping.waiting.remove(&channel) else {
            return Ok(());
        };
        let entries = waited.entries.into_iter().map(|entry| {
            let id = entry.id();
            match tokens.iter().find(|(statement, _)| *statement == id) {
                Some((_, token)) => entry.stamped(token.clone()),
                None => entry,
            }
        });
        let entries: Vec<_> = entries.collect();
        if let Some(reason) = trouble {
            self.event(Event::NotStamped {
                channel,
                item: waited.item,
                reason,
            });
        }
        self.tell_custody(now, (channel, waited.item), &entries)
    }

    /// Statements with the server's word: to the service if there is one, or into the channel.
    pub(super) fn stamp_or_tell(
        &mut self,
        now: UnixMillis,
        (channel, item): (ChannelId, ItemId),
        entries: Vec<Entry>,
    ) -> Result<(), Error> {
        if !self.stamping.wanted {
            return self.tell_custody(now, (channel, item), &entries);
        }
        let waiting = Unstamped {
            item,
            entries,
            patience: Wait::of(PATIENCE_MS, now),
        };
        self.stamping.waiting.insert(channel, waiting);
        self.event(Event::Stamping(channel));
        Ok(())
    }

    /// Lets go what the service was asked about for too long.
    pub(super) fn stamping_step(
        &mut self,
        now: UnixMillis,
        channel: ChannelId,
    ) -> Result<(), Error> {
        let waiting = self.stamping.waiting.get(&channel);
        if waiting.is_some_and(|one| one.patience.is_over(now)) {
            let why = "nobody asked the time-stamping service in time".to_owned();
            return self.stamped(now, channel, &[], Some(why));
        }
        Ok(())
    }

    fn tell_custody(
        &mut self,
        now: UnixMillis,
        (channel, item): (ChannelId, ItemId),
        entries: &[Entry],
    ) -> Result<(), Error> {
        for part in parts(entries) {
            let content = self.custody_content(part)?;
            let rows: Vec<_> = part
                .iter()
                .map(|entry| CustodyRow {
                    id: entry.id(),
                    item,
                    channel,
                    entry: entry.encode(),
                    waits: false,
                })
                .collect();
            let sent = self.send_with(now, channel, &content, |store| {
                rows.iter().try_for_each(|row| store.put_custody(row))
            });
            if let Err(error) = sent {
                tracing::warn!(%error, "statements of custody wait");
                self.put_off_custody(now, channel);
                return Ok(());
            }
        }
        self.custody_step(now, channel)
    }
}

/// As many entries together as one message carries.
fn parts(entries: &[Entry]) -> Vec<&[Entry]> {
    let (mut parts, mut from, mut size) = (Vec::new(), 0, 0);
    for (at, entry) in entries.iter().enumerate() {
        let len = entry.encode().len();
        if size + len > ROOM && at > from {
            parts.extend(entries.get(from..at));
            (from, size) = (at, 0);
        }
        size += len;
    }
    parts.extend(entries.get(from..));
    parts
}
