//! Threads of their own for transfers, so that chat and whatever else this machine does go first.

use std::sync::OnceLock;

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// TLS and frames of all transfers: one thread carries more than a line of ten gigabits, and two do
/// not wait for one another. What seals and verifies has threads beside them.
const WORKERS: usize = 2;

/// Of the process, made at the first transfer: the threads of a client could not be waited for where
/// the last handle to it is dropped. `None`: the system gave none.
static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();

/// Runs a transfer; on the caller's threads where there are no others.
pub(super) fn spawn<F>(work: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match THREADS.get_or_init(make) {
        Some(threads) => threads.spawn(work),
        None => tokio::spawn(work),
    }
}

fn make() -> Option<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("plenary-bulk")
        .on_thread_start(stand_back)
        .enable_all()
        .build()
        .inspect_err(|error| tracing::debug!(%error, "no threads for transfers"))
        .ok()
}

/// `SCHED_IDLE` (`sched(7)`): set aside at once when another thread wakes, where Linux lets one of any
/// nice value run its slice of milliseconds to the end. Only Linux lets each thread have its own;
/// elsewhere chat would stand back with them.
#[cfg(target_os = "linux")]
fn stand_back() {
    use thread_priority::{
        NormalThreadSchedulePolicy::Idle, ThreadPriority, ThreadSchedulePolicy::Normal,
        set_thread_priority_and_policy, thread_native_id,
    };
    let stands =
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, Normal(Idle));
    if let Err(error) = stands {
        tracing::debug!(%error, "a transfer's thread keeps the priority of all others");
    }
}

#[cfg(not(target_os = "linux"))]
fn stand_back() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use thread_priority::{
        NormalThreadSchedulePolicy::{Idle, Other},
        ThreadSchedulePolicy::Normal,
        thread_schedule_policy,
    };

    use super::*;

    #[tokio::test]
    async fn transfers_stand_back_and_the_rest_of_the_process_does_not() {
        let policy = || thread_schedule_policy().unwrap();
        assert_eq!(policy(), Normal(Other));
        let theirs = spawn(async move {
            let blocking = tokio::task::spawn_blocking(policy);
            (policy(), blocking.await.unwrap())
        });
        assert_eq!(theirs.await.unwrap(), (Normal(Idle), Normal(Idle)));
        assert_eq!(policy(), Normal(Other));
    }
}
