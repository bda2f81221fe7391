//! The small words: times, reasons, capacities.

use plenary_proto::ids::UnixMillis;

use crate::ledger::{Capacity, Reason};

pub(super) fn capacity(capacity: Capacity) -> &'static str {
    match capacity {
        Capacity::Member => "a member",
        Capacity::Expert => "an expert",
        Capacity::Observer => "an observer",
    }
}

pub(super) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Left => "left",
        Reason::Lost => "lost",
        Reason::Compromised => "in other hands",
        Reason::Replaced => "replaced",
        Reason::Misuse => "misuse",
        Reason::Unstated => "no reason given",
    }
}

pub(super) fn until(end: Option<UnixMillis>) -> String {
    match end {
        Some(end) => format!("until {}", moment(end)),
        None => "without an end".to_owned(),
    }
}

pub(super) fn list(values: &[String]) -> String {
    if values.is_empty() {
        return "-".to_owned();
    }
    values.join(", ")
}

/// UTC, to the second; a number where the calendar ends.
pub fn moment(time: UnixMillis) -> String {
    i64::try_from(time.0)
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .map_or_else(
            || format!("{} ms after 1970", time.0),
            |moment| moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}
