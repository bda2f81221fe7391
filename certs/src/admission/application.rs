//! A request for admission as it goes to the Board: signed by the new device, countersigned by a
//! contact point.
//!
//! A contact point is a live member of the same State or body as who asks, or whom the invitation
//! names. Somebody at home knows who works there; for the first of a State, or an expert from
//! nowhere, there is nobody at home, and the inviter answers by name for having asked them in. The
//! request carries that name signed, so a server cannot appoint a contact point of its own. An
//! expert or observer is none: they are guests themselves.

use plenary_proto::ids::{
    DeviceId, Digest, InvitationId, MemberId, NetworkId, Signature, UnixMillis,
};
use ring::rand::SecureRandom;

use super::{AdmissionError, AdmissionRequest, SEALED_REQUEST, SignedRequest};
use crate::{
    cbor::{self, cbor_struct},
    invitation::{Sealed, Secret},
    ledger::{Capacity, DeviceKeys, Extract, hash},
    profile::{MemberProfile, SaltedProfile},
    signing::{self, SigningKey},
};

const HASH_TAG: &[u8] = b"plenary admission application v1\0";
const COUNTERSIGN_TAG: &[u8] = b"plenary countersignature v1\0";

/// A request for admission with its own signature, and by whom it is countersigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    invitation: InvitationId,
    signed: SignedRequest,
    countersignatures: Vec<Countersignature>,
}

/// A contact point's word that it knows who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Countersignature {
    /// The device that signs, with its authentication key.
    pub device: DeviceId,
    /// When.
    pub time: UnixMillis,
    signature: Signature,
}

/// Why somebody may countersign a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contact {
    /// They come from the same State or body.
    SameState,
    /// The invitation names them.
    Named,
}

/// A countersignature that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countersigned {
    /// Who.
    pub member: MemberId,
    /// With which device.
    pub device: DeviceId,
    /// What they are called.
    pub name: String,
    /// Their State or body.
    pub state: String,
    /// Of the device's keys.
    pub fingerprint: String,
    /// When, by their clock.
    pub time: UnixMillis,
    /// Why their word counts.
    pub contact: Contact,
}

cbor_struct!(Countersignature {
    device,
    time,
    signature
});
cbor_struct!(Application {
    invitation,
    signed,
    countersignatures
});

impl Application {
    /// Opens a sealed request and verifies its own signature.
    ///
    /// # Errors
    /// Any [`AdmissionError`] but those about countersignatures.
    pub fn open(
        sealed: &[u8],
        network: NetworkId,
        (invitation, secret): (InvitationId, &Secret),
    ) -> Result<Self, AdmissionError> {
        if sealed.len() > SEALED_REQUEST {
            return Err(AdmissionError::TooLong(sealed.len()));
        }
        let bytes = secret.open(Sealed::Request, invitation, sealed)?;
        let application = Self {
            invitation,
            signed: cbor::decode(&bytes)?,
            countersignatures: Vec::new(),
        };
        application.verify(network)?;
        Ok(application)
    }

    /// Holds the request to its rules and its own signature; countersignatures are verified by
    /// [`Application::countersigned`].
    ///
    /// # Errors
    /// What is wrong with a field, [`AdmissionError::BadSignature`].
    pub fn verify(&self, network: NetworkId) -> Result<(), AdmissionError> {
        let SignedRequest { request, signature } = &self.signed;
        request.validate()?;
        signing::verify(
            &request.keys.authentication,
            &request.to_be_signed(network, self.invitation),
            signature,
        )
        .map_err(|_| AdmissionError::BadSignature)
    }

    /// What is asked.
    pub fn request(&self) -> &AdmissionRequest {
        &self.signed.request
    }

    /// By which invitation it came.
    pub fn invitation(&self) -> InvitationId {
        self.invitation
    }

    /// The countersignatures; not verified.
    pub fn countersignatures(&self) -> &[Countersignature] {
        &self.countersignatures
    }

    /// Adds a countersignature; one of each device.
    pub fn add(&mut self, countersignature: Countersignature) {
        self.countersignatures
            .retain(|one| one.device != countersignature.device);
        self.countersignatures.push(countersignature);
    }

    /// Names the request and its own signature: what is countersigned.
    pub fn hash(&self, network: NetworkId) -> Digest {
        hash(&[
            HASH_TAG,
            network.as_bytes(),
            self.invitation.as_bytes(),
            &cbor::encode(&self.signed),
        ])
    }

    /// Why a member may countersign this, if so.
    pub fn contact(
        &self,
        (member, capacity): (MemberId, Capacity),
        profile: &MemberProfile,
    ) -> Option<Contact> {
        let request = self.request();
        if capacity != Capacity::Member || member == request.member {
            return None;
        }
        if request.contact == Some(member) {
            return Some(Contact::Named);
        }
        let asked = request.profile.member()?;
        same(&asked.state, &profile.state).then_some(Contact::SameState)
    }

    /// Verifies a countersignature with the keys that the ledger gives its device, and asks
    /// whether the member's word counts.
    ///
    /// # Errors
    /// [`AdmissionError::BadCountersignature`], [`AdmissionError::NoContact`].
    pub fn countersigned(
        &self,
        network: NetworkId,
        one: &Countersignature,
        (member, capacity): (MemberId, Capacity),
        keys: &DeviceKeys,
        profile: &MemberProfile,
    ) -> Result<Countersigned, AdmissionError> {
        signing::verify(
            &keys.authentication,
            &one.to_be_signed(&self.hash(network)),
            &one.signature,
        )
        .map_err(|_| AdmissionError::BadCountersignature(one.device))?;
        let contact = self.contact((member, capacity), profile);
        Ok(Countersigned {
            member,
            device: one.device,
            name: profile.name.clone(),
            state: profile.state.clone(),
            fingerprint: super::fingerprint(keys),
            time: one.time,
            contact: contact.ok_or(AdmissionError::NoContact(member))?,
        })
    }

    /// [`Application::countersigned`] by what an extract of the ledger and the profiles beside it
    /// say: for a machine without the ledger. It does not know who was revoked since.
    ///
    /// # Errors
    /// [`AdmissionError::UnknownContact`] and those of [`Application::countersigned`].
    pub fn countersigned_by_extract(
        &self,
        one: &Countersignature,
        extract: &Extract,
        profiles: &[SaltedProfile],
    ) -> Result<Countersigned, AdmissionError> {
        let unknown = || AdmissionError::UnknownContact(one.device);
        let network = extract.network().ok_or_else(unknown)?;
        let device = extract.device(one.device).ok_or_else(unknown)?;
        let admit = extract.admission(device.member).ok_or_else(unknown)?;
        let profile = profiles
            .iter()
            .find(|profile| profile.hash() == admit.profile)
            .and_then(SaltedProfile::member)
            .ok_or_else(unknown)?;
        let who = (device.member, admit.capacity);
        self.countersigned(network, one, who, &device.keys, profile)
    }
}

impl Countersignature {
    /// Signs for an application with a device's authentication key.
    pub fn new(
        application: &Application,
        network: NetworkId,
        (device, key): (DeviceId, &SigningKey),
        time: UnixMillis,
    ) -> Self {
        let mut one = Self {
            device,
            time,
            signature: Signature([0; 64]),
        };
        one.signature = key.sign(&one.to_be_signed(&application.hash(network)));
        one
    }

    /// Seals it under the invitation's secret, past the server.
    ///
    /// # Errors
    /// [`AdmissionError::Seal`].
    pub fn seal(
        &self,
        (invitation, secret): (InvitationId, &Secret),
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, AdmissionError> {
        let bytes = cbor::encode(self);
        Ok(secret.seal(Sealed::Countersignature, invitation, &bytes, random)?)
    }

    /// Opens what [`Countersignature::seal`] made. Verified by whom it is held against.
    ///
    /// # Errors
    /// [`AdmissionError::Seal`], [`AdmissionError::Malformed`].
    pub fn open(
        sealed: &[u8],
        (invitation, secret): (InvitationId, &Secret),
    ) -> Result<Self, AdmissionError> {
        let bytes = secret.open(Sealed::Countersignature, invitation, sealed)?;
        Ok(cbor::decode(&bytes)?)
    }

    fn to_be_signed(self, application: &Digest) -> Vec<u8> {
        [
            COUNTERSIGN_TAG,
            application.as_bytes(),
            self.device.as_bytes(),
            &self.time.0.to_be_bytes(),
        ]
        .concat()
    }
}

/// People write the name of their State as they like.
fn same(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.trim().to_lowercase();
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Body, Subject, Voucher, testing::*},
        profile::Profile,
    };
    use ring::rand::SystemRandom;

    const ID: InvitationId = InvitationId([4; 16]);

    fn profile(name: &str, state: &str) -> SaltedProfile {
        let profile = MemberProfile {
            name: name.into(),
            state: state.into(),
            ..MemberProfile::default()
        };
        SaltedProfile::new(Profile::Member(profile), &SystemRandom::new()).unwrap()
    }

    fn application(contact: Option<MemberId>) -> Application {
        let secret = Secret::from_bytes([5; 32]);
        let asked = AdmissionRequest {
            member: member_id(30),
            device: device_id(30),
            keys: device_keys(30),
            profile: profile("Ana", "Ruritania"),
            capacity: Capacity::Member,
            nominated_by: String::new(),
            reason: String::new(),
            contact,
        };
        let key = authentication_key(30);
        let random = SystemRandom::new();
        let sealed = asked.seal(NETWORK, (ID, &secret), &key, &random).unwrap();
        Application::open(&sealed, NETWORK, (ID, &secret)).unwrap()
    }

    /// Member 10 of Ruritania, member 20 of Utopia, each with a device.
    fn network(ruritania: &SaltedProfile, utopia: &SaltedProfile) -> Board {
        let mut board = Board::new(3);
        for (n, profile) in [(10, ruritania), (20, utopia)] {
            let mut body = admit(n);
            if let Body::Admit(admit) = &mut body {
                admit.profile = profile.hash();
            }
            board.say(body);
            board.say(device(n, n, Voucher::Board));
        }
        board
    }

    #[test]
    fn those_at_home_and_whom_the_invitation_names_count() {
        let profiles = [profile("Cleo", " ruritania "), profile("Dan", "Utopia")];
        let board = network(&profiles[0], &profiles[1]);
        let about = [10, 20].map(|n| Subject::Device(device_id(n)));
        let entries = board.ledger.extract(&about.into_iter().collect());
        let extract = Extract::verify(entries).unwrap();
        let sign = |application: &Application, n| {
            let by = (device_id(n), &authentication_key(n));
            Countersignature::new(application, NETWORK, by, NOW)
        };
        let check = |application: &Application, one: &Countersignature| {
            application.countersigned_by_extract(one, &extract, &profiles)
        };
        let asked = application(None);
        let home = check(&asked, &sign(&asked, 10)).unwrap();
        assert_eq!(home.contact, Contact::SameState);
        assert_eq!((&*home.name, home.time), ("Cleo", NOW));
        assert_eq!(
            home.fingerprint,
            super::super::fingerprint(&device_keys(10))
        );
        let refused = Err(AdmissionError::NoContact(member_id(20)));
        assert_eq!(check(&asked, &sign(&asked, 20)), refused);
        let named = application(Some(member_id(20)));
        let by_name = check(&named, &sign(&named, 20)).unwrap();
        assert_eq!(by_name.contact, Contact::Named);
        // A signature holds for the one request only, even of the same person.
        let other = sign(&asked, 20);
        assert_eq!(
            check(&named, &other),
            Err(AdmissionError::BadCountersignature(device_id(20)))
        );
        // Somebody else's device, an unknown one, a time altered.
        let mut wrong = sign(&asked, 10);
        wrong.device = device_id(20);
        assert!(check(&asked, &wrong).is_err());
        wrong.device = device_id(99);
        assert_eq!(
            check(&asked, &wrong),
            Err(AdmissionError::UnknownContact(device_id(99)))
        );
        let mut wrong = sign(&asked, 10);
        wrong.time = UnixMillis(NOW.0 + 1);
        assert!(check(&asked, &wrong).is_err());
    }

    #[test]
    fn experts_observers_and_oneself_are_no_contact_point() {
        let asked = application(Some(member_id(30)));
        let at_home = MemberProfile {
            name: "Cleo".into(),
            state: "Ruritania".into(),
            ..MemberProfile::default()
        };
        let may = |member, capacity| asked.contact((member_id(member), capacity), &at_home);
        assert_eq!(may(10, Capacity::Member), Some(Contact::SameState));
        assert_eq!(may(10, Capacity::Expert), None);
        assert_eq!(may(10, Capacity::Observer), None);
        assert_eq!(may(30, Capacity::Member), None);
    }

    #[test]
    fn travels_under_the_invitation_s_secret() {
        let asked = application(None);
        let secret = Secret::from_bytes([5; 32]);
        let random = SystemRandom::new();
        let by = (device_id(10), &authentication_key(10));
        let one = Countersignature::new(&asked, NETWORK, by, NOW);
        let sealed = one.seal((ID, &secret), &random).unwrap();
        assert_eq!(Countersignature::open(&sealed, (ID, &secret)), Ok(one));
        let other = Secret::from_bytes([6; 32]);
        assert!(Countersignature::open(&sealed, (ID, &other)).is_err());
        let mut twice = asked;
        twice.add(one);
        twice.add(one);
        assert_eq!(twice.countersignatures(), [one]);
    }
}
