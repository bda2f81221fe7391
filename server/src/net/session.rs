//! The seam between the transport and what is said over it.
//!
//! The transport knows bytes, limits and clocks; a [`Session`] knows the protocol. The server's
//! own session drives the core; tests plug in an echo.

use std::net::SocketAddr;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use plenary_proto::codec::Payload;
#[cfg(doc)]
use plenary_proto::limits::CREDIT_CHUNKS;

use super::outbox::{Cut, Outbox};

/// A connection that stands: TLS and the upgrade are done, nothing has been said.
#[derive(Debug, Clone)]
pub struct Link {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// RFC 9266 channel binding of its TLS connection.
    pub exporter: [u8; 32],
    /// The way to it from outside its task.
    pub outbox: Outbox,
}

/// Opens a session for every connection.
pub trait Service: Send + Sync + 'static {
    /// Must not block.
    fn open(&self, link: Link) -> Box<dyn Session>;

    /// Something to be counted happened. Must not block.
    fn note(&self, what: Note) {
        let _ = what;
    }
}

/// What is counted: in a few words, never whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// A TCP connection was accepted.
    Accepted,
    /// It did not come to a session.
    Refused(&'static str),
    /// A session ended.
    Ended(&'static str),
}

/// What is said on one connection. Calls never overlap; dropped at its end.
#[async_trait]
pub trait Session: Send {
    /// The first frames.
    async fn opened(&mut self) -> Step;

    /// A message came: one binary one, within the limit in force.
    async fn message(&mut self, message: Bytes) -> Turn;

    /// The last frames before the close frame, when the server ends the connection.
    fn farewell(&mut self, end: End) -> Vec<Payload>;
}

/// Why the server ends a connection that did nothing wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// From outside the connection.
    Cut(Cut),
    /// The server stops.
    Shutdown,
}

/// What a session wants after an event: frames first, then `next`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Each one binary message.
    pub frames: Vec<Payload>,
    /// Then.
    pub next: Next,
}

/// What a message leads to: a step now, and work that goes on beside the next messages.
pub struct Turn {
    /// Now.
    pub step: Step,
    /// Its frames are written when it is done. At most [`CREDIT_CHUNKS`] are under way at once;
    /// meanwhile no message is read.
    pub later: Option<Later>,
}

/// Work beside a connection's messages: the frames it ends with. Driven to its end also when the
/// connection breaks.
pub type Later = Pin<Box<dyn Future<Output = Vec<Payload>> + Send>>;

impl From<Step> for Turn {
    fn from(step: Step) -> Self {
        Self { step, later: None }
    }
}

/// How a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// As it is.
    Stay,
    /// Authenticated, or let in as a guest: the time limit of the handshake is lifted, and
    /// messages may have so many bytes.
    Settled {
        /// Bytes.
        message: usize,
    },
    /// Not at all: the peer is told by a close frame.
    Close(Closing),
}

impl Step {
    /// Answers and goes on.
    pub fn reply(frames: Vec<Payload>) -> Self {
        Self {
            frames,
            next: Next::Stay,
        }
    }

    /// Answers and ends.
    pub fn close(frames: Vec<Payload>, closing: Closing) -> Self {
        Self {
            frames,
            next: Next::Close(closing),
        }
    }
}

/// What a close frame says: RFC 6455 section 7.4, and the range for applications from 4000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// 1000: nothing is left to do here.
    Normal,
    /// 1001: the server stops. Come back.
    Shutdown,
    /// 1002: the peer does not speak WebSocket or not this protocol.
    Protocol,
    /// 1003: a text message.
    Text,
    /// 1008: a rule was broken, authentication included.
    Policy,
    /// 1009: a message above the limit.
    TooLarge,
    /// 1011: the server failed. Come back.
    Failed,
    /// 4000: too slow from accept to OK.
    Handshake,
    /// 4001: the reader fell behind. Come back and catch up.
    Lagging,
    /// 4002: the device may not be here any more.
    Revoked,
    /// 4003: the operator ended this connection. Come back.
    Dropped,
}

impl Closing {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Shutdown => 1001,
            Self::Protocol => 1002,
            Self::Text => 1003,
            Self::Policy => 1008,
            Self::TooLarge => 1009,
            Self::Failed => 1011,
            Self::Handshake => 4000,
            Self::Lagging => 4001,
            Self::Revoked => 4002,
            Self::Dropped => 4003,
        }
    }

    /// For people, at most 123 bytes.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "done",
            Self::Shutdown => "the server stops",
            Self::Protocol => "not the protocol",
            Self::Text => "binary messages only",
            Self::Policy => "not allowed",
            Self::TooLarge => "message too large",
            Self::Failed => "the server failed",
            Self::Handshake => "too slow to authenticate",
            Self::Lagging => "fell behind; catch up from the log",
            Self::Revoked => "this device has no access",
            Self::Dropped => "ended by the operator; come back",
        }
    }
}
