//! Waiting by a clock that people set.
//!
//! Waits are of seconds or minutes; a clock goes back by hours. A clock that reads less than it did when
//! a wait began was set back: the wait ends there and then, or it would last as long as the jump.

use plenary_proto::ids::UnixMillis;

/// From a moment on, for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    from: UnixMillis,
    until: UnixMillis,
}

impl Wait {
    /// None at all.
    pub(super) const OVER: Self = Self {
        from: UnixMillis(0),
        until: UnixMillis(0),
    };

    /// So many milliseconds from now on.
    pub(super) fn of(millis: u64, now: UnixMillis) -> Self {
        Self {
            from: now,
            until: now.plus(millis),
        }
    }

    /// Whether it has passed.
    pub(super) fn is_over(&self, now: UnixMillis) -> bool {
        now >= self.until || now < self.from
    }

    /// The one that ends later.
    pub(super) fn or_longer(self, other: Self) -> Self {
        match self.until < other.until {
            true => other,
            false => self,
        }
    }
}

impl Default for Wait {
    fn default() -> Self {
        Self::OVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    #[test]
    fn a_wait_lasts_as_long_as_said_or_until_the_clock_is_set_back() {
        let wait = Wait::of(500, NOW);
        assert!(!wait.is_over(NOW) && !wait.is_over(NOW.plus(499)));
        assert!(wait.is_over(NOW.plus(500)));
        assert!(wait.is_over(UnixMillis(NOW.0 - 1)));
        assert!(wait.is_over(UnixMillis(NOW.0 - 3_600_000)));
        assert!(Wait::OVER.is_over(UnixMillis(0)));
        let longer = Wait::of(600, NOW);
        assert_eq!(wait.or_longer(longer), longer);
        assert_eq!(longer.or_longer(wait), longer);
        assert_eq!(Wait::OVER.or_longer(wait), wait);
    }
}
