//! The one place that reads the wall clock: the core is told the time.

use std::time::{SystemTime, UNIX_EPOCH};

use plenary_proto::ids::UnixMillis;

/// Now. Before 1970 it is 1970.
pub fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
