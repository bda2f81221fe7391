//! Why a content is refused.

use super::{MAX_DEPTH, MAX_PARTS};

/// Why bytes are no content, or a content cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Longer than one message may be.
    #[error("the content has {bytes} bytes, at most {limit} fit a message: send it as an item")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// `limits::CONTENT`.
        limit: usize,
    },
    /// Cut short, or with something behind it.
    #[error("the content ends or goes on at byte {at} where it should not")]
    WrongLength {
        /// Where.
        at: usize,
    },
    /// A second spelling of the same content, which the draft's section 5.1 forbids.
    #[error("not deterministic CBOR at byte {at}: {what}")]
    NotDeterministic {
        /// Where.
        at: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A text that is not UTF-8.
    #[error("the text at byte {at} is not UTF-8")]
    NotUtf8 {
        /// Where.
        at: usize,
    },
    /// Arrays, maps and tags lie deeper than any content needs.
    #[error("nested too deeply at byte {at}")]
    Nesting {
        /// Where.
        at: usize,
    },
    /// A field is not what the draft or Plenary says it is.
    #[error("field {field}: expected {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// Parts in parts beyond the draft's bound.
    #[error("parts are nested more than {MAX_DEPTH} levels deep")]
    PartDepth,
    /// More parts than the draft's bound.
    #[error("more than {MAX_PARTS} parts")]
    PartCount,
    /// The content names a sender or room other than those it came from.
    #[error("the content names another {0} than the one it came from")]
    Misattributed(&'static str),
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    NoRandomness,
}
