//! One task per connection: reads, hands to the session, writes answers and pushes, keeps time.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use plenary_proto::codec::Payload;
use plenary_proto::limits::{BULK_MESSAGE, CREDIT_CHUNKS};
use plenary_proto::scanner::Violation;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;
use tokio_tungstenite::tungstenite::{self, Message};
use tracing::debug;

use super::beside::Beside;
use super::framed::Burst;
use super::gate::Slot;
use super::guard::{Guarded, violation};
use super::outbox::{Cut, CutWatch, Inbox};
use super::session::{Closing, End, Next, Session, Step};
use super::upgrade::{Stream, make_room, move_here};

/// For the last frames and the close frame to go out and be answered.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a misbehaving peer that are still read, so that the close frame is not lost to a reset.
const LINGER_BYTES: usize = 2 << 20;

/// The clocks of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The moment by which the session must be settled.
    pub settle_by: Instant,
    /// Silence after which the peer is pinged.
    pub ping_after: Duration,
    /// Silence after which it is gone.
    pub gone_after: Duration,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed it or is unreachable.
    Gone,
    /// Nothing came for too long, or nothing could be written.
    Silent,
    /// The peer broke the rules, or the session ended it.
    Closed(Closing),
    /// From outside.
    Cut(Cut),
    /// The server stops.
    Shutdown,
}

impl Ended {
    /// One of a few words, to count by.
    pub fn word(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Closed(Closing::Normal) => "normal",
            Self::Closed(Closing::Failed) => "failed",
            Self::Closed(Closing::Handshake) => "slow",
            Self::Closed(_) => "violation",
            Self::Cut(Cut::Lagging) => "lagging",
            Self::Cut(Cut::Revoked) => "revoked",
            Self::Cut(Cut::Dropped) => "dropped",
            Self::Shutdown => "shutdown",
        }
    }
}

/// A connection and what belongs to it. It stays in a box: a task is as large as all that its steps
/// might hold at once, and each that took it by value would hold one.
pub struct Connection {
    /// The upgraded socket.
    pub socket: WebSocketStream<Guarded<Stream>>,
    /// Pushes to it.
    pub inbox: Inbox,
    /// The clocks.
    pub pace: Pace,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
    /// Held until the session is settled.
    pub slot: Option<Slot>,
    /// Begun by the session and not ended yet.
    pub beside: Beside,
}

/// What became of a connection.
pub enum Entered {
    /// It has ended.
    Ended(Ended),
    /// It goes on by [`Connection::serve_here`].
    Settled {
        /// With all that has been said.
        connection: Box<Connection>,
        /// Who it is.
        session: Box<dyn Session>,
        /// It carries items, not chat.
        items: bool,
    },
}

/// Why an exchange is left.
enum Left {
    Ended(Ended),
    /// The session has just been settled.
    Settled {
        items: bool,
    },
}

impl From<Ended> for Left {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl Connection {
    /// Sees it through until the session is settled.
    pub async fn enter(mut self: Box<Self>, mut session: Box<dyn Session>) -> Entered {
        let left = match self.open(&mut *session).await {
            Ok(()) => self.exchange(&mut *session).await,
            Err(left) => left,
        };
        Entered::Ended(match left {
            Left::Ended(ended) => self.part(session, ended).await,
            Left::Settled { items } => {
                return Entered::Settled {
                    connection: self,
                    session,
                    items,
                };
            }
        })
    }

    /// Goes on, on the runtime of the calling task, with what was begun on another.
    pub async fn serve_here(&mut self, session: Box<dyn Session>) -> Ended {
        match move_here(self.socket.get_mut().inner_mut()) {
            Ok(()) => self.serve(session).await,
            Err(error) => {
                debug!(%error, "cannot go on elsewhere");
                self.part(session, Ended::Closed(Closing::Failed)).await
            }
        }
    }

    /// To the end, close frame included.
    async fn serve(&mut self, mut session: Box<dyn Session>) -> Ended {
        let ended = loop {
            if let Left::Ended(ended) = self.exchange(&mut *session).await {
                break ended;
            }
        };
        self.part(session, ended).await
    }

    /// The end: last frames, close frame.
    async fn part(&mut self, mut session: Box<dyn Session>, ended: Ended) -> Ended {
        let (closing, end) = match ended {
            Ended::Gone | Ended::Silent => return ended,
            Ended::Closed(closing) => (closing, None),
            Ended::Cut(Cut::Lagging) => (Closing::Lagging, None),
            Ended::Cut(cut @ Cut::Revoked) => (Closing::Revoked, Some(End::Cut(cut))),
            Ended::Cut(cut @ Cut::Dropped) => (Closing::Dropped, Some(End::Cut(cut))),
            Ended::Shutdown => (Closing::Shutdown, Some(End::Shutdown)),
        };
        let frames = end.map(|end| session.farewell(end)).unwrap_or_default();
        // What the session holds (presence, rights) ends before the peer is told.
        drop(session);
        let _ = timeout(FAREWELL, Box::pin(self.close(frames, closing))).await;
        ended
    }

    /// The session's first frames.
    async fn open(&mut self, session: &mut dyn Session) -> Result<(), Left> {
        let mut cut = self.inbox.cut();
        let first = self.attend(session.opened(), &mut cut).await?;
        self.take(first, &mut cut).await
    }

    /// Until it is settled, if it is not, else to the end. What has begun in the store ends there.
    async fn exchange(&mut self, session: &mut dyn Session) -> Left {
        let left = match self.take_turns(session).await {
            Ok(never) => match never {},
            Err(left) => left,
        };
        self.beside.finish().await;
        left
    }

    async fn take_turns(&mut self, session: &mut dyn Session) -> Result<Infallible, Left> {
        let mut cut = self.inbox.cut();
        let mut pinged = false;
        // Polled only when one of them moves: most turns are for a push or a message.
        let seldom = &mut FuturesUnordered::new();
        seldom.push(stopped(self.stop.clone()));
        seldom.push(due(self.due(pinged)));
        let mut pushed = false;
        loop {
            let event = poll_fn(|cx| self.poll_event(cx, &mut cut, seldom, pushed)).await?;
            pushed = matches!(event, Event::Push(_));
            match event {
                Event::Message(message) => {
                    pinged = false;
                    if let Some(bytes) = understand(message)? {
                        let turn = self.attend(session.message(bytes), &mut cut).await?;
                        if let Some(later) = turn.later {
                            self.beside.begin(later);
                        }
                        self.take(turn.step, &mut cut).await?;
                    }
                }
                Event::Done(frames) => self.write(frames, None, &mut cut).await?,
                Event::Push(burst) => self.write(Vec::new(), Some(burst), &mut cut).await?,
                Event::Tick => {
                    let now = Instant::now();
                    if self.slot.is_some() && now >= self.pace.settle_by {
                        return Err(Ended::Closed(Closing::Handshake).into());
                    }
                    let silence = now - self.heard();
                    if silence >= self.pace.gone_after {
                        return Err(Ended::Silent.into());
                    }
                    if silence >= self.pace.ping_after && !pinged {
                        pinged = true;
                        self.send(Message::Ping(Bytes::new()), &mut cut).await?;
                    }
                    seldom.push(due(self.due(pinged)));
                }
            }
        }
    }

    /// What comes next. `pushed`: a push came last, so that a message goes before another one; else
    /// a push does not make the socket be read in vain.
    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        cut: &mut CutWatch,
        seldom: &mut FuturesUnordered<BoxFuture<'static, Seldom>>,
        pushed: bool,
    ) -> Poll<Result<Event, Ended>> {
        if let Poll::Ready(why) = cut.poll_wait(cx) {
            return Poll::Ready(Err(Ended::Cut(why)));
        }
        match seldom.poll_next_unpin(cx) {
            Poll::Ready(Some(Seldom::Stopped)) => return Poll::Ready(Err(Ended::Shutdown)),
            Poll::Ready(Some(Seldom::Due)) => return Poll::Ready(Ok(Event::Tick)),
            Poll::Ready(None) | Poll::Pending => {}
        }
        if let Poll::Ready(frames) = self.beside.poll_next(cx) {
            return Poll::Ready(Ok(Event::Done(frames)));
        }
        for reads in [pushed, !pushed] {
            if !reads {
                if let Poll::Ready(frame) = self.inbox.poll_next(cx) {
                    return Poll::Ready(Ok(Event::Push(frame)));
                }
            } else if self.beside.len() < CREDIT_CHUNKS
                && let Poll::Ready(message) = self.socket.poll_next_unpin(cx)
            {
                return Poll::Ready(Ok(Event::Message(message)));
            }
        }
        Poll::Pending
    }

    /// Waits for the session, and writes pushes meanwhile. The session's work is never dropped
    /// half done: what it has begun in the store, it ends.
    async fn attend<T>(
        &mut self,
        work: impl Future<Output = T>,
        cut: &mut CutWatch,
    ) -> Result<T, Ended> {
        let mut work = pin!(work);
        let ended = select! {
            biased;
            done = &mut work => return Ok(done),
            why = cut.wait() => Ended::Cut(why),
            never = self.beside.drive() => match never {},
            ended = pump(&mut self.socket, &mut self.inbox) => ended,
        };
        work.await;
        Err(ended)
    }

    /// Does what the session wants.
    async fn take(&mut self, step: Step, cut: &mut CutWatch) -> Result<(), Left> {
        self.write(step.frames, None, cut).await?;
        match step.next {
            Next::Stay => Ok(()),
            Next::Settled { message } => {
                let socket = self.socket.get_mut();
                socket.set_message_limit(message);
                make_room(socket.inner_mut(), message);
                self.slot = None;
                let items = message >= BULK_MESSAGE;
                Err(Left::Settled { items })
            }
            Next::Close(closing) => Err(Ended::Closed(closing).into()),
        }
    }

    /// Writes these frames, this push and those that wait, then flushes once.
    async fn write(
        &mut self,
        frames: Vec<Payload>,
        mut pushed: Option<Burst>,
        cut: &mut CutWatch,
    ) -> Result<(), Ended> {
        let limit = self.write_by();
        let Self {
            socket,
            inbox,
            beside,
            ..
        } = self;
        let write = async {
            for frame in frames {
                put(socket, Data::Binary, frame).await?;
            }
            loop {
                room(socket).await?;
                match pushed.take().or_else(|| inbox.try_next()) {
                    Some(burst) => socket.get_mut().put(burst),
                    None => return socket.flush().await,
                }
            }
        };
        bounded(write, limit, beside, cut).await
    }

    async fn send(&mut self, message: Message, cut: &mut CutWatch) -> Result<(), Ended> {
        let limit = self.write_by();
        bounded(self.socket.send(message), limit, &mut self.beside, cut).await
    }

    /// Last frames, close frame, and a moment for the peer to answer.
    async fn close(
        &mut self,
        frames: Vec<Payload>,
        closing: Closing,
    ) -> Result<(), tungstenite::Error> {
        for frame in frames {
            put(&mut self.socket, Data::Binary, frame).await?;
        }
        let frame = CloseFrame {
            code: closing.code().into(),
            reason: closing.reason().into(),
        };
        self.socket.close(Some(frame)).await?;
        let stream = self.socket.get_mut().inner_mut();
        stream.shutdown().await?;
        let mut rest = [0; 1024];
        let mut lingered = 0;
        while lingered < LINGER_BYTES {
            match stream.read(&mut rest).await? {
                0 => break,
                read => lingered += read,
            }
        }
        Ok(())
    }

    fn heard(&self) -> Instant {
        self.socket.get_ref().heard()
    }

    /// The next moment something is due on the clock.
    fn due(&self, pinged: bool) -> Instant {
        let silence = if pinged {
            self.pace.gone_after
        } else {
            self.pace.ping_after
        };
        let due = self.heard() + silence;
        match self.slot {
            Some(_) => due.min(self.pace.settle_by),
            None => due,
        }
    }

    /// By when a write that begins now must be through: a peer that takes nothing is as good as gone.
    fn write_by(&self) -> impl FnOnce() -> Instant + use<> {
        let settle_by = self.slot.as_ref().map(|_| self.pace.settle_by);
        let gone_after = self.pace.gone_after;
        move || settle_by.unwrap_or_else(|| Instant::now() + gone_after)
    }
}

/// What a connection goes on with.
enum Event {
    Done(Vec<Payload>),
    Message(Option<Result<Message, tungstenite::Error>>),
    Push(Burst),
    Tick,
}

/// What happens now and then.
enum Seldom {
    Stopped,
    Due,
}

fn stopped(mut stop: watch::Receiver<bool>) -> BoxFuture<'static, Seldom> {
    Box::pin(async move {
        // A server without anybody to stop it is stopping.
        let _ = stop.wait_for(|stop| *stop).await;
        Seldom::Stopped
    })
}

fn due(at: Instant) -> BoxFuture<'static, Seldom> {
    Box::pin(async move {
        sleep_until(at).await;
        Seldom::Due
    })
}

/// Waits until more may be put behind what waits to be written. Cancel-safe.
async fn room<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<Guarded<S>>,
) -> Result<(), tungstenite::Error> {
    match socket.get_ref().has_room() {
        true => Ok(()),
        false => socket.flush().await,
    }
}

/// Puts a message behind what waits to be written.
pub(super) async fn put<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<Guarded<S>>,
    kind: Data,
    payload: Payload,
) -> Result<(), tungstenite::Error> {
    room(socket).await?;
    socket.get_mut().put_message(kind, payload);
    Ok(())
}

/// Writes pushes as they come, until the connection breaks. Cancel-safe: a frame is taken from the
/// inbox only when the socket has room for it.
async fn pump<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<Guarded<S>>,
    inbox: &mut Inbox,
) -> Ended {
    let mut step = async || -> Result<(), tungstenite::Error> {
        room(socket).await?;
        let burst = match inbox.try_next() {
            Some(burst) => burst,
            None => {
                socket.flush().await?;
                inbox.next().await
            }
        };
        socket.get_mut().put(burst);
        Ok(())
    };
    loop {
        if let Err(error) = step().await {
            return ended_by(&error);
        }
    }
}

async fn bounded(
    write: impl Future<Output = Result<(), tungstenite::Error>>,
    limit: impl FnOnce() -> Instant,
    beside: &mut Beside,
    cut: &mut CutWatch,
) -> Result<(), Ended> {
    // Whoever is cut off gets nothing more, room or not.
    if let Some(why) = cut.now() {
        return Err(Ended::Cut(why));
    }
    let mut write = pin!(write);
    // Nearly always the socket has room: then no clock is looked at.
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
        return done.map_err(|error| ended_by(&error));
    }
    select! {
        biased;
        why = cut.wait() => Err(Ended::Cut(why)),
        never = beside.drive() => match never {},
        done = timeout_at(limit(), write) => match done {
            Ok(done) => done.map_err(|error| ended_by(&error)),
            Err(_) => Err(Ended::Silent),
        },
    }
}

/// A binary message's bytes; nothing for control frames.
fn understand(
    message: Option<Result<Message, tungstenite::Error>>,
) -> Result<Option<Bytes>, Ended> {
    match message {
        Some(Ok(Message::Binary(bytes))) => Ok(Some(bytes)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Text(_))) => Err(Ended::Closed(Closing::Text)),
        // The close handshake goes on at the next read, which then ends.
        Some(Ok(Message::Close(_) | Message::Frame(_))) => Ok(None),
        Some(Err(error)) => Err(ended_by(&error)),
        None => Err(Ended::Gone),
    }
}

pub(super) fn ended_by(error: &tungstenite::Error) -> Ended {
    match error {
        tungstenite::Error::Io(error) => match violation(error) {
            Some(broken) => {
                debug!(%broken, "the peer broke a rule");
                Ended::Closed(match broken {
                    Violation::TooLarge { .. } => Closing::TooLarge,
                    Violation::Text => Closing::Text,
                    Violation::Fragments(_) | Violation::Controls(_) => Closing::Policy,
                    Violation::Upgrade(_) | Violation::LongControl(_) => Closing::Protocol,
                })
            }
            None => Ended::Gone,
        },
        tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        ) => Ended::Gone,
        tungstenite::Error::Protocol(broken) => {
            debug!(%broken, "the peer broke WebSocket");
            Ended::Closed(Closing::Protocol)
        }
        tungstenite::Error::Capacity(_) => Ended::Closed(Closing::TooLarge),
        _ => Ended::Gone,
    }
}
