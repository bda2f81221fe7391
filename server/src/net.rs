//! The transport: bytes, limits and clocks; it knows nothing of what is said.
//!
//! ```text
//! accept -> gate -> TLS -> upgrade -> connection task <-> Session
//!           (fair    (plenary-certs)   guard: every byte in     ^
//!            share)                    outbox: pushes out <- Registry
//! ```
//!
//! [`serve`] runs it all over a [`Service`], which opens one [`Session`] a connection.

/// `AsyncWrite` of a wrapper that looks at what is read only: all is passed on to its `inner`.
macro_rules! write_through {
    ($wrapper:ident) => {
        impl<S: tokio::io::AsyncWrite + Unpin> tokio::io::AsyncWrite for $wrapper<S> {
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
    };
}

mod beside;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connection;
mod framed;
mod gate;
mod guard;
mod lanes;
mod listener;
mod outbox;
mod registry;
mod session;
mod upgrade;
mod wide;

pub use listener::{Settings, serve};
pub use outbox::{ConnectionId, Cut, Outbox};
pub use registry::{Presence, Registry, Seen};
pub use session::{Closing, End, Later, Link, Next, Note, Service, Session, Step, Turn};
