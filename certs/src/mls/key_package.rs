//! Key packages (RFC 9420 section 10) as the server takes them in: those of the device that brings
//! them, of the network's suite, and usable.

use mls_rs::{MlsMessage, error::MlsError};
use mls_rs_core::time::MlsTime;
use plenary_proto::ids::{DeviceId, UnixMillis};

use super::{
    credential::device_of,
    judge::{Judge, JudgeError, LedgerHandle},
    observer::client,
    suite::HYBRID,
};

/// Why a key package is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyPackageError {
    /// No key package, of another suite, out of its lifetime, or not signed by its leaf.
    #[error("not a usable key package: {0}")]
    Unusable(String),
    /// The ledger knows its leaf otherwise.
    #[error(transparent)]
    Leaf(#[from] JudgeError),
    /// Of another device than the one that brings it.
    #[error("a key package of {0:?}, brought by another device")]
    OtherDevice(DeviceId),
}

impl From<MlsError> for KeyPackageError {
    fn from(error: MlsError) -> Self {
        match JudgeError::inside(&error) {
            Some(word) => Self::Leaf(word.clone()),
            None => Self::Unusable(error.to_string()),
        }
    }
}

/// Checks a key package that `device` brings.
///
/// # Errors
/// Any [`KeyPackageError`].
pub fn check_key_package(
    ledger: &LedgerHandle,
    device: DeviceId,
    bytes: &[u8],
    now: UnixMillis,
) -> Result<(), KeyPackageError> {
    let message = MlsMessage::from_bytes(bytes)?;
    if message.cipher_suite() != Some(HYBRID) {
        return Err(KeyPackageError::Unusable(
            "it has another suite than the network".to_owned(),
        ));
    }
    let time = MlsTime::from(now.0 / 1000);
    let judge = Judge::new(ledger.clone());
    let package = client(&judge).validate_key_package(message, Some(time))?;
    match device_of(package.signing_identity()) {
        Some(named) if named == device => Ok(()),
        Some(other) => Err(KeyPackageError::OtherDevice(other)),
        None => Err(JudgeError::NoDevice.into()),
    }
}
