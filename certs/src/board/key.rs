//! A Board key in a file, sealed with a passphrase: Argon2id (RFC 9106) and ChaCha20-Poly1305.

use argon2::{Algorithm, Argon2, Params, Version};
use plenary_proto::ids::{MemberId, PublicKey};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, Bytes, CborError, cbor_struct},
    seal::{self, SealError},
    signing::{KeyError, SigningKey},
    text::{self, TextError},
};

const HEADER: &str = "plenary board key v1";
const TAG: &[u8] = b"plenary board key v1\0";

/// A person's key on the Board.
#[derive(Debug)]
pub struct BoardKey {
    /// Whose.
    pub member: MemberId,
    /// The key.
    pub key: SigningKey,
}

/// What one guess at the passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Cost {
    /// RFC 9106, section 4, the second recommendation: 64 MiB, 3 passes, 4 lanes.
    fn default() -> Self {
        Self {
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 4,
        }
    }
}

impl Cost {
    /// The least there is: for tests only.
    pub const LEAST: Self = Self {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };

    /// Beyond this a file wants to exhaust the machine that opens it.
    const MOST: Self = Self {
        memory_kib: 1024 * 1024,
        passes: 16,
        lanes: 16,
    };

    fn bearable(&self) -> bool {
        self.memory_kib <= Self::MOST.memory_kib
            && self.passes <= Self::MOST.passes
            && self.lanes <= Self::MOST.lanes
    }
}

/// Why a key file was not made or does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeyFileError {
    #[error("an empty passphrase protects nothing")]
    EmptyPassphrase,
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("malformed key file: {0}")]
    Malformed(#[from] CborError),
    #[error("the key file asks for more work than any Plenary file does: {0:?}")]
    Cost(Cost),
    #[error("wrong passphrase (or the key file was altered)")]
    WrongPassphrase,
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    member: MemberId,
    public: PublicKey,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    header: Header,
    sealed: Bytes,
}

cbor_struct!(Header {
    member,
    public,
    memory_kib,
    passes,
    lanes,
    salt
});
cbor_struct!(File { header, sealed });

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
        let mut salt = vec![0; 16];
        random.fill(&mut salt).map_err(|_| KeyError::Random)?;
        let header = Header {
            member: self.member,
            public: self.key.public(),
            memory_kib: cost.memory_kib,
            passes: cost.passes,
            lanes: cost.lanes,
            salt: Bytes(salt),
        };
        let stretched = stretch(passphrase, &header)?;
        let sealed = seal::seal(&stretched, &aad(&header), self.key.seed(), random);
        let file = File {
            header,
            sealed: Bytes(sealed.map_err(|_| KeyError::Random)?),
        };
        Ok(text::print(HEADER, &cbor::encode(&file)))
    }

    /// Opens the text of a file.
    ///
    /// # Errors
    /// Any [`KeyFileError`].
    pub fn open(file: &str, passphrase: &str) -> Result<Self, KeyFileError> {
        let File { header, sealed } = read(file)?;
        let stretched = stretch(passphrase, &header)?;
        let seed =
            seal::open(&stretched, &aad(&header), &sealed.0).map_err(|error| match error {
                SealError::Random | SealError::Open => KeyFileError::WrongPassphrase,
            })?;
        let seed: Zeroizing<[u8; 32]> = <[u8; 32]>::try_from(&seed[..])
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Seed)?;
        let key = SigningKey::from_seed(&seed)?;
        if key.public() != header.public {
            return Err(KeyError::Seed.into());
        }
        Ok(Self {
            member: header.member,
            key,
        })
    }

    /// Whose key a file holds, and its public half, without the passphrase. Not authenticated.
    ///
    /// # Errors
    /// [`KeyFileError::Text`], [`KeyFileError::Malformed`], [`KeyFileError::Cost`].
    pub fn peek(file: &str) -> Result<(MemberId, PublicKey), KeyFileError> {
        let File { header, .. } = read(file)?;
        Ok((header.member, header.public))
    }
}

fn read(file: &str) -> Result<File, KeyFileError> {
    let file: File = cbor::decode(&text::parse(HEADER, file)?)?;
    Ok(file)
}

fn stretch(passphrase: &str, header: &Header) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
    if passphrase.is_empty() {
        return Err(KeyFileError::EmptyPassphrase);
    }
    let cost = Cost {
        memory_kib: header.memory_kib,
        passes: header.passes,
        lanes: header.lanes,
    };
    if !cost.bearable() {
        return Err(KeyFileError::Cost(cost));
    }
    let mut key = Zeroizing::new([0; 32]);
    Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len()))
        .and_then(|params| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                passphrase.as_bytes(),
                &header.salt.0,
                &mut *key,
            )
        })
        .map_err(|_| KeyFileError::Cost(cost))?;
    Ok(key)
}

fn aad(header: &Header) -> Vec<u8> {
    [TAG, &cbor::encode(header)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::testing::{board_key, member_id};
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
        let bytes = text::parse(HEADER, &sealed(Cost::LEAST).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            let file = text::print(HEADER, &altered);
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
