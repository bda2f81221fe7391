//! What is played: people, and what they say where.

use std::ops::Range;

use plenary_client::Person;

use crate::harness::person;

/// The demo's channels: name and purpose.
pub const CHANNELS: [(&str, &str); 3] = [
    (
        "encryption",
        "Lawful ways to evidence behind encryption, and their limits",
    ),
    (
        "metaverse",
        "Offences, evidence and jurisdiction in virtual worlds",
    ),
    (
        "crypto-assets",
        "Tracing, freezing and confiscating crypto assets",
    ),
];

/// Seats on the Board: the first people of a script hold them.
pub(super) const BOARD: usize = 3;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Index of who says it.
    pub author: usize,
    /// Index of the channel.
    pub channel: usize,
    /// What tells its thread from others; not shown.
    pub thread: String,
    /// The thread's title, in its first message.
    pub title: Option<String>,
    /// What is said; may be empty.
    pub text: String,
    /// Index of the post that it answers, an earlier one of the same channel.
    pub reply_to: Option<usize>,
}

/// People and their discussion. The first three people are the Board, the first founds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// Everybody.
    pub people: Vec<Person>,
    /// In the order in which it is said.
    pub posts: Vec<Post>,
}

impl Script {
    /// Leaves out authors after the first `members` and messages after the first `messages`; adds
    /// people who only read until there are `members`. Somebody will be away for the middle half
    /// of it: if everybody speaks then, one more reader is added.
    pub(super) fn cut(&mut self, members: Option<usize>, messages: Option<usize>) {
        if let Some(members) = members {
            self.people.truncate(members);
            let kept: Vec<bool> = self
                .posts
                .iter()
                .map(|post| post.author < members)
                .collect();
            let mut at = 0;
            let new: Vec<_> = kept
                .iter()
                .map(|kept| {
                    at += usize::from(*kept);
                    kept.then(|| at - 1)
                })
                .collect();
            let mut kept = kept.iter();
            self.posts.retain(|_| kept.next() == Some(&true));
            for post in &mut self.posts {
                post.reply_to = post.reply_to.and_then(|old| new[old]);
            }
        }
        if let Some(messages) = messages {
            self.posts.truncate(messages);
        }
        let least = members.unwrap_or_default().max(BOARD + 2);
        while self.people.len() < least {
            self.add_reader();
        }
        if self.away().is_none() {
            self.add_reader();
        }
    }

    /// Who is away while [`Script::middle`] is said: the last who does not speak then and does not
    /// sit on the Board.
    pub(super) fn away(&self) -> Option<usize> {
        let middle = &self.posts[self.middle()];
        (BOARD..self.people.len())
            .rev()
            .find(|who| middle.iter().all(|post| post.author != *who))
    }

    /// The half of the discussion that somebody misses.
    pub(super) fn middle(&self) -> Range<usize> {
        let all = self.posts.len();
        all / 4..all - all / 4
    }

    /// Who is revoked at the end: the last other one who does not sit on the Board.
    pub(super) fn revoked(&self) -> Option<usize> {
        let away = self.away();
        (BOARD..self.people.len())
            .rev()
            .find(|who| Some(*who) != away)
    }

    fn add_reader(&mut self) {
        let number = self.people.len() + 1;
        let name = format!("Reader {number}");
        self.people.push(person(name, "Observer States"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script() -> Script {
        let post = |author, reply_to| Post {
            author,
            channel: 0,
            thread: "t".to_owned(),
            title: None,
            text: format!("by {author}"),
            reply_to,
        };
        Script {
            people: (0..6).map(|n| person(format!("P{n}"), "S")).collect(),
            posts: vec![
                post(0, None),
                post(5, None),
                post(1, Some(0)),
                post(2, Some(1)),
                post(3, Some(2)),
                post(4, None),
            ],
        }
    }

    #[test]
    fn cutting_members_takes_their_messages_and_what_pointed_there() {
        let mut cut = script();
        cut.cut(Some(5), None);
        let authors: Vec<_> = cut.posts.iter().map(|post| post.author).collect();
        assert_eq!(authors, [0, 1, 2, 3, 4]);
        let replies: Vec<_> = cut.posts.iter().map(|post| post.reply_to).collect();
        assert_eq!(replies, [None, Some(0), None, Some(1), None]);
    }

    #[test]
    fn somebody_is_always_away_and_silent_then() {
        for messages in [0, 1, 4, 6] {
            for members in [None, Some(5), Some(6), Some(9)] {
                let mut cut = script();
                cut.cut(members, Some(messages));
                let away = cut.away().unwrap();
                assert!(away >= BOARD && cut.revoked() != Some(away));
                assert!(cut.posts[cut.middle()].iter().all(|p| p.author != away));
                assert!(cut.revoked().is_some_and(|revoked| revoked >= BOARD));
                assert!(cut.posts.len() <= messages);
                assert!(cut.posts.iter().all(|p| p.author < cut.people.len()));
            }
        }
    }
}
