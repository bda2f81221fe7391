//! A key of the recovery role, in a sealed file. It signs RECOVER and nothing else.

use plenary_proto::ids::PublicKey;
use ring::rand::SecureRandom;

use super::{
    Cost, KeyFileError,
    sealed_key::{self, Sort},
};
use crate::signing::SigningKey;

const SORT: Sort = Sort {
    header: "plenary recovery key v1",
    tag: b"plenary recovery key v1\0",
};

/// A key of the recovery role.
#[derive(Debug)]
pub struct RecoveryKey {
    /// The key.
    pub key: SigningKey,
}

impl RecoveryKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyFileError::Key`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyFileError> {
        let key = SigningKey::generate(random)?;
        Ok(Self { key })
    }

    /// The text of the file. The header is readable and authenticated; the key is sealed.
    ///
    /// # Errors
    /// [`KeyFileError::EmptyPassphrase`], [`KeyFileError::Cost`], [`KeyFileError::Key`].
    pub fn seal(
        &self,
        passphrase: &str,
        cost: Cost,
        random: &dyn SecureRandom,
    ) -> Result<String, KeyFileError> {
        sealed_key::seal(SORT, (None, &self.key), passphrase, cost, random)
    }

    /// Opens the text of a file.
    ///
    /// # Errors
    /// Any [`KeyFileError`].
    pub fn open(file: &str, passphrase: &str) -> Result<Self, KeyFileError> {
        let (_, key) = sealed_key::open(SORT, file, passphrase)?;
        Ok(Self { key })
    }

    /// The public half of a file's key, without the passphrase. Not authenticated.
    ///
    /// # Errors
    /// [`KeyFileError::Text`], [`KeyFileError::Malformed`].
    pub fn peek(file: &str) -> Result<PublicKey, KeyFileError> {
        Ok(sealed_key::peek(SORT, file)?.1)
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::{board::BoardKey, ledger::testing::member_id};

    #[test]
    fn opens_as_what_it_is_and_as_nothing_else() {
        let random = SystemRandom::new();
        let key = RecoveryKey::generate(&random).unwrap();
        let file = key.seal("correct horse", Cost::LEAST, &random).unwrap();
        assert!(file.starts_with("plenary recovery key v1\n"));
        let open = RecoveryKey::open(&file, "correct horse").unwrap();
        assert_eq!(open.key.seed(), key.key.seed());
        assert_eq!(RecoveryKey::peek(&file), Ok(key.key.public()));
        assert_eq!(
            RecoveryKey::open(&file, "correct horses").unwrap_err(),
            KeyFileError::WrongPassphrase
        );
        assert!(matches!(
            BoardKey::open(&file, "correct horse"),
            Err(KeyFileError::Text(_))
        ));
        // Not even under the other's first line.
        let renamed = file.replace("recovery key", "board key");
        assert!(BoardKey::open(&renamed, "correct horse").is_err());
        let board = BoardKey::generate(member_id(1), &random).unwrap();
        let board = board.seal("correct horse", Cost::LEAST, &random).unwrap();
        let renamed = board.replace("board key", "recovery key");
        assert_eq!(
            RecoveryKey::open(&renamed, "correct horse").unwrap_err(),
            KeyFileError::WrongPassphrase
        );
    }
}
