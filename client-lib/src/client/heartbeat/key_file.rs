//! A heartbeat key in its sealed file. Needs no profile and no network.

use plenary_certs::{
    board::{Cost, HeartbeatKey, KeyFileError},
    signing::SigningKey,
};
use plenary_proto::ids::PublicKey;
use ring::rand::SystemRandom;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind};

/// A heartbeat key in its sealed file. Needs no profile and no network.
#[derive(Debug, Clone, Copy)]
pub struct HeartbeatKeyFile;

impl HeartbeatKeyFile {
    /// A new key; returns the sealed file's text and the public key, which ROOT must name.
    pub fn generate(passphrase: &SecretString) -> Result<(String, PublicKey), Error> {
        let random = SystemRandom::new();
        let key = HeartbeatKey::generate(&random).map_err(input)?;
        let file = key
            .seal(passphrase.expose_secret(), Cost::default(), &random)
            .map_err(input)?;
        Ok((file, key.key.public()))
    }

    /// The public half of a file's key, without opening it.
    pub fn peek(file: &str) -> Result<PublicKey, Error> {
        HeartbeatKey::peek(file).map_err(input)
    }

    pub(super) fn open(file: &str, passphrase: &SecretString) -> Result<SigningKey, Error> {
        let key =
            HeartbeatKey::open(file, passphrase.expose_secret()).map_err(|error| match error {
                KeyFileError::WrongPassphrase => Error::new(
                    ErrorKind::WrongPassphrase,
                    "the passphrase does not open this heartbeat key: try again",
                ),
                other => input(other),
            })?;
        Ok(key.key)
    }
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Input, error.to_string())
}
