//! What is said on one connection, from HELLO to its end.
//!
//! ```text
//!               HELLO ->            <- AUTH or KNOCK
//! Session::open ---------> Opening -----------------> Chat | Bulk | Guest ---> Closed
//!                             \----------- refused ----------------------------^
//! ```
//!
//! **Inputs.** [`Session::open`] once, when TLS and the upgrade are done: the connection's name,
//! its RFC 9266 exporter, 32 fresh random bytes, the time. Then [`Session::take`] for every
//! binary message, in order, each with the time; the transport keeps messages within
//! [`Session::message_limit`] and times the handshake.
//!
//! **Outputs.** Frames, each one binary message, to be written in order before the next message is
//! read; what others must hear goes to the [`Hub`](crate::hub::Hub) by itself. A session that is
//! [`Session::Closed`] says why: write the frames, then close.
//!
//! **Order.** Calls never overlap; the state is consumed and the next one returned. A call once
//! begun must be driven to its end, even if the connection goes away meanwhile: what it made
//! durable is to be told to others. (If it is dropped all the same, nothing durable is lost: the
//! ledger and the groups are read again from the store when next written, and the transport's
//! sweep with [`Network::not_live`](crate::network::Network::not_live) cuts who must go.)
//!
//! Nothing is asked of the ledger at login only: every request checks again that its device is live.

mod caller;
mod opening;

use std::{sync::Arc, task::Poll};

use bytes::Bytes;
use futures_util::{future::BoxFuture, poll};
use plenary_proto::{
    codec::{Assembler, Payload, WireError, decode_client, encode_server, server_messages},
    ids::{Digest, RequestId, UnixMillis},
    limits,
    reply::{Failure, Push, Reply, ServerFrame},
    request::{ClientFrame, Request},
};

pub use caller::{BulkCaller, Caller, DeviceCaller, GuestCaller, GuestKind};
pub use opening::Opening;

use crate::{
    dispatch::dispatch,
    error::{OpError, failure},
    hub::ConnectionId,
    network::Network,
    ops,
};

/// Where a connection stands.
pub enum Session {
    /// HELLO is out; AUTH or KNOCK is due.
    Opening(Opening),
    /// A device's discussion, or its items, or a guest: requests and replies.
    Open(Open),
    /// Over.
    Closed(Closed),
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Not authenticated, or not any more.
    Unauthenticated,
    /// The peer does not speak the protocol.
    Malformed,
    /// A guest has no more business here: the network is founded, or it asked too often.
    Finished,
    /// The server failed at the opening.
    Failed,
}

/// What a message leads to.
pub struct Turn {
    /// To be written now, in order.
    pub frames: Vec<Payload>,
    /// Work that goes on beside the next messages: MLS messages and chunks of items, so that several
    /// share a sync and the line never waits for the disk. At most
    /// [`CREDIT_CHUNKS`](limits::CREDIT_CHUNKS) of a connection may be under way.
    pub later: Option<Later>,
}

/// Work whose frames are written when it is done, in whatever order. Once begun it must be driven to
/// its end, as a call of [`Session::take`].
pub type Later = BoxFuture<'static, Vec<Payload>>;

impl Turn {
    fn now(frames: Vec<Payload>) -> Self {
        Self {
            frames,
            later: None,
        }
    }

    /// All frames, for whoever does one thing at a time.
    pub async fn finish(self) -> Vec<Bytes> {
        let mut frames = self.frames;
        if let Some(later) = self.later {
            frames.extend(later.await);
        }
        frames.into_iter().map(Bytes::from).collect()
    }
}

/// An authenticated connection.
pub struct Open {
    network: Arc<Network>,
    caller: Caller,
    assembler: Assembler,
}

impl Session {
    /// A new connection and its HELLO. `nonce`: fresh random bytes.
    pub fn open(
        network: Arc<Network>,
        connection: ConnectionId,
        exporter: [u8; 32],
        nonce: Digest,
        now: UnixMillis,
    ) -> (Self, Vec<Bytes>) {
        let (opening, hello) = Opening::new(network, connection, exporter, nonce, now);
        (Self::Opening(opening), vec![hello])
    }

    /// Bytes that the next message may have.
    pub fn message_limit(&self) -> usize {
        match self {
            Self::Opening(_) => limits::FRAME_BEFORE_OK,
            Self::Open(open) => open.message_limit(),
            Self::Closed(_) => 0,
        }
    }

    /// Who is at the other end, once authenticated.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Open(open) => Some(&open.caller),
            Self::Opening(_) | Self::Closed(_) => None,
        }
    }

    /// [`Session::take`], one message after the other.
    pub async fn receive(self, message: Bytes, now: UnixMillis) -> (Self, Vec<Bytes>) {
        let (next, turn) = self.take(message, now).await;
        (next, turn.finish().await)
    }

    /// Takes one message; returns what comes next, the frames to write, and work that goes on.
    pub async fn take(self, message: Bytes, now: UnixMillis) -> (Self, Turn) {
        match self {
            Self::Opening(opening) => match opening.receive(message, now).await {
                Ok((network, caller, ok)) => {
                    let open = Open {
                        assembler: Assembler::new(network.rooms.clone()),
                        network,
                        caller,
                    };
                    (Self::Open(open), Turn::now(vec![ok.into()]))
                }
                Err((closed, failure)) => (
                    Self::Closed(closed),
                    Turn::now(vec![encode_server(ServerFrame::Refused(failure)).into()]),
                ),
            },
            Self::Open(open) => open.take(message, now).await,
            Self::Closed(_) => (self, Turn::now(Vec::new())),
        }
    }

    /// The last frame of a connection that the server ends by itself; none before OK.
    pub fn farewell(&self, reason: &str, retry_after_ms: u64) -> Option<Bytes> {
        matches!(self, Self::Open(_)).then(|| bye(reason, retry_after_ms))
    }
}

impl Open {
    fn message_limit(&self) -> usize {
        let limits = &self.network.config().limits;
        let limit = match self.caller {
            Caller::Chat(_) | Caller::Guest(_) => limits.chat_message,
            Caller::Bulk(_) => limits.bulk_message,
        };
        limit as usize
    }

    async fn take(mut self, message: Bytes, now: UnixMillis) -> (Session, Turn) {
        match self.assemble(message) {
            Ok(Some((id, request))) => self.answer(id, request, now).await,
            Ok(None) => (Session::Open(self), Turn::now(Vec::new())),
            Err(error) => (
                Session::Closed(Closed::Malformed),
                Turn::now(vec![bye(&error.to_string(), 0).into()]),
            ),
        }
    }

    /// The request, once its last part is there.
    fn assemble(&mut self, message: Bytes) -> Result<Option<(RequestId, Request)>, WireError> {
        let frame = match decode_client(message)? {
            ClientFrame::Part(part) => match self.assembler.push(&part)? {
                Some(whole) => decode_client(self.network.rooms.lend(whole))?,
                None => return Ok(None),
            },
            frame => {
                self.assembler.idle()?;
                frame
            }
        };
        match frame {
            ClientFrame::Request(id, request) => Ok(Some((id, request))),
            ClientFrame::Auth(_) | ClientFrame::Knock(_) => Err(WireError::Unknown("body")),
            // Parts of parts.
            ClientFrame::Part(_) => Err(WireError::NotAFrame),
        }
    }

    async fn answer(mut self, id: RequestId, request: Request, now: UnixMillis) -> (Session, Turn) {
        let result = match self.caller.admit(&self.network, now) {
            Ok(()) if self.goes_beside(&request) => {
                let turn = self.beside(id, request, now).await;
                return (Session::Open(self), turn);
            }
            Ok(()) => Box::pin(dispatch(&self.network, &self.caller, request, now)).await,
            Err(error) => Err(error),
        };
        let gone = result == Err(OpError::Gone);
        let frames = self.frames(id, result.map_err(|error| failure(&error)));
        let next = if gone {
            Session::Closed(Closed::Unauthenticated)
        } else if self.caller.finished(&self.network) {
            Session::Closed(Closed::Finished)
        } else {
            Session::Open(self)
        };
        (next, Turn::now(frames))
    }

    /// What changes nothing that the next message depends on.
    fn goes_beside(&self, request: &Request) -> bool {
        match request {
            Request::ItemPut { .. } | Request::ItemGet { .. } => self.caller.bulk().is_ok(),
            Request::Append(append) => append.commit.is_none() && self.caller.chat().is_ok(),
            _ => false,
        }
    }

    /// Begins the work. A message's place among its sender's others is then taken.
    async fn beside(&self, id: RequestId, request: Request, now: UnixMillis) -> Turn {
        if let Request::Append(append) = &request {
            // So that the first turn comes as far as the store's queue. What is wrong shows there.
            let _ = ops::append::prepare(&self.network, append).await;
        }
        let (network, caller) = (self.network.clone(), self.caller.again());
        let limit = self.message_limit();
        let mut later: Later = Box::pin(async move {
            let result = dispatch(&network, &caller, request, now).await;
            frames(id, result.map_err(|error| failure(&error)), limit)
        });
        match poll!(&mut later) {
            Poll::Ready(frames) => Turn::now(frames),
            Poll::Pending => Turn {
                frames: Vec::new(),
                later: Some(later),
            },
        }
    }

    fn frames(&self, id: RequestId, result: Result<Reply, Failure>) -> Vec<Payload> {
        frames(id, result, self.message_limit())
    }
}

/// A reply, in parts if it is too large for one message.
fn frames(id: RequestId, result: Result<Reply, Failure>, limit: usize) -> Vec<Payload> {
    server_messages(ServerFrame::Reply(id, result), limit).collect()
}

fn bye(reason: &str, retry_after_ms: u64) -> Bytes {
    encode_server(ServerFrame::Push(Push::Bye {
        reason: reason.to_owned(),
        retry_after_ms,
    }))
}

#[cfg(test)]
mod tests;
