//! Names of values and queues in the store. Final: they are what lies on disk.

use bytes::Bytes;
use plenary_proto::{
    ids::{ChannelId, DeviceId, InvitationId, ItemId, LedgerSeq},
    request::SealedName,
};

/// All ledger entries, in order of their position.
pub(crate) const LEDGER: &[u8] = b"ledger/";

/// All invitations.
pub(crate) const INVITATIONS: &[u8] = b"invitation/";

/// All requests for admission.
pub(crate) const REQUESTS: &[u8] = b"request/";

/// All links: what lets a member's further device knock.
pub(crate) const LINKS: &[u8] = b"link/";

/// A link.
pub(crate) fn link(id: InvitationId) -> Bytes {
    join(LINKS, &[id.as_bytes()])
}

/// All requests to be linked.
pub(crate) const LINK_REQUESTS: &[u8] = b"link-request/";

/// The request that came by a link.
pub(crate) fn link_request(id: InvitationId) -> Bytes {
    join(LINK_REQUESTS, &[id.as_bytes()])
}

/// All leases of items.
pub(crate) const LEASES: &[u8] = b"lease/";

/// The invitation that founds the network.
pub(crate) fn founding() -> Bytes {
    Bytes::from_static(b"founding")
}

/// A signed statement, by its position.
pub(crate) fn ledger(seq: LedgerSeq) -> Bytes {
    join(LEDGER, &[&seq.0.to_be_bytes()])
}

/// The newest heartbeat.
pub(crate) fn heartbeat() -> Bytes {
    Bytes::from_static(b"heartbeat")
}

/// An invitation.
pub(crate) fn invitation(id: InvitationId) -> Bytes {
    join(INVITATIONS, &[id.as_bytes()])
}

/// The request that came by an invitation.
pub(crate) fn request(id: InvitationId) -> Bytes {
    join(REQUESTS, &[id.as_bytes()])
}

/// The lease of an item.
pub(crate) fn lease(item: ItemId) -> Bytes {
    join(LEASES, &[item.as_bytes()])
}

/// Which record of a channel's log took a device out of it.
pub(crate) fn departure(channel: ChannelId, device: DeviceId) -> Bytes {
    join(b"departure/", &[channel.as_bytes(), device.as_bytes()])
}

/// All shares of an invitation's secret.
pub(crate) fn shares(id: InvitationId) -> Bytes {
    join(b"invitation-share/", &[id.as_bytes()])
}

/// An invitation's secret, sealed to a device.
pub(crate) fn share(id: InvitationId, device: DeviceId) -> Bytes {
    join(&shares(id), &[device.as_bytes()])
}

/// All countersignatures of the request that came by an invitation.
pub(crate) fn countersignatures(id: InvitationId) -> Bytes {
    join(b"countersignature/", &[id.as_bytes()])
}

/// A device's countersignature.
pub(crate) fn countersignature(id: InvitationId, device: DeviceId) -> Bytes {
    join(&countersignatures(id), &[device.as_bytes()])
}

/// A sealed profile or roster key.
pub(crate) fn sealed(name: &SealedName) -> Bytes {
    match name {
        SealedName::Profile(hash) => join(b"sealed/profile/", &[hash.as_bytes()]),
        SealedName::RosterKey { generation, device } => join(
            b"sealed/roster/",
            &[&generation.to_be_bytes(), device.as_bytes()],
        ),
    }
}

/// The newest generation of the roster key, and who made it.
pub(crate) fn roster() -> Bytes {
    Bytes::from_static(b"roster")
}

/// The queue of a device's key packages.
pub(crate) fn key_packages(device: DeviceId) -> Bytes {
    join(b"key-package/", &[device.as_bytes()])
}

/// A device's key package of last resort.
pub(crate) fn last_resort(device: DeviceId) -> Bytes {
    join(b"key-package-last/", &[device.as_bytes()])
}

fn join(prefix: &[u8], parts: &[&[u8]]) -> Bytes {
    let mut key = prefix.to_vec();
    for part in parts {
        key.extend_from_slice(part);
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use plenary_proto::ids::Digest;

    use super::*;

    #[test]
    fn names_are_pinned() {
        assert_eq!(heartbeat(), "heartbeat");
        assert_eq!(ledger(LedgerSeq(258)), b"ledger/\0\0\0\0\0\0\x01\x02"[..]);
        assert_eq!(
            invitation(InvitationId(*b"0123456789abcdef")),
            "invitation/0123456789abcdef"
        );
        assert_eq!(
            request(InvitationId(*b"0123456789abcdef")),
            "request/0123456789abcdef"
        );
        assert_eq!(
            link(InvitationId(*b"0123456789abcdef")),
            "link/0123456789abcdef"
        );
        assert_eq!(
            link_request(InvitationId(*b"0123456789abcdef")),
            "link-request/0123456789abcdef"
        );
        let device = DeviceId(*b"0123456789abcdef");
        let id = InvitationId(*b"0123456789abcdef");
        assert_eq!(
            share(id, device),
            "invitation-share/0123456789abcdef0123456789abcdef"
        );
        assert_eq!(
            countersignature(id, device),
            "countersignature/0123456789abcdef0123456789abcdef"
        );
        assert_eq!(
            departure(ChannelId(*b"fedcba9876543210"), device),
            "departure/fedcba98765432100123456789abcdef"
        );
        assert_eq!(key_packages(device), "key-package/0123456789abcdef");
        assert_eq!(last_resort(device), "key-package-last/0123456789abcdef");
        assert_eq!(
            lease(ItemId(*b"0123456789abcdef")),
            "lease/0123456789abcdef"
        );
        let key = sealed(&SealedName::RosterKey {
            generation: 1,
            device,
        });
        assert_eq!(key, b"sealed/roster/\0\0\0\x010123456789abcdef"[..]);
        let profile = sealed(&SealedName::Profile(Digest([b'x'; 32])));
        assert_eq!(profile, format!("sealed/profile/{}", "x".repeat(32)));
    }

    #[test]
    fn statements_are_listed_in_order() {
        assert!(ledger(LedgerSeq(255)) < ledger(LedgerSeq(256)));
    }
}
