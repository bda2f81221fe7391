//! A bulk connection: requests in flight and their answers.

use std::collections::HashMap;

use plenary_proto::{
    ids::RequestId,
    limits::CREDIT_CHUNKS,
    reply::{Reply, ServerFrame},
    request::{ClientFrame, Request},
    rooms::Rooms,
};

use super::door::Door;
use crate::{
    error::{Error, ErrorKind},
    net::{Connection, open},
};

/// A bulk connection. Each request in flight stands for one chunk.
#[derive(Debug)]
pub(super) struct Bulk {
    connection: Connection,
    next: u64,
    in_flight: HashMap<RequestId, u32>,
}

impl Bulk {
    /// Opens one; what comes in parts is joined in these rooms.
    ///
    /// # Errors
    /// Those of [`open`].
    pub(super) async fn open(door: &impl Door, rooms: Rooms) -> Result<Self, Error> {
        let (credentials, expected) = door.way().await?;
        let mut connection = open(&credentials, expected).await?;
        connection.join_in(rooms);
        Ok(Self {
            connection,
            next: 1,
            in_flight: HashMap::new(),
        })
    }

    /// Asks, and waits for the answer; nothing else may be in flight.
    pub(super) async fn ask(&mut self, request: Request) -> Result<Reply, Error> {
        self.post(0, request).await?;
        Ok(self.answer().await?.1)
    }

    /// Sends a request about a chunk.
    pub(super) async fn post(&mut self, chunk: u32, request: Request) -> Result<(), Error> {
        let id = RequestId(self.next);
        self.next += 1;
        self.in_flight.insert(id, chunk);
        self.connection
            .send(ClientFrame::Request(id, request))
            .await
    }

    /// The next answer, in whatever order they come, and the chunk it is about. Cancel-safe. Waits
    /// also when nothing is in flight, so that the line is kept alive.
    ///
    /// # Errors
    /// The server's refusal of any request; the end of the connection.
    pub(super) async fn answer(&mut self) -> Result<(u32, Reply), Error> {
        loop {
            match self.connection.next().await? {
                ServerFrame::Reply(id, reply) => {
                    let chunk = self.in_flight.remove(&id).ok_or_else(unexpected)?;
                    return Ok((chunk, reply?));
                }
                // Hints; a goodbye is followed by the end.
                ServerFrame::Push(_) => {}
                ServerFrame::Hello(_)
                | ServerFrame::Ok(_)
                | ServerFrame::Refused(_)
                | ServerFrame::Part(_) => return Err(unexpected()),
            }
        }
    }

    /// Whether another chunk may go.
    pub(super) fn has_credit(&self) -> bool {
        self.in_flight.len() < CREDIT_CHUNKS
    }

    /// Nothing is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }
}

/// An answer that fits no question.
pub(super) fn unexpected() -> Error {
    Error::new(
        ErrorKind::Integrity,
        "the server does not keep to the protocol: an answer that fits no question",
    )
}
