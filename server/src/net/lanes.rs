//! Threads of their own for what chat is not to wait for: handshakes, and connections that carry items.
//!
//! Every connection begins on a lane, with its TLS, its upgrade and its authentication: a crowd at the
//! door costs those who are in little. It leaves that lane once it is settled: what chats for the main
//! threads, what carries items for a lane of another kind, to its end. One thread runs what a lane's
//! connections do, so the allocator keeps one arena for the chunks of a connection: spread over the
//! server's workers, each would keep a window of its own.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::available_parallelism;

use tokio::runtime::{Builder, Runtime};
use tracing::{Instrument, Span, warn};

/// What a lane's threads do, and with it how far they stand back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Where a chat thread wants the processor, too, they get a tenth of what it gets: whoever knocks
    /// is let in also at a busy server.
    Handshakes,
    /// `SCHED_IDLE` (`sched(7)`): set aside at once when a chat thread wakes, where Linux lets a thread
    /// of any nice value run its slice of milliseconds to the end.
    Items,
}

/// All lanes of a kind: one for each processor.
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
    pub fn start(kind: Kind) -> Self {
        let count = available_parallelism().map_or(1, usize::from);
        let lanes: io::Result<_> = (0..count).map(|_| Lane::start(kind)).collect();
        Self(lanes.unwrap_or_else(|error| {
            warn!(%error, ?kind, "no threads for these: chat may wait for them");
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
    fn start(kind: Kind) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name(match kind {
                Kind::Handshakes => "plenary-door",
                Kind::Items => "plenary-items",
            })
            .on_thread_start(standing_back(kind))
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

/// Added to the nice value (`sched(7)`): a tenth of the weight.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// What makes a thread stand back behind this one. Threads inherit it from whichever starts them, so
/// what is set is a value and no difference. On Linux it is each thread's own.
#[cfg(target_os = "linux")]
fn standing_back(kind: Kind) -> impl Fn() {
    use rustix::process::{getpriority_process, setpriority_process};
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy,
        set_thread_priority_and_policy, thread_native_id,
    };
    let nice = getpriority_process(None).map(|nice| nice.saturating_add(NICE));
    move || {
        let stands_back = match kind {
            Kind::Handshakes => nice
                .and_then(|nice| setpriority_process(None, nice))
                .map_err(|error| error.to_string()),
            Kind::Items => {
                let idle = ThreadSchedulePolicy::Normal(Idle);
                set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle)
                    .map_err(|error| error.to_string())
            }
        };
        if let Err(error) = stands_back {
            tracing::debug!(%error, ?kind, "a lane keeps the priority of all other threads");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn standing_back(_: Kind) -> impl Fn() {
    || {}
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn each_connection_stays_on_one_lane_and_the_lanes_share_them() {
        let lanes = Arc::new(Lanes::start(Kind::Items));
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
    async fn their_threads_stand_back_and_ours_do_not() {
        use rustix::process::getpriority_process;
        use thread_priority::{
            NormalThreadSchedulePolicy::{Idle, Other},
            ThreadSchedulePolicy::Normal,
            thread_schedule_policy,
        };
        let stands = || {
            (
                thread_schedule_policy().unwrap(),
                getpriority_process(None).unwrap(),
            )
        };
        let ours = stands();
        assert_eq!(ours.0, Normal(Other));
        for kind in [Kind::Handshakes, Kind::Items] {
            let lanes = Lanes::start(kind);
            let theirs = lanes.run(async move {
                let blocking = tokio::task::spawn_blocking(stands);
                [stands(), blocking.await.unwrap()]
            });
            for theirs in theirs.await.unwrap() {
                match kind {
                    Kind::Handshakes => {
                        assert_eq!(theirs, (Normal(Other), (ours.1 + NICE).min(19)));
                    }
                    Kind::Items => assert_eq!(theirs.0, Normal(Idle)),
                }
            }
        }
        assert_eq!(stands(), ours);
    }
}
