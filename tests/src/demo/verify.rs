//! Compares what every member has read with what was played: contents, senders, threads, order.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use plenary_client::{
    Client, Message,
    content::ThreadId,
    ids::{ChannelId, Seq},
};

use super::{
    play::Played,
    report::Delivery,
    script::{Post, Script},
    stage::Stage,
};
use crate::harness::PATIENCE;

/// Messages read from a profile at a time.
const PAGE: u32 = 256;

/// How much of what a member should have read is there and equal.
#[derive(Debug, Default, Clone)]
pub(super) struct Compared {
    /// Messages in the profile.
    pub(super) received: u64,
    /// Of them, equal to the script at their place.
    pub(super) equal: u64,
    /// The first few that are not, in words.
    pub(super) wrong: Vec<String>,
}

/// How many differences are told.
const TOLD: usize = 5;

impl Stage {
    /// Waits until a member has read all that was played.
    pub(super) async fn caught_up(&self, who: usize, played: &[Played]) -> Result<()> {
        let client = self.members[who].client()?;
        let mut events = client.events();
        let wait = async {
            loop {
                let all = client.channels().await?;
                let missing = played.iter().zip(&self.channels).any(|(played, id)| {
                    let head = all.iter().find(|one| one.id == *id).map(|one| one.head);
                    played.sent.last().is_some_and(|last| head < Some(last.seq))
                });
                if !missing {
                    return anyhow::Ok(());
                }
                // News may come in other forms: look again now and then.
                let _ = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .with_context(|| format!("{} does not catch up", self.members[who].person.name))?
    }

    /// Compares everything that a member has.
    pub(super) async fn compare(
        &self,
        who: usize,
        script: &Script,
        played: &[Played],
    ) -> Result<Compared> {
        let mut compared = Compared::default();
        for (channel, played) in played.iter().enumerate() {
            let expected = Expected {
                stage: self,
                played,
                channel: self.channels[channel],
            };
            let posts: Vec<_> = script
                .posts
                .iter()
                .enumerate()
                .filter(|(_, post)| post.channel == channel)
                .collect();
            expected
                .compare(self.members[who].client()?, &posts, &mut compared)
                .await?;
        }
        Ok(compared)
    }

    /// From `send` to the event at each of the others, except who was away meanwhile.
    pub(super) fn delivery(
        &self,
        script: &Script,
        played: &[Played],
        away: Option<usize>,
    ) -> Result<Delivery> {
        let mut times = Histogram::<u64>::new(3)?;
        for (played, id) in played.iter().zip(&self.channels) {
            for sent in &played.sent {
                let author = script.posts[sent.post].author;
                for who in 0..self.members.len() {
                    if who == author || Some(who) == away {
                        continue;
                    }
                    let at = self
                        .watch
                        .arrival(who, *id, sent.seq)
                        .with_context(|| format!("no event of {:?} at member {who}", sent.seq))?;
                    let took = at.saturating_duration_since(sent.at);
                    times.record(u64::try_from(took.as_micros())?)?;
                }
            }
        }
        let ms = |quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Delivery {
            measured: times.len(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            max_ms: times.max() as f64 / 1000.0,
        })
    }
}

/// What a channel must hold.
struct Expected<'a> {
    stage: &'a Stage,
    played: &'a Played,
    channel: ChannelId,
}

impl Expected<'_> {
    async fn compare(
        &self,
        client: &Client,
        posts: &[(usize, &Post)],
        compared: &mut Compared,
    ) -> Result<()> {
        let mut posts = posts.iter();
        let mut places = self.played.sent.iter();
        let mut after = Seq(0);
        loop {
            let page = client.messages(self.channel, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for message in page {
                compared.received += 1;
                let same = match (posts.next(), places.next()) {
                    (Some((index, post)), Some(sent)) if sent.seq == message.seq => self
                        .same(client, &message, post)
                        .await
                        .with_context(|| format!("message {index}")),
                    _ => Err(anyhow::anyhow!("one too many at {:?}", message.seq)),
                };
                match same {
                    Ok(()) => compared.equal += 1,
                    Err(error) => tell(compared, client, &error),
                }
            }
        }
        let missing = posts.count();
        if missing > 0 {
            let error = anyhow::anyhow!("{missing} messages are missing");
            tell(compared, client, &error);
        }
        Ok(())
    }

    async fn same(&self, client: &Client, message: &Message, post: &Post) -> Result<()> {
        let author = &self.stage.members[post.author];
        ensure!(message.member == author.id, "by another member");
        ensure!(
            message.sender.as_deref() == Some(author.person.name.as_str()),
            "the sender's name is {:?}",
            message.sender
        );
        let thread = ThreadId::of_title(self.channel, &post.thread);
        ensure!(message.thread() == Some(thread), "in another thread");
        ensure!(
            message.title() == post.title.as_deref(),
            "titled {:?}",
            message.title()
        );
        let answered = post
            .reply_to
            .map(|of| self.played.ids.get(&of).context("its answer was not sent"))
            .transpose()?;
        ensure!(
            message.content.in_reply_to.as_ref() == answered,
            "answers another message"
        );
        let Some(text) = message.text() else {
            return self.same_item(client, message, post).await;
        };
        ensure!(text == post.text, "its text differs");
        Ok(())
    }

    /// A text too long for a message comes as an item.
    async fn same_item(&self, client: &Client, message: &Message, post: &Post) -> Result<()> {
        let folder = tempfile::tempdir_in(&self.stage.folder)?;
        let path = client.fetch(message, folder.path())?.finish().await?;
        if fs::read(path)? != post.text.as_bytes() {
            bail!("its text, which came as an item, differs");
        }
        Ok(())
    }
}

fn tell(compared: &mut Compared, client: &Client, error: &anyhow::Error) {
    if compared.wrong.len() < TOLD {
        compared.wrong.push(format!("{client:?}: {error:#}"));
    }
}
