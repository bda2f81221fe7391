//! Transfers give way while members talk.
//!
//! A message is acknowledged when its sync returns, and a sync waits for the bytes that others have
//! under way to the same disk. So while messages come, all transfers together keep to a rate; in
//! silence, and where only now and then a word is said, they do not.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Over this time messages are counted.
const WHILE: Duration = Duration::from_secs(1);
/// So many of them are a talk. A few more milliseconds for one now and then nobody feels.
const TALK: usize = 10;

/// The rate that transfers keep to beside a talk, and who speaks.
#[derive(Debug)]
pub struct Courtesy {
    /// Bytes a second; 0: transfers never give way.
    rate: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Messages since then.
    since: Instant,
    messages: usize,
    /// Until then there is a talk.
    talk: Instant,
    /// When the bytes that were let go are through, at the rate.
    through: Instant,
}

impl Courtesy {
    /// So many bytes a second beside a talk; 0: no limit.
    pub fn new(rate: u64) -> Self {
        let now = Instant::now();
        Self {
            rate: AtomicU64::new(rate),
            state: Mutex::new(State {
                since: now,
                messages: 0,
                talk: now,
                through: now,
            }),
        }
    }

    /// As [`Courtesy::new`], from now on.
    pub fn set(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// So many messages were said.
    pub fn said(&self, messages: usize) {
        self.state().said(messages, Instant::now());
    }

    /// Waits until so many bytes may go. First come, first served, so that each of several transfers has
    /// its share.
    pub async fn turn(&self, bytes: usize) {
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return;
        }
        let turn = self.state().turn(bytes, rate, Instant::now());
        if let Some(turn) = turn {
            sleep_until(turn).await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn said(&mut self, messages: usize, now: Instant) {
        if now - self.since >= WHILE {
            (self.since, self.messages) = (now, 0);
        }
        self.messages += messages;
        if self.messages >= TALK {
            self.talk = now + WHILE;
        }
    }

    /// When; `None`: now.
    fn turn(&mut self, bytes: usize, rate: u64, now: Instant) -> Option<Instant> {
        if now >= self.talk {
            return None;
        }
        let turn = self.through.max(now);
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate);
        self.through = turn + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        (turn > now).then_some(turn)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MIB: usize = 1 << 20;

    async fn takes(courtesy: &Courtesy, chunks: usize) -> Duration {
        let begun = Instant::now();
        for _ in 0..chunks {
            courtesy.turn(MIB).await;
        }
        begun.elapsed()
    }

    /// A message every so often, for so long.
    async fn talk(courtesy: &Courtesy, every: u64, seconds: u64) {
        for _ in 0..seconds * 1_000 / every {
            courtesy.said(1);
            tokio::time::sleep(Duration::from_millis(every)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn transfers_keep_to_the_rate_while_there_is_a_talk_and_only_then() {
        let courtesy = Courtesy::new(8 * MIB as u64);
        assert_eq!(takes(&courtesy, 1_000).await, Duration::ZERO);
        // Now and then a word.
        talk(&courtesy, 200, 5).await;
        assert_eq!(takes(&courtesy, 1_000).await, Duration::ZERO);

        talk(&courtesy, 50, 2).await;
        let (took, ()) = tokio::join!(takes(&courtesy, 81), talk(&courtesy, 50, 12));
        // The first goes at once, each other one after an eighth of a second.
        let apart = took.abs_diff(Duration::from_secs(10));
        assert!(apart < Duration::from_millis(100), "{took:?}");

        // Silence.
        tokio::time::sleep(WHILE).await;
        assert_eq!(takes(&courtesy, 1_000).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn many_messages_at_once_are_a_talk_and_transfers_share_the_rate() {
        let courtesy = Courtesy::new(8 * MIB as u64);
        courtesy.said(TALK);
        let gone = [Cell::new(0), Cell::new(0)];
        let transfer = async |gone: &Cell<u32>| {
            loop {
                courtesy.turn(MIB).await;
                gone.set(gone.get() + 1);
            }
        };
        tokio::select! {
            () = transfer(&gone[0]) => (),
            () = transfer(&gone[1]) => (),
            () = talk(&courtesy, 50, 10) => (),
        }
        // At once, then one in each eighth of ten seconds.
        let [one, other] = gone.map(Cell::into_inner);
        assert!((80..=81).contains(&(one + other)), "{one}, {other}");
        assert!(one.abs_diff(other) <= 2, "{one}, {other}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_nobody_waits() {
        let courtesy = Courtesy::new(0);
        courtesy.said(1_000);
        assert_eq!(takes(&courtesy, 1_000).await, Duration::ZERO);
        courtesy.set(8 * MIB as u64);
        assert_eq!(takes(&courtesy, 5).await, Duration::from_millis(500));
    }
}
