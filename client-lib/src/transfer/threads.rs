//! Threads of their own for transfers, so that chat and whatever else this machine does go first.

use std::sync::OnceLock;

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

/// What is added to the nice value (`sched(7)`) of these threads: where both want the processor, they
/// get a tenth of what others get.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

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
        .on_thread_start(yielding())
        .enable_all()
        .build()
        .inspect_err(|error| tracing::debug!(%error, "no threads for transfers"))
        .ok()
}

/// What lowers a thread's priority below that of this one: threads inherit it from whichever starts
/// them, so what is set is a value and no difference.
#[cfg(target_os = "linux")]
fn yielding() -> impl Fn() {
    use rustix::process::{getpriority_process, setpriority_process};
    let nice = getpriority_process(None).map(|nice| nice.saturating_add(NICE));
    move || {
        if let Err(error) = nice.and_then(|nice| setpriority_process(None, nice)) {
            tracing::debug!(%error, "a transfer's thread keeps the priority of all others");
        }
    }
}

/// Only Linux gives each thread a nice value of its own; elsewhere chat would yield with them.
#[cfg(not(target_os = "linux"))]
fn yielding() -> impl Fn() {
    || {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[tokio::test]
    async fn transfers_yield_and_the_rest_of_the_process_does_not() {
        let nice = || getpriority_process(None).unwrap();
        let ours = nice();
        let theirs = spawn(async move {
            let blocking = tokio::task::spawn_blocking(nice);
            (nice(), blocking.await.unwrap())
        });
        let yielding = (ours + NICE).min(19);
        assert_eq!(theirs.await.unwrap(), (yielding, yielding));
        assert_eq!(nice(), ours);
    }
}
