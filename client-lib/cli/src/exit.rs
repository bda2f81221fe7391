//! How a command ends: the exit codes, and the one failure that all commands report.

use std::path::Path;

use plenary_client::{Error, ErrorKind};

/// What `--help` says of the exit codes.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  failed: disk, file, or a fault of the program
  2  usage: an argument or a file makes no sense
  3  wrong passphrase
  4  not found: profile, channel, member, message, item
  5  refused: not allowed, not admitted, too large, over a quota
  6  unreachable within --timeout; reading commands have shown what is stored here
  7  trust: the other side, a signature or a seal is not what it must be
  8  the profile is open in another process
  9  not finished: somebody who is out is still in a channel";

/// The exit code of a usage error, as clap has it.
pub(crate) const USAGE: u8 = 2;

/// Why a command failed: words for people, a stable code for scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) exit: u8,
    pub(crate) message: String,
}

impl Failure {
    /// An argument or a file makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new("input", USAGE, message)
    }

    /// Reading or writing failed.
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                Self::new("not-found", 4, format!("{what}: there is no such file"))
            }
            _ => Self::new("io", 1, format!("{what}: {error}")),
        }
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new("not-found", 4, message)
    }

    /// The profile's folder does not exist.
    pub(crate) fn no_profile(folder: &Path) -> Self {
        let folder = folder.display();
        let message = format!("{folder} holds no Plenary profile: join a network first");
        Self::new("not-a-profile", 4, message)
    }

    /// Against a rule.
    pub(crate) fn not_allowed(message: impl Into<String>) -> Self {
        Self::new("not-allowed", 5, message)
    }

    /// The other side, or something signed, is not what it must be.
    pub(crate) fn trust(message: impl Into<String>) -> Self {
        Self::new("trust", 7, message)
    }

    /// Not done within the time given.
    pub(crate) fn offline(message: impl Into<String>) -> Self {
        Self::new("offline", 6, message)
    }

    /// Something is still to be done by others.
    pub(crate) fn pending(message: impl Into<String>) -> Self {
        Self::new("pending", 9, message)
    }

    /// Whoever read the output went away: nothing to report.
    pub(crate) fn reader_gone() -> Self {
        Self::new("reader-gone", 0, String::new())
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: &str) -> Self {
        self.message = format!("{}; {hint}", self.message);
        self
    }

    fn new(code: &'static str, exit: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            exit,
            message: message.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.code(), exit_code(error.kind()), error.to_string())
    }
}

fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Input => USAGE,
        ErrorKind::WrongPassphrase => 3,
        ErrorKind::NotFound | ErrorKind::NotAProfile => 4,
        ErrorKind::NotAllowed
        | ErrorKind::Refused
        | ErrorKind::Unauthenticated
        | ErrorKind::TooLarge
        | ErrorKind::Quota => 5,
        ErrorKind::Offline | ErrorKind::Unavailable | ErrorKind::RateLimited => 6,
        ErrorKind::Trust | ErrorKind::Integrity => 7,
        ErrorKind::InUse => 8,
        // Store, Io, Closed, and what a newer library adds.
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_is_documented() {
        for kind in [
            ErrorKind::Store,
            ErrorKind::Input,
            ErrorKind::WrongPassphrase,
            ErrorKind::NotFound,
            ErrorKind::Refused,
            ErrorKind::Offline,
            ErrorKind::Trust,
            ErrorKind::InUse,
        ] {
            let code = format!("\n  {}  ", exit_code(kind));
            assert!(CODES.contains(&code), "{kind:?}");
        }
    }
}
