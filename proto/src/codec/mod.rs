//! Frames to bytes and back. The only place where prost types and domain types meet.
//!
//! [`encode_client`] / [`decode_client`] and [`encode_server`] / [`decode_server`] convert one frame;
//! [`client_messages`] and [`server_messages`] cut a frame that is too large for its connection into
//! [`parts`], [`Assembler`] joins it again.

mod chunk;
mod field;
mod parts;
mod reply;
mod request;

use bytes::Bytes;
use prost::Message;

pub use chunk::Payload;
pub use parts::{Assembler, Messages, Parts, client_messages, parts, server_messages};

use crate::{reply::ServerFrame, request::ClientFrame, wire};

/// The peer sent nonsense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not a protobuf message of the schema.
    #[error("not a Plenary frame")]
    NotAFrame,
    /// A field that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field of fixed length has another.
    #[error("field {field} must have {expected} bytes, not {got}")]
    Length {
        /// Which.
        field: &'static str,
        /// Bytes it must have.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// A field holds a value without meaning.
    #[error("field {0} holds an unknown value")]
    Unknown(&'static str),
    /// A part out of order, or of a frame that was not begun.
    #[error("part {got} came where part {expected} was due")]
    PartOrder {
        /// Due.
        expected: u32,
        /// Came.
        got: u32,
    },
    /// The parts together exceed what a frame may have.
    #[error("a frame in parts may have {limit} bytes")]
    PartsTooLarge {
        /// Bytes.
        limit: usize,
    },
    /// Another frame came between the parts of one.
    #[error("a frame came between the parts of another")]
    PartsInterrupted,
}

/// A client's frame as bytes.
pub fn encode_client(frame: ClientFrame) -> Bytes {
    wire::ClientFrame::from(frame).encode_to_vec().into()
}

/// A client's frame from bytes.
pub fn decode_client(bytes: Bytes) -> Result<ClientFrame, WireError> {
    wire::ClientFrame::decode(bytes)
        .map_err(|_| WireError::NotAFrame)?
        .try_into()
}

/// A server's frame as bytes.
pub fn encode_server(frame: ServerFrame) -> Bytes {
    wire::ServerFrame::from(frame).encode_to_vec().into()
}

/// A server's frame from bytes.
pub fn decode_server(bytes: Bytes) -> Result<ServerFrame, WireError> {
    wire::ServerFrame::decode(bytes)
        .map_err(|_| WireError::NotAFrame)?
        .try_into()
}

#[cfg(test)]
mod tests;
