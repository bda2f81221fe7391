//! Message ids as the draft's section 3.3 derives them: from the bytes, the sender and the room.

use std::fmt;

use plenary_proto::ids::{ChannelId, MemberId, NetworkId};
use ring::digest::{Context, SHA256};

use super::{Content, ContentError};

/// SHA-256 in the named-information registry.
const SHA_256: u8 = 1;

/// Names one message: edits, replies and reactions refer to it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 32]);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first byte is the hash function's number: it tells nothing apart.
        let [_, b, c, d, e, ..] = self.0;
        write!(f, "MessageId({b:02x}{c:02x}{d:02x}{e:02x}..)")
    }
}

/// A member as the draft names senders. The host is never looked up: `.invalid` (RFC 2606).
pub fn sender_uri(network: NetworkId, member: MemberId) -> String {
    format!("mimi://{network}.invalid/u/{member}")
}

/// A channel as the draft names rooms.
pub fn room_uri(network: NetworkId, channel: ChannelId) -> String {
    format!("mimi://{network}.invalid/r/{channel}")
}

impl Content {
    /// The id of this content from this sender in this room.
    ///
    /// # Errors
    /// When it cannot be sent (see [`Content::encode`]), or names a sender or room of its own that
    /// differs.
    pub fn message_id(&self, sender: &str, room: &str) -> Result<MessageId, ContentError> {
        let named = [
            ("sender", sender, self.extensions.sender_uri()),
            ("room", room, self.extensions.room_uri()),
        ];
        let mut hash = Context::new(&SHA256);
        for (what, uri, claimed) in named {
            if claimed.is_some_and(|claimed| claimed != uri) {
                return Err(ContentError::Misattributed(what));
            }
            let len = u16::try_from(uri.len()).map_err(|_| ContentError::Field {
                field: what,
                expected: "a URI of at most 65,535 bytes",
            })?;
            hash.update(&len.to_be_bytes());
            hash.update(uri.as_bytes());
        }
        // The encoding is the one that travelled: there is only one.
        hash.update(&self.encode()?);
        hash.update(&self.salt.0);
        let mut id = [SHA_256; 32];
        id[1..].copy_from_slice(&hash.finish().as_ref()[..31]);
        Ok(MessageId(id))
    }
}
