//! A Board key in its sealed file. Needs no profile and no network.

use plenary_certs::board::{self, BoardKey, Cost, RecoveryKey};
use plenary_proto::ids::{MemberId, PublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use super::{RequestFile, input};
use crate::error::{Error, ErrorKind};

/// A key that ROOT names, in its sealed file. Needs no profile and no network.
#[derive(Debug, Clone, Copy)]
pub struct BoardKeyFile;

/// Whose key a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Holder {
    /// A person on the Board: signs all statements but RECOVER.
    Board(MemberId),
    /// The recovery role: signs RECOVER.
    Recovery,
}

impl BoardKeyFile {
    /// A new key for somebody on the Board, who will be `member` (fresh if `None`); returns the
    /// sealed file's text, the member and the public key.
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

    /// A new key for the recovery role; returns the sealed file's text and the public key.
    pub fn generate_recovery(passphrase: &SecretString) -> Result<(String, PublicKey), Error> {
        let random = SystemRandom::new();
        let key = RecoveryKey::generate(&random).map_err(input)?;
        let file = key
            .seal(passphrase.expose_secret(), Cost::default(), &random)
            .map_err(input)?;
        Ok((file, key.key.public()))
    }

    /// Whose key a file is and for what, without opening it.
    pub fn peek(file: &str) -> Result<(Holder, PublicKey), Error> {
        if let Ok(key) = RecoveryKey::peek(file) {
            return Ok((Holder::Recovery, key));
        }
        let (member, key) = BoardKey::peek(file).map_err(input)?;
        Ok((Holder::Board(member), key))
    }

    /// Signs everything in a request file that this key may sign; returns the signature file's
    /// text.
    ///
    /// Errors: [`ErrorKind::WrongPassphrase`], [`ErrorKind::Input`].
    pub fn sign(file: &str, passphrase: &SecretString, request: &str) -> Result<String, Error> {
        let request = RequestFile::parse(request)?;
        let request = request.request();
        let passphrase = passphrase.expose_secret();
        let signed = match Self::peek(file)?.0 {
            Holder::Board(_) => request.sign(&BoardKey::open(file, passphrase).map_err(opening)?),
            Holder::Recovery => {
                request.sign_recovery(&RecoveryKey::open(file, passphrase).map_err(opening)?)
            }
        };
        Ok(signed.map_err(input)?.to_text())
    }
}

fn opening(error: board::KeyFileError) -> Error {
    match error {
        board::KeyFileError::WrongPassphrase => Error::new(
            ErrorKind::WrongPassphrase,
            "the passphrase does not open this key: try again",
        ),
        other => input(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_key_needs_its_passphrase() {
        let right = SecretString::from("right".to_owned());
        let (file, member, key) = BoardKeyFile::generate(None, &right).unwrap();
        assert_eq!(
            BoardKeyFile::peek(&file).unwrap(),
            (Holder::Board(member), key)
        );
        let wrong = SecretString::from("wrong".to_owned());
        let refused = BoardKeyFile::sign(&file, &wrong, "no request").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Input);
    }
}
