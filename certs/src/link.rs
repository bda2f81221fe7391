//! Linking a further device of a member (design.md section 3), by two machines on one desk.
//!
//! ```text
//! old device: Code --one line, by hand--> new device: Request (its keys), sealed under the code
//!   person compares the fingerprint on both screens
//! old device: DEVICE into the ledger, Answer with a Handover sealed to the new device's keys
//! ```
//!
//! The code admits nobody: it only lets somebody ask. What a thief of the code asks with are the
//! thief's keys, with the thief's fingerprint. What is handed over opens with the new device's own
//! key, so the code, once seen, opens nothing of it.

use plenary_proto::ids::{
    ChannelId, DeviceId, InvitationId, MemberId, NetworkId, Signature, UnixMillis,
};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use data_encoding::BASE64URL_NOPAD;

use crate::{
    cbor::{self, Bytes, Cbor, CborError, Writer, array, cbor_struct, unknown},
    invitation::{Invitation, InvitationError, Sealed, check_address},
    ledger::{DeviceKeys, Ledger, Standing, Voucher, hash},
    profile::{ProfileError, SealingKey, text},
    seal::SealError,
    sealed_to::{framed, open_parts, seal_parts},
    signing::{self, SigningKey},
};

pub(crate) const SCHEME: &str = "plenary-link:";
const CHECKSUM_TAG: &[u8] = b"plenary linking code v1\0";
const REQUEST_TAG: &[u8] = b"plenary link request v1\0";
const HANDOVER_TAG: &[u8] = b"plenary link handover v1\0";

/// Bytes of the checksum, as of an invitation's.
const CHECKSUM: usize = 4;

/// Bytes of a device's name.
pub const DEVICE_NAME: usize = 60;

/// Bytes of a sealed request or answer: the server takes no more.
pub const SEALED_LINK: usize = 16 * 1024;

/// A linking code: where to ask, and whose device to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// Where and with which secret: as an invitation, under a name of its own.
    pub invitation: Invitation,
    /// Who links: the member of both devices.
    pub member: MemberId,
    /// The device that made the code, and will vouch.
    pub by: DeviceId,
}

/// What the new device asks with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its id, fresh.
    pub device: DeviceId,
    /// Its keys.
    pub keys: DeviceKeys,
    /// As its owner calls it.
    pub name: String,
}

/// What the old device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The person did not recognise the fingerprint.
    Refused,
    /// The ledger has the new device; a [`Handover`], sealed to it.
    Linked(Vec<u8>),
}

/// What the new device needs and the server does not know. No key of a channel is in it: the new
/// device enters by its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handover {
    /// Channels that the old device is in: the new one enters those that it may by itself.
    pub channels: Vec<ChannelId>,
    /// Of the direct channels that the member founded: who belongs in them.
    pub direct: Vec<(ChannelId, Vec<MemberId>)>,
    /// Names that the owner gave the devices.
    pub names: Vec<(DeviceId, String)>,
}

/// Why linking does not go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LinkError {
    #[error("a linking code begins with \"{SCHEME}\"")]
    Scheme,
    #[error("the linking code is mistyped or cut short: copy it again, whole")]
    Mistyped,
    #[error(transparent)]
    Code(#[from] InvitationError),
    #[error("{0} bytes; a sealed request or answer has at most {SEALED_LINK}")]
    TooLong(usize),
    #[error("it cannot be opened with this linking code: {0}")]
    Seal(#[from] SealError),
    #[error("malformed: {0}")]
    Malformed(#[from] CborError),
    #[error(transparent)]
    Name(#[from] ProfileError),
    #[error("the request is not signed by the device it names")]
    BadSignature,
    #[error("the keys of the new device are no keys of the network's suite")]
    Key,
    #[error("the answer is sealed to another device, or altered")]
    Open,
    #[error("the answer is not by the device that made the code")]
    OtherDevice,
    #[error("the device that made the code is {0} in the ledger")]
    NotLive(Standing),
    #[error("the ledger does not say that the device that made the code vouches for this one")]
    NotVouched,
}

#[derive(Debug)]
struct SignedRequest {
    request: Request,
    signature: Signature,
}

#[derive(Debug)]
struct Envelope {
    kem_output: Bytes,
    ciphertext: Bytes,
    signature: Signature,
}

impl Code {
    /// The line to carry over: the scheme and base64url of the fields and a checksum. Holds the
    /// secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(cbor::encode(self));
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        let body = Zeroizing::new(BASE64URL_NOPAD.encode(&bytes));
        Zeroizing::new([SCHEME, &body].concat())
    }

    /// Reads [`Code::to_text`]; spaces around it do not matter.
    ///
    /// # Errors
    /// [`LinkError::Scheme`], also of an invitation; [`LinkError::Mistyped`]; what is wrong inside.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        let body = text.trim().strip_prefix(SCHEME).ok_or(LinkError::Scheme)?;
        let bytes = BASE64URL_NOPAD.decode(body.as_bytes());
        let bytes = Zeroizing::new(bytes.map_err(|_| LinkError::Mistyped)?);
        let (fields, sum) = bytes
            .split_last_chunk::<CHECKSUM>()
            .ok_or(LinkError::Mistyped)?;
        if checksum(fields) != *sum {
            return Err(LinkError::Mistyped);
        }
        let code: Self = cbor::decode(fields)?;
        check_address(&code.invitation.address)?;
        Ok(code)
    }

    /// Names the code to the server.
    pub fn id(&self) -> InvitationId {
        self.invitation.id
    }
}

impl Request {
    /// Signs with the new device's authentication key and seals under the code.
    ///
    /// # Errors
    /// [`LinkError::Name`]; [`LinkError::BadSignature`] if `key` is not the one in `keys`;
    /// [`SealError::Random`].
    pub fn seal(
        &self,
        code: &Code,
        key: &SigningKey,
        random: &dyn SecureRandom,
    ) -> Result<Vec<u8>, LinkError> {
        text("device's name", &self.name, DEVICE_NAME)?;
        if key.public() != self.keys.authentication {
            return Err(LinkError::BadSignature);
        }
        let signed = SignedRequest {
            request: self.clone(),
            signature: key.sign(&self.to_be_signed(code)),
        };
        let bytes = cbor::encode(&signed);
        let secret = &code.invitation.secret;
        Ok(secret.seal(Sealed::LinkRequest, code.id(), &bytes, random)?)
    }

    /// Opens and verifies.
    ///
    /// # Errors
    /// Any [`LinkError`] but those of the answer.
    pub fn open(sealed: &[u8], code: &Code) -> Result<Self, LinkError> {
        if sealed.len() > SEALED_LINK {
            return Err(LinkError::TooLong(sealed.len()));
        }
        let secret = &code.invitation.secret;
        let bytes = secret.open(Sealed::LinkRequest, code.id(), sealed)?;
        let SignedRequest { request, signature } = cbor::decode(&bytes)?;
        text("device's name", &request.name, DEVICE_NAME)?;
        let signed = request.to_be_signed(code);
        signing::verify(&request.keys.authentication, &signed, &signature)
            .map_err(|_| LinkError::BadSignature)?;
        Ok(request)
    }

    /// Bound to the code, the member and the device that is asked: it can be asked nowhere else.
    fn to_be_signed(&self, code: &Code) -> Vec<u8> {
        [
            REQUEST_TAG,
            code.invitation.network.as_bytes(),
            code.id().as_bytes(),
            code.member.as_bytes(),
            code.by.as_bytes(),
            &cbor::encode(self),
        ]
        .concat()
    }
}

impl Answer {
    /// Seals under the code.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, code: &Code, random: &dyn SecureRandom) -> Result<Vec<u8>, LinkError> {
        let secret = &code.invitation.secret;
        let sealed = secret.seal(Sealed::LinkAnswer, code.id(), &cbor::encode(self), random)?;
        if sealed.len() > SEALED_LINK {
            return Err(LinkError::TooLong(sealed.len()));
        }
        Ok(sealed)
    }

    /// Opens what [`Answer::seal`] made. Whoever has the code could have made it: a handover inside
    /// is believed by its own signature only.
    ///
    /// # Errors
    /// [`LinkError::Seal`], [`LinkError::Malformed`], [`LinkError::TooLong`].
    pub fn open(sealed: &[u8], code: &Code) -> Result<Self, LinkError> {
        if sealed.len() > SEALED_LINK {
            return Err(LinkError::TooLong(sealed.len()));
        }
        let secret = &code.invitation.secret;
        let bytes = secret.open(Sealed::LinkAnswer, code.id(), sealed)?;
        Ok(cbor::decode(&bytes)?)
    }
}

impl Handover {
    /// Seals to the new device (HPKE of the hybrid suite, base mode), signed by the one that hands
    /// over.
    ///
    /// # Errors
    /// [`LinkError::Key`].
    pub fn seal(
        &self,
        code: &Code,
        to: &Request,
        signer: &SigningKey,
    ) -> Result<Vec<u8>, LinkError> {
        let info = info(code, to.device);
        let plaintext = Zeroizing::new(cbor::encode(self));
        let (kem_output, ciphertext) =
            seal_parts(&to.keys.sealing, &info, &plaintext).map_err(|_| LinkError::Key)?;
        let mut envelope = Envelope {
            kem_output,
            ciphertext,
            signature: Signature([0; 64]),
        };
        envelope.signature = signer.sign(&envelope.to_be_signed(&info));
        Ok(cbor::encode(&envelope))
    }

    /// Opens as the new device, once the ledger has it. `now` is for the ends of admissions.
    ///
    /// # Errors
    /// [`LinkError::NotVouched`], [`LinkError::NotLive`], [`LinkError::OtherDevice`],
    /// [`LinkError::Open`], [`LinkError::Malformed`].
    pub fn open(
        sealed: &[u8],
        code: &Code,
        ledger: &Ledger,
        now: UnixMillis,
        (device, key): (DeviceId, &SealingKey),
    ) -> Result<Self, LinkError> {
        let envelope: Envelope = cbor::decode(sealed)?;
        let standing = ledger.standing(code.by, ledger.head().seq, now);
        let by = ledger
            .device(code.by)
            .filter(|by| standing == Standing::Live && by.member == code.member)
            .ok_or(LinkError::NotLive(standing))?;
        let vouched = ledger.device(device).is_some_and(|own| {
            let mut vouchers = own.vouchers.iter();
            own.member == code.member
                && vouchers.any(|(_, voucher)| *voucher == Voucher::Device(code.by))
        });
        if !vouched {
            return Err(LinkError::NotVouched);
        }
        let info = info(code, device);
        signing::verify(
            &by.keys.authentication,
            &envelope.to_be_signed(&info),
            &envelope.signature,
        )
        .map_err(|_| LinkError::OtherDevice)?;
        let parts = (envelope.kem_output, envelope.ciphertext);
        let opened = open_parts(key, &info, parts).map_err(|_| LinkError::Open)?;
        let handover: Self = cbor::decode(&opened)?;
        for (_, name) in &handover.names {
            text("device's name", name, DEVICE_NAME)?;
        }
        Ok(handover)
    }
}

impl Envelope {
    fn to_be_signed(&self, info: &[u8]) -> Vec<u8> {
        framed(info, &self.kem_output, &self.ciphertext)
    }
}

/// Whether a text may name a device: shown on terminals, so without control characters.
///
/// # Errors
/// [`LinkError::Name`].
pub fn check_name(name: &str) -> Result<(), LinkError> {
    Ok(text("device's name", name, DEVICE_NAME)?)
}

fn info(code: &Code, device: DeviceId) -> Vec<u8> {
    let network: NetworkId = code.invitation.network;
    [
        HANDOVER_TAG,
        network.as_bytes(),
        code.id().as_bytes(),
        code.member.as_bytes(),
        code.by.as_bytes(),
        device.as_bytes(),
    ]
    .concat()
}

fn checksum(fields: &[u8]) -> [u8; CHECKSUM] {
    let digest = hash(&[CHECKSUM_TAG, fields]);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&digest.0[..CHECKSUM]);
    sum
}

impl Cbor for Answer {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(2);
        match self {
            Self::Refused => {
                1u8.put(w);
                let _ = w.null();
            }
            Self::Linked(sealed) => {
                2u8.put(w);
                let _ = w.bytes(sealed);
            }
        }
    }
    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 2)?;
        match u8::get(d)? {
            1 => {
                d.null()?;
                Ok(Self::Refused)
            }
            2 => Ok(Self::Linked(Bytes::get(d)?.0)),
            other => Err(unknown("answer", other.into())),
        }
    }
}

cbor_struct!(Code {
    invitation,
    member,
    by
});
cbor_struct!(Request { device, keys, name });
cbor_struct!(SignedRequest { request, signature });
cbor_struct!(Envelope {
    kem_output,
    ciphertext,
    signature
});
cbor_struct!(Handover {
    channels,
    direct,
    names
});

#[cfg(test)]
mod tests;
