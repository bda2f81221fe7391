//! Work that goes on beside a connection's messages.
//!
//! It is driven whatever else the connection waits for: what it holds (a batch of signatures that
//! others wait for too) must not hang on a peer that reads slowly.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use plenary_proto::codec::Payload;

use super::session::Later;

/// The work of one connection.
#[derive(Default)]
pub struct Beside {
    running: FuturesUnordered<Later>,
    /// Done, and its frames not written yet.
    done: VecDeque<Vec<Payload>>,
}

impl Beside {
    /// Begins more.
    pub fn begin(&mut self, later: Later) {
        self.running.push(later);
    }

    /// How many are begun and not written yet.
    pub fn len(&self) -> usize {
        self.running.len() + self.done.len()
    }

    /// The frames of one that is done.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Payload>> {
        if let Some(frames) = self.done.pop_front() {
            return Poll::Ready(frames);
        }
        // Most connections have none at most times.
        if self.running.is_empty() {
            return Poll::Pending;
        }
        match self.running.poll_next_unpin(cx) {
            Poll::Ready(Some(frames)) => Poll::Ready(frames),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Goes on with it and never ends. Cancel-safe.
    pub async fn drive(&mut self) -> Infallible {
        poll_fn(|cx| {
            while let Poll::Ready(Some(frames)) = self.running.poll_next_unpin(cx) {
                self.done.push_back(frames);
            }
            Poll::Pending
        })
        .await
    }

    /// Ends it; nobody waits for the frames any more.
    pub async fn finish(&mut self) {
        while self.running.next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use bytes::Bytes;

    use super::*;

    fn frames(n: u8) -> Vec<Payload> {
        vec![Bytes::copy_from_slice(&[n]).into()]
    }

    #[tokio::test]
    async fn what_is_done_while_it_is_driven_is_kept_and_counts_until_it_is_taken() {
        let mut beside = Beside::default();
        beside.begin(Box::pin(ready(frames(1))));
        beside.begin(Box::pin(std::future::pending()));
        tokio::select! {
            biased;
            never = beside.drive() => match never {},
            () = ready(()) => {}
        }
        assert_eq!((beside.len(), beside.done.len()), (2, 1));
        let next = poll_fn(|cx| beside.poll_next(cx)).await;
        assert_eq!((next, beside.len()), (frames(1), 1));
        let next = poll_fn(|cx| Poll::Ready(beside.poll_next(cx))).await;
        assert!(next.is_pending());
    }
}
