//! Whole frames out of messages; what has no place after the handshake is refused.

use bytes::Bytes;
use plenary_proto::{
    codec::{Assembler, decode_server},
    reply::ServerFrame,
    rooms::Rooms,
};

use crate::error::{Error, ErrorKind};

/// Puts parts together.
#[derive(Debug, Default)]
pub(crate) struct Frames(Assembler);

impl Frames {
    /// See [`Assembler::new`].
    pub(crate) fn joined_in(rooms: Rooms) -> Self {
        Self(Assembler::new(rooms))
    }

    /// The frame that this message completes, if any.
    ///
    /// # Errors
    /// `Integrity`; the connection is over then.
    pub(crate) fn take(&mut self, message: Bytes) -> Result<Option<ServerFrame>, Error> {
        match decode(message)? {
            // A push may come between the parts of a reply.
            ServerFrame::Part(part) => {
                let whole = self.0.push(&part);
                match whole.map_err(|error| broken(&error.to_string()))? {
                    None => Ok(None),
                    Some(whole) => match decode(whole.into())? {
                        ServerFrame::Part(_) => Err(broken("parts within parts")),
                        ServerFrame::Hello(_) | ServerFrame::Ok(_) => Err(second_handshake()),
                        frame => Ok(Some(frame)),
                    },
                }
            }
            ServerFrame::Hello(_) | ServerFrame::Ok(_) => Err(second_handshake()),
            frame => Ok(Some(frame)),
        }
    }
}

fn second_handshake() -> Error {
    broken("a second handshake")
}

fn decode(bytes: Bytes) -> Result<ServerFrame, Error> {
    decode_server(bytes).map_err(|error| broken(&error.to_string()))
}

pub(crate) fn broken(what: &str) -> Error {
    Error::new(
        ErrorKind::Integrity,
        format!("the server does not keep to the protocol: {what}"),
    )
}
