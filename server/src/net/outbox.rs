//! The way to a connection from outside its task: a bounded queue of pushes, and an end.
//!
//! One lock holds what waits, so that a channel's push takes one short turn at each of its readers
//! and a reader takes all that waits in one. Of the connection's own side there is one waiter for
//! frames and one for the end.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

pub use plenary_core::hub::ConnectionId;
use plenary_proto::limits::{OUTBOUND_BYTES, OUTBOUND_FRAMES};

use super::framed::Burst;

/// Bursts for which room is kept.
const KEPT: usize = 16;

/// Why a connection is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The reader fell behind by more than its queue holds. It catches up from the store.
    Lagging,
    /// Its device may not be here any more.
    Revoked,
    /// The operator wants it. It may come back.
    Dropped,
}

/// The sending end. Cheap to clone; outlives its connection harmlessly.
#[derive(Debug, Clone)]
pub struct Outbox {
    id: ConnectionId,
    shared: Arc<Shared>,
}

/// The connection's end.
#[derive(Debug)]
pub struct Inbox {
    shared: Arc<Shared>,
    /// Taken out of the queue and still counted as waiting.
    taken: VecDeque<Burst>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What waits, taken or not.
    waiting: Waiting,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    bursts: VecDeque<Burst>,
    cut: Option<Cut>,
    /// The connection is gone.
    gone: bool,
    reader: Option<Waker>,
    ender: Option<Waker>,
}

/// Frames in the upper half, bytes in the lower: both stay far below.
#[derive(Debug, Default)]
struct Waiting(AtomicU64);

impl Waiting {
    fn of(burst: &Burst) -> u64 {
        (burst.messages() as u64) << 32 | burst.len() as u64
    }

    fn bytes(&self) -> usize {
        (self.0.load(Ordering::Relaxed) & u64::from(u32::MAX)) as usize
    }

    fn has_room(&self, burst: &Burst) -> bool {
        let frames = (self.0.load(Ordering::Relaxed) >> 32) as usize;
        frames + burst.messages() <= OUTBOUND_FRAMES && self.bytes() + burst.len() <= OUTBOUND_BYTES
    }
}

/// Both ends of a new queue of [`OUTBOUND_FRAMES`] and [`OUTBOUND_BYTES`].
pub fn outbox(id: ConnectionId) -> (Outbox, Inbox) {
    let shared = Arc::<Shared>::default();
    let inbox = Inbox {
        shared: shared.clone(),
        taken: VecDeque::new(),
    };
    (Outbox { id, shared }, inbox)
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self, why: Cut) {
        let ender = {
            let mut queue = self.queue();
            if queue.cut.is_some() {
                return;
            }
            queue.cut = Some(why);
            queue.ender.take()
        };
        wake(ender);
    }
}

impl Outbox {
    /// The connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Queues messages; never waits. A reader whose queue is full is cut off, so that it costs its
    /// peers nothing. False when they will not be delivered.
    pub fn push(&self, burst: &Burst) -> bool {
        let reader = {
            let mut queue = self.shared.queue();
            if queue.gone {
                return false;
            }
            if !self.shared.waiting.has_room(burst) {
                drop(queue);
                self.cut(Cut::Lagging);
                return false;
            }
            let more = Waiting::of(burst);
            self.shared.waiting.0.fetch_add(more, Ordering::Relaxed);
            queue.bursts.push_back(burst.clone());
            queue.reader.take()
        };
        wake(reader);
        true
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.bytes()
    }

    /// Ends the connection at once. The first reason given stays.
    pub fn cut(&self, why: Cut) {
        self.shared.cut(why);
    }

    /// The connection is gone, or will be.
    pub fn is_cut(&self) -> bool {
        let queue = self.shared.queue();
        queue.gone || queue.cut.is_some()
    }
}

impl Inbox {
    /// What was queued next. Cancel-safe.
    pub async fn next(&mut self) -> Burst {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Burst> {
        if self.taken.is_empty() {
            self.refill(Some(cx));
        }
        match self.pop() {
            Some(burst) => Poll::Ready(burst),
            None => Poll::Pending,
        }
    }

    /// What was queued next, if anything waits.
    pub fn try_next(&mut self) -> Option<Burst> {
        if self.taken.is_empty() {
            self.refill(None);
        }
        self.pop()
    }

    /// A watch on being cut, to wait on beside [`next`](Self::next). One at a time.
    pub fn cut(&self) -> CutWatch {
        CutWatch(self.shared.clone())
    }

    fn refill(&mut self, cx: Option<&mut Context<'_>>) {
        if self.taken.capacity() > KEPT {
            self.taken = VecDeque::new();
        }
        let mut queue = self.shared.queue();
        std::mem::swap(&mut queue.bursts, &mut self.taken);
        if let Some(cx) = cx.filter(|_| self.taken.is_empty()) {
            keep(&mut queue.reader, cx);
        }
    }

    fn pop(&mut self) -> Option<Burst> {
        let burst = self.taken.pop_front()?;
        let less = Waiting::of(&burst);
        self.shared.waiting.0.fetch_sub(less, Ordering::Relaxed);
        Some(burst)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.gone = true;
        queue.bursts = VecDeque::new();
    }
}

/// Tells a connection that it is cut.
#[derive(Debug)]
pub struct CutWatch(Arc<Shared>);

impl CutWatch {
    /// Whether it is cut by now, and why.
    pub fn now(&self) -> Option<Cut> {
        self.0.queue().cut
    }

    /// Waits until the connection is cut. Cancel-safe.
    pub async fn wait(&mut self) -> Cut {
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    /// As [`wait`](Self::wait).
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        let mut queue = self.0.queue();
        match queue.cut {
            Some(why) => Poll::Ready(why),
            None => {
                keep(&mut queue.ender, cx);
                Poll::Pending
            }
        }
    }
}

fn keep(waiter: &mut Option<Waker>, cx: &Context<'_>) {
    match waiter {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waiter = Some(cx.waker().clone()),
    }
}

fn wake(waiter: Option<Waker>) {
    if let Some(waker) = waiter {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn message(payload: &[u8]) -> Burst {
        Burst::of(&[Bytes::copy_from_slice(payload)])
    }

    fn push(outbox: &Outbox, payload: &[u8]) -> bool {
        outbox.push(&message(payload))
    }

    /// Half of what a queue holds, header included.
    fn half() -> Burst {
        let half = message(&vec![0; OUTBOUND_BYTES / 2 - 10]);
        assert_eq!(half.len(), OUTBOUND_BYTES / 2);
        half
    }

    #[tokio::test]
    async fn frames_come_out_in_order() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        for n in 0..10u8 {
            assert!(push(&outbox, &[n]));
        }
        for n in 0..10u8 {
            assert_eq!(inbox.next().await, message(&[n]));
        }
        assert_eq!(inbox.try_next(), None);
        assert!(!outbox.is_cut());
    }

    #[tokio::test]
    async fn one_frame_too_many_cuts_the_reader() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        for _ in 0..OUTBOUND_FRAMES {
            assert!(push(&outbox, b"x"));
        }
        assert!(!outbox.is_cut());
        assert!(!push(&outbox, b"x"));
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
        // A later reason does not replace the first.
        outbox.cut(Cut::Revoked);
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
        assert!(inbox.try_next().is_some());
    }

    #[tokio::test]
    async fn one_byte_too_many_cuts_the_reader_and_reading_makes_room() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        let half = half();
        for _ in 0..20 {
            assert!(outbox.push(&half) && outbox.push(&half));
            inbox.next().await;
            inbox.try_next().unwrap();
        }
        assert!(outbox.push(&half) && outbox.push(&half));
        assert!(!push(&outbox, b"x"));
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
    }

    #[tokio::test]
    async fn what_was_taken_and_not_written_still_counts() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        let half = half();
        assert!(outbox.push(&half) && outbox.push(&half));
        // Both are out of the queue by now, one of them is still to be written.
        inbox.next().await;
        assert_eq!(outbox.waiting(), half.len());
        assert!(outbox.push(&half));
        assert!(!outbox.push(&half));
        assert!(outbox.is_cut());
    }

    #[tokio::test]
    async fn no_push_is_slept_through() {
        const FRAMES: u32 = 20_000;
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        let pusher = std::thread::spawn(move || {
            for n in 0..FRAMES {
                // The reader is to sleep now and then, and never to fall behind.
                while outbox.waiting() > OUTBOUND_BYTES / 128 {
                    std::thread::yield_now();
                }
                assert!(push(&outbox, &n.to_be_bytes()));
            }
            outbox.cut(Cut::Dropped);
        });
        let mut cut = inbox.cut();
        for n in 0..FRAMES {
            assert_eq!(inbox.next().await, message(&n.to_be_bytes()));
        }
        assert_eq!(cut.wait().await, Cut::Dropped);
        pusher.join().unwrap();
    }

    #[test]
    fn a_push_to_a_connection_that_is_gone_is_refused_quietly() {
        let (outbox, inbox) = outbox(ConnectionId(1));
        drop(inbox);
        assert!(!push(&outbox, b"x"));
        assert!(outbox.is_cut());
    }
}
