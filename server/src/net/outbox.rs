//! The way to a connection from outside its task: a bounded queue of pushes, and an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
pub use plenary_core::hub::ConnectionId;
use plenary_proto::limits::{OUTBOUND_BYTES, OUTBOUND_FRAMES};
use tokio::sync::{mpsc, watch};

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
    frames: mpsc::Sender<Bytes>,
    waiting: Arc<AtomicUsize>,
    cut: watch::Sender<Option<Cut>>,
}

/// The connection's end.
#[derive(Debug)]
pub struct Inbox {
    frames: mpsc::Receiver<Bytes>,
    waiting: Arc<AtomicUsize>,
    cut: watch::Receiver<Option<Cut>>,
}

/// Both ends of a new queue of [`OUTBOUND_FRAMES`] and [`OUTBOUND_BYTES`].
pub fn outbox(id: ConnectionId) -> (Outbox, Inbox) {
    let (sender, receiver) = mpsc::channel(OUTBOUND_FRAMES);
    let (cut, cut_seen) = watch::channel(None);
    let waiting = Arc::new(AtomicUsize::new(0));
    let inbox = Inbox {
        frames: receiver,
        waiting: waiting.clone(),
        cut: cut_seen,
    };
    let outbox = Outbox {
        id,
        frames: sender,
        waiting,
        cut,
    };
    (outbox, inbox)
}

impl Outbox {
    /// The connection.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// Queues one encoded frame; never waits. A reader whose queue is full is cut off, so that it
    /// costs its peers nothing. False when the frame will not be delivered.
    pub fn push(&self, frame: Bytes) -> bool {
        let len = frame.len();
        let waiting = self.waiting.fetch_add(len, Ordering::Relaxed) + len;
        if waiting > OUTBOUND_BYTES {
            self.waiting.fetch_sub(len, Ordering::Relaxed);
            self.cut(Cut::Lagging);
            return false;
        }
        match self.frames.try_send(frame) {
            Ok(()) => true,
            Err(error) => {
                self.waiting.fetch_sub(len, Ordering::Relaxed);
                if matches!(error, mpsc::error::TrySendError::Full(_)) {
                    self.cut(Cut::Lagging);
                }
                false
            }
        }
    }

    /// Bytes that wait to be read.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the connection at once. The first reason given stays.
    pub fn cut(&self, why: Cut) {
        self.cut.send_if_modified(|cut| {
            let first = cut.is_none();
            if first {
                *cut = Some(why);
            }
            first
        });
    }

    /// The connection is gone, or will be.
    pub fn is_cut(&self) -> bool {
        self.frames.is_closed() || self.cut.borrow().is_some()
    }
}

impl Inbox {
    /// The next frame; never ends while an [`Outbox`] is held. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        let frame = self.frames.recv().await;
        self.taken(frame)
    }

    /// The next frame if one waits.
    pub fn try_next(&mut self) -> Option<Bytes> {
        let frame = self.frames.try_recv().ok();
        self.taken(frame)
    }

    /// A watch on being cut, to wait on beside [`next`](Self::next).
    pub fn cut(&self) -> CutWatch {
        CutWatch(self.cut.clone())
    }

    fn taken(&self, frame: Option<Bytes>) -> Option<Bytes> {
        if let Some(frame) = &frame {
            self.waiting.fetch_sub(frame.len(), Ordering::Relaxed);
        }
        frame
    }
}

/// Tells a connection that it is cut.
#[derive(Debug, Clone)]
pub struct CutWatch(watch::Receiver<Option<Cut>>);

impl CutWatch {
    /// Waits until the connection is cut; for ever if nobody can any more. Cancel-safe.
    pub async fn wait(&mut self) -> Cut {
        let seen = self.0.wait_for(Option::is_some).await;
        if let Some(why) = seen.ok().and_then(|cut| *cut) {
            return why;
        }
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_come_out_in_order() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        for n in 0..10u8 {
            assert!(outbox.push(Bytes::copy_from_slice(&[n])));
        }
        for n in 0..10u8 {
            assert_eq!(inbox.next().await.unwrap()[..], [n]);
        }
        assert_eq!(inbox.try_next(), None);
        assert!(!outbox.is_cut());
    }

    #[tokio::test]
    async fn one_frame_too_many_cuts_the_reader() {
        let (outbox, mut inbox) = outbox(ConnectionId(1));
        for _ in 0..OUTBOUND_FRAMES {
            assert!(outbox.push(Bytes::from_static(b"x")));
        }
        assert!(!outbox.is_cut());
        assert!(!outbox.push(Bytes::from_static(b"x")));
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
            assert!(outbox.push(half.clone()) && outbox.push(half.clone()));
            inbox.next().await.unwrap();
            inbox.try_next().unwrap();
        }
        assert!(outbox.push(half.clone()) && outbox.push(half));
        assert!(!outbox.push(Bytes::from_static(b"x")));
        assert_eq!(inbox.cut().wait().await, Cut::Lagging);
    }

    #[test]
    fn a_push_to_a_connection_that_is_gone_is_refused_quietly() {
        let (outbox, inbox) = outbox(ConnectionId(1));
        drop(inbox);
        assert!(!outbox.push(Bytes::from_static(b"x")));
        assert!(outbox.is_cut());
    }
}
