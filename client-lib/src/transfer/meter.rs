//! How far a transfer is, and how fast.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

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
}

/// Takes reports from a transfer and shows them to whoever watches.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    show: watch::Sender<Progress>,
    samples: Mutex<VecDeque<(Instant, u64)>>,
}

impl Meter {
    /// A meter at zero, and the eye on it.
    pub(crate) fn new(total: u64) -> (Self, watch::Receiver<Progress>) {
        let (show, eye) = watch::channel(Progress {
            total,
            ..Progress::default()
        });
        let samples = Mutex::default();
        (Self(Arc::new(Inner { show, samples })), eye)
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
        let (meter, eye) = Meter::new(10_000_000);
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
        assert!(meter.samples().len() < 60);
    }
}
