//! The stream below the WebSocket: what the server sends is counted before it is read.
//!
//! A hostile server must not be able to keep a client busy with endless headers, empty fragments or
//! pings; tungstenite caps none of them.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use plenary_proto::{
    append::append,
    limits,
    scanner::{Rules, Scanner, Violation},
};
use tokio::{
    io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf},
    time::{Duration, Instant},
};

/// Bytes of the HTTP answer to the upgrade: ten times what a server sends.
const UPGRADE_RESPONSE: usize = 4096;

const HEADERS_END: &[u8; 4] = b"\r\n\r\n";

/// When the last byte came. Shared, because the stream itself is out of reach once it is split.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    start: Instant,
    millis: Arc<AtomicU64>,
}

impl Heard {
    fn now() -> Self {
        Self {
            start: Instant::now(),
            millis: Arc::default(),
        }
    }

    fn mark(&self, now: Instant) {
        let millis = now.duration_since(self.start).as_millis() as u64;
        self.millis.store(millis, Ordering::Relaxed);
    }

    /// The moment.
    pub(super) fn at(&self) -> Instant {
        self.start + Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

enum Stage {
    /// Inside the HTTP headers: bytes so far, and how much of their end was seen.
    Upgrade {
        read: usize,
        matched: usize,
    },
    Frames,
}

/// A byte stream that does not deliver what breaks the rules: reading fails with a [`Violation`]
/// inside the I/O error, see [`violation`].
pub(super) struct Guarded<S> {
    inner: S,
    stage: Stage,
    scanner: Scanner,
    heard: Heard,
}

impl<S> Guarded<S> {
    /// Before the upgrade. The first frames may follow its answer in the same read.
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            stage: Stage::Upgrade {
                read: 0,
                matched: 0,
            },
            scanner: Scanner::new(Rules {
                message: limits::FRAME_BEFORE_OK,
                fragments: limits::FRAGMENTS,
                controls: limits::CONTROL_FRAMES_PER_SECOND,
                text: false,
            }),
            heard: Heard::now(),
        }
    }

    /// The stream below.
    pub(super) fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Allows messages of so many bytes from now on.
    pub(super) fn set_message_limit(&mut self, bytes: usize) {
        self.scanner.set_message_limit(bytes);
    }

    /// The clock of what comes.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    fn judge(&mut self, mut came: &[u8], now: Instant) -> Result<(), Violation> {
        while let Stage::Upgrade { read, matched } = &mut self.stage {
            let Some((byte, rest)) = came.split_first() else {
                return Ok(());
            };
            came = rest;
            *read += 1;
            if *read > UPGRADE_RESPONSE {
                return Err(Violation::Upgrade(UPGRADE_RESPONSE));
            }
            *matched = match (HEADERS_END.get(*matched) == Some(byte), *byte) {
                (true, _) => *matched + 1,
                (false, b'\r') => 1,
                (false, _) => 0,
            };
            if *matched == HEADERS_END.len() {
                self.stage = Stage::Frames;
            }
        }
        self.scanner.scan(came, now.into_std())
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

/// The rule that was broken, if that is why reading failed.
pub(super) fn violation(error: &io::Error) -> Option<Violation> {
    error.get_ref()?.downcast_ref().copied()
}

impl<S: AsyncBufRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let came = ready!(Pin::new(&mut this.inner).poll_fill_buf(cx))?;
        let taken = came.len().min(buf.remaining());
        append(buf, &came[..taken]);
        Pin::new(&mut this.inner).consume(taken);
        let now = Instant::now();
        if buf.filled().len() > before {
            this.heard.mark(now);
        }
        let verdict = this.judge(&buf.filled()[before..], now);
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
        Pin::new(&mut self.get_mut().inner).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(pieces: &[&[u8]]) -> Result<(), Violation> {
        let mut guard = Guarded::new(());
        let now = Instant::now();
        pieces.iter().try_for_each(|piece| guard.judge(piece, now))
    }

    #[test]
    fn frames_are_counted_from_the_byte_after_the_headers() {
        let text_frame = [0x81, 1, b'x'];
        let head = b"HTTP/1.1 101 x\r\nA: \r\r\n\r\n";
        assert_eq!(judge(&[head]), Ok(()));
        let joined = [&head[..], &text_frame].concat();
        assert_eq!(judge(&[&joined]), Err(Violation::Text));
        for cut in 0..joined.len() {
            let (left, right) = joined.split_at(cut);
            assert_eq!(judge(&[left, right]), Err(Violation::Text), "{cut}");
        }
        let binary = [&head[..], &[0x82, 1, b'x']].concat();
        assert_eq!(judge(&[&binary]), Ok(()));
    }

    #[test]
    fn endless_headers_are_refused() {
        assert_eq!(judge(&[&[b'a'; UPGRADE_RESPONSE]]), Ok(()));
        assert_eq!(
            judge(&[&[b'a'; UPGRADE_RESPONSE + 1]]),
            Err(Violation::Upgrade(UPGRADE_RESPONSE))
        );
    }
}
