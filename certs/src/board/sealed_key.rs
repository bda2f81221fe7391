//! A signing key in a file, sealed with a passphrase: Argon2id (RFC 9106) and ChaCha20-Poly1305.
//!
//! Each sort of key has a header line and a domain tag of its own, so that a file of one sort never
//! opens as another.

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

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The file's first line.
    pub(super) header: &'static str,
    /// Heads what is authenticated.
    pub(super) tag: &'static [u8],
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
    /// Whose, where it is somebody's.
    member: Option<MemberId>,
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

/// The text of the file. The header is readable and authenticated; the key is sealed.
///
/// Errors: [`KeyFileError::EmptyPassphrase`], [`KeyFileError::Cost`], [`KeyFileError::Key`].
pub(super) fn seal(
    sort: Sort,
    (member, key): (Option<MemberId>, &SigningKey),
    passphrase: &str,
    cost: Cost,
    random: &dyn SecureRandom,
) -> Result<String, KeyFileError> {
    let mut salt = vec![0; 16];
    random.fill(&mut salt).map_err(|_| KeyError::Random)?;
    let header = Header {
        member,
        public: key.public(),
        memory_kib: cost.memory_kib,
        passes: cost.passes,
        lanes: cost.lanes,
        salt: Bytes(salt),
    };
    let stretched = stretch(passphrase, &header)?;
    let sealed = seal::seal(&stretched, &aad(sort, &header), key.seed(), random);
    let file = File {
        header,
        sealed: Bytes(sealed.map_err(|_| KeyError::Random)?),
    };
    Ok(text::print(sort.header, &cbor::encode(&file)))
}

/// Opens the text of a file.
///
/// Errors: any [`KeyFileError`].
pub(super) fn open(
    sort: Sort,
    file: &str,
    passphrase: &str,
) -> Result<(Option<MemberId>, SigningKey), KeyFileError> {
    let File { header, sealed } = read(sort, file)?;
    let stretched = stretch(passphrase, &header)?;
    let aad = aad(sort, &header);
    let seed = seal::open(&stretched, &aad, &sealed.0).map_err(|error| match error {
        SealError::Random | SealError::Open => KeyFileError::WrongPassphrase,
    })?;
    let seed: Zeroizing<[u8; 32]> = <[u8; 32]>::try_from(&seed[..])
        .map(Zeroizing::new)
        .map_err(|_| KeyError::Seed)?;
    let key = SigningKey::from_seed(&seed)?;
    if key.public() != header.public {
        return Err(KeyError::Seed.into());
    }
    Ok((header.member, key))
}

/// Whose key a file holds, and its public half, without the passphrase. Not authenticated.
///
/// Errors: [`KeyFileError::Text`], [`KeyFileError::Malformed`].
pub(super) fn peek(sort: Sort, file: &str) -> Result<(Option<MemberId>, PublicKey), KeyFileError> {
    let File { header, .. } = read(sort, file)?;
    Ok((header.member, header.public))
}

fn read(sort: Sort, file: &str) -> Result<File, KeyFileError> {
    Ok(cbor::decode(&text::parse(sort.header, file)?)?)
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

fn aad(sort: Sort, header: &Header) -> Vec<u8> {
    [sort.tag, &cbor::encode(header)].concat()
}
