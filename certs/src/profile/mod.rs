//! Names, kept out of the server's reach (design.md section 3).
//!
//! ADMIT and CHANNEL carry a hash of a profile with a secret salt. The profile itself lies on the
//! server sealed under a roster key, which is sealed to every live device. The hash makes every
//! copy checkable, whoever hands it over.

mod roster;

use std::fmt;

use plenary_proto::ids::{Digest, NetworkId};
use ring::rand::SecureRandom;

pub use crate::sealed_to::{SealingKey, sealing_keypair};
pub use roster::{
    Generation, RosterError, RosterKey, check_roster_sender, open_roster_key, seal_roster_key,
};

use crate::{
    cbor::{self, Cbor, CborError, Writer, cbor_struct, unknown},
    ledger::hash,
    seal::{self, SealError},
};

const HASH_TAG: &[u8] = b"plenary profile v1\0";
const SEAL_TAG: &[u8] = b"plenary sealed profile v1\0";

/// Bytes of a name.
pub const NAME: usize = 200;

/// Bytes of a purpose.
pub const PURPOSE: usize = 2_000;

/// Languages, or fields of expertise, of one member.
pub const LIST: usize = 16;

/// Who is behind a member or a channel.
#[derive(Clone, PartialEq, Eq)]
pub enum Profile {
    /// Of a member.
    Member(MemberProfile),
    /// Of a channel.
    Channel(ChannelProfile),
}

/// Who a member is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct MemberProfile {
    /// As colleagues call them.
    pub name: String,
    /// The State or body they come from.
    pub state: String,
    /// Languages they work in.
    pub languages: Vec<String>,
    /// What to ask them about.
    pub expertise: Vec<String>,
}

/// What a channel is.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ChannelProfile {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
}

/// A profile with the salt that makes its hash say nothing to who does not know it.
#[derive(Clone, PartialEq, Eq)]
pub struct SaltedProfile {
    salt: Digest,
    profile: Profile,
}

/// Why a profile is no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ProfileError {
    #[error("a {field} has 1 to {max} bytes, not {got}")]
    Length {
        field: &'static str,
        max: usize,
        got: usize,
    },
    #[error("a {0} has no control characters")]
    Control(&'static str),
    #[error("at most {LIST} entries of {0}")]
    TooMany(&'static str),
    #[error("malformed profile: {0}")]
    Malformed(#[from] CborError),
    #[error("the profile cannot be opened: {0}")]
    Seal(#[from] SealError),
    #[error("not the profile that the ledger names")]
    OtherHash,
}

impl SaltedProfile {
    /// Salts a profile.
    ///
    /// # Errors
    /// What is wrong with it, or [`SealError::Random`].
    pub fn new(profile: Profile, random: &dyn SecureRandom) -> Result<Self, ProfileError> {
        profile.validate()?;
        let mut salt = [0; 32];
        random.fill(&mut salt).map_err(|_| SealError::Random)?;
        Ok(Self {
            salt: Digest(salt),
            profile,
        })
    }

    /// What ADMIT or CHANNEL carries: SHA-256 over a domain tag, the salt and the profile.
    pub fn hash(&self) -> Digest {
        hash(&[HASH_TAG, self.salt.as_bytes(), &cbor::encode(&self.profile)])
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// A member's profile, if it is one.
    pub fn member(&self) -> Option<&MemberProfile> {
        match &self.profile {
            Profile::Member(profile) => Some(profile),
            Profile::Channel(_) => None,
        }
    }

    /// A channel's profile, if it is one.
    pub fn channel(&self) -> Option<&ChannelProfile> {
        match &self.profile {
            Profile::Channel(profile) => Some(profile),
            Profile::Member(_) => None,
        }
    }

    /// The bytes, for a client's own sealed store. Salt included: not for the server.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads [`SaltedProfile::encode`].
    ///
    /// # Errors
    /// [`ProfileError::Malformed`] or what is wrong with the profile.
    pub fn decode(bytes: &[u8]) -> Result<Self, ProfileError> {
        let salted: Self = cbor::decode(bytes)?;
        salted.profile.validate()?;
        Ok(salted)
    }

    /// Seals for the server's shelf, under the roster key.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(
        &self,
        key: &RosterKey,
        network: NetworkId,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, ProfileError> {
        let aad = aad(network, &self.hash());
        Ok(seal::seal_padded(
            key.as_bytes(),
            &aad,
            &self.encode(),
            random,
        )?)
    }

    /// Opens what [`SaltedProfile::seal`] made, and holds it against the ledger's hash.
    ///
    /// # Errors
    /// [`ProfileError::Seal`], [`ProfileError::OtherHash`], [`ProfileError::Malformed`].
    pub fn open(
        sealed: &[u8],
        key: &RosterKey,
        network: NetworkId,
        hash: &Digest,
    ) -> Result<Self, ProfileError> {
        let bytes = seal::open_padded(key.as_bytes(), &aad(network, hash), sealed)?;
        let salted = Self::decode(&bytes)?;
        if salted.hash() != *hash {
            return Err(ProfileError::OtherHash);
        }
        Ok(salted)
    }
}

impl Profile {
    /// The name, of whatever it is.
    pub fn name(&self) -> &str {
        match self {
            Self::Member(profile) => &profile.name,
            Self::Channel(profile) => &profile.name,
        }
    }

    fn validate(&self) -> Result<(), ProfileError> {
        match self {
            Self::Member(profile) => {
                text("name", &profile.name, NAME)?;
                text("State or body", &profile.state, NAME)?;
                list("language", &profile.languages)?;
                list("field of expertise", &profile.expertise)
            }
            Self::Channel(profile) => {
                text("channel's name", &profile.name, NAME)?;
                // A purpose may be left out.
                if profile.purpose.is_empty() {
                    return Ok(());
                }
                text("purpose", &profile.purpose, PURPOSE)
            }
        }
    }
}

pub(crate) fn text(field: &'static str, value: &str, max: usize) -> Result<(), ProfileError> {
    if value.trim().is_empty() || value.len() > max {
        return Err(ProfileError::Length {
            field,
            max,
            got: value.len(),
        });
    }
    // They are shown on terminals.
    if value.chars().any(char::is_control) {
        return Err(ProfileError::Control(field));
    }
    Ok(())
}

fn list(field: &'static str, values: &[String]) -> Result<(), ProfileError> {
    if values.len() > LIST {
        return Err(ProfileError::TooMany(field));
    }
    values.iter().try_for_each(|value| text(field, value, NAME))
}

fn aad(network: NetworkId, hash: &Digest) -> Vec<u8> {
    [SEAL_TAG, network.as_bytes(), hash.as_bytes()].concat()
}

cbor_struct!(MemberProfile {
    name,
    state,
    languages,
    expertise
});
cbor_struct!(ChannelProfile { name, purpose });
cbor_struct!(SaltedProfile { salt, profile });

impl Cbor for Profile {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(2);
        match self {
            Self::Member(profile) => {
                1u8.put(w);
                profile.put(w);
            }
            Self::Channel(profile) => {
                2u8.put(w);
                profile.put(w);
            }
        }
    }
    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 2)?;
        match u8::get(d)? {
            1 => Ok(Self::Member(Cbor::get(d)?)),
            2 => Ok(Self::Channel(Cbor::get(d)?)),
            other => Err(unknown("kind of profile", other.into())),
        }
    }
}

macro_rules! hidden {
    ($($name:ident),*) => { $(
        /// Names stay out of logs.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )* };
}
hidden!(Profile, MemberProfile, ChannelProfile, SaltedProfile);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ring::rand::SystemRandom;

    const NETWORK: NetworkId = NetworkId([1; 16]);

    fn member() -> Profile {
        Profile::Member(MemberProfile {
            name: "Ana Țepeș".into(),
            state: "Ruritania".into(),
            languages: vec!["ro".into(), "fr".into()],
            expertise: vec![],
        })
    }

    fn pinned() -> SaltedProfile {
        SaltedProfile {
            salt: Digest([3; 32]),
            profile: member(),
        }
    }

    #[test]
    fn bytes_and_hash_are_as_pinned() {
        let hex: String = pinned()
            .encode()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(
            hex,
            "82582003030303030303030303030303030303030303030303030303030303030303038201846b416e6120c89a657065c899695275726974616e69618262726f62667280"
        );
        assert_eq!(
            pinned().hash().to_string(),
            "464e61b207fc6b41766f13b82f8e28132a38c799cb5174232b92baa72df1c312"
        );
    }

    #[test]
    fn opens_only_as_what_the_ledger_names() {
        let random = SystemRandom::new();
        let key = RosterKey::generate(&random).unwrap();
        let salted = SaltedProfile::new(member(), &random).unwrap();
        let sealed = salted.seal(&key, NETWORK, &random).unwrap();
        assert!(!sealed.windows(9).any(|window| window == b"Ruritania"));
        let hash = salted.hash();
        let open = |key, network, hash| SaltedProfile::open(&sealed, key, network, hash);
        assert_eq!(open(&key, NETWORK, &hash).unwrap(), salted);

        let closed = Err(ProfileError::Seal(SealError::Open));
        let other = RosterKey::generate(&random).unwrap();
        assert_eq!(open(&other, NETWORK, &hash), closed);
        assert_eq!(open(&key, NetworkId([2; 16]), &hash), closed);
        assert_eq!(open(&key, NETWORK, &Digest([0; 32])), closed);
        // Somebody with the roster key puts another profile in its place.
        let swapped = seal::seal_padded(
            key.as_bytes(),
            &aad(NETWORK, &hash),
            &pinned().encode(),
            &random,
        )
        .unwrap();
        assert_eq!(
            SaltedProfile::open(&swapped, &key, NETWORK, &hash),
            Err(ProfileError::OtherHash)
        );
    }

    #[test]
    fn the_same_name_twice_has_two_hashes() {
        let random = SystemRandom::new();
        let one = SaltedProfile::new(member(), &random).unwrap();
        let two = SaltedProfile::new(member(), &random).unwrap();
        assert_ne!(one.hash(), two.hash());
        assert_eq!(format!("{one:?}"), "SaltedProfile(hidden)");
    }

    #[test]
    fn names_are_names() {
        let named = |name: &str| {
            let profile = ChannelProfile {
                name: name.into(),
                purpose: String::new(),
            };
            SaltedProfile::new(Profile::Channel(profile), &SystemRandom::new())
        };
        assert!(named("encryption").is_ok());
        assert!(matches!(named(" "), Err(ProfileError::Length { .. })));
        assert!(matches!(
            named(&"é".repeat(101)),
            Err(ProfileError::Length { got: 202, .. })
        ));
        assert_eq!(
            named("red\u{1b}[31m"),
            Err(ProfileError::Control("channel's name"))
        );
    }

    proptest! {
        #[test]
        fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(SaltedProfile::decode(&bytes).is_err());
        }
    }
}
