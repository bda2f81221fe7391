//! The keys of roles that are nobody's, in sealed files: of the heartbeat's machine, which signs
//! heartbeats, and of the recovery role, which signs RECOVER. Neither signs anything else.

use std::{fmt, marker::PhantomData};

use plenary_proto::ids::PublicKey;
use ring::rand::SecureRandom;

use super::{
    Cost, KeyFileError,
    sealed_key::{self, Sort},
};
use crate::signing::SigningKey;

/// What a key that is nobody's is for.
pub trait Purpose: sealed::Sorted {}

mod sealed {
    use super::Sort;

    /// Only this module makes sorts of keys.
    pub trait Sorted {
        const SORT: Sort;
    }
}

/// Of a machine that vouches for the ledger.
#[derive(Debug, Clone, Copy)]
pub struct ForHeartbeats;

/// Of the recovery role.
#[derive(Debug, Clone, Copy)]
pub struct ForRecovery;

impl sealed::Sorted for ForHeartbeats {
    const SORT: Sort = Sort {
        header: "plenary heartbeat key v1",
        tag: b"plenary heartbeat key v1\0",
    };
}

impl sealed::Sorted for ForRecovery {
    const SORT: Sort = Sort {
        header: "plenary recovery key v1",
        tag: b"plenary recovery key v1\0",
    };
}

impl Purpose for ForHeartbeats {}
impl Purpose for ForRecovery {}

/// A key of the heartbeat's machine.
pub type HeartbeatKey = RoleKey<ForHeartbeats>;

/// A key of the recovery role.
pub type RecoveryKey = RoleKey<ForRecovery>;

/// A key for a purpose, which is nobody's.
pub struct RoleKey<P> {
    /// The key.
    pub key: SigningKey,
    purpose: PhantomData<P>,
}

impl<P: Purpose> RoleKey<P> {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyFileError::Key`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, KeyFileError> {
        Ok(SigningKey::generate(random)?.into())
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
        sealed_key::seal(P::SORT, (None, &self.key), passphrase, cost, random)
    }

    /// Opens the text of a file.
    ///
    /// # Errors
    /// Any [`KeyFileError`].
    pub fn open(file: &str, passphrase: &str) -> Result<Self, KeyFileError> {
        let (_, key) = sealed_key::open(P::SORT, file, passphrase)?;
        Ok(key.into())
    }

    /// The public half of a file's key, without the passphrase. Not authenticated.
    ///
    /// # Errors
    /// [`KeyFileError::Text`], [`KeyFileError::Malformed`].
    pub fn peek(file: &str) -> Result<PublicKey, KeyFileError> {
        Ok(sealed_key::peek(P::SORT, file)?.1)
    }
}

impl<P> From<SigningKey> for RoleKey<P> {
    fn from(key: SigningKey) -> Self {
        Self {
            key,
            purpose: PhantomData,
        }
    }
}

impl<P> fmt::Debug for RoleKey<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleKey").field("key", &self.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::{board::BoardKey, ledger::testing::member_id};

    /// `word` is what tells the files of this purpose from others.
    fn opens_as_what_it_is_and_as_nothing_else<P: Purpose, Other: Purpose>(word: &str) {
        let random = SystemRandom::new();
        let key = RoleKey::<P>::generate(&random).unwrap();
        let file = key.seal("correct horse", Cost::LEAST, &random).unwrap();
        assert!(file.starts_with(&format!("plenary {word} v1\n")), "{file}");
        let open = RoleKey::<P>::open(&file, "correct horse").unwrap();
        assert_eq!(open.key.seed(), key.key.seed());
        assert_eq!(RoleKey::<P>::peek(&file), Ok(key.key.public()));
        let refused = |opened: Result<RoleKey<P>, _>| opened.map(|_| ()).unwrap_err();
        assert_eq!(
            refused(RoleKey::open(&file, "correct horses")),
            KeyFileError::WrongPassphrase
        );
        assert!(matches!(
            BoardKey::open(&file, "correct horse"),
            Err(KeyFileError::Text(_))
        ));
        assert!(RoleKey::<Other>::open(&file, "correct horse").is_err());
        // Not even under the other's first line.
        let renamed = file.replace(word, "board key");
        assert!(BoardKey::open(&renamed, "correct horse").is_err());
        let other = Other::SORT.header.strip_prefix("plenary ").unwrap();
        let renamed = file.replace(&format!("{word} v1"), other);
        assert!(RoleKey::<Other>::peek(&renamed).is_ok());
        assert!(RoleKey::<Other>::open(&renamed, "correct horse").is_err());
        let board = BoardKey::generate(member_id(1), &random).unwrap();
        let board = board.seal("correct horse", Cost::LEAST, &random).unwrap();
        let renamed = board.replace("board key", word);
        assert_eq!(
            refused(RoleKey::open(&renamed, "correct horse")),
            KeyFileError::WrongPassphrase
        );
    }

    #[test]
    fn a_key_of_one_purpose_opens_for_no_other() {
        opens_as_what_it_is_and_as_nothing_else::<ForHeartbeats, ForRecovery>("heartbeat key");
        opens_as_what_it_is_and_as_nothing_else::<ForRecovery, ForHeartbeats>("recovery key");
    }
}
