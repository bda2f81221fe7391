//! The stream below TLS: reads more at a time where much is coming.
//!
//! rustls asks for 4 KiB a time, a system call each: a gigabyte takes 270,000. On a connection that
//! carries items those bytes come out of a buffer of [`ROOM`]; on all others nothing is held.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes read at a time.
const ROOM: usize = 64 * 1024;

/// A stream that can be told that much is coming.
#[derive(Debug)]
pub struct Wide<S> {
    inner: S,
    /// Empty: what is asked for is passed on.
    room: Box<[u8]>,
    /// What of it was read and not taken yet.
    start: usize,
    end: usize,
}

impl<S> Wide<S> {
    /// Nothing is held.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            room: Box::default(),
            start: 0,
            end: 0,
        }
    }

    /// The stream below.
    pub fn inner_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Much is coming.
    pub fn widen(&mut self) {
        if self.room.is_empty() {
            self.room = vec![0; ROOM].into();
        }
    }

    fn take(&mut self, into: &mut ReadBuf<'_>) {
        let there = self.room.get(self.start..self.end).unwrap_or_default();
        let taken = there.len().min(into.remaining());
        into.put_slice(&there[..taken]);
        self.start += taken;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wide<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.start == this.end {
            if this.room.is_empty() {
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            }
            let mut room = ReadBuf::new(&mut this.room);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut room))?;
            (this.start, this.end) = (0, room.filled().len());
        }
        this.take(buf);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wide<S> {
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_comes_out_is_what_went_in_before_and_after() {
        let (mut peer, stream) = tokio::io::duplex(1 << 20);
        let mut wide = Wide::new(stream);
        let sent: Vec<u8> = (0..300_000u32).map(|n| (n / 7 % 251) as u8).collect();
        peer.write_all(&sent).await.unwrap();
        let mut read = vec![0; 5_000];
        wide.read_exact(&mut read).await.unwrap();
        wide.widen();
        // By pieces that fit the room neither way.
        let mut piece = [0; 4_097];
        while read.len() < 200_000 {
            let got = wide.read(&mut piece).await.unwrap();
            read.extend_from_slice(&piece[..got]);
        }
        // Told twice, it loses nothing of what it holds.
        wide.widen();
        drop(peer);
        wide.read_to_end(&mut read).await.unwrap();
        assert!(read == sent);
    }
}
