//! What stands between engines and server, frame by frame.

use bytes::Bytes;
use plenary_proto::{
    codec::encode_server,
    ids::{RequestId, UnixMillis},
    reply::{Failure, Hello, Push, Reply, ServerFrame},
    request::ClientFrame,
};

/// Sees every frame, whole, and says what becomes of it: [`Passing`] starts empty, and what is not
/// put into it never arrives.
pub trait Wire {
    /// The server's first word, before it reaches a party's engine.
    fn hello(&mut self, to: usize, hello: Hello) -> Hello {
        let _ = to;
        hello
    }

    /// A frame of party `from` on its way to the server.
    fn up(&mut self, now: UnixMillis, from: usize, frame: ClientFrame, passing: &mut Passing) {
        let _ = now;
        passing.up(from, frame);
    }

    /// A frame of the server on its way to party `to`.
    fn down(&mut self, now: UnixMillis, to: usize, frame: ServerFrame, passing: &mut Passing) {
        let _ = now;
        passing.down(to, frame);
    }

    /// Nothing else moves at this moment: what was held back may go, what was never asked may come.
    fn idle(&mut self, now: UnixMillis, passing: &mut Passing) {
        let _ = (now, passing);
    }

    /// A party's connection is new: what was held for the one before is of no use.
    fn connected(&mut self, party: usize) {
        let _ = party;
    }
}

/// Frames that go on, in order, each with the party that it comes from or goes to.
#[derive(Debug, Default)]
pub struct Passing {
    pub(super) up: Vec<(usize, ClientFrame)>,
    pub(super) down: Vec<(usize, Bytes)>,
    pub(super) cut: Vec<usize>,
}

impl Passing {
    /// To the server, in the name of a party's session.
    pub fn up(&mut self, from: usize, frame: ClientFrame) {
        self.up.push((from, frame));
    }

    /// To a party.
    pub fn down(&mut self, to: usize, frame: ServerFrame) {
        self.down.push((to, encode_server(frame)));
    }

    /// To a party, whatever these bytes are.
    pub fn raw(&mut self, to: usize, bytes: Bytes) {
        self.down.push((to, bytes));
    }

    /// An answer to a party.
    pub fn answer(&mut self, to: usize, id: RequestId, reply: Result<Reply, Failure>) {
        self.down(to, ServerFrame::Reply(id, reply));
    }

    /// A push to a party.
    pub fn push(&mut self, to: usize, push: Push) {
        self.down(to, ServerFrame::Push(push));
    }

    /// A party's connection ends, after everything else here.
    pub fn cut(&mut self, party: usize) {
        self.cut.push(party);
    }

    /// Nothing goes on.
    pub fn is_empty(&self) -> bool {
        self.up.is_empty() && self.down.is_empty() && self.cut.is_empty()
    }
}
