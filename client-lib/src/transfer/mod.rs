//! Items on their way: each over a bulk connection of its own, two at once to begin with.
//!
//! ```text
//! chat session --ItemToken--> token
//! bulk connection: reserve, put x 8 in flight, commit      get x 8 in flight
//!                      ^                                        |
//!   thread: read, seal, journal                     thread: verify, write, rename
//! ```
//!
//! Memory is the same for every size: a few chunks between the thread and the line, never the item.
//! Lost lines are taken up again from what is durable; what the server refuses ends the transfer,
//! and the same call takes it up later.

mod bulk;
mod desk;
mod door;
mod download;
mod meter;
mod pace;
mod retry;
mod spool;
mod threads;
mod upload;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use futures_util::{Stream, stream::unfold};
use tokio::{sync::watch, task::JoinHandle};

pub(crate) use desk::Desk;
pub(crate) use download::{Download, Place, Writer};
pub(crate) use meter::Meter;
pub use meter::{Progress, State};
pub(crate) use spool::{Seed, Spool, sweep};
pub(crate) use upload::{Source, Upload};

use crate::error::{Error, ErrorKind};

/// A transfer under way. It goes on by itself; dropping this stops it, and the same call later
/// takes it up from what was durable.
#[derive(Debug)]
pub struct Transfer<T> {
    progress: watch::Receiver<Progress>,
    pause: watch::Sender<bool>,
    task: Task<T>,
}

#[derive(Debug)]
struct Task<T>(JoinHandle<Result<T, Error>>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Send + 'static> Transfer<T> {
    /// Starts the work on a task of its own; it reports to the meter.
    pub(crate) fn start<F>(desk: &Desk, total: u64, work: impl FnOnce(Meter) -> F) -> Self
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (pause, paused) = watch::channel(false);
        let (meter, progress) = Meter::new(total, desk, paused);
        Self {
            progress,
            pause,
            task: Task(threads::spawn(work(meter))),
        }
    }

    /// How far it is now.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until it is further; `None` once it is over.
    pub async fn moved(&mut self) -> Option<Progress> {
        self.progress.changed().await.ok()?;
        Some(*self.progress.borrow_and_update())
    }

    /// How far it is, each time that changes: a slow reader gets the newest only. Ends with the
    /// transfer, and may outlive this handle.
    pub fn updates(&self) -> impl Stream<Item = Progress> + Send + Unpin + use<T> {
        let progress = self.progress.clone();
        Box::pin(unfold(progress, |mut progress| async move {
            progress.changed().await.ok()?;
            let now = *progress.borrow_and_update();
            Some((now, progress))
        }))
    }

    /// Stops for now: the line is given up, another transfer may have its turn. What is durable or
    /// verified stays so.
    pub fn pause(&self) {
        self.pause.send_replace(true);
    }

    /// Goes on where it was paused.
    pub fn resume(&self) {
        self.pause.send_replace(false);
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why it failed. Where [`Error::is_retryable`], or after a remedy, the same call goes on from
    /// what was durable.
    pub async fn finish(mut self) -> Result<T, Error> {
        match (&mut self.task.0).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(ErrorKind::Closed, "the transfer was stopped")),
        }
    }
}
