//! The one error of the public API.

use std::{fmt, time::Duration};

use plenary_proto::reply::{Code, Failure};

use crate::files::ItemError;

/// What went wrong, in words that name culprit and remedy, with a stable code for scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
}

/// Kinds of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The passphrase does not open the profile.
    WrongPassphrase,
    /// The folder is no profile, or one of a newer program.
    NotAProfile,
    /// Another process has the profile open.
    InUse,
    /// The profile's store failed: disk full, damaged, unreadable.
    Store,
    /// What was given makes no sense: an argument, a file, a text.
    Input,
    /// Larger than allowed.
    TooLarge,
    /// There is no such channel, member, message or item here.
    NotFound,
    /// Not allowed: by the ledger, a channel's rule, or the Board.
    NotAllowed,
    /// The server does not admit this device: unknown, revoked, suspended or wrong key.
    Unauthenticated,
    /// The other side is not who it must be: certificate, server key, network, ledger.
    Trust,
    /// Something signed or sealed does not hold.
    Integrity,
    /// No connection; the library keeps trying.
    Offline,
    /// The server cannot now.
    Unavailable,
    /// Too much at once; see [`Error::retry_after`].
    RateLimited,
    /// Over a quota.
    Quota,
    /// The server refused it as invalid.
    Refused,
    /// Reading or writing a file failed.
    Io,
    /// The client was closed.
    Closed,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// A stable name of its kind, for scripts.
    pub fn code(&self) -> &'static str {
        match self.kind {
            ErrorKind::WrongPassphrase => "wrong-passphrase",
            ErrorKind::NotAProfile => "not-a-profile",
            ErrorKind::InUse => "in-use",
            ErrorKind::Store => "store",
            ErrorKind::Input => "input",
            ErrorKind::TooLarge => "too-large",
            ErrorKind::NotFound => "not-found",
            ErrorKind::NotAllowed => "not-allowed",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Trust => "trust",
            ErrorKind::Integrity => "integrity",
            ErrorKind::Offline => "offline",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::RateLimited => "rate-limited",
            ErrorKind::Quota => "quota",
            ErrorKind::Refused => "refused",
            ErrorKind::Io => "io",
            ErrorKind::Closed => "closed",
        }
    }

    /// Whether the same call may succeed later without anything changed.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Offline | ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::InUse
        )
    }

    /// How long to wait before the next try, where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::new(
            ErrorKind::Store,
            format!("the profile's store failed: {error}"),
        )
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, error.to_string())
    }
}

impl From<ItemError> for Error {
    fn from(error: ItemError) -> Self {
        let kind = match &error {
            ItemError::TooLarge { .. } => ErrorKind::TooLarge,
            ItemError::Manifest { .. }
            | ItemError::Version(_)
            | ItemError::WrongKey
            | ItemError::OutOfOrder { .. }
            | ItemError::ChunkLength { .. }
            | ItemError::ChunkRefused { .. }
            | ItemError::Padding { .. }
            | ItemError::Root
            | ItemError::Unsafe { .. }
            | ItemError::Digest => ErrorKind::Integrity,
            ItemError::SourceChanged
            | ItemError::Journal
            | ItemError::NotAFile { .. }
            | ItemError::Preview(_) => ErrorKind::Input,
            ItemError::InUse => ErrorKind::InUse,
            ItemError::Incomplete { .. }
            | ItemError::NoRandomness
            | ItemError::NoFreeName
            | ItemError::Io { .. } => ErrorKind::Io,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.code {
            Code::Malformed | Code::Invalid | Code::StaleEpoch | Code::Conflict | Code::Exists => {
                ErrorKind::Refused
            }
            Code::TooLarge => ErrorKind::TooLarge,
            Code::Unauthenticated => ErrorKind::Unauthenticated,
            Code::NotAllowed => ErrorKind::NotAllowed,
            Code::NotFound | Code::Trimmed => ErrorKind::NotFound,
            Code::Fenced | Code::Unavailable => ErrorKind::Unavailable,
            Code::RateLimited => ErrorKind::RateLimited,
            Code::Quota => ErrorKind::Quota,
        };
        Self {
            kind,
            message: format!("the server refused: {}", failure.message),
            retry_after: failure.retry_after_ms.map(Duration::from_millis),
        }
    }
}
