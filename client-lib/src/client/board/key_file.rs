//! A Board key in its sealed file. Needs no profile and no network.

use plenary_certs::board::{self, BoardKey, Cost, Request as BoardRequest};
use plenary_proto::ids::{MemberId, PublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use super::input;
use crate::error::{Error, ErrorKind};

/// A Board key in its sealed file. Needs no profile and no network.
#[derive(Debug, Clone, Copy)]
pub struct BoardKeyFile;

impl BoardKeyFile {
    /// A new key for somebody who will be `member` (fresh if `None`); returns the sealed file's
    /// text, the member and the public key.
    pub fn generate(
        member: Option<MemberId>,
        passphrase: &SecretString,
    ) -> Result<(String, MemberId, PublicKey), Error> {
        let random = SystemRandom::new();
        let member = match member {
            Some(member) => member,
            None => {
                let mut id = [0; 16];
                random
                    .fill(&mut id)
                    .map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))?;
                MemberId(id)
            }
        };
        let key = BoardKey::generate(member, &random).map_err(input)?;
        let file = key
            .seal(passphrase.expose_secret(), Cost::default(), &random)
            .map_err(input)?;
        Ok((file, member, key.key.public()))
    }

    /// Whose key a file is, without opening it.
    pub fn peek(file: &str) -> Result<(MemberId, PublicKey), Error> {
        BoardKey::peek(file).map_err(input)
    }

    /// A request file in words, one line a statement.
    pub fn describe(request: &str) -> Result<Vec<String>, Error> {
        Ok(BoardRequest::parse(request)
            .map_err(input)?
            .describe(&|_| None))
    }

    /// Signs everything in a request file; returns the signature file's text.
    ///
    /// Errors: [`ErrorKind::WrongPassphrase`], [`ErrorKind::Input`].
    pub fn sign(file: &str, passphrase: &SecretString, request: &str) -> Result<String, Error> {
        let request = BoardRequest::parse(request).map_err(input)?;
        let key =
            BoardKey::open(file, passphrase.expose_secret()).map_err(|error| match error {
                board::KeyFileError::WrongPassphrase => Error::new(
                    ErrorKind::WrongPassphrase,
                    "the passphrase does not open this Board key: try again",
                ),
                other => input(other),
            })?;
        Ok(request.sign(&key).to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_key_needs_its_passphrase() {
        let right = SecretString::from("right".to_owned());
        let (file, member, key) = BoardKeyFile::generate(None, &right).unwrap();
        assert_eq!(BoardKeyFile::peek(&file).unwrap(), (member, key));
        let wrong = SecretString::from("wrong".to_owned());
        let refused = BoardKeyFile::sign(&file, &wrong, "no request").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Input);
    }
}
