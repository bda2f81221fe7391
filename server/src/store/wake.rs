//! Wakes who waits in sled for a write that failed.
//!
//! After some errors of the disk sled 0.34 forgets to wake those who wait for that write: they, and
//! everybody behind them, would wait for ever. Another flush sees the error and wakes them all; so
//! while a call takes long, one is tried now and then, each on a thread of its own, because it too
//! waits as long as there is no error.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a call may take before somebody looks, and between two looks.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks under way at once. Each waits with the disk if that is merely slow.
const LOOKS: usize = 8;

#[derive(Default)]
struct State {
    calls: BTreeMap<u64, Instant>,
    next: u64,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks after long calls until it is dropped.
pub(super) struct Waker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    pub fn start(db: sled::Db) -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let looked_at = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-wake".into())
            .spawn(move || run(&db, &looked_at))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Runs a call that may wait for the disk.
    pub fn during<T>(&self, call: impl FnOnce() -> T) -> T {
        let id = {
            let mut state = self.shared.state();
            let id = state.next;
            state.next += 1;
            state.calls.insert(id, Instant::now());
            id
        };
        let returned = call();
        self.shared.state().calls.remove(&id);
        returned
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.moved.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that wakes waiters of sled panicked");
        }
    }
}

fn run(db: &sled::Db, shared: &Shared) {
    let mut looks: Vec<JoinHandle<()>> = Vec::new();
    let mut state = shared.state();
    while !state.closed {
        let waited = shared.moved.wait_timeout(state, PATIENCE);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let long = |begun: &Instant| begun.elapsed() >= PATIENCE;
        looks.retain(|look| !look.is_finished());
        if state.closed || looks.len() >= LOOKS || !state.calls.values().any(long) {
            continue;
        }
        let db = db.clone();
        // What it returns, the call that is looked after returns too.
        let look = move || drop(db.flush());
        let spawned = std::thread::Builder::new()
            .name("store-look".into())
            .spawn(look);
        match spawned {
            Ok(look) => looks.push(look),
            Err(error) => tracing::warn!(%error, "cannot look after a long call of sled"),
        }
    }
}
