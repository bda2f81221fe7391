//! The key of a person on the Board, in a sealed file.

use plenary_proto::ids::{MemberId, PublicKey};
use ring::rand::SecureRandom;

use super::{
    Cost, KeyFileError,
    sealed_key::{self, Sort},
};
use crate::{cbor::CborError, signing::SigningKey};

const SORT: Sort = Sort {
    header: "plenary board key v1",
    tag: b"plenary board key v1\0",
};

/// A person's key on the Board.
#[derive(Debug)]
pub struct BoardKey {
    /// Whose.
    pub member: MemberId,
    /// The key.
    pub key: SigningKey,
}

impl BoardKey {
    /// A fresh key for a person.
    ///
    /// # Errors
    /// [`KeyFileError::Key`].
    pub fn generate(member: MemberId, random: &dyn SecureRandom) -> Result<Self, KeyFileError> {
        let key = SigningKey::generate(random)?;
        Ok(Self { member, key })
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
        let content = (Some(self.member), &self.key);
        sealed_key::seal(SORT, content, passphrase, cost, random)
    }

    /// Opens the text of a file.
    ///
    /// # Errors
    /// Any [`KeyFileError`].
    pub fn open(file: &str, passphrase: &str) -> Result<Self, KeyFileError> {
        let (member, key) = sealed_key::open(SORT, file, passphrase)?;
        Ok(Self {
            member: member.ok_or_else(nobody_s)?,
            key,
        })
    }

    /// Whose key a file holds, and its public half, without the passphrase. Not authenticated.
    ///
    /// # Errors
    /// [`KeyFileError::Text`], [`KeyFileError::Malformed`].
    pub fn peek(file: &str) -> Result<(MemberId, PublicKey), KeyFileError> {
        let (member, key) = sealed_key::peek(SORT, file)?;
        Ok((member.ok_or_else(nobody_s)?, key))
    }
}

fn nobody_s() -> CborError {
    CborError::Shape("a Board key that is nobody's".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::testing::{board_key, member_id},
        text,
    };
    use ring::rand::SystemRandom;

    fn sealed(cost: Cost) -> Result<String, KeyFileError> {
        let key = BoardKey {
            member: member_id(1),
            key: board_key(1),
        };
        key.seal("correct horse", cost, &SystemRandom::new())
    }

    #[test]
    fn opens_with_its_passphrase_only() {
        let file = sealed(Cost::LEAST).unwrap();
        assert!(file.starts_with("plenary board key v1\n"));
        let open = BoardKey::open(&file, "correct horse").unwrap();
        assert_eq!(open.key.public(), board_key(1).public());
        assert_eq!(open.member, member_id(1));
        assert_eq!(
            BoardKey::peek(&file),
            Ok((member_id(1), board_key(1).public()))
        );
        for wrong in ["Correct horse", "correct horse ", "x"] {
            assert_eq!(
                BoardKey::open(&file, wrong).unwrap_err(),
                KeyFileError::WrongPassphrase
            );
        }
        assert_eq!(
            BoardKey::open(&file, "").unwrap_err(),
            KeyFileError::EmptyPassphrase
        );
    }

    #[test]
    fn every_altered_byte_is_noticed() {
        let bytes = text::parse(SORT.header, &sealed(Cost::LEAST).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let file = text::print(SORT.header, &altered);
            assert!(BoardKey::open(&file, "correct horse").is_err(), "{at}");
        }
    }

    #[test]
    fn a_file_cannot_exhaust_who_opens_it() {
        for cost in [
            Cost {
                memory_kib: u32::MAX,
                ..Cost::LEAST
            },
            Cost {
                passes: u32::MAX,
                ..Cost::LEAST
            },
            Cost {
                lanes: 17,
                ..Cost::LEAST
            },
            Cost {
                memory_kib: 0,
                ..Cost::LEAST
            },
        ] {
            assert_eq!(sealed(cost), Err(KeyFileError::Cost(cost)));
        }
    }

    #[test]
    fn the_seal_is_argon2id_as_pinned() {
        // A file made once; it must open for ever.
        let open = BoardKey::open(PINNED, "correct horse").unwrap();
        assert_eq!(open.key.seed(), board_key(1).seed());
    }

    const PINNED: &str = "plenary board key v1
goZQAQEBAQEBAQEBAQEBAQEBAVggiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SI
AbQPb1wIAQFQdK55o16EhHyhQr2Mx6Ch1Vg8IqeUQIHIx0Sat375uPzZ9g56zFrt
b23SphDnLk45PzdgibBQ2zvdiCI3dE7zrd3yNDKFoGabxqhr0LIc
end
";
}
