//! Drafts: what a member wants to say, on its way to a content.

use std::fmt;

use plenary_proto::{ids::ChannelId, label::Label, limits};
use ring::{
    digest::{Context, SHA256},
    rand::{SecureRandom, SystemRandom},
};

use super::{
    Body, CUSTODY, Content, ContentError, Disposition, Expiration, Extensions, ITEM, MARKDOWN,
    MAX_TITLE, MessageId, PLAIN, Part, ThreadId, extension,
};

/// Bytes of text that fit a message beside salt, topic, title and extensions.
const LONGEST_TEXT: usize = limits::CONTENT - 1024;

const THREAD_TAG: &[u8] = b"plenary thread by title v1\0";

/// The random bytes that keep equal messages apart and their ids unguessable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 16]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// A new salt: one for every message.
///
/// # Errors
/// When the system gives no randomness.
pub fn fresh_salt() -> Result<Salt, ContentError> {
    let mut salt = [0; 16];
    SystemRandom::new()
        .fill(&mut salt)
        .map_err(|_| ContentError::NoRandomness)?;
    Ok(Salt(salt))
}

impl ThreadId {
    /// The thread of a title in a channel: two members who open it at the same time meet in it.
    pub fn of_title(channel: ChannelId, title: &str) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(THREAD_TAG);
        hash.update(channel.as_bytes());
        hash.update(title.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self(id)
    }
}

/// A message being written. Ends with [`Draft::into_content`].
///
/// ```
/// use plenary_client::content::{Draft, Kind, fresh_salt};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let content = Draft::text("Has anyone seen this wallet?").into_content(fresh_salt()?)?;
/// let bytes = content.encode()?;
/// # let content = plenary_client::content::Content::decode(&bytes)?;
/// assert_eq!(content.kind(), Kind::Text { text: "Has anyone seen this wallet?", markdown: false });
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    replaces: Option<MessageId>,
    in_reply_to: Option<MessageId>,
    thread: Option<ThreadId>,
    title: Option<String>,
    expires: Option<Expiration>,
    extensions: Extensions,
    body: Part,
}

impl Draft {
    /// Plain text. Empty text is valid.
    pub fn text(text: impl Into<String>) -> Self {
        Self::single(Disposition::RENDER, PLAIN, text.into().into_bytes())
    }

    /// GitHub Flavored Markdown without HTML.
    pub fn markdown(text: impl Into<String>) -> Self {
        Self::single(Disposition::RENDER, MARKDOWN, text.into().into_bytes())
    }

    /// A notice: text outside the discussion, acknowledgement asked.
    pub fn notice(text: impl Into<String>) -> Self {
        let mut draft = Self::text(text).ask_acknowledgement();
        draft.extensions.set_flag(extension::NOTICE);
        draft
    }

    /// An item handed over: the bytes of its manifest.
    pub fn item(manifest: Vec<u8>) -> Self {
        Self::single(Disposition::ATTACHMENT, ITEM, manifest)
    }

    /// Statements of custody, encoded. Made by the client itself.
    pub(crate) fn custody(entries: Vec<u8>) -> Self {
        Self::single(Disposition::UNSPECIFIED, CUSTODY, entries)
    }

    /// A reaction to a message: one emoji, or a word.
    pub fn reaction(to: MessageId, with: impl Into<String>) -> Self {
        Self::single(Disposition::REACTION, PLAIN, with.into().into_bytes()).reply_to(to)
    }

    /// Takes a message back. Nobody can be made to forget it.
    pub fn deletion(of: MessageId) -> Self {
        let mut draft = Self::text("").replaces(of);
        draft.body.body = Body::Null;
        draft
    }

    /// Answers a message.
    pub fn reply_to(mut self, message: MessageId) -> Self {
        self.in_reply_to = Some(message);
        self
    }

    /// Replaces an earlier message of one's own.
    pub fn replaces(mut self, message: MessageId) -> Self {
        self.replaces = Some(message);
        self
    }

    /// Belongs to a thread.
    pub fn thread(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// Names the thread. The first message of a thread must, later ones may.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Asks to be forgotten.
    pub fn expires(mut self, expires: Expiration) -> Self {
        self.expires = Some(expires);
        self
    }

    /// How far it may travel.
    pub fn label(mut self, label: Label) -> Self {
        self.extensions.set_label(label);
        self
    }

    /// May be quoted, its sender not named.
    pub fn withhold_attribution(mut self) -> Self {
        self.extensions.set_flag(extension::ATTRIBUTION_WITHHELD);
        self
    }

    /// Asks every reader for an acknowledgement.
    pub fn ask_acknowledgement(mut self) -> Self {
        self.extensions.set_flag(extension::ACKNOWLEDGEMENT_ASKED);
        self
    }

    /// Language tags (RFC 5646), comma-separated.
    pub fn language(mut self, tags: impl Into<String>) -> Self {
        self.body.language = tags.into();
        self
    }

    /// The text, if it is one that no message holds.
    pub(crate) fn long_text(&self) -> Option<&[u8]> {
        match &self.body.body {
            Body::Single { content, .. } if content.len() > LONGEST_TEXT => Some(content),
            _ => None,
        }
    }

    /// The media type of its body, if it is a single one.
    pub(crate) fn media_type(&self) -> &str {
        match &self.body.body {
            Body::Single { content_type, .. } => content_type,
            _ => "",
        }
    }

    /// The same draft, with an item in the place of its text.
    pub(crate) fn with_item(mut self, manifest: Vec<u8>) -> Self {
        self.body = Self::item(manifest).body;
        self
    }

    /// The content, ready to be encoded.
    ///
    /// # Errors
    /// When the title has no thread or is too long. Whether all of it fits a message is told by
    /// [`Content::encode`].
    pub fn into_content(mut self, salt: Salt) -> Result<Content, ContentError> {
        if let Some(title) = &self.title {
            if self.thread.is_none() || title.len() > MAX_TITLE {
                return Err(ContentError::Field {
                    field: "title",
                    expected: "a thread, and at most 512 bytes",
                });
            }
            self.extensions.set_title(title);
        }
        Ok(Content {
            salt,
            replaces: self.replaces,
            topic: self.thread.map(|id| id.0.to_vec()).unwrap_or_default(),
            expires: self.expires,
            in_reply_to: self.in_reply_to,
            extensions: self.extensions,
            body: self.body,
        })
    }

    fn single(disposition: Disposition, content_type: &str, content: Vec<u8>) -> Self {
        Self {
            replaces: None,
            in_reply_to: None,
            thread: None,
            title: None,
            expires: None,
            extensions: Extensions::default(),
            body: Part {
                disposition,
                language: String::new(),
                body: Body::Single {
                    content_type: content_type.to_owned(),
                    content,
                },
            },
        }
    }
}
