//! Who calls, as proof: these types are minted by the login alone, and operations ask for them.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use plenary_proto::ids::{DeviceId, InvitationId, ItemId, MemberId, UnixMillis};

use crate::{error::OpError, hub::ConnectionId, network::Network};

/// Who is at the other end of an authenticated connection.
#[derive(Debug)]
pub enum Caller {
    /// A device, for discussion.
    Chat(DeviceCaller),
    /// A device, for items and whatever is large.
    Bulk(BulkCaller),
    /// Somebody with an invitation.
    Guest(GuestCaller),
}

/// A device that proved its authentication key on this connection, and was live at this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceCaller {
    device: DeviceId,
    member: MemberId,
    connection: ConnectionId,
}

/// A device on a bulk connection, with the items it may put up on it.
#[derive(Debug, Clone)]
pub struct BulkCaller {
    device: DeviceCaller,
    putting: Arc<Mutex<HashSet<ItemId>>>,
}

/// Somebody who proved to hold an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestCaller {
    invitation: InvitationId,
    kind: GuestKind,
    requests_left: u32,
}

/// What a guest came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestKind {
    /// The founding invitation: may write the first statements.
    Founder,
    /// An invitation: asks the Board.
    Invited,
    /// A link: asks a device of the member that it will belong to.
    Linking,
}

impl Caller {
    /// The device, on whichever connection. Errors: [`OpError::NotAllowed`] for a guest.
    pub fn device(&self) -> Result<&DeviceCaller, OpError> {
        match self {
            Self::Chat(device) => Ok(device),
            Self::Bulk(bulk) => Ok(&bulk.device),
            Self::Guest(_) => Err(not_allowed("only for devices of the network")),
        }
    }

    /// The device, on a chat connection only.
    pub fn chat(&self) -> Result<&DeviceCaller, OpError> {
        match self {
            Self::Chat(device) => Ok(device),
            Self::Bulk(_) => Err(not_allowed("only on a chat connection")),
            Self::Guest(_) => Err(not_allowed("only for devices of the network")),
        }
    }

    /// The device, on a bulk connection only.
    pub fn bulk(&self) -> Result<&BulkCaller, OpError> {
        match self {
            Self::Bulk(bulk) => Ok(bulk),
            Self::Chat(_) | Self::Guest(_) => Err(not_allowed("only on a bulk connection")),
        }
    }

    /// The guest.
    pub fn guest(&self) -> Result<&GuestCaller, OpError> {
        match self {
            Self::Guest(guest) => Ok(guest),
            Self::Chat(_) | Self::Bulk(_) => Err(not_allowed("only for guests")),
        }
    }

    /// The same caller, for work beside the connection's next messages. A guest has none.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Chat(device) => Self::Chat(*device),
            Self::Bulk(bulk) => Self::Bulk(bulk.clone()),
            Self::Guest(guest) => Self::Guest(*guest),
        }
    }

    /// Checks before each request that the caller may still call at all.
    pub(super) fn admit(&mut self, network: &Network, now: UnixMillis) -> Result<(), OpError> {
        match self {
            Self::Chat(device) | Self::Bulk(BulkCaller { device, .. }) => {
                match network.live(device.device, now) {
                    Some(member) if member == device.member => Ok(()),
                    _ => Err(OpError::Gone),
                }
            }
            Self::Guest(guest) => {
                guest.requests_left = guest.requests_left.checked_sub(1).ok_or(OpError::Gone)?;
                if guest.finished(network) {
                    return Err(OpError::Gone);
                }
                Ok(())
            }
        }
    }

    /// Whether nothing is left to do after a request.
    pub(super) fn finished(&self, network: &Network) -> bool {
        match self {
            Self::Chat(_) | Self::Bulk(_) => false,
            Self::Guest(guest) => guest.finished(network),
        }
    }
}

impl DeviceCaller {
    /// Minted by the login.
    pub(super) fn new(device: DeviceId, member: MemberId, connection: ConnectionId) -> Self {
        Self {
            device,
            member,
            connection,
        }
    }

    /// Which device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// Whose.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// On which connection.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }
}

impl BulkCaller {
    /// Minted by the login.
    pub(super) fn new(device: DeviceCaller) -> Self {
        Self {
            device,
            putting: Arc::default(),
        }
    }

    /// Which device.
    pub fn device(&self) -> DeviceId {
        self.device.device
    }

    /// Whose.
    pub fn member(&self) -> MemberId {
        self.device.member
    }

    /// It showed a token to put up this item.
    pub(crate) fn may_put(&self, item: ItemId) {
        self.putting().insert(item);
    }

    /// Errors: [`OpError::NotAllowed`] unless it showed a token on this connection.
    pub(crate) fn check_put(&self, item: ItemId) -> Result<(), OpError> {
        if self.putting().contains(&item) {
            return Ok(());
        }
        Err(not_allowed("reserve the item on this connection first"))
    }

    fn putting(&self) -> std::sync::MutexGuard<'_, HashSet<ItemId>> {
        self.putting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GuestCaller {
    /// Minted by the login.
    pub(super) fn new(invitation: InvitationId, kind: GuestKind, requests: u32) -> Self {
        Self {
            invitation,
            kind,
            requests_left: requests,
        }
    }

    /// The invitation held.
    pub fn invitation(&self) -> InvitationId {
        self.invitation
    }

    /// What it came by.
    pub fn kind(&self) -> GuestKind {
        self.kind
    }

    /// Whether it founds the network.
    pub fn is_founder(&self) -> bool {
        self.kind == GuestKind::Founder
    }

    fn finished(&self, network: &Network) -> bool {
        self.is_founder() && !network.is_fresh()
    }
}

fn not_allowed(why: &str) -> OpError {
    OpError::NotAllowed(why.to_owned())
}

#[cfg(test)]
impl Caller {
    /// For tests of operations: what a login would have minted.
    pub(crate) fn chat_for_test(device: DeviceId, member: MemberId) -> Self {
        Self::Chat(DeviceCaller::new(device, member, ConnectionId(1)))
    }

    /// As above, on a bulk connection.
    pub(crate) fn bulk_for_test(device: DeviceId, member: MemberId) -> Self {
        let device = DeviceCaller::new(device, member, ConnectionId(2));
        Self::Bulk(BulkCaller::new(device))
    }

    /// As above, a guest.
    pub(crate) fn guest_for_test(invitation: InvitationId, kind: GuestKind) -> Self {
        Self::Guest(GuestCaller::new(invitation, kind, u32::MAX))
    }
}
