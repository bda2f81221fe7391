//! Data frames, framed here and not by the WebSocket library: a server masks nothing, so what goes to
//! many readers is framed once and shared by them, and nothing is copied on its way to TLS. Headers are
//! the library's; so are control frames and everything that is read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::take;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use plenary_proto::codec::Payload;
use tokio::io::AsyncWrite;
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// Bytes of a header at most, where nothing is masked.
const HEADER: usize = 10;
/// A payload up to here is copied behind its header: a piece of its own would cost more.
const COPIED: usize = 4 * 1024;
/// Pieces that are written in one go.
const SLICES: usize = 16;
/// Pieces for which room is kept between two bursts.
const KEPT: usize = 16;

/// Whole binary messages one after the other, as they go over the line. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burst {
    bytes: Bytes,
    messages: usize,
}

impl Burst {
    /// Of these payloads.
    pub fn of(payloads: &[Bytes]) -> Self {
        let size = payloads.iter().map(|payload| payload.len() + HEADER).sum();
        let mut bytes = Vec::with_capacity(size);
        for payload in payloads {
            header(Data::Binary, payload.len(), &mut bytes);
            bytes.extend_from_slice(payload);
        }
        Self {
            bytes: bytes.into(),
            messages: payloads.len(),
        }
    }

    /// How many messages.
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// Bytes, headers included.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// What waits to be written: whole frames, but for the first, of which some may be gone.
#[derive(Debug, Default)]
pub struct Unwritten {
    pieces: VecDeque<Bytes>,
    len: usize,
}

impl Unwritten {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds messages that are framed.
    pub fn push(&mut self, burst: Burst) {
        self.piece(burst.bytes);
    }

    /// Adds a message.
    pub fn push_message(&mut self, kind: Data, payload: Payload) {
        let pieces = [payload.head, payload.body];
        let len = pieces.iter().map(Bytes::len).sum();
        let small = |len: &usize| *len <= COPIED;
        let copied: usize = pieces.iter().map(Bytes::len).filter(small).sum();
        let mut gathered = Vec::with_capacity(HEADER + copied);
        header(kind, len, &mut gathered);
        for piece in pieces {
            if small(&piece.len()) {
                gathered.extend_from_slice(&piece);
            } else {
                self.piece(take(&mut gathered).into());
                self.piece(piece);
            }
        }
        self.piece(gathered.into());
    }

    fn piece(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Writes all of it. Cancel-safe: what is not written still waits.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        to: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(first) = self.pieces.front() {
            let written = if self.pieces.len() == 1 {
                ready!(Pin::new(&mut *to).poll_write(cx, first))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                    *slice = IoSlice::new(piece);
                }
                ready!(Pin::new(&mut *to).poll_write_vectored(cx, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_written(written);
        }
        if self.pieces.capacity() > KEPT {
            self.pieces = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }

    fn is_written(&mut self, mut bytes: usize) {
        self.len = self.len.saturating_sub(bytes);
        while let Some(first) = self.pieces.front_mut() {
            if bytes < first.len() {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.pieces.pop_front();
        }
    }
}

fn header(kind: Data, payload: usize, to: &mut Vec<u8>) {
    let header = FrameHeader {
        opcode: OpCode::Data(kind),
        ..FrameHeader::default()
    };
    // Fails where the writer does, and this one does not.
    let _ = header.format(payload as u64, to);
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::StreamExt;
    use tokio::io::AsyncWriteExt;
    use tokio_tungstenite::WebSocketStream;
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// A stream that takes an odd number of bytes at a time, and often none.
    struct Grudging<S>(S, usize);

    impl<S: AsyncWrite + Unpin> AsyncWrite for Grudging<S> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let some = buf.len().min(1 + self.1 * 37 % 5_000);
            Pin::new(&mut self.0).poll_write(cx, &buf[..some])
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// What the WebSocket library of a client makes of it, however the line takes it.
    #[tokio::test]
    async fn a_client_reads_what_was_put_in() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let mut client = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
        let payloads: Vec<Bytes> = [0, 1, 125, 126, 127, COPIED, COPIED + 1, 65_535, 65_536]
            .map(|len| (0..len).map(|at| (at * 7 % 251) as u8).collect())
            .into();
        let sent = payloads.clone();
        let writer = tokio::spawn(async move {
            let mut to = Grudging(ours, 0);
            let mut unwritten = Unwritten::default();
            for payload in &sent {
                unwritten.push_message(Data::Binary, payload.clone().into());
            }
            // The same in two pieces, whichever is the large one.
            for payload in &sent {
                let mut body = payload.clone();
                let head = body.split_to(payload.len().min(payload.len() % 5_000));
                unwritten.push_message(Data::Binary, Payload { head, body });
            }
            let burst = Burst::of(&sent);
            assert_eq!(burst.messages(), sent.len());
            unwritten.push(burst.clone());
            unwritten.push(burst);
            poll_fn(|cx| unwritten.poll_write(&mut to, cx))
                .await
                .unwrap();
            assert_eq!((unwritten.len(), unwritten.pieces.len()), (0, 0));
            to.shutdown().await.unwrap();
        });
        for _ in 0..4 {
            for payload in &payloads {
                let came = client.next().await.unwrap().unwrap();
                assert_eq!(came, Message::Binary(payload.clone()));
            }
        }
        writer.await.unwrap();
    }
}
