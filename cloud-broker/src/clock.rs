//! The time that everybody else calls it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time, ms since 1970; 0 before that.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
