//! What a member's device has, for a member who makes common cause with the server.

use plenary_certs::signing::SigningKey;
use plenary_proto::ids::{DeviceId, MemberId, NetworkId};

/// A device and its secret keys.
#[derive(Debug)]
pub struct MemberKeys {
    /// The network.
    pub network: NetworkId,
    /// The member.
    pub member: MemberId,
    /// The device.
    pub device: DeviceId,
    /// Opens sessions, seals roster keys to others.
    pub authentication: SigningKey,
    /// Signs leaves, commits and messages.
    pub mls: SigningKey,
    /// HPKE key by which roster keys reach this device, secret and public half.
    pub sealing: (Vec<u8>, Vec<u8>),
}
