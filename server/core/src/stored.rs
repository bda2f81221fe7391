//! Small values as they lie in the store: CBOR arrays, written and read here only.

use bytes::Bytes;
use minicbor::{
    Decode, Encode,
    bytes::{ByteArray, ByteVec},
};
use plenary_proto::ids::{DeviceId, Digest, InvitationId, MemberId, UnixMillis};

use crate::error::OpError;

/// An invitation that somebody may knock with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// What a knock is checked by.
    pub verifier: Digest,
    /// Who invites.
    pub inviter: DeviceId,
    /// From then on it opens nothing, unless a request came by it.
    pub expires: UnixMillis,
}

/// A request for admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    /// Who invited.
    pub inviter: DeviceId,
    /// Whose device that was.
    pub member: MemberId,
    /// When it came.
    pub time: UnixMillis,
    /// The request, sealed.
    pub sealed: Bytes,
    /// The answer, sealed, once there is one.
    pub answer: Option<Bytes>,
}

/// The invitation that founds a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Founding {
    pub invitation: InvitationId,
    pub verifier: Digest,
}

/// A value that is encoded for the store.
pub(crate) trait Stored: Sized {
    fn encode(&self) -> Result<Bytes, OpError>;
    fn decode(bytes: &[u8]) -> Result<Self, OpError>;
}

#[derive(Encode, Decode)]
struct InvitationForm {
    #[n(0)]
    verifier: ByteArray<32>,
    #[n(1)]
    inviter: ByteArray<16>,
    #[n(2)]
    expires: u64,
}

#[derive(Encode, Decode)]
struct RequestForm {
    #[n(0)]
    inviter: ByteArray<16>,
    #[n(1)]
    member: ByteArray<16>,
    #[n(2)]
    time: u64,
    #[n(3)]
    sealed: ByteVec,
    #[n(4)]
    answer: Option<ByteVec>,
}

#[derive(Encode, Decode)]
struct FoundingForm {
    #[n(0)]
    invitation: ByteArray<16>,
    #[n(1)]
    verifier: ByteArray<32>,
}

impl Stored for Invitation {
    fn encode(&self) -> Result<Bytes, OpError> {
        write(&InvitationForm {
            verifier: self.verifier.0.into(),
            inviter: self.inviter.0.into(),
            expires: self.expires.0,
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        let form: InvitationForm = read(bytes)?;
        Ok(Self {
            verifier: Digest(form.verifier.into()),
            inviter: DeviceId(form.inviter.into()),
            expires: UnixMillis(form.expires),
        })
    }
}

impl Stored for Request {
    fn encode(&self) -> Result<Bytes, OpError> {
        write(&RequestForm {
            inviter: self.inviter.0.into(),
            member: self.member.0.into(),
            time: self.time.0,
            sealed: self.sealed.to_vec().into(),
            answer: self.answer.as_ref().map(|answer| answer.to_vec().into()),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        let form: RequestForm = read(bytes)?;
        Ok(Self {
            inviter: DeviceId(form.inviter.into()),
            member: MemberId(form.member.into()),
            time: UnixMillis(form.time),
            sealed: Vec::from(form.sealed).into(),
            answer: form.answer.map(|answer| Vec::from(answer).into()),
        })
    }
}

impl Stored for Founding {
    fn encode(&self) -> Result<Bytes, OpError> {
        write(&FoundingForm {
            invitation: self.invitation.0.into(),
            verifier: self.verifier.0.into(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, OpError> {
        let form: FoundingForm = read(bytes)?;
        Ok(Self {
            invitation: InvitationId(form.invitation.into()),
            verifier: Digest(form.verifier.into()),
        })
    }
}

fn write<T: Encode<()>>(form: &T) -> Result<Bytes, OpError> {
    minicbor::to_vec(form)
        .map(Bytes::from)
        .map_err(|error| OpError::Internal(error.to_string()))
}

fn read<T: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<T, OpError> {
    minicbor::decode(bytes)
        .map_err(|error| OpError::Internal(format!("a stored value is damaged: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_pinned_and_come_back() {
        let invitation = Invitation {
            verifier: Digest([1; 32]),
            inviter: DeviceId([2; 16]),
            expires: UnixMillis(3),
        };
        let bytes = invitation.encode().unwrap();
        let pinned = [
            &[0x83, 0x58, 0x20][..],
            &[1; 32],
            &[0x50],
            &[2; 16],
            &[0x03],
        ];
        assert_eq!(bytes, pinned.concat());
        assert_eq!(Invitation::decode(&bytes), Ok(invitation));
        assert!(Invitation::decode(&bytes[..20]).is_err());

        let mut request = Request {
            inviter: DeviceId([2; 16]),
            member: MemberId([4; 16]),
            time: UnixMillis(9),
            sealed: Bytes::from_static(b"sealed"),
            answer: None,
        };
        let bytes = request.encode().unwrap();
        let pinned = [
            &[0x84, 0x50][..],
            &[2; 16],
            &[0x50],
            &[4; 16],
            &[0x09, 0x46],
            b"sealed",
        ];
        assert_eq!(bytes, pinned.concat());
        assert_eq!(Request::decode(&bytes), Ok(request.clone()));
        request.answer = Some(Bytes::new());
        assert_eq!(Request::decode(&request.encode().unwrap()), Ok(request));

        let founding = Founding {
            invitation: InvitationId([5; 16]),
            verifier: Digest([6; 32]),
        };
        assert_eq!(Founding::decode(&founding.encode().unwrap()), Ok(founding));
    }
}
