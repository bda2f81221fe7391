//! Token buckets as pure state. A crate for it would bring its own clock; this one is told the time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use plenary_proto::ids::{DeviceId, UnixMillis};

/// Milliseconds.
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// Callers that read the clock one after the other may come in another order: so far back it is not
/// set, or they would gain by it.
const ORDER_MS: u64 = 1_000;

/// Buckets of all devices, or of whoever `K` names.
#[derive(Debug)]
pub(crate) struct Rates<K = DeviceId> {
    /// Units of a token: the milliseconds of the period, so that no refill is rounded away.
    token: u64,
    /// Units that come back in a millisecond: the tokens of the period.
    refill: u64,
    burst: u64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    units: u64,
    at: UnixMillis,
}

impl<K: Eq + Hash> Rates<K> {
    pub fn per_minute(tokens: u32, burst: u32) -> Self {
        Self::new(MINUTE, tokens, burst)
    }

    pub fn per_hour(tokens: u32, burst: u32) -> Self {
        Self::new(HOUR, tokens, burst)
    }

    fn new(period: u64, tokens: u32, burst: u32) -> Self {
        Self {
            token: period,
            refill: tokens.max(1).into(),
            burst: burst.max(1).into(),
            buckets: Mutex::default(),
        }
    }

    /// Takes `cost` tokens, or says after how many milliseconds they are there.
    pub fn take(&self, of: K, cost: u32, now: UnixMillis) -> Result<(), u64> {
        let full = self.burst * self.token;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= 10_000 {
            // Full buckets say nothing that an absent one does not.
            buckets.retain(|_, bucket| self.refilled(*bucket, now).units < full);
        }
        let bucket = buckets.entry(of).or_insert(Bucket {
            units: full,
            at: now,
        });
        *bucket = self.refilled(*bucket, now);
        let cost = (u64::from(cost) * self.token).min(full);
        match bucket.units.checked_sub(cost) {
            Some(rest) => {
                bucket.units = rest;
                Ok(())
            }
            None => Err((cost - bucket.units).div_ceil(self.refill)),
        }
    }

    fn refilled(&self, bucket: Bucket, now: UnixMillis) -> Bucket {
        // Set back: what was taken stays taken, and time counts from here, or nothing would come back
        // for as long as the clock had been ahead.
        let set_back = now.plus(ORDER_MS) < bucket.at;
        let passed = now.0.saturating_sub(bucket.at.0);
        Bucket {
            units: bucket
                .units
                .saturating_add(passed.saturating_mul(self.refill))
                .min(self.burst * self.token),
            at: if set_back { now } else { bucket.at.max(now) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId([1; 16]);

    #[test]
    fn a_burst_then_the_rate_and_the_wait_told_is_enough() {
        let rates = Rates::per_minute(200, 2_000);
        let mut now = UnixMillis(1_000_000);
        for _ in 0..2_000 {
            assert_eq!(rates.take(DEVICE, 1, now), Ok(()));
        }
        assert_eq!(rates.take(DEVICE, 1, now), Err(300));
        assert_eq!(rates.take(DeviceId([2; 16]), 1, now), Ok(()));
        for _ in 0..200 {
            now = now.plus(299);
            assert_eq!(rates.take(DEVICE, 1, now), Err(1));
            now = now.plus(1);
            assert_eq!(rates.take(DEVICE, 1, now), Ok(()));
        }
    }

    #[test]
    fn hours_pass_slowly() {
        let rates = Rates::per_hour(2, 1);
        let start = UnixMillis(1_000_000);
        assert_eq!(rates.take(DEVICE, 1, start), Ok(()));
        assert_eq!(rates.take(DEVICE, 1, start), Err(HOUR / 2));
        assert_eq!(rates.take(DEVICE, 1, start.plus(HOUR / 2)), Ok(()));
    }

    #[test]
    fn a_clock_set_back_gives_nothing_and_time_counts_from_there() {
        let rates = Rates::per_minute(60, 2);
        let start = UnixMillis(1_000_000);
        // Two hours ahead for a while.
        let ahead = start.plus(2 * HOUR);
        assert_eq!(rates.take(DEVICE, 2, ahead), Ok(()));
        assert_eq!(rates.take(DEVICE, 1, start), Err(1_000));
        assert_eq!(rates.take(DEVICE, 1, start.plus(999)), Err(1));
        assert_eq!(rates.take(DEVICE, 1, start.plus(1_000)), Ok(()));
        assert_eq!(rates.take(DEVICE, 1, start.plus(1_000)), Err(1_000));
        assert_eq!(rates.take(DEVICE, 2, start.plus(3_000)), Ok(()));
    }

    #[test]
    fn the_order_of_callers_gives_nothing() {
        let rates = Rates::per_minute(60, 1);
        let start = UnixMillis(1_000_000);
        assert_eq!(rates.take(DEVICE, 1, start.plus(900)), Ok(()));
        for _ in 0..10 {
            assert!(rates.take(DEVICE, 1, start).is_err());
            assert!(rates.take(DEVICE, 1, start.plus(900)).is_err());
        }
        assert_eq!(rates.take(DEVICE, 1, start.plus(1_899)), Err(1));
        assert_eq!(rates.take(DEVICE, 1, start.plus(1_900)), Ok(()));
    }

    #[test]
    fn what_exceeds_the_burst_waits_for_a_full_bucket() {
        let rates = Rates::per_minute(60, 10);
        assert_eq!(rates.take(DEVICE, 1_000, UnixMillis(0)), Ok(()));
        assert_eq!(rates.take(DEVICE, 1_000, UnixMillis(0)), Err(10_000));
    }
}
