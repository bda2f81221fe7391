//! Looking for stored messages.

use std::ops::Range;

use plenary_proto::ids::{ChannelId, DeviceId, MemberId, UnixMillis};

use super::{
    Client,
    discuss::{Message, message},
};
use crate::{
    content::{Expiration, Kind},
    engine::Engine,
    error::Error,
    files::Manifest,
    store::search::Matching,
};

/// Messages found when nothing is said.
const LIMIT: u32 = 100;
/// Hits looked at in one go.
const PAGE: u32 = 64;

/// What to look for: see [`Client::search`].
#[derive(Debug, Clone)]
pub struct Search {
    words: String,
    channel: Option<ChannelId>,
    member: Option<MemberId>,
    since: Option<UnixMillis>,
    limit: u32,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The message.
    pub message: Message,
    /// What stands around the words, in its text, its thread's title or its file's name.
    pub excerpt: String,
    /// Where in the excerpt the words are, in bytes.
    pub marks: Vec<Range<usize>>,
}

impl Search {
    /// Words, each found from its beginning on, and phrases in double quotes, found as they are; all
    /// of them must be there. Case does not count, nor do accents on Latin
    /// letters.
    pub fn new(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            channel: None,
            member: None,
            since: None,
            limit: LIMIT,
        }
    }

    /// In one channel only.
    pub fn channel(mut self, channel: ChannelId) -> Self {
        self.channel = Some(channel);
        self
    }

    /// By one member only, from whatever device.
    pub fn from(mut self, member: MemberId) -> Self {
        self.member = Some(member);
        self
    }

    /// From a moment on, by the server's clock.
    pub fn since(mut self, time: UnixMillis) -> Self {
        self.since = Some(time);
        self
    }

    /// So many at most; 100 otherwise.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

impl Client {
    /// Looks for messages and files by their words, in what this device holds: texts, titles of threads,
    /// names of files. The newest first. What was edited, taken back or withdrawn since, or is past its
    /// time, is not found.
    ///
    /// # Errors
    /// [`ErrorKind::Input`](crate::ErrorKind::Input) where there is nothing to look for, or too much.
    pub async fn search(&self, search: Search) -> Result<Vec<Found>, Error> {
        self.driver
            .run(move |engine, now| look(engine, now, &search))
            .await
    }
}

pub(crate) fn look(
    engine: &mut Engine,
    now: UnixMillis,
    search: &Search,
) -> Result<Vec<Found>, Error> {
    let mut matching = Matching::words(&search.words)?;
    if let Some(channel) = search.channel {
        matching = matching.within(channel);
    }
    if let Some(member) = search.member {
        matching = matching.by(&engine.devices_ever_of(member));
    }
    if let Some(since) = search.since {
        matching = matching.since(since);
    }
    let limit = search.limit as usize;
    let mut found = Vec::new();
    let mut before = None;
    while found.len() < limit {
        let hits = engine
            .store()
            .search(&matching, before, PAGE.min(search.limit))?;
        let Some(last) = hits.last() else { break };
        before = Some(last.place);
        for hit in &hits {
            let message = message(engine, &hit.row)?;
            if found.len() < limit && !is_gone(engine, now, &message)? {
                let (excerpt, marks) = hit.excerpt();
                found.push(Found {
                    message,
                    excerpt,
                    marks,
                });
            }
        }
    }
    Ok(found)
}

/// Edited or taken back by its sender, past its time, or a file that was withdrawn.
fn is_gone(engine: &mut Engine, now: UnixMillis, message: &Message) -> Result<bool, Error> {
    if let Some(Expiration::At(end)) = message.content.expires
        && u64::from(end) * 1_000 <= now.0
    {
        return Ok(true);
    }
    let by = engine
        .store()
        .replaced_by(message.channel, &message.message_id)?;
    let own = |device: &DeviceId| engine.member_of(*device) == Some(message.member);
    if by.iter().any(own) {
        return Ok(true);
    }
    let Kind::Item(manifest) = message.content.kind() else {
        return Ok(false);
    };
    let Ok(manifest) = Manifest::decode(manifest) else {
        return Ok(false);
    };
    let record = engine.custody(message.channel, manifest.item())?;
    Ok(record.withdrawn().is_some())
}
