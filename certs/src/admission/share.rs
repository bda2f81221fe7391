//! An invitation's secret, handed to the devices of the Board and of the contact point: so that
//! they can read the request that comes by it, and the server cannot.
//!
//! HPKE (RFC 9180) of the hybrid suite to the device's sealing key; the sender signs beside it.

use plenary_proto::ids::{DeviceId, InvitationId, NetworkId, Signature, UnixMillis};

use crate::{
    cbor::{self, Bytes, CborError, cbor_struct},
    invitation::Secret,
    ledger::{Ledger, Standing},
    profile::SealingKey,
    sealed_to::{open_parts, seal_parts},
    signing::{self, SigningKey},
};

const INFO_TAG: &[u8] = b"plenary invitation share v1\0";
const SIGN_TAG: &[u8] = b"plenary invitation share sender v1\0";

/// Why a share was not sealed or is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum ShareError {
    #[error("not a sealing key of the network's suite")]
    Key,
    #[error("malformed share of an invitation: {0}")]
    Malformed(#[from] CborError),
    #[error("the invitation comes from device {by}, which is {standing}")]
    Sender { by: DeviceId, standing: Standing },
    #[error("the signature of device {0} on the invitation does not verify")]
    BadSignature(DeviceId),
    #[error("the invitation is shared with another device, or altered")]
    Open,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Envelope {
    by: DeviceId,
    kem_output: Bytes,
    ciphertext: Bytes,
    signature: Signature,
}

cbor_struct!(Envelope {
    by,
    kem_output,
    ciphertext,
    signature
});

/// Seals an invitation's secret to a device. `by` signs with its authentication key.
///
/// # Errors
/// [`ShareError::Key`]: `to` is no sealing key.
pub fn seal_share(
    (invitation, secret): (InvitationId, &Secret),
    network: NetworkId,
    (device, to): (DeviceId, &[u8]),
    (by, signer): (DeviceId, &SigningKey),
) -> Result<Vec<u8>, ShareError> {
    let info = info(network, device, invitation);
    let sealed = seal_parts(to, &info, secret.as_bytes());
    let (kem_output, ciphertext) = sealed.map_err(|_| ShareError::Key)?;
    let mut envelope = Envelope {
        by,
        kem_output,
        ciphertext,
        signature: Signature([0; 64]),
    };
    envelope.signature = signer.sign(&to_be_signed(&info, &envelope));
    Ok(cbor::encode(&envelope))
}

/// Opens a share sealed to `device`, from a sender that is live by the newest ledger.
///
/// # Errors
/// Any [`ShareError`].
pub fn open_share(
    sealed: &[u8],
    invitation: InvitationId,
    ledger: &Ledger,
    now: UnixMillis,
    (device, key): (DeviceId, &SealingKey),
) -> Result<Secret, ShareError> {
    let envelope: Envelope = cbor::decode(sealed)?;
    let by = envelope.by;
    let standing = ledger.standing(by, ledger.head().seq, now);
    let sender = ledger
        .device(by)
        .filter(|_| standing == Standing::Live)
        .ok_or(ShareError::Sender { by, standing })?;
    let info = info(ledger.network(), device, invitation);
    signing::verify(
        &sender.keys.authentication,
        &to_be_signed(&info, &envelope),
        &envelope.signature,
    )
    .map_err(|_| ShareError::BadSignature(by))?;
    let parts = (envelope.kem_output, envelope.ciphertext);
    let opened = open_parts(key, &info, parts).map_err(|_| ShareError::Open)?;
    let bytes: [u8; 32] = opened[..].try_into().map_err(|_| ShareError::Open)?;
    Ok(Secret::from_bytes(bytes))
}

fn info(network: NetworkId, device: DeviceId, invitation: InvitationId) -> Vec<u8> {
    [
        INFO_TAG,
        network.as_bytes(),
        device.as_bytes(),
        invitation.as_bytes(),
    ]
    .concat()
}

fn to_be_signed(info: &[u8], envelope: &Envelope) -> Vec<u8> {
    // `info` has a fixed length; the KEM's output too.
    [
        SIGN_TAG,
        info,
        envelope.by.as_bytes(),
        &envelope.kem_output.0,
        &envelope.ciphertext.0,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Body, DeviceBody, Target, Voucher, testing::*},
        profile::sealing_keypair,
    };

    const ID: InvitationId = InvitationId([4; 16]);

    #[test]
    fn opens_for_its_device_only_from_a_live_one() {
        let sealing = sealing_keypair().unwrap();
        let mut board = Board::with_member();
        board.say(admit(20));
        let mut keys = device_keys(20);
        keys.sealing = sealing.public().to_vec();
        board.say(Body::Device(DeviceBody {
            device: device_id(20),
            member: member_id(20),
            voucher: Voucher::Board,
            keys,
        }));
        let secret = Secret::from_bytes([5; 32]);
        let by = (device_id(10), &authentication_key(10));
        let to = (device_id(20), sealing.public());
        let sealed = seal_share((ID, &secret), NETWORK, to, by).unwrap();
        let open = |ledger: &Ledger, sealed: &[u8], device| {
            open_share(sealed, ID, ledger, NOW, (device, &sealing)).map(|secret| *secret.as_bytes())
        };
        assert_eq!(open(&board.ledger, &sealed, device_id(20)), Ok([5; 32]));
        assert_eq!(
            open(&board.ledger, &sealed, device_id(21)),
            Err(ShareError::BadSignature(device_id(10)))
        );
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(
                open(&board.ledger, &altered, device_id(20)).is_err(),
                "{at}"
            );
        }
        board.say(revoke(Target::Device(device_id(10))));
        assert!(matches!(
            open(&board.ledger, &sealed, device_id(20)),
            Err(ShareError::Sender { .. })
        ));
    }
}
