//! A connection that stands: whole frames out and in, parts, pings, and the end.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use plenary_proto::{
    codec::client_messages,
    limits,
    reply::{Hello, ServerFrame},
    request::ClientFrame,
    rooms::Rooms,
};
use tokio::{
    io::BufReader,
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, error::ProtocolError, protocol::CloseFrame},
};

use super::{
    frames::{Frames, broken},
    guard::{Guarded, Heard, violation},
};
use crate::error::{Error, ErrorKind};

/// Close code by which the server tells a device that it has no access any more.
const REVOKED: u16 = 4002;

pub(super) type Socket = WebSocketStream<Guarded<TlsStream<BufReader<TcpStream>>>>;
type Sink = SplitSink<Socket, Message>;

/// What TLS may hold beside one part: its records' headers and tags, small frames.
const TLS_ASIDE: usize = 64 * 1024;

/// One authenticated connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// What the server said first.
    pub(crate) hello: Hello,
    /// Key packages of this device that the server has left.
    pub(crate) key_packages: u32,
    sender: Sender,
    receiver: Receiver,
}

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Sender {
    sink: Arc<Mutex<Sink>>,
    address: Arc<str>,
    /// Bytes of one message.
    message: usize,
}

/// The way from the server; pings it when it is silent.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: SplitStream<Socket>,
    sink: Arc<Mutex<Sink>>,
    address: Arc<str>,
    heard: Heard,
    /// Pinged, and nothing came since then.
    pinged: bool,
    frames: Frames,
}

impl Connection {
    /// Wraps an authenticated socket; messages have at most `message` bytes either way.
    pub(super) fn new(
        mut socket: Socket,
        address: String,
        hello: Hello,
        key_packages: u32,
        message: usize,
    ) -> Self {
        socket.get_mut().set_message_limit(message);
        if message >= limits::BULK_MESSAGE {
            // A part is encrypted in one go: tungstenite moves what is left of it up after each
            // piece that was taken.
            let limit = Some(limits::PART + TLS_ASIDE);
            socket
                .get_mut()
                .inner_mut()
                .get_mut()
                .1
                .set_buffer_limit(limit);
        }
        let heard = socket.get_ref().heard();
        let (sink, stream) = socket.split();
        let sink = Arc::new(Mutex::new(sink));
        let address: Arc<str> = address.into();
        Self {
            hello,
            key_packages,
            sender: Sender {
                sink: sink.clone(),
                address: address.clone(),
                message,
            },
            receiver: Receiver {
                stream,
                sink,
                address,
                heard,
                pinged: false,
                frames: Frames::default(),
            },
        }
    }

    /// Both ways, to be used from two tasks: a server that waits for its reader must not stop the
    /// writer.
    pub(crate) fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// See [`Sender::send`].
    pub(crate) async fn send(&mut self, frame: ClientFrame) -> Result<(), Error> {
        self.sender.send([frame]).await
    }

    /// Has frames in parts joined in these rooms, before the first one comes.
    pub(crate) fn join_in(&mut self, rooms: Rooms) {
        self.receiver.frames = Frames::joined_in(rooms);
    }

    /// See [`Receiver::next`].
    pub(crate) async fn next(&mut self) -> Result<ServerFrame, Error> {
        self.receiver.next().await
    }
}

impl Sender {
    /// Sends frames in order, those above the message limit in parts, and flushes once. Not to be
    /// dropped half way: a frame begun must be ended.
    ///
    /// # Errors
    /// `Offline` when the connection is gone, or takes nothing for [`limits::GONE_AFTER`];
    /// `TooLarge` for a frame above [`limits::FRAME_IN_PARTS`], of which nothing is sent.
    pub(crate) async fn send(
        &self,
        frames: impl IntoIterator<Item = ClientFrame>,
    ) -> Result<(), Error> {
        let mut sink = self.sink.lock().await;
        for frame in frames {
            let messages = client_messages(frame, self.message);
            if messages.frame() > limits::FRAME_IN_PARTS {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    format!(
                        "a request of {} bytes; {} are possible",
                        messages.frame(),
                        limits::FRAME_IN_PARTS
                    ),
                ));
            }
            for message in messages {
                self.feed(&mut sink, message.into()).await?;
            }
        }
        self.bounded(sink.flush()).await
    }

    /// Says goodbye, as far as the other side still listens.
    pub(crate) async fn close(&self) {
        let mut sink = self.sink.lock().await;
        let _ = self.bounded(sink.close()).await;
    }

    async fn feed(&self, sink: &mut Sink, message: Bytes) -> Result<(), Error> {
        self.bounded(sink.feed(Message::Binary(message))).await
    }

    async fn bounded(
        &self,
        write: impl Future<Output = Result<(), tungstenite::Error>>,
    ) -> Result<(), Error> {
        match timeout(limits::GONE_AFTER, write).await {
            Ok(done) => done.map_err(|error| explain(&error, &self.address)),
            Err(_) => Err(silent(&self.address)),
        }
    }
}

impl Receiver {
    /// The next whole frame. Cancel-safe. Answers pings, and pings after
    /// [`limits::PING_AFTER`] of silence.
    ///
    /// # Errors
    /// `Offline` when the connection ended or was silent for [`limits::GONE_AFTER`]; `Integrity`
    /// when the server broke the protocol or a limit; `Unauthenticated` when it says that the
    /// device has no access any more. The connection is over then.
    pub(crate) async fn next(&mut self) -> Result<ServerFrame, Error> {
        loop {
            let message = self.message().await?;
            if let Some(frame) = self.frames.take(message)? {
                return Ok(frame);
            }
        }
    }

    /// The next binary message, pings looked after.
    async fn message(&mut self) -> Result<Bytes, Error> {
        loop {
            let heard = self.heard.at();
            let due = match self.pinged {
                true => heard + limits::GONE_AFTER,
                false => heard + limits::PING_AFTER,
            };
            let Ok(next) = timeout_at(due, self.stream.next()).await else {
                self.quiet().await?;
                continue;
            };
            self.pinged = false;
            match next {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => return Err(broken("a text message")),
                Some(Ok(Message::Close(frame))) => return Err(closed(&self.address, frame)),
                Some(Err(error)) => return Err(explain(&error, &self.address)),
                None => return Err(closed(&self.address, None)),
            }
        }
    }

    /// The clock ran out: bytes may have come that make no message yet; else ping, then give up.
    async fn quiet(&mut self) -> Result<(), Error> {
        let silence = Instant::now() - self.heard.at();
        if silence >= limits::GONE_AFTER {
            return Err(silent(&self.address));
        }
        if silence < limits::PING_AFTER {
            self.pinged = false;
            return Ok(());
        }
        self.pinged = true;
        // Where a frame is being written the line is busy, not idle: no ping is needed.
        if let Ok(mut sink) = self.sink.try_lock() {
            let gone = self.heard.at() + limits::GONE_AFTER;
            match timeout_at(gone, sink.send(Message::Ping(Bytes::new()))).await {
                Ok(sent) => sent.map_err(|error| explain(&error, &self.address))?,
                Err(_) => return Err(silent(&self.address)),
            }
        }
        Ok(())
    }
}

/// A WebSocket error in our words.
pub(super) fn explain(error: &tungstenite::Error, address: &str) -> Error {
    match error {
        tungstenite::Error::Io(error) => match violation(error) {
            Some(rule) => broken(&rule.to_string()),
            None => offline(address, &error.to_string()),
        },
        tungstenite::Error::Protocol(
            ProtocolError::ResetWithoutClosingHandshake | ProtocolError::SendAfterClosing,
        )
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed => offline(address, "closed by the other side"),
        other => broken(&other.to_string()),
    }
}

fn closed(address: &str, frame: Option<CloseFrame>) -> Error {
    match frame {
        Some(frame) if u16::from(frame.code) == REVOKED => Error::new(
            ErrorKind::Unauthenticated,
            "the server has ended this device's access: ask the Board",
        ),
        Some(frame) => offline(address, &format!("the server closed it: {}", frame.reason)),
        None => offline(address, "the server closed it"),
    }
}

fn silent(address: &str) -> Error {
    let seconds = limits::GONE_AFTER.as_secs();
    offline(address, &format!("nothing moved for {seconds} seconds"))
}

fn offline(address: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::Offline,
        format!("the connection to {address} is gone: {why}"),
    )
}
