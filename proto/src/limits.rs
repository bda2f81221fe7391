//! The numbers both sides share: each with its unit and its reason.
//!
//! What an operator may tune is in the server's configuration; the server advertises the values
//! in force in HELLO, and a client refuses values above the ones here.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// WebSocket subprotocol both sides must name.
pub const SUBPROTOCOL: &str = "plenary.v1";

/// From TCP accept to OK. A handshake with a slow line takes two seconds; beyond ten it is an attack.
pub const HANDSHAKE: Duration = Duration::from_secs(10);

/// Handshakes in progress at once. Above, connections wait in the accept queue.
pub const HANDSHAKES_IN_FLIGHT: usize = 256;

/// Share of [`HANDSHAKES_IN_FLIGHT`] one address may hold: an office behind one address still
/// gets in, one flooder cannot take it all.
pub const HANDSHAKES_PER_ADDRESS: usize = 64;

/// Bytes of a frame before OK: HELLO, AUTH and KNOCK are below 1 KiB.
pub const FRAME_BEFORE_OK: usize = 4 * KIB;

/// Bytes of one message's content before padding. Longer text travels as an item.
pub const CONTENT: usize = 60 * KIB;

/// Bytes of content after padding: what a message's ciphertext is built from.
pub const PADDED_CONTENT: usize = 64 * KIB;

/// Bytes of a message on a chat connection: padded content, MLS framing, envelope.
pub const CHAT_MESSAGE: usize = 72 * KIB;

/// Plaintext bytes of a chunk of an item above [`SMALL_ITEM`].
pub const CHUNK: usize = MIB;

/// Plaintext bytes of a chunk of a small item.
pub const SMALL_CHUNK: usize = 64 * KIB;

/// Bytes up to which an item uses [`SMALL_CHUNK`].
pub const SMALL_ITEM: u64 = 8 * MIB as u64;

/// Bytes of a message on a bulk connection: a chunk and its envelope. What does not fit a chat
/// message (trees, commits of large groups) travels here in parts.
pub const BULK_MESSAGE: usize = MIB + 4 * KIB;

/// Bytes of the messages in which a side sends what is larger, on a bulk connection too: copied,
/// masked and encrypted while they are in the processor's cache, and below what allocators take from
/// the system each time (128 KiB).
pub const PART: usize = 120 * KIB;

/// Bytes of a frame that travels in parts: a tree of 1,000 hybrid devices is 1.4 MB, a commit that
/// adds 100 of them 0.3 MB; a device has one such frame under way.
pub const FRAME_IN_PARTS: usize = 8 * MIB;

/// Fragments of one WebSocket message, empty ones counted.
pub const FRAGMENTS: usize = 64;

/// Control frames a second, per connection.
pub const CONTROL_FRAMES_PER_SECOND: u32 = 10;

/// Silence after which a side pings.
pub const PING_AFTER: Duration = Duration::from_secs(30);

/// Silence after which the other side is gone: two lost pings and some patience.
pub const GONE_AFTER: Duration = Duration::from_secs(75);

/// Bytes of a connection's read buffer. tungstenite's default of 128 KiB is allocated eagerly.
pub const READ_BUFFER: usize = 4 * KIB;

/// Frames waiting for one reader. A reader that falls behind is dropped and catches up by range.
pub const OUTBOUND_FRAMES: usize = 1024;

/// Bytes waiting for one reader.
pub const OUTBOUND_BYTES: usize = 256 * KIB;

/// Messages a minute, per device, sustained.
pub const MESSAGES_PER_MINUTE: u32 = 200;

/// Messages a device may send at once after silence.
pub const MESSAGE_BURST: u32 = 2_000;

/// Records a read reply may hold.
pub const READ_RECORDS: u32 = 256;

/// Statements a ledger page may hold.
pub const LEDGER_PAGE: u32 = 128;

/// Bytes of records or statements in one reply: the largest single one must fit.
pub const PAGE_BYTES: usize = 64 * KIB;

/// Bytes of one signed statement: a DEVICE with hybrid keys and seven signatures is below 4 KiB.
pub const STATEMENT: usize = 16 * KIB;

/// Chunks of one item: 64 GiB in the large ones, a disk image of 50 GB and its padding.
pub const ITEM_CHUNKS: u32 = 1 << 16;

/// Chunks in flight before the first must be acknowledged.
pub const CREDIT_CHUNKS: usize = 8;

/// Members that the terms of an item may name: all of a large channel.
pub const COLLECTORS: usize = 1_000;

/// Channels that an item may be handed over in.
pub const ITEM_CHANNELS: usize = 64;

/// Statements of custody countersigned at once: what one device says of one item in a day.
pub const COUNTERSIGN: usize = 16;

/// Key packages a device keeps on the server.
pub const KEY_PACKAGES: usize = 32;

/// Life of a key package.
pub const KEY_PACKAGE_LIFE: Duration = Duration::from_secs(60 * 24 * 3600);

/// Life of an invitation.
pub const INVITATION_LIFE: Duration = Duration::from_secs(72 * 3600);

/// Life of a linking code: two machines on one desk.
pub const LINK_LIFE: Duration = Duration::from_secs(15 * 60);

// A padded content with framing fits a chat message; a page fits one too; a chunk with its tag a bulk message.
const _: () = assert!(CONTENT < PADDED_CONTENT);
const _: () = assert!(PADDED_CONTENT + 4 * KIB <= CHAT_MESSAGE);
const _: () = assert!(PAGE_BYTES + 4 * KIB <= CHAT_MESSAGE);
const _: () = assert!(CHUNK + 16 + KIB <= BULK_MESSAGE);
const _: () = assert!(CHAT_MESSAGE <= PART && PART <= BULK_MESSAGE);
const _: () = assert!(CHAT_MESSAGE <= OUTBOUND_BYTES);
