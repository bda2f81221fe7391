//! The stream below the WebSocket: what comes in passes the [`Scanner`], what goes out passes data frames
//! that wait here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use plenary_proto::codec::Payload;
use plenary_proto::scanner::{Rules, Scanner, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use super::framed::{Burst, Unwritten};

/// Frames are gathered up to so many bytes before they are written: as many as a TLS record holds.
const GATHERED: usize = 16 * 1024;

/// Bytes of the HTTP request that asks for the upgrade: ten times what a client sends.
const UPGRADE_REQUEST: usize = 4096;

enum Stage {
    Upgrade { read: usize },
    Frames(Scanner),
}

/// A byte stream that refuses to deliver what breaks the rules: reading then fails with a
/// [`Violation`] inside the I/O error, see [`violation`].
pub struct Guarded<S> {
    inner: S,
    stage: Stage,
    heard: Instant,
    /// Go out before anything that the WebSocket library writes.
    frames: Unwritten,
    /// The library has begun a frame and not ended it: nothing may come in between.
    begun: bool,
}

impl<S> Guarded<S> {
    /// The stream below, past all rules.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Before the upgrade.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            stage: Stage::Upgrade { read: 0 },
            heard: Instant::now(),
            frames: Unwritten::default(),
            begun: false,
        }
    }

    /// Whether frames may be put in now. If not: flush first.
    pub fn has_room(&self) -> bool {
        !self.begun && self.frames.len() < GATHERED
    }

    /// Puts in whole messages, to go out at the next flush at the latest. Where there is room.
    pub fn put(&mut self, burst: Burst) {
        self.frames.push(burst);
    }

    /// As [`put`](Self::put).
    pub fn put_message(&mut self, kind: Data, payload: Payload) {
        self.frames.push_message(kind, payload);
    }

    /// The upgrade is done: frames follow.
    pub fn expect_frames(&mut self, rules: Rules) {
        self.stage = Stage::Frames(Scanner::new(rules));
    }

    /// Allows messages of so many bytes from now on.
    pub fn set_message_limit(&mut self, bytes: usize) {
        if let Stage::Frames(scanner) = &mut self.stage {
            scanner.set_message_limit(bytes);
        }
    }

    /// When the last byte came.
    pub fn heard(&self) -> Instant {
        self.heard
    }
}

/// The rule that was broken, if that is why reading failed.
pub fn violation(error: &io::Error) -> Option<Violation> {
    error.get_ref()?.downcast_ref().copied()
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let came = &buf.filled()[before..];
        if came.is_empty() {
            return Poll::Ready(Ok(()));
        }
        this.heard = Instant::now();
        let verdict = match &mut this.stage {
            Stage::Upgrade { read } => {
                *read += came.len();
                if *read > UPGRADE_REQUEST {
                    Err(Violation::Upgrade(UPGRADE_REQUEST))
                } else {
                    Ok(())
                }
            }
            Stage::Frames(scanner) => scanner.scan(came, this.heard.into_std()),
        };
        Poll::Ready(verdict.map_err(|violation| {
            // Nothing of what came is delivered.
            buf.set_filled(before);
            io::Error::new(io::ErrorKind::InvalidData, violation)
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.begun {
            ready!(this.frames.poll_write(&mut this.inner, cx))?;
        }
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, buf))?;
        // The library gives all it has, and gives the rest again.
        this.begun = written < buf.len();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.begun {
            ready!(this.frames.poll_write(&mut this.inner, cx))?;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
