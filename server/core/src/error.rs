//! Why an operation is refused, split by culprit, and the one function that tells the peer.

use plenary_certs::{ledger::LedgerError, mls::observer::ObserveError};
use plenary_proto::{
    ids::{Epoch, Seq},
    reply::{Code, Failure},
};

use crate::{items::ItemsError, store::StoreError};

/// A fenced channel opens with one commit of whoever comes first: try again after this.
const FENCED_MS: u64 = 500;

/// A store that cannot now: a disk is full or an engine starts again.
const UNAVAILABLE_MS: u64 = 2_000;

/// Why an operation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// Nonsense: a position beyond the end, a count of zero.
    #[error("{0}")]
    Malformed(&'static str),
    /// Over a limit of size.
    #[error("{what} may have {limit}, not {got}")]
    TooLarge {
        /// What, with its unit.
        what: &'static str,
        /// The most.
        limit: u64,
        /// What came.
        got: u64,
    },
    /// Checked and refused: a statement, a commit, a root.
    #[error("{0}")]
    Invalid(String),

    /// The device is not live any more. The session ends.
    #[error("this device has no access")]
    Gone,
    /// Known, but may not.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such thing, or none for this caller.
    #[error("{0}")]
    NotFound(&'static str),
    /// There is one already.
    #[error("{0}")]
    Exists(&'static str),
    /// Sealed in another epoch.
    #[error("the channel is in epoch {}: catch up and seal again", current.0)]
    StaleEpoch {
        /// Where the channel is.
        current: Epoch,
    },
    /// Another commit came first.
    #[error("another commit came first, the channel is in epoch {}: process it and try again", current.0)]
    Conflict {
        /// Where the channel is.
        current: Epoch,
    },
    /// The channel waits for a commit that removes what the ledger revoked.
    #[error("the channel waits for the removal of devices that have no access any more")]
    Fenced,
    /// The records asked for are gone.
    #[error("records up to {} are no longer kept", through.0)]
    Trimmed {
        /// The last one gone.
        through: Seq,
    },
    /// Too many.
    #[error("too many {what}: wait {retry_after_ms} ms")]
    RateLimited {
        /// Of what.
        what: &'static str,
        /// Milliseconds until one is allowed again.
        retry_after_ms: u64,
    },
    /// Over a quota.
    #[error("{0}")]
    Quota(String),

    /// The disk is full: the peer may come back.
    #[error("{0}")]
    Full(String),
    /// We failed. The text is for the operator and is not sent.
    #[error("{0}")]
    Internal(String),
}

/// What the peer is told. Details of our own failures go to the log, not to the peer.
pub fn failure(error: &OpError) -> Failure {
    let (code, retry_after_ms) = match error {
        OpError::Malformed(_) => (Code::Malformed, None),
        OpError::TooLarge { .. } => (Code::TooLarge, None),
        OpError::Invalid(_) => (Code::Invalid, None),
        OpError::Gone => (Code::Unauthenticated, None),
        OpError::NotAllowed(_) => (Code::NotAllowed, None),
        OpError::NotFound(_) => (Code::NotFound, None),
        OpError::Exists(_) => (Code::Exists, None),
        OpError::StaleEpoch { .. } => (Code::StaleEpoch, None),
        OpError::Conflict { .. } => (Code::Conflict, None),
        OpError::Fenced => (Code::Fenced, Some(FENCED_MS)),
        OpError::Trimmed { .. } => (Code::Trimmed, None),
        OpError::RateLimited { retry_after_ms, .. } => (Code::RateLimited, Some(*retry_after_ms)),
        OpError::Quota(_) => (Code::Quota, None),
        OpError::Full(detail) => {
            tracing::error!(%detail, "an operation failed");
            (Code::Unavailable, Some(UNAVAILABLE_MS))
        }
        OpError::Internal(detail) => {
            tracing::error!(%detail, "an operation failed");
            return Failure {
                code: Code::Unavailable,
                message: "the server cannot do this now".into(),
                retry_after_ms: Some(UNAVAILABLE_MS),
            };
        }
    };
    Failure {
        code,
        message: error.to_string(),
        retry_after_ms,
    }
}

impl From<StoreError> for OpError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoChannel => Self::NotFound("there is no such channel"),
            StoreError::ChannelExists => Self::Exists("the channel is open already"),
            StoreError::WrongEpoch { current } => Self::StaleEpoch { current },
            StoreError::Trimmed { trimmed } => Self::Trimmed { through: trimmed },
            StoreError::WrongVersion { .. }
            | StoreError::Damaged(_)
            | StoreError::Unavailable(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<ObserveError> for OpError {
    fn from(error: ObserveError) -> Self {
        match error {
            ObserveError::StaleEpoch { current } => Self::StaleEpoch { current },
            ObserveError::Fenced => Self::Fenced,
            ObserveError::NotAllowed(why) => Self::NotAllowed(why),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<LedgerError> for OpError {
    fn from(error: LedgerError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ItemsError> for OpError {
    fn from(error: ItemsError) -> Self {
        match error {
            ItemsError::NotFound => Self::NotFound("there is no such item"),
            ItemsError::Exists => Self::Exists("the item exists with another size or owner"),
            ItemsError::NotCommitted => Self::NotFound("the item is not complete yet"),
            ItemsError::Shape(why) => Self::Malformed(why),
            ItemsError::Incomplete => Self::Invalid(error.to_string()),
            ItemsError::WrongRoot => Self::Invalid(error.to_string()),
            ItemsError::Quota(why) => Self::Quota(why),
            ItemsError::Full => Self::Full(error.to_string()),
            ItemsError::Unavailable(why) => Self::Internal(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_failures_tell_the_peer_nothing() {
        let error = OpError::from(StoreError::Damaged("segment 7 of /var/lib".into()));
        let told = failure(&error);
        assert_eq!(told.code, Code::Unavailable);
        assert!(!told.message.contains("segment"), "{told:?}");
        assert!(told.retry_after_ms.is_some());
    }

    #[test]
    fn a_fence_says_when_to_come_back() {
        assert_eq!(failure(&OpError::Fenced).retry_after_ms, Some(FENCED_MS));
        let stale = failure(&OpError::StaleEpoch { current: Epoch(4) });
        assert_eq!((stale.code, stale.retry_after_ms), (Code::StaleEpoch, None));
        assert!(stale.message.contains("epoch 4"));
    }
}
