//! Frames too large for one message: a commit or tree of a large group.
//!
//! Each part is an ordinary message, so pushes and pings pass between the parts of one frame.

use bytes::Bytes;

use super::{Payload, WireError, chunk, encode_client, encode_server};
use crate::{
    append::append,
    limits,
    reply::{Part, Reply, ServerFrame},
    request::{ClientFrame, Request},
    rooms::Rooms,
};

/// Room for the envelope of a part: two integers, a tag and a length, each twice over.
const ENVELOPE: usize = 64;

/// Cuts an encoded frame into parts that fit messages of `message` bytes. `None` if it fits as it is.
pub fn parts(frame: &Bytes, message: usize) -> Option<Parts> {
    (frame.len() > message).then(|| Parts::of(Bytes::new(), frame.clone(), message))
}

/// The parts of a frame, in order.
#[derive(Debug, Clone)]
pub struct Parts {
    head: Bytes,
    rest: Bytes,
    size: usize,
    next: u32,
}

impl Parts {
    /// Of a frame that is these two one after the other.
    fn of(head: Bytes, rest: Bytes, message: usize) -> Self {
        Self {
            head,
            rest,
            size: message.saturating_sub(ENVELOPE).max(1),
            next: 0,
        }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let from = match self.head.is_empty() {
            true => &mut self.rest,
            false => &mut self.head,
        };
        if from.is_empty() {
            return None;
        }
        let bytes = from.split_to(from.len().min(self.size));
        let index = self.next;
        self.next += 1;
        Some(Part {
            index,
            last: self.head.is_empty() && self.rest.is_empty(),
            bytes,
        })
    }
}

/// The messages that carry a frame, each made when its turn comes.
#[derive(Debug, Clone)]
pub struct Messages {
    frame: usize,
    cut: Cut,
}

#[derive(Debug, Clone)]
enum Cut {
    Whole(Option<Bytes>),
    Parts(Parts, fn(Part) -> Payload),
}

impl Messages {
    /// Bytes of the frame.
    pub fn frame(&self) -> usize {
        self.frame
    }

    fn cut(frame: Bytes, message: usize, wrap: fn(Part) -> Payload) -> Self {
        Self {
            frame: frame.len(),
            cut: match parts(&frame, message) {
                None => Cut::Whole(Some(frame)),
                Some(parts) => Cut::Parts(parts, wrap),
            },
        }
    }

    fn joined(head: Vec<u8>, rest: Bytes, message: usize, wrap: fn(Part) -> Payload) -> Self {
        Self {
            frame: head.len() + rest.len(),
            cut: Cut::Parts(Parts::of(head.into(), rest, message), wrap),
        }
    }
}

impl Iterator for Messages {
    type Item = Payload;

    fn next(&mut self) -> Option<Payload> {
        match &mut self.cut {
            Cut::Whole(whole) => whole.take().map(Payload::from),
            Cut::Parts(parts, wrap) => parts.next().map(wrap),
        }
    }
}

/// The messages that carry a client's frame, of at most `message` bytes and [`limits::PART`].
pub fn client_messages(frame: ClientFrame, message: usize) -> Messages {
    let (message, wrap) = (message.min(limits::PART), chunk::client_part);
    match frame {
        ClientFrame::Request(id, Request::ItemPut { item, index, bytes })
            if bytes.len() > message =>
        {
            Messages::joined(
                chunk::put(id, item, index, bytes.len()),
                bytes,
                message,
                wrap,
            )
        }
        frame => Messages::cut(encode_client(frame), message, wrap),
    }
}

/// As [`client_messages`], of a server's frame.
pub fn server_messages(frame: ServerFrame, message: usize) -> Messages {
    let (message, wrap) = (message.min(limits::PART), chunk::server_part);
    match frame {
        ServerFrame::Reply(id, Ok(Reply::ItemRange { offset, bytes })) if bytes.len() > message => {
            Messages::joined(chunk::range(id, offset, bytes.len()), bytes, message, wrap)
        }
        frame => Messages::cut(encode_server(frame), message, wrap),
    }
}

/// Joins the parts of one frame at a time, in order, up to [`limits::FRAME_IN_PARTS`] bytes.
#[derive(Debug, Default)]
pub struct Assembler {
    joined: Vec<u8>,
    next: u32,
    rooms: Rooms,
}

impl Assembler {
    /// Joins in these rooms. A frame's is the caller's to give back or to lend.
    pub fn new(rooms: Rooms) -> Self {
        Self {
            rooms,
            ..Self::default()
        }
    }

    /// Takes the next part; returns the whole frame with the last one.
    ///
    /// Errors: [`WireError::PartOrder`], [`WireError::PartsTooLarge`]; what was joined is dropped.
    pub fn push(&mut self, part: &Part) -> Result<Option<Vec<u8>>, WireError> {
        let expected = self.next;
        if part.index != expected {
            self.begin_again();
            return Err(WireError::PartOrder {
                expected,
                got: part.index,
            });
        }
        if self.joined.len() + part.bytes.len() > limits::FRAME_IN_PARTS {
            self.begin_again();
            return Err(WireError::PartsTooLarge {
                limit: limits::FRAME_IN_PARTS,
            });
        }
        if self.next == 0 && !part.last {
            // A chunk nearly always.
            self.joined = self.rooms.take();
        }
        append(&mut self.joined, &part.bytes);
        self.next += 1;
        Ok(part.last.then(|| {
            self.next = 0;
            std::mem::take(&mut self.joined)
        }))
    }

    fn begin_again(&mut self) {
        (self.joined, self.next) = (Vec::new(), 0);
    }

    /// A frame that is no part came: fine only if none was begun.
    pub fn idle(&self) -> Result<(), WireError> {
        if self.next == 0 {
            Ok(())
        } else {
            Err(WireError::PartsInterrupted)
        }
    }
}
