//! Threads of their own for what chat is not to wait for: handshakes, and connections that carry items.
//!
//! Every connection begins on a lane, with its TLS, its upgrade and its authentication: a crowd at the
//! door costs those who are in little. Chat leaves the lane once it is settled. A bulk connection stays
//! to its end: its TLS, its frames and the work on its chunks. The threads of a lane yield to all others
//! of the server (see [`NICE`]); a machine with nothing else to do gives them all it has. One thread
//! runs what a lane's connections do, so the allocator keeps one arena for the chunks of a connection:
//! spread over the server's workers, each would keep a window of its own.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

#[cfg(target_os = "linux")]
use rustix::process::{getpriority_process, setpriority_process};
use tokio::runtime::{Builder, Runtime};
use tracing::{Instrument, Span, debug, warn};

/// What is added to the nice value (`sched(7)`) of a lane's threads: where both want the processor,
/// they get a tenth of what a chat thread gets, and are set aside as soon as one wakes.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// All lanes of a server: one for each processor.
#[derive(Debug)]
pub struct Lanes(Vec<Lane>);

#[derive(Debug)]
struct Lane {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    connections: AtomicUsize,
}

impl Lanes {
    /// Starts their threads. Where the system gives none there are none, and chat may wait.
    pub fn start() -> Self {
        let count = available_parallelism().map_or(1, usize::from);
        let lanes: io::Result<_> = (0..count).map(|_| Lane::start()).collect();
        Self(lanes.unwrap_or_else(|error| {
            warn!(%error, "no threads for handshakes and items: chat may wait for them");
            Vec::new()
        }))
    }

    /// Runs this on the lane with the fewest connections, or here if there are none. `None`: it did
    /// not come to its end.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let connections = |lane: &&Lane| lane.connections.load(Ordering::Relaxed);
        let lane = self.0.iter().min_by_key(connections);
        let Some((lane, runtime)) = lane.and_then(|lane| Some((lane, lane.runtime.as_ref()?)))
        else {
            return Some(work.await);
        };
        let _place = Place::take(&lane.connections);
        runtime.spawn(work.instrument(Span::current())).await.ok()
    }
}

impl Lane {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plenary-lane")
            .on_thread_start(yielding())
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            connections: AtomicUsize::new(0),
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nobody may wait here; what its connections held has been waited for.
            runtime.shutdown_background();
        }
    }
}

/// Counted among a lane's connections as long as it lives.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(connections: &'a AtomicUsize) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(connections)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What lowers a thread's priority below that of this one: threads inherit it from whichever starts
/// them, so what is set is a value and no difference. On Linux a nice value is each thread's own.
#[cfg(target_os = "linux")]
fn yielding() -> impl Fn() {
    let nice = getpriority_process(None).map(|nice| nice.saturating_add(NICE));
    move || {
        if let Err(error) = nice.and_then(|nice| setpriority_process(None, nice)) {
            debug!(%error, "a lane keeps the priority of all other threads");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn yielding() -> impl Fn() {
    || {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn each_connection_stays_on_one_lane_and_the_lanes_share_them() {
        let lanes = Arc::new(Lanes::start());
        let count = lanes.0.len();
        let began = Arc::new(tokio::sync::Barrier::new(count));
        let runs: Vec<_> = (0..count)
            .map(|_| {
                let (lanes, began) = (lanes.clone(), began.clone());
                tokio::spawn(async move {
                    lanes
                        .run(async move {
                            began.wait().await;
                            let first = thread::current().id();
                            for _ in 0..100 {
                                tokio::task::yield_now().await;
                                assert_eq!(thread::current().id(), first);
                            }
                            first
                        })
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut threads = Vec::new();
        for run in runs {
            threads.push(run.await.unwrap());
        }
        threads.sort_by_key(|thread| format!("{thread:?}"));
        threads.dedup();
        assert_eq!(threads.len(), count, "one lane each");
        assert!(!threads.contains(&thread::current().id()));
        // What panics is told, and takes up no place.
        assert_eq!(lanes.run(async { panic!("on purpose") }).await, None::<()>);
        let left = lanes
            .0
            .iter()
            .map(|lane| lane.connections.load(Ordering::Relaxed));
        assert_eq!(left.sum::<usize>(), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn their_threads_yield_and_ours_do_not() {
        let nice = || getpriority_process(None).unwrap();
        let ours = nice();
        let lanes = Lanes::start();
        let theirs = lanes.run(async move {
            let blocking = tokio::task::spawn_blocking(nice);
            (nice(), blocking.await.unwrap())
        });
        let yielding = (ours + NICE).min(19);
        assert_eq!(theirs.await, Some((yielding, yielding)));
        assert_eq!(nice(), ours);
    }
}
