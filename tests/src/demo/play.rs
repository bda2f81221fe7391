//! Plays a script: in every channel, everything in its order.
//!
//! A sender awaits nothing: its outbox keeps its order. Only when another one goes on in the same
//! channel, that one waits until what comes before it is in the log; so the log of a channel is
//! the script's. A player never gets further ahead of the slowest reader than [`AHEAD`] messages:
//! what is measured is delivery, not a queue.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    time::Instant,
};

use anyhow::{Context, Result};
use plenary_client::{
    Outgoing,
    content::{Draft, MessageId, ThreadId},
    ids::Seq,
};

use super::{
    progress::Progress,
    script::{Post, Script},
    stage::Stage,
};
use crate::harness::PATIENCE;

/// Messages of a channel that the slowest reader may be behind.
const AHEAD: usize = 4;
/// Messages of one author in a row before their places are asked for.
const RUN: usize = 16;
/// A post that is in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) post: usize,
    pub(super) seq: Seq,
    /// Just before the client was asked to send it.
    pub(super) at: Instant,
}

/// What was played in one channel.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// In the channel's order.
    pub(super) sent: Vec<Sent>,
    /// Of posts that others answer.
    pub(super) ids: HashMap<usize, MessageId>,
    waiting: Vec<(usize, Instant, Outgoing)>,
}

impl Stage {
    /// Plays some of the posts, all channels at once.
    pub(super) async fn play(
        &self,
        script: &Script,
        part: Range<usize>,
        played: &mut [Played],
        progress: &Progress,
    ) -> Result<()> {
        let answered: &HashSet<usize> = &script.posts.iter().filter_map(|p| p.reply_to).collect();
        let channels = played.iter_mut().enumerate().map(|(channel, played)| {
            let player = Player {
                stage: self,
                script,
                channel,
                answered,
                progress,
            };
            let part = part.clone();
            async move { player.play(part, played).await }
        });
        futures_util::future::try_join_all(channels).await?;
        Ok(())
    }
}

/// Plays one channel.
struct Player<'a> {
    stage: &'a Stage,
    script: &'a Script,
    channel: usize,
    answered: &'a HashSet<usize>,
    progress: &'a Progress,
}

impl Player<'_> {
    async fn play(&self, part: Range<usize>, played: &mut Played) -> Result<()> {
        let posts = part
            .map(|index| (index, &self.script.posts[index]))
            .filter(|(_, post)| post.channel == self.channel);
        let mut author = None;
        for (index, post) in posts {
            let unknown = post
                .reply_to
                .is_some_and(|of| !played.ids.contains_key(&of));
            if author != Some(post.author) || played.waiting.len() >= RUN || unknown {
                self.settle(played).await?;
            }
            author = Some(post.author);
            let at = Instant::now();
            let outgoing = self
                .send(post, played)
                .await
                .with_context(|| format!("message {index}"))?;
            played.waiting.push((index, at, outgoing));
            self.progress.step();
        }
        self.settle(played).await
    }

    /// Waits until everything sent is in the log, and nearly all of it read by everybody.
    async fn settle(&self, played: &mut Played) -> Result<()> {
        let id = self.stage.channels[self.channel];
        for (post, at, outgoing) in std::mem::take(&mut played.waiting) {
            let seq = tokio::time::timeout(PATIENCE, outgoing.delivered())
                .await
                .with_context(|| format!("message {post} is not delivered"))??;
            played.sent.push(Sent { post, seq, at });
            if self.answered.contains(&post) {
                let author = &self.stage.members[self.script.posts[post].author];
                let before = Seq(seq.0.saturating_sub(1));
                let page = author.client()?.messages(id, before, 1).await?;
                let message = page.first().context("a message sent is not stored")?;
                played.ids.insert(post, message.message_id);
            }
        }
        if let Some(past) = played.sent.len().checked_sub(AHEAD + 1) {
            let seq = played.sent[past].seq;
            self.stage.watch.all_read(id, seq, PATIENCE).await?;
        }
        Ok(())
    }

    async fn send(&self, post: &Post, played: &Played) -> Result<Outgoing> {
        let id = self.stage.channels[self.channel];
        let client = self.stage.members[post.author].client()?;
        let thread = ThreadId::of_title(id, &post.thread);
        let answered = post.reply_to.and_then(|of| played.ids.get(&of).copied());
        let mut draft = Draft::text(&post.text).thread(thread);
        if let Some(title) = &post.title {
            draft = draft.title(title);
        }
        if let Some(answered) = answered {
            draft = draft.reply_to(answered);
        }
        Ok(client.send(id, draft).await?)
    }
}
