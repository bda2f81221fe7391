//! Showing messages, and following what comes.

use std::collections::{BTreeMap, VecDeque};

use plenary_client::{
    ChannelInfo, Client, Event, Message, Presence,
    content::ThreadId,
    ids::{ChannelId, Seq, UnixMillis},
};

use super::{
    custody::heard,
    show::{Index, channel_name},
};
use crate::{
    args::TailArgs,
    exit::Failure,
    output::Output,
    session::{Context, Need},
};

/// Messages read at a time.
const PAGE: u32 = 256;

/// How many of the last messages are shown when nothing is said.
const LINES: usize = 20;

/// Which messages are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) since: Option<UnixMillis>,
    pub(super) thread: Option<String>,
}

/// Channels as far as they are shown.
pub(super) struct Reader {
    client: Client,
    out: Output,
    channels: BTreeMap<ChannelId, Place>,
    index: Index,
    wanted: Wanted,
    /// Several channels: say which.
    several: bool,
}

struct Place {
    name: String,
    thread: Option<ThreadId>,
    shown: Seq,
}

pub(super) async fn run(context: &Context, args: &TailArgs) -> Result<(), Failure> {
    let mut session = context.session(Need::Fresh).await?;
    let channels = chosen(&session.client, &args.channels).await?;
    let wanted = Wanted {
        since: args.since,
        thread: args.thread.clone(),
    };
    let mut events = session.client.events();
    let mut reader = Reader::new(session.client.clone(), context.out, &channels, wanted);
    let all = args.since.map_or(LINES, |_| usize::MAX);
    reader.history(args.lines.unwrap_or(all)).await?;
    if !args.follow {
        return session.finish().await;
    }
    if let Some(stale) = session.stale.take() {
        context.out.note(&format!("{}; going on", stale.message));
    }
    while let Some(event) = events.next().await {
        match event {
            Event::Messages { channel, .. } => {
                reader.news(channel).await?;
            }
            Event::Entered(channel) if args.channels.is_empty() => {
                reader.watch(&all_channels(&session.client).await?, channel);
            }
            Event::Offline => context.out.note("(offline; reconnecting)"),
            Event::Online => context.out.note("(online)"),
            event @ Event::Custody { .. } => heard(context, &session.client, &event).await,
            _ => {}
        }
    }
    session.finish().await
}

/// The channels named, or all that this device is in.
async fn chosen(client: &Client, names: &[String]) -> Result<Vec<ChannelInfo>, Failure> {
    if names.is_empty() {
        let mut all = all_channels(client).await?;
        all.retain(|channel| channel.presence == Presence::In || channel.head.0 > 0);
        return Ok(all);
    }
    let mut chosen = Vec::new();
    for name in names {
        let channel = client.channel(name).await?;
        if channel.presence == Presence::Absent {
            return Err(Failure::not_found(format!(
                "this device is not in {}: plenary enter {name}",
                channel_name(&channel)
            )));
        }
        chosen.push(channel);
    }
    Ok(chosen)
}

async fn all_channels(client: &Client) -> Result<Vec<ChannelInfo>, Failure> {
    Ok(client.channels().await?)
}

impl Reader {
    pub(super) fn new(
        client: Client,
        out: Output,
        channels: &[ChannelInfo],
        wanted: Wanted,
    ) -> Self {
        let mut reader = Self {
            client,
            out,
            channels: BTreeMap::new(),
            index: Index::default(),
            wanted,
            several: channels.len() != 1,
        };
        for channel in channels {
            reader.add(channel);
        }
        reader
    }

    fn add(&mut self, channel: &ChannelInfo) {
        let title = self.wanted.thread.as_ref();
        let place = Place {
            name: channel_name(channel),
            thread: title.map(|title| ThreadId::of_title(channel.id, title)),
            shown: Seq(0),
        };
        self.channels.entry(channel.id).or_insert(place);
    }

    /// Takes up a channel entered meanwhile.
    fn watch(&mut self, all: &[ChannelInfo], entered: ChannelId) {
        for channel in all.iter().filter(|channel| channel.id == entered) {
            self.add(channel);
        }
    }

    /// Shows the last messages of what is stored, by time.
    pub(super) async fn history(&mut self, lines: usize) -> Result<(), Failure> {
        let mut last: VecDeque<Message> = VecDeque::new();
        for channel in self.channels.keys().copied().collect::<Vec<_>>() {
            let mut own: VecDeque<Message> = VecDeque::new();
            while let Some(page) = self.page(channel).await? {
                for message in page {
                    if lines > 0 && self.is_wanted(&message) {
                        if own.len() == lines {
                            own.pop_front();
                        }
                        own.push_back(message);
                    }
                }
            }
            last.append(&mut own);
        }
        let mut last = Vec::from(last);
        // Stable: within a channel the order of its log stays, whatever the clock says.
        last.sort_by_key(|message| message.time);
        let surplus = last.len().saturating_sub(lines);
        last.iter()
            .skip(surplus)
            .try_for_each(|message| self.print(message))
    }

    /// Shows what a channel has more than was shown.
    pub(super) async fn news(&mut self, channel: ChannelId) -> Result<(), Failure> {
        while let Some(page) = self.page(channel).await? {
            for message in page {
                if self.is_wanted(&message) {
                    self.print(&message)?;
                }
            }
        }
        Ok(())
    }

    /// The next messages of a channel, taken note of.
    async fn page(&mut self, channel: ChannelId) -> Result<Option<Vec<Message>>, Failure> {
        let Some(place) = self.channels.get_mut(&channel) else {
            return Ok(None);
        };
        let page = self.client.messages(channel, place.shown, PAGE).await?;
        let Some(newest) = page.last() else {
            return Ok(None);
        };
        place.shown = newest.seq;
        page.iter().for_each(|message| self.index.learn(message));
        Ok(Some(page))
    }

    fn is_wanted(&self, message: &Message) -> bool {
        let place = self.channels.get(&message.channel);
        let thread = place.and_then(|place| place.thread);
        thread.is_none_or(|thread| message.thread() == Some(thread))
            && self.wanted.since.is_none_or(|since| message.time >= since)
    }

    fn print(&self, message: &Message) -> Result<(), Failure> {
        let name = self.channels.get(&message.channel);
        let name = name.map(|place| place.name.as_str());
        self.out.emit(
            || self.index.json(message, name),
            |line| {
                self.index
                    .line(line, message, name.filter(|_| self.several))
            },
        )
    }
}
