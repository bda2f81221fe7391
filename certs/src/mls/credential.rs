//! The credential of a leaf: a device id under a private type. Its keys are in the ledger.

use mls_rs_core::identity::{Credential, CredentialType, CustomCredential, SigningIdentity};
use plenary_proto::ids::{DeviceId, PublicKey};

/// Private credential type (RFC 9420 section 17.5, private use).
pub const DEVICE: CredentialType = CredentialType::new(0xF0C1);

/// The identity of a device in every group.
pub fn signing_identity(device: DeviceId, key: &PublicKey) -> SigningIdentity {
    let credential = CustomCredential::new(DEVICE, device.as_bytes().to_vec());
    SigningIdentity::new(
        Credential::Custom(credential),
        key.as_bytes().to_vec().into(),
    )
}

/// The device that a leaf claims to be; `None` for any other credential.
pub fn device_of(identity: &SigningIdentity) -> Option<DeviceId> {
    let credential = identity.credential.as_custom()?;
    if credential.credential_type != DEVICE {
        return None;
    }
    DeviceId::try_from(credential.data.as_slice()).ok()
}
