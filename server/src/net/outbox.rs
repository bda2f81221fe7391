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

use bytes::Bytes;
pub use plenary_core::hub::ConnectionId;
use plenary_proto::limits::{OUTBOUND_BYTES, OUTBOUND_FRAMES};

/// Frames for which room is kept between two bursts.
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
    taken: VecDeque<Bytes>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What waits, taken or not.
    waiting: Waiting,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Bytes>,
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
    fn of(frame: &Bytes) -> u64 {
        (1 << 32) | frame.len() as u64
    }

    fn bytes(&self) -> usize {
        (self.0.load(Ordering::Relaxed) & u64::from(u32::MAX)) as usize
    }

    fn has_room(&self, frame: &Bytes) -> bool {
        let frames = (self.0.load(Ordering::Relaxed) >> 32) as usize;
        frames < OUTBOUND_FRAMES && self.bytes() + frame.len() <= OUTBOUND_BYTES
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

    /// Queues encoded frames; never waits. A reader whose queue is full is cut off, so that it
    /// costs its peers nothing. False when not all of them will be delivered.
    pub fn push(&self, frames: &[Bytes]) -> bool {
        let reader = {
            let mut queue = self.shared.queue();
            if queue.gone {
                return false;
            }
            for frame in frames {
                if !self.shared.waiting.has_room(frame) {
                    drop(queue);
                    self.cut(Cut::Lagging);
                    return false;
                }
                let more = Waiting::of(frame);
                self.shared.waiting.0.fetch_add(more, Ordering::Relaxed);
                queue.frames.push_back(frame.clone());
            }
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
    /// The next frame. Cancel-safe.
    pub async fn next(&mut self) -> Bytes {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next).
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.taken.is_empty() {
            self.refill(Some(cx));
        }
        match self.pop() {
            Some(frame) => Poll::Ready(frame),
            None => Poll::Pending,
        }
    }

    /// The next frame if one waits.
    pub fn try_next(&mut self) -> Option<Bytes> {
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
        std::mem::swap(&mut queue.frames, &mut self.taken);
        if let Some(cx) = cx.filter(|_| self.taken.is_empty()) {
            keep(&mut queue.reader, cx);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.taken.pop_front()?;
        let less = Waiting::of(&frame);
        self.shared.waiting.0.fetch_sub(less, Ordering::Relaxed);
        Some(frame)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.gone = true;
        queue.frames = VecDeque::new();
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
    use super::*;

    fn push(outbox: &Outbox, frame: Bytes) -> bool {
        outbox.push(&[frame])
    }

    #[tokio::test]
    async fn frames_come_out_in_order() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        for n in 0..10u8 {
            assert!(push(&outbox, Bytes::copy_from_slice(&[n])));
        }
        for n in 0..10u8 {
            assert_eq!(inbox.next().await[..], [n]);
        }
        assert_eq!(inbox.try_next(), None);
        assert!(!outbox.is_cut());
    }

    #[tokio::test]
    async fn one_frame_too_many_cuts_the_reader() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        for _ in 0..OUTBOUND_FRAMES {
            assert!(push(&outbox, Bytes::from_static(b"x")));
        }
        assert!(!outbox.is_cut());
        assert!(!push(&outbox, Bytes::from_static(b"x")));
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
        // A later reason does not replace the first.
        outbox.cut(Cut::Revoked);
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
        assert!(inbox.try_next().is_some());
    }

    #[tokio::test]
    async fn one_byte_too_many_cuts_the_reader_and_reading_makes_room() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        let half = Bytes::from(vec![0; OUTBOUND_BYTES / 2]);
        for _ in 0..20 {
            assert!(push(&outbox, half.clone()) && push(&outbox, half.clone()));
            inbox.next().await;
            inbox.try_next().unwrap();
        }
        assert!(push(&outbox, half.clone()) && push(&outbox, half));
        assert!(!push(&outbox, Bytes::from_static(b"x")));
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
    }

    #[tokio::test]
    async fn what_was_taken_and_not_written_still_counts() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        let half = Bytes::from(vec![0; OUTBOUND_BYTES / 2]);
        assert!(push(&outbox, half.clone()) && push(&outbox, half.clone()));
        // Both are out of the queue by now, one of them is still to be written.
        inbox.next().await;
        assert_eq!(outbox.waiting(), half.len());
        assert!(push(&outbox, half.clone()));
        assert!(!push(&outbox, half));
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
                assert!(push(&outbox, Bytes::copy_from_slice(&n.to_be_bytes())));
            }
            outbox.cut(Cut::Dropped);
        });
        let mut cut = inbox.cut();
        for n in 0..FRAMES {
            let frame = inbox.next().await;
            assert_eq!(frame[..], n.to_be_bytes());
        }
        assert_eq!(cut.wait().await, Cut::Dropped);
        pusher.join().unwrap();
    }

    #[test]
    fn a_push_to_a_connection_that_is_gone_is_refused_quietly() {
        let (outbox, inbox) = outbox(ConnectionId(1));
        drop(inbox);
        assert!(!push(&outbox, Bytes::from_static(b"x")));
        assert!(outbox.is_cut());
    }
}
