//! Times and durations, as typed and as shown.

use std::time::Duration;

use jiff::{
    Timestamp, ToSpan, Zoned,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use plenary_client::ids::UnixMillis;

/// A duration as typed: `30`, `30s`, `5m`, `1h 30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "give seconds, or a duration such as 90s, 5m or 1h".to_owned())
}

/// A moment as typed: a duration back from now (`2h`, `3d`), a date, a local time or one with its
/// zone.
pub(crate) fn moment(text: &str) -> Result<UnixMillis, String> {
    moment_at(text, &Zoned::now())
}

/// A moment to come as typed: a duration from now (`90d`), a date, a local time or one with its
/// zone.
pub(crate) fn ahead(text: &str) -> Result<UnixMillis, String> {
    ahead_at(text, &Zoned::now())
}

fn ahead_at(text: &str, now: &Zoned) -> Result<UnixMillis, String> {
    let moment = match text.parse::<jiff::Span>() {
        Ok(span) => now
            .checked_add(span.abs())
            .ok()
            .and_then(|zoned| u64::try_from(zoned.timestamp().as_millisecond()).ok())
            .map(UnixMillis)
            .ok_or_else(|| "beyond the calendar's end".to_owned())?,
        Err(_) => moment_at(text, now).map_err(|_| {
            "give a duration such as 90d, a date such as 2027-06-30, or a time such as \
             2027-06-30T12:00"
                .to_owned()
        })?,
    };
    let present = u64::try_from(now.timestamp().as_millisecond()).unwrap_or(0);
    if moment.0 <= present {
        return Err("that is past".to_owned());
    }
    Ok(moment)
}

fn moment_at(text: &str, now: &Zoned) -> Result<UnixMillis, String> {
    let zone = now.time_zone().clone();
    let moment = if let Ok(moment) = text.parse::<Timestamp>() {
        Some(moment)
    } else if let Ok(local) = text.parse::<DateTime>() {
        local.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
    } else if let Ok(day) = text.parse::<Date>() {
        day.to_zoned(zone).ok().map(|zoned| zoned.timestamp())
    } else if let Ok(span) = text.parse::<jiff::Span>() {
        let back = span.abs();
        now.checked_sub(back).ok().map(|zoned| zoned.timestamp())
    } else {
        None
    };
    moment
        .and_then(|moment| u64::try_from(moment.as_millisecond()).ok())
        .map(UnixMillis)
        .ok_or_else(|| {
            "give a duration such as 2h or 3d, a date such as 2026-03-01, or a time such as \
             2026-03-01T09:30"
                .to_owned()
        })
}

/// For people: local time to the second.
pub(crate) fn local(time: UnixMillis) -> String {
    show(time, TimeZone::system())
}

fn show(time: UnixMillis, zone: TimeZone) -> String {
    timestamp(time)
        .to_zoned(zone)
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

/// For people: the local day.
pub(crate) fn local_day(time: UnixMillis) -> String {
    local(time).chars().take(10).collect()
}

/// Now, by this machine's clock.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0))
}

/// For programs: RFC 3339 in UTC, to the millisecond.
pub(crate) fn rfc3339(time: UnixMillis) -> String {
    format!("{:.3}", timestamp(time))
}

/// Beyond what the calendar holds, its end: the time came from a server.
fn timestamp(time: UnixMillis) -> Timestamp {
    i64::try_from(time.0)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .unwrap_or_else(|| {
            Timestamp::MAX
                .checked_sub(1.hour())
                .unwrap_or(Timestamp::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_type_them() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "soon", "-5s", "1e9"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn moments_as_people_type_them() {
        let now: Zoned = "2026-03-10T12:00[UTC]".parse().unwrap();
        let at = |text: &str| moment_at(text, &now).map(rfc3339);
        for (typed, meant) in [
            ("2h", "2026-03-10T10:00:00.000Z"),
            ("3d", "2026-03-07T12:00:00.000Z"),
            ("2026-03-01", "2026-03-01T00:00:00.000Z"),
            ("2026-03-01T09:30", "2026-03-01T09:30:00.000Z"),
            ("2026-03-01T09:30:00+02:00", "2026-03-01T07:30:00.000Z"),
        ] {
            assert_eq!(at(typed).as_deref(), Ok(meant), "{typed}");
        }
        for wrong in ["", "yesterday", "1901-01-01"] {
            assert!(at(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn moments_to_come_as_people_type_them() {
        let now: Zoned = "2026-03-10T12:00[UTC]".parse().unwrap();
        let at = |text: &str| ahead_at(text, &now).map(rfc3339);
        for (typed, meant) in [
            ("90d", "2026-06-08T12:00:00.000Z"),
            ("1y", "2027-03-10T12:00:00.000Z"),
            ("2027-06-30", "2027-06-30T00:00:00.000Z"),
            ("2026-03-10T12:01", "2026-03-10T12:01:00.000Z"),
        ] {
            assert_eq!(at(typed).as_deref(), Ok(meant), "{typed}");
        }
        for wrong in ["", "soon", "2026-03-10", "99999999y"] {
            assert!(at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_time_of_a_server_is_shown() {
        assert_eq!(show(UnixMillis(0), TimeZone::UTC), "1970-01-01 00:00:00");
        assert!(rfc3339(UnixMillis(u64::MAX)).starts_with("9999-"));
    }
}
