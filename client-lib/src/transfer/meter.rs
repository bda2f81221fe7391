//! How far a transfer is and how fast, and whether it may go on.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::desk::{Desk, Slot};

/// Speed is that of the last seconds: what somebody waiting wants to know.
const WINDOW: Duration = Duration::from_secs(5);
/// Between two samples: a transfer of many small chunks keeps few.
const STEP: Duration = Duration::from_millis(100);

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes of the file that are durable at the other side, or verified on this one.
    pub done: u64,
    /// Bytes of the file.
    pub total: u64,
    /// Bytes a second, over the last seconds.
    pub speed: u64,
    /// What it does.
    pub state: State,
}

/// What a transfer does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Waits for its turn, or for the server.
    #[default]
    Waiting,
    /// Bytes go.
    Running,
    /// Stopped by its owner; what is done stays done.
    Paused,
}

impl Progress {
    /// How long it takes from here, at the speed of the last seconds; `None` while that is not
    /// known.
    pub fn left(&self) -> Option<Duration> {
        let left = self.total.saturating_sub(self.done);
        (self.speed > 0).then(|| Duration::from_secs_f64(left as f64 / self.speed as f64))
    }
}

/// Takes reports from a transfer and shows them to whoever watches.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    desk: Desk,
    pause: watch::Receiver<bool>,
    show: watch::Sender<Progress>,
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

impl Meter {
    /// A meter at zero, and the eye on it. `pause` says whether to stop for now.
    pub(crate) fn new(
        total: u64,
        desk: &Desk,
        pause: watch::Receiver<bool>,
    ) -> (Self, watch::Receiver<Progress>) {
        let (show, eye) = watch::channel(Progress {
            total,
            ..Progress::default()
        });
        let samples = Mutex::default();
        let desk = desk.clone();
        let inner = Inner {
            desk,
            pause,
            show,
            samples,
        };
        (Self(Arc::new(inner)), eye)
    }

    /// A meter that nobody looks at.
    pub(crate) fn unseen(total: u64, desk: &Desk) -> Self {
        Self::new(total, desk, watch::channel(false).1).0
    }

    /// Runs one try when it is this transfer's turn. `None`: it was paused meanwhile, and the try
    /// was dropped.
    pub(super) async fn attempt<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.until(false).await;
        let _slot: Slot = tokio::select! {
            slot = self.0.desk.enter() => slot,
            () = self.until(true) => return None,
        };
        self.set(State::Running);
        let done = tokio::select! {
            biased;
            done = work => Some(done),
            () = self.until(true) => None,
        };
        self.set(State::Waiting);
        done
    }

    /// Waits until so many bytes may go. Cancel-safe.
    pub(super) async fn permit(&self, bytes: usize) {
        self.0.desk.permit(bytes).await;
    }

    async fn until(&self, paused: bool) {
        let mut pause = self.0.pause.clone();
        if paused {
            // Never, once nobody can pause it any more.
            if pause.wait_for(|pause| *pause).await.is_err() {
                std::future::pending::<()>().await;
            }
            return;
        }
        if *pause.borrow() {
            self.set(State::Paused);
        }
        let _ = pause.wait_for(|pause| !*pause).await;
        self.set(State::Waiting);
    }

    fn set(&self, state: State) {
        self.0.show.send_if_modified(|progress| {
            let changed = progress.state != state;
            progress.state = state;
            if state == State::Paused {
                progress.speed = 0;
            }
            changed
        });
    }

    /// A new try stands here: what was done before says nothing of its speed.
    pub(crate) fn begin(&self, done: u64) {
        let mut samples = self.samples();
        samples.clear();
        samples.push_back((Instant::now(), done));
        drop(samples);
        self.0.show.send_modify(|progress| {
            progress.done = done;
            progress.speed = 0;
        });
    }

    /// So many bytes are done.
    pub(crate) fn report(&self, done: u64) {
        let speed = self.sample(Instant::now(), done);
        self.0.desk.moved(done.saturating_sub(self.done()));
        self.0.show.send_modify(|progress| {
            progress.done = done;
            progress.speed = speed;
        });
    }

    /// Where it stands.
    pub(crate) fn done(&self) -> u64 {
        self.0.show.borrow().done
    }

    fn sample(&self, now: Instant, done: u64) -> u64 {
        let mut samples = self.samples();
        while samples.len() > 1
            && samples
                .get(1)
                .is_some_and(|(at, _)| now.duration_since(*at) >= WINDOW)
        {
            samples.pop_front();
        }
        let speed = samples.front().map_or(0, |(at, before)| {
            let elapsed = now.duration_since(*at).as_millis().max(1) as u64;
            done.saturating_sub(*before).saturating_mul(1000) / elapsed
        });
        if samples
            .back()
            .is_none_or(|(at, _)| now.duration_since(*at) >= STEP)
        {
            samples.push_back((now, done));
        }
        speed
    }

    fn samples(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, u64)>> {
        self.0
            .samples
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn speed_is_that_of_the_last_seconds() {
        let (_pause, paused) = watch::channel(false);
        let (meter, eye) = Meter::new(10_000_000, &Desk::default(), paused);
        meter.begin(1_000_000);
        assert_eq!(eye.borrow().speed, 0);
        for second in 1..=10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            meter.report(1_000_000 + second * 1_000);
        }
        assert_eq!(eye.borrow().speed, 1_000);
        for second in 1..=10 {
            tokio::time::advance(Duration::from_secs(1)).await;
            meter.report(1_010_000 + second * 50_000);
        }
        let progress = *eye.borrow();
        assert_eq!((progress.speed, progress.done), (50_000, 1_510_000));
        let left = (10_000_000 - 1_510_000) / 50_000;
        assert_eq!(progress.left().map(|left| left.as_secs()), Some(left));
        assert!(meter.samples().len() < 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_drops_the_try_and_gives_the_turn_to_others() {
        let desk = Desk::default();
        let (pause, paused) = watch::channel(false);
        let (meter, eye) = Meter::new(10, &desk, paused);
        let trying = meter.clone();
        let try_ = tokio::spawn(async move { trying.attempt(std::future::pending::<()>()).await });
        tokio::task::yield_now().await;
        assert_eq!(eye.borrow().state, State::Running);
        pause.send_replace(true);
        assert_eq!(try_.await.unwrap(), None);
        // Its turn is free for others.
        let (_one, _two) = (desk.enter().await, desk.enter().await);
        drop((_one, _two));
        let trying = meter.clone();
        let try_ = tokio::spawn(async move { trying.attempt(async { 7 }).await });
        tokio::task::yield_now().await;
        assert_eq!(eye.borrow().state, State::Paused);
        assert!(!try_.is_finished());
        pause.send_replace(false);
        assert_eq!(try_.await.unwrap(), Some(7));
        // Nobody is left who could pause it.
        drop(pause);
        assert_eq!(meter.attempt(async { 8 }).await, Some(8));
    }
}
