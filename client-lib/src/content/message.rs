//! The content container: field by field as in the draft's appendix B.

use std::fmt;

use super::{Extensions, MessageId, Salt};

/// Levels a part may lie below the outermost one (section 5.3 of the draft).
pub const MAX_DEPTH: usize = 4;

/// Parts of one content, all levels together (section 9.1 of the draft).
pub const MAX_PARTS: usize = 1024;

/// Bytes of a topic id (section 9.1 of the draft). Plenary's own have 16.
pub const MAX_TOPIC: usize = 4096;

/// One message, as draft-ietf-mimi-content-08 carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Random, per message: makes equal texts have different ids.
    pub salt: Salt,
    /// The message this one edits, deletes or un-reacts.
    pub replaces: Option<MessageId>,
    /// Messages with one topic belong together; empty: none. In Plenary a [`ThreadId`].
    pub topic: Vec<u8>,
    /// When to forget it. A request, not a lock.
    pub expires: Option<Expiration>,
    /// The message this one answers.
    pub in_reply_to: Option<MessageId>,
    /// What the draft, Plenary or somebody else adds.
    pub extensions: Extensions,
    /// What is shown or kept.
    pub body: Part,
}

impl Content {
    /// The thread it belongs to, if its topic is one of Plenary's.
    pub fn thread(&self) -> Option<ThreadId> {
        self.topic.as_slice().try_into().ok().map(ThreadId)
    }
}

/// A thread within a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThreadId(pub [u8; 16]);

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "ThreadId({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

/// When a message should be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiration {
    /// So many seconds after it was read.
    AfterReading(u32),
    /// At so many seconds after 1970-01-01T00:00:00Z.
    At(u32),
}

/// One body part; parts may hold parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is for.
    pub disposition: Disposition,
    /// Language tags (RFC 5646), comma-separated; empty: not said.
    pub language: String,
    /// What it holds.
    pub body: Body,
}

/// What a part is for. Numbers nobody has named stay as they came; treat them as `RENDER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition(pub u8);

impl Disposition {
    /// Not said.
    pub const UNSPECIFIED: Self = Self(0);
    /// To be shown by local policy.
    pub const RENDER: Self = Self(1);
    /// A reaction to the message answered.
    pub const REACTION: Self = Self(2);
    /// A profile.
    pub const PROFILE: Self = Self(3);
    /// To be shown within the discussion.
    pub const INLINE: Self = Self(4);
    /// An icon.
    pub const ICON: Self = Self(5);
    /// To be fetched and kept, not shown.
    pub const ATTACHMENT: Self = Self(6);
    /// A session to join.
    pub const SESSION: Self = Self(7);
    /// A preview of something else.
    pub const PREVIEW: Self = Self(8);
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing: with `replaces`, a deletion.
    Null,
    /// One thing, here.
    Single {
        /// Its media type.
        content_type: String,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// One thing, elsewhere. Plenary reads these and sends none: items travel by manifest.
    External(Box<External>),
    /// Several.
    Multi {
        /// How they belong together.
        semantics: Semantics,
        /// At least two.
        parts: Vec<Part>,
    },
}

/// How several parts belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Semantics {
    /// The reader picks one.
    ChooseOne,
    /// All or nothing.
    SingleUnit,
    /// As many as can be read.
    ProcessAll,
}

/// A thing that lies elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct External {
    /// Its media type.
    pub content_type: String,
    /// Where.
    pub url: String,
    /// Seconds since 1970; 0: does not expire.
    pub expires: u32,
    /// Bytes; 0: not said.
    pub size: u64,
    /// IANA AEAD number; 0: in clear.
    pub enc_alg: u16,
    /// AEAD key.
    pub key: Vec<u8>,
    /// AEAD nonce.
    pub nonce: Vec<u8>,
    /// AEAD additional data.
    pub aad: Vec<u8>,
    /// IANA named-information hash number.
    pub hash_alg: u8,
    /// Hash of what lies at the address.
    pub content_hash: Vec<u8>,
    /// For people.
    pub description: String,
    /// Suggested file name: clean it before use.
    pub filename: String,
}

impl fmt::Debug for External {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("External")
            .field("content_type", &self.content_type)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
