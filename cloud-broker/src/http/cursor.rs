//! Places in the log: what `offset` and `from` mean, and reading from there without blocking the
//! runtime.

use std::str::FromStr;
use std::sync::Arc;

use headwater_broker_core::PartitionId;

use super::query::time_ms;
use crate::backend::{Backend, ReadError, StoredBatch};

/// `0`, `earliest`, `latest` or `time:RFC3339`, for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// This record.
    Offset(i64),
    /// The first that there is.
    Earliest,
    /// The next that comes.
    Latest,
    /// The first with this timestamp or a later one, ms.
    Time(i64),
}

/// `earliest`, `latest`, RFC 3339 or `P:O,P:O…`, for all partitions of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// In every partition the same.
    Everywhere(Start),
    /// Partition and next offset; partitions that are not named begin with their first record, so
    /// that nothing of a partition that was added meanwhile is missed.
    Each(Vec<(u32, i64)>),
}

impl Start {
    /// The offset of the next record to read. An offset that is no longer there becomes the first
    /// that is; one that is not there yet is an error.
    pub(super) async fn resolve(
        self,
        backend: &Arc<Backend>,
        partition: PartitionId,
    ) -> Result<i64, ReadError> {
        let bounds = backend.try_bounds(partition)?;
        match self {
            Self::Earliest => Ok(bounds.start),
            Self::Latest => Ok(bounds.end),
            Self::Offset(offset) if offset > bounds.end => Err(ReadError::OffsetOutOfRange),
            Self::Offset(offset) => Ok(offset.max(bounds.start)),
            Self::Time(ms) => {
                let found = blocking(backend, move |backend| {
                    backend.offset_for_time(partition, ms)
                });
                Ok(found.await?.map_or(bounds.end, |(offset, _)| offset))
            }
        }
    }
}

impl From {
    /// Where partition number `partition` begins.
    pub(super) fn start(&self, partition: u32) -> Start {
        match self {
            Self::Everywhere(start) => *start,
            Self::Each(offsets) => offsets
                .iter()
                .find(|(named, _)| *named == partition)
                .map_or(Start::Earliest, |(_, offset)| Start::Offset(*offset)),
        }
    }
}

impl FromStr for Start {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be a number, earliest, latest, or time: and RFC 3339";
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => match text.strip_prefix("time:") {
                Some(time) => time_ms(time).map(Self::Time).ok_or(WRONG),
                None => offset(text).map(Self::Offset).ok_or(WRONG),
            },
        }
    }
}

impl FromStr for From {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "must be earliest, latest, RFC 3339, or PARTITION:OFFSET,…";
        match text {
            "earliest" => return Ok(Self::Everywhere(Start::Earliest)),
            "latest" => return Ok(Self::Everywhere(Start::Latest)),
            _ => {}
        }
        if let Some(ms) = time_ms(text) {
            return Ok(Self::Everywhere(Start::Time(ms)));
        }
        let pair = |pair: &str| {
            let (partition, next) = pair.split_once(':')?;
            Some((u32::try_from(offset(partition)?).ok()?, offset(next)?))
        };
        let mut offsets: Vec<(u32, i64)> = text
            .split(',')
            .map(pair)
            .collect::<Option<_>>()
            .ok_or(WRONG)?;
        offsets.sort_unstable();
        match offsets.windows(2).all(|two| two[0].0 < two[1].0) {
            true => Ok(Self::Each(offsets)),
            false => Err("names a partition twice"),
        }
    }
}

/// Whole batches from the one that contains `offset` on, as [`Backend::read`] gives them.
pub(super) async fn read(
    backend: &Arc<Backend>,
    partition: PartitionId,
    offset: i64,
    max_bytes: usize,
) -> Result<Vec<StoredBatch>, ReadError> {
    match backend.read_recent(partition, offset, max_bytes) {
        Some(recent) => recent,
        None => {
            blocking(backend, move |backend| {
                backend.read(partition, offset, max_bytes)
            })
            .await
        }
    }
}

async fn blocking<T: Send + 'static>(
    backend: &Arc<Backend>,
    work: impl FnOnce(&Backend) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let backend = Arc::clone(backend);
    match tokio::task::spawn_blocking(move || work(&backend)).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends and takes no more work.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Digits alone: no sign, no spaces.
fn offset(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read() {
        assert_eq!("0".parse(), Ok(Start::Offset(0)));
        assert_eq!("earliest".parse(), Ok(Start::Earliest));
        assert_eq!("latest".parse(), Ok(Start::Latest));
        assert_eq!("time:1970-01-01T00:00:02Z".parse(), Ok(Start::Time(2000)));
        for text in [
            "",
            "-1",
            "+1",
            "first",
            "time:",
            "time:5",
            "9223372036854775808",
            " 1",
        ] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_partition_has_its_start() {
        let from: From = "1:7,0:13".parse().expect("offsets");
        assert_eq!(from.start(0), Start::Offset(13));
        assert_eq!(from.start(1), Start::Offset(7));
        assert_eq!(from.start(2), Start::Earliest);
        let from: From = "1970-01-01T00:00:02Z".parse().expect("a time");
        assert_eq!(from.start(5), Start::Time(2000));
        assert_eq!("latest".parse(), Ok(From::Everywhere(Start::Latest)));
        for text in [
            "",
            "0",
            "0:",
            ":1",
            "0:1,",
            "0:1,0:2",
            "-1:0",
            "4294967296:0",
            "a:b",
        ] {
            assert!(text.parse::<From>().is_err(), "{text}");
        }
    }
}
