//! Times as a page and a bag show them: UTC.

use plenary_proto::ids::UnixMillis;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// `2026-11-22`.
pub(super) fn date(time: UnixMillis) -> String {
    let (year, month, day) = civil(time.0 / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// `2026-11-22 09:30:00.123 UTC`.
pub(super) fn moment(time: UnixMillis) -> String {
    let ms = time.0 % DAY_MS;
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!(
        "{} {hours:02}:{minutes:02}:{:02}.{ms:03} UTC",
        date(time),
        seconds % 60
    )
}

/// Year, month, day of a day since 1970-01-01 in the Gregorian calendar, counted in eras of 400
/// years that begin on the first of March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let january = month >= 10;
    let shown = if january { month - 9 } else { month + 3 };
    (era * 400 + year + u64::from(january), shown, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar() {
        for (ms, shown) in [
            (0, "1970-01-01 00:00:00.000 UTC"),
            (951_782_399_999, "2000-02-28 23:59:59.999 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00.000 UTC"),
            (1_800_000_000_000, "2027-01-15 08:00:00.000 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00.000 UTC"),
        ] {
            assert_eq!(moment(UnixMillis(ms)), shown);
        }
        // A clock that lies is shown, too.
        assert!(moment(UnixMillis(u64::MAX)).ends_with(" UTC"));
    }
}
