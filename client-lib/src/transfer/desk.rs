//! All transfers of a client: which may run now, and how fast they may go together.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

use super::pace::{Pace, WINDOW};

/// Shared by the transfers of one client. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Inner>);

#[derive(Default)]
struct Inner {
    queue: Mutex<Queue>,
    throttle: Mutex<Throttle>,
}

#[derive(Default)]
struct Queue {
    pace: Pace,
    running: usize,
    waiting: VecDeque<oneshot::Sender<Slot>>,
    /// Since when bytes are counted, how many, and whether the line was full all the time.
    since: Option<Instant>,
    bytes: u64,
    full: bool,
}

#[derive(Default)]
struct Throttle {
    /// Bytes a second.
    rate: Option<u64>,
    /// When the next bytes may go.
    next: Option<Instant>,
}

/// Permission to run; given back when dropped.
pub(crate) struct Slot(Arc<Inner>);

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl Desk {
    /// Waits until one more transfer may run, in the order of the calls. Cancel-safe.
    pub(crate) async fn enter(&self) -> Slot {
        loop {
            let wait = {
                let mut queue = self.0.queue();
                if queue.waiting.is_empty() && queue.running < queue.pace.limit() {
                    queue.running += 1;
                    return Slot(self.0.clone());
                }
                let (turn, wait) = oneshot::channel();
                queue.waiting.push_back(turn);
                wait
            };
            if let Ok(slot) = wait.await {
                return slot;
            }
        }
    }

    /// So many bytes became durable or verified.
    pub(crate) fn moved(&self, bytes: u64) {
        let now = Instant::now();
        let given = {
            let mut queue = self.0.queue();
            let full = queue.running >= queue.pace.limit() && !queue.waiting.is_empty();
            queue.full &= full;
            queue.bytes += bytes;
            let since = *queue.since.get_or_insert(now);
            if now.duration_since(since) < WINDOW {
                return;
            }
            let (carried, full) = (queue.bytes, queue.full);
            queue.pace.window(carried, full);
            (queue.since, queue.bytes, queue.full) = (Some(now), 0, true);
            Inner::turns(&self.0, queue)
        };
        Inner::give(given);
    }

    /// Bytes a second that all transfers may send and fetch together; `None`: what the line carries.
    pub(crate) fn set_rate(&self, rate: Option<u64>) {
        let mut throttle = self.0.throttle();
        throttle.rate = rate.map(|rate| rate.max(1));
        throttle.next = None;
    }

    /// Waits until so many bytes may go. Cancel-safe: only a call that returns uses them up.
    pub(crate) async fn permit(&self, bytes: usize) {
        loop {
            let now = Instant::now();
            let wait = {
                let mut throttle = self.0.throttle();
                let Some(rate) = throttle.rate else {
                    return;
                };
                match throttle.next.filter(|next| *next > now) {
                    Some(next) => next,
                    None => {
                        let takes = Duration::from_secs_f64(bytes as f64 / rate as f64);
                        throttle.next = Some(now + takes);
                        return;
                    }
                }
            };
            sleep_until(wait).await;
        }
    }
}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is: to be given outside the lock, as a slot that nobody takes comes back by it.
    fn turns(
        this: &Arc<Self>,
        mut queue: MutexGuard<'_, Queue>,
    ) -> Vec<(oneshot::Sender<Slot>, Slot)> {
        let mut turns = Vec::new();
        while queue.running < queue.pace.limit() {
            let Some(turn) = queue.waiting.pop_front() else {
                break;
            };
            queue.running += 1;
            turns.push((turn, Self::slot(this)));
        }
        turns
    }

    fn slot(this: &Arc<Self>) -> Slot {
        Slot(this.clone())
    }

    fn give(turns: Vec<(oneshot::Sender<Slot>, Slot)>) {
        for (turn, slot) in turns {
            // Who gave up waiting has no use for it: dropped, it goes to the next.
            let _ = turn.send(slot);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let turns = {
            let mut queue = self.0.queue();
            queue.running -= 1;
            queue.full = false;
            Inner::turns(&self.0, queue)
        };
        Inner::give(turns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn two_run_and_the_others_wait_their_turn() {
        let desk = Desk::default();
        let (one, two) = (desk.enter().await, desk.enter().await);
        let mut three = tokio_test_task(desk.clone());
        let mut four = tokio_test_task(desk.clone());
        tokio::task::yield_now().await;
        assert!(!three.is_finished() && !four.is_finished());
        drop(one);
        let slot = (&mut three).await.unwrap();
        assert!(!four.is_finished());
        // Who gives up does not keep the next one waiting.
        let five = tokio_test_task(desk.clone());
        four.abort();
        let _ = (&mut four).await;
        drop(two);
        let _slot = five.await.unwrap();
        drop(slot);
        let _ = tokio::time::timeout(Duration::from_secs(1), desk.enter())
            .await
            .unwrap();
    }

    fn tokio_test_task(desk: Desk) -> tokio::task::JoinHandle<Slot> {
        tokio::spawn(async move { desk.enter().await })
    }

    #[tokio::test(start_paused = true)]
    async fn a_faster_line_lets_more_run_and_at_most_four() {
        let desk = Desk::default();
        let mut slots = vec![desk.enter().await, desk.enter().await];
        let mut waiting: Vec<_> = (0..6).map(|_| tokio_test_task(desk.clone())).collect();
        tokio::task::yield_now().await;
        for _ in 0..400 {
            tokio::time::advance(Duration::from_millis(500)).await;
            desk.moved(slots.len() as u64 * 1_000_000);
            tokio::task::yield_now().await;
            while let Some(at) = waiting.iter().position(|task| task.is_finished()) {
                slots.push(waiting.swap_remove(at).await.unwrap());
            }
            assert!(slots.len() <= 4);
        }
        assert_eq!(slots.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_by_all_together() {
        let desk = Desk::default();
        let begun = Instant::now();
        desk.permit(1 << 30).await;
        assert_eq!(begun.elapsed(), Duration::ZERO, "no limit");
        desk.set_rate(Some(1_000_000));
        let takers: Vec<_> = (0..4)
            .map(|_| {
                let desk = desk.clone();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        desk.permit(250_000).await;
                    }
                })
            })
            .collect();
        for taker in takers {
            taker.await.unwrap();
        }
        // Ten million bytes; the last ones need not wait for themselves.
        let took = begun.elapsed().as_secs_f64();
        assert!((9.7..10.3).contains(&took), "{took}");
        desk.set_rate(None);
        desk.permit(1 << 30).await;
        assert!(begun.elapsed().as_secs_f64() < took + 0.3);
    }
}
