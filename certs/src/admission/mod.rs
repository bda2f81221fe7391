//! A request for admission: from somebody invited, past the server, to the Board.
//!
//! Sealed under the invitation's secret, so the server learns no name; signed by the new device's
//! authentication key, so that the keys are its own. What the Board compares with the person, by
//! another way, is the [`fingerprint()`]. What a member whom the Board knows already adds is a
//! [`Countersignature`].

mod application;
mod share;

use plenary_proto::ids::{DeviceId, InvitationId, MemberId, NetworkId, Signature};
use ring::rand::SecureRandom;

pub use application::{Application, Contact, Countersignature, Countersigned};
pub use share::{ShareError, open_share, seal_share};

use crate::{
    cbor::{self, CborError, cbor_struct},
    fingerprint,
    invitation::{Sealed, Secret},
    ledger::{Capacity, DeviceKeys, hash},
    profile::{ProfileError, SaltedProfile, text},
    seal::SealError,
    signing::SigningKey,
};

const SIGN_TAG: &[u8] = b"plenary admission request v1\0";
const FINGERPRINT_TAG: &[u8] = b"plenary device fingerprint v1\0";

/// Bytes of a sealed request: keys, a full profile, a reason.
pub const SEALED_REQUEST: usize = 16 * 1024;

/// Bytes of the nominating authority.
const NOMINATED: usize = 200;

/// Bytes of the reason.
const REASON: usize = 2_000;

/// Who asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdmissionRequest {
    /// A fresh pseudonym.
    pub member: MemberId,
    /// A fresh id of the first device.
    pub device: DeviceId,
    /// Its keys.
    pub keys: DeviceKeys,
    /// Who it is; the salted form that ADMIT will name.
    pub profile: SaltedProfile,
    /// As what.
    pub capacity: Capacity,
    /// The authority that nominates.
    pub nominated_by: String,
    /// Why.
    pub reason: String,
    /// Who is to countersign, as the invitation names them.
    pub contact: Option<MemberId>,
}

/// Why a request was not made or does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum AdmissionError {
    #[error("{0} bytes; a sealed request has at most {SEALED_REQUEST}")]
    TooLong(usize),
    #[error("the request cannot be opened with this invitation: {0}")]
    Seal(#[from] SealError),
    #[error("malformed request: {0}")]
    Malformed(#[from] CborError),
    #[error(transparent)]
    Field(#[from] ProfileError),
    #[error("a member's profile is wanted, not a channel's")]
    NoMember,
    #[error("the request is not signed by the device it names")]
    BadSignature,
    #[error("{0} is no member of the network, as far as is known here")]
    UnknownContact(DeviceId),
    #[error("the countersignature of {0} does not verify")]
    BadCountersignature(DeviceId),
    #[error(
        "{0} cannot countersign: a contact point is a member of the same State or body, or whom \
         the invitation names"
    )]
    NoContact(MemberId),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignedRequest {
    request: AdmissionRequest,
    signature: Signature,
}

cbor_struct!(AdmissionRequest {
    member,
    device,
    keys,
    profile,
    capacity,
    nominated_by,
    reason,
    contact,
});
cbor_struct!(SignedRequest { request, signature });

impl AdmissionRequest {
    /// Signs and seals.
    ///
    /// # Errors
    /// What is wrong with a field; [`AdmissionError::BadSignature`] if `key` is not the one in
    /// `keys`; [`SealError::Random`].
    pub fn seal(
        &self,
        network: NetworkId,
        (invitation, secret): (InvitationId, &Secret),
        key: &SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, AdmissionError> {
        self.validate()?;
        if key.public() != self.keys.authentication {
            return Err(AdmissionError::BadSignature);
        }
        let signed = SignedRequest {
            request: self.clone(),
            signature: key.sign(&self.to_be_signed(network, invitation)),
        };
        let bytes = cbor::encode(&signed);
        let sealed = secret.seal(Sealed::Request, invitation, &bytes, random)?;
        if sealed.len() > SEALED_REQUEST {
            return Err(AdmissionError::TooLong(sealed.len()));
        }
        Ok(sealed)
    }

    fn validate(&self) -> Result<(), AdmissionError> {
        // What came inside was only decoded: the rules of profiles hold here too.
        SaltedProfile::decode(&self.profile.encode())?;
        if self.profile.member().is_none() {
            return Err(AdmissionError::NoMember);
        }
        for (field, value, max) in [
            ("nominating authority", &self.nominated_by, NOMINATED),
            ("reason", &self.reason, REASON),
        ] {
            // Both may be left out.
            if !value.is_empty() {
                text(field, value, max)?;
            }
        }
        Ok(())
    }

    fn to_be_signed(&self, network: NetworkId, invitation: InvitationId) -> Vec<u8> {
        [
            SIGN_TAG,
            network.as_bytes(),
            invitation.as_bytes(),
            &cbor::encode(self),
        ]
        .concat()
    }
}

/// A device's keys as eight groups of five digits, to be compared by voice in any language.
pub fn fingerprint(keys: &DeviceKeys) -> String {
    fingerprint::of_digest(&hash(&[FINGERPRINT_TAG, &cbor::encode(keys)]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::testing::*,
        profile::{ChannelProfile, MemberProfile, Profile},
    };
    use ring::rand::SystemRandom;

    const ID: InvitationId = InvitationId([4; 16]);

    fn request(profile: Profile) -> AdmissionRequest {
        AdmissionRequest {
            member: member_id(10),
            device: device_id(10),
            keys: device_keys(10),
            profile: SaltedProfile::new(profile, &SystemRandom::new()).unwrap(),
            capacity: Capacity::Expert,
            nominated_by: "Prosecutor General of Ruritania".into(),
            reason: String::new(),
            contact: Some(member_id(0)),
        }
    }

    fn member() -> Profile {
        Profile::Member(MemberProfile {
            name: "Ana".into(),
            state: "Ruritania".into(),
            ..MemberProfile::default()
        })
    }

    #[test]
    fn reaches_who_holds_the_secret() {
        let random = SystemRandom::new();
        let secret = Secret::from_bytes([5; 32]);
        let asked = request(member());
        let seal = |asked: &AdmissionRequest, key| asked.seal(NETWORK, (ID, &secret), key, &random);
        let (mine, others) = (authentication_key(10), authentication_key(11));
        let sealed = seal(&asked, &mine).unwrap();
        let open = |network, id, secret: &Secret| {
            Application::open(&sealed, network, (id, secret)).map(|open| open.request().clone())
        };
        assert_eq!(open(NETWORK, ID, &secret), Ok(asked.clone()));
        assert!(!sealed.windows(9).any(|window| window == b"Ruritania"));

        let closed = Err(AdmissionError::Seal(SealError::Open));
        assert_eq!(open(NETWORK, ID, &Secret::from_bytes([6; 32])), closed);
        assert_eq!(open(NETWORK, InvitationId([9; 16]), &secret), closed);
        assert_eq!(
            open(NetworkId([0; 16]), ID, &secret),
            Err(AdmissionError::BadSignature)
        );
        // Another device's key cannot ask in its name.
        assert_eq!(seal(&asked, &others), Err(AdmissionError::BadSignature));
        let signed = SignedRequest {
            signature: authentication_key(11).sign(&asked.to_be_signed(NETWORK, ID)),
            request: asked,
        };
        let forged = secret
            .seal(Sealed::Request, ID, &cbor::encode(&signed), &random)
            .unwrap();
        assert_eq!(
            Application::open(&forged, NETWORK, (ID, &secret)),
            Err(AdmissionError::BadSignature)
        );
    }

    #[test]
    fn fields_are_checked() {
        let random = SystemRandom::new();
        let secret = Secret::from_bytes([5; 32]);
        let seal = |asked: &AdmissionRequest| {
            asked.seal(NETWORK, (ID, &secret), &authentication_key(10), &random)
        };
        let channel = request(Profile::Channel(ChannelProfile {
            name: "encryption".into(),
            purpose: String::new(),
        }));
        assert_eq!(seal(&channel), Err(AdmissionError::NoMember));
        let mut escape = request(member());
        escape.reason = "\u{7}".into();
        assert_eq!(
            seal(&escape),
            Err(AdmissionError::Field(ProfileError::Control("reason")))
        );
        let mut long = request(member());
        long.nominated_by = "x".repeat(201);
        assert!(matches!(
            seal(&long),
            Err(AdmissionError::Field(ProfileError::Length { .. }))
        ));
    }

    #[test]
    fn bytes_are_as_pinned() {
        let salted = [
            &[0x82, 0x58, 0x20][..],
            &[3; 32],
            b"\x82\x01\x84\x63Ana\x69Ruritania\x80\x80",
        ];
        let mut asked = request(member());
        asked.profile = SaltedProfile::decode(&salted.concat()).unwrap();
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        assert_eq!(
            hex(&cbor::encode(&asked)),
            "88500a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a500a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a8458201d881cd32711e4a22f3f1b86ab816b647fe9f9ba8d9d08895788a42a5c9772d25820d22ee4ce316531a0fe6e1b181741271be8da63f745145007429985bdc34c43b55820ee0a0853ce2a07a67647cd013ad17806de7661251c2dc204ada5cab4c2c59ead58280a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a825820030303030303030303030303030303030303030303030303030303030303030382018463416e61695275726974616e6961808002781f50726f73656375746f722047656e6572616c206f66205275726974616e6961605000000000000000000000000000000000"
        );
        let signature = authentication_key(10).sign(&asked.to_be_signed(NETWORK, ID));
        assert_eq!(
            signature.to_string(),
            "53813e3bda17ad035c73f85a852233bc20ba3a4bc67b0ea5a865187241503bd0e0d2f40514274c921cfd35774cb52e904f332c007b99f6912de82a0b07517e0e"
        );
    }

    #[test]
    fn fingerprints_differ_by_any_key() {
        assert_eq!(
            fingerprint(&device_keys(10)),
            "17038 39743 25579 12832 54497 06433 93502 91675"
        );
        let mut other = device_keys(10);
        other.sealing[0] ^= 1;
        assert_ne!(fingerprint(&other), fingerprint(&device_keys(10)));
        let mut swapped = device_keys(10);
        std::mem::swap(&mut swapped.mls, &mut swapped.custody);
        assert_ne!(fingerprint(&swapped), fingerprint(&device_keys(10)));
    }
}
