//! What retention drops: whole runs, oldest first.

use headwater_wire::time::Millis;

use super::{Run, Runs};

/// How long a partition's records stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Since their arrival, ms; `None` = for ever.
    pub ms: Option<i64>,
    /// Bytes of the newest that stay; `None` = all.
    pub bytes: Option<u64>,
}

/// Where a partition should begin: a run goes once its newest batch is too old, or once what
/// follows has `retention.bytes` without it. `bytes_behind`: bytes that lie behind the runs.
/// Whatever a run says that lies before one that is too old came before that one: its clock was
/// wrong.
#[must_use]
pub fn log_start(runs: &Runs, bytes_behind: u64, retention: &Retention, now: Millis) -> i64 {
    let is_old = |run: &Run| {
        let age = now.0.saturating_sub(run.arrival_ms);
        retention.ms.is_some_and(|ms| age > ms)
    };
    let old = runs.iter().rfind(|run| is_old(run));
    let old_end = old.map_or(i64::MIN, |run| run.end);
    let mut left = runs.bytes() + bytes_behind;
    let mut start = runs.start();
    for run in runs.iter() {
        let too_old = run.end <= old_end;
        left -= run.bytes;
        let too_much = retention.bytes.is_some_and(|bytes| left >= bytes);
        if !too_old && !too_much {
            break;
        }
        start = run.end;
    }
    start
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Object;
    use super::*;

    fn runs() -> Runs {
        let mut runs = Runs::default();
        let segment = Arc::new(Object {
            name: "s".to_owned(),
            bytes: 0,
        });
        for n in 0..5 {
            runs.push(Run {
                segment: Arc::clone(&segment),
                from: 10 * n,
                end: 10 * n + 10,
                bytes: 100,
                max_timestamp: 0,
                arrival_ms: 1000 * n,
            });
        }
        runs
    }

    fn start(ms: Option<i64>, bytes: Option<u64>, behind: u64, now: i64) -> i64 {
        log_start(&runs(), behind, &Retention { ms, bytes }, Millis(now))
    }

    #[test]
    fn by_time() {
        assert_eq!(start(None, None, 0, i64::MAX), 0);
        assert_eq!(start(Some(1000), None, 0, 1000), 0, "exactly so old stays");
        assert_eq!(start(Some(1000), None, 0, 2001), 20);
        assert_eq!(start(Some(1000), None, 0, i64::MAX), 50);
        assert_eq!(start(Some(1000), None, 0, -5), 0, "a clock that went back");
    }

    #[test]
    fn what_came_before_something_old_is_old() {
        let mut all = Runs::default();
        for (at, run) in (0..).zip(runs().iter()) {
            let arrival_ms = if at == 1 { i64::MAX } else { run.arrival_ms };
            all.push(Run {
                arrival_ms,
                ..run.clone()
            });
        }
        let retention = Retention {
            ms: Some(1000),
            bytes: None,
        };
        let start = |now| log_start(&all, 0, &retention, Millis(now));
        assert_eq!([start(1001), start(3000), start(3001)], [10, 10, 30]);
    }

    #[test]
    fn by_bytes() {
        assert_eq!(start(None, Some(500), 0, 0), 0);
        assert_eq!(start(None, Some(499), 0, 0), 0, "or too little would stay");
        assert_eq!(start(None, Some(400), 0, 0), 10);
        assert_eq!(start(None, Some(250), 100, 0), 30);
        assert_eq!(start(None, Some(0), 0, 0), 50);
    }
}
