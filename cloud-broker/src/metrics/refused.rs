//! Requests of Kafka clients that are not spoken here.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// API and version together have so many lines at most, so that no client can make the text grow;
/// what comes later is counted under [`OTHER`].
const PAIRS_MAX: usize = 64;
const OTHER: &str = "other";

/// One counter for each API and version that was asked for.
#[derive(Debug, Default)]
pub struct RefusedApis(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    pairs: BTreeMap<(i16, i16), u64>,
    other: u64,
}

impl RefusedApis {
    /// Counts one request.
    pub fn add(&self, api: i16, version: i16) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = counts.pairs.len() >= PAIRS_MAX;
        match counts.pairs.get_mut(&(api, version)) {
            Some(count) => *count += 1,
            None if is_full => counts.other += 1,
            None => drop(counts.pairs.insert((api, version), 1)),
        }
    }

    /// API, version and count of each line.
    pub fn lines(&self) -> Vec<(String, String, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(&(api, version), &count): (&(i16, i16), &u64)| {
            (api.to_string(), version.to_string(), count)
        };
        let mut lines: Vec<_> = counts.pairs.iter().map(line).collect();
        if counts.other > 0 {
            lines.push((OTHER.to_owned(), OTHER.to_owned(), counts.other));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_every_request_is_counted() {
        let refused = RefusedApis::default();
        for version in 0..100 {
            refused.add(28, version);
            refused.add(28, 0);
        }
        let lines = refused.lines();
        assert_eq!(lines.len(), PAIRS_MAX + 1);
        assert_eq!(lines[0], ("28".to_owned(), "0".to_owned(), 101));
        assert_eq!(lines[PAIRS_MAX], (OTHER.to_owned(), OTHER.to_owned(), 36));
        assert_eq!(lines.iter().map(|(_, _, count)| count).sum::<u64>(), 200);
    }
}
