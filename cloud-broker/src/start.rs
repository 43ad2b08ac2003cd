//! Where reading begins: what `offset` and `from` mean, over HTTP and MQTT.

use std::str::FromStr;

use jiff::Timestamp;

/// `0`, `earliest`, `latest` or `time:RFC3339`, for one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
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
pub(crate) enum From {
    /// In every partition the same.
    Everywhere(Start),
    /// Partition and next offset; partitions that are not named begin with their first record, so
    /// that nothing of a partition that was added meanwhile is missed.
    Each(Vec<(u32, i64)>),
}

/// What is wrong with a list of offsets.
pub(crate) const TWICE: &str = "names a partition twice";

impl From {
    /// Where partition number `partition` begins.
    pub(crate) fn start(&self, partition: u32) -> Start {
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
            false => Err(TWICE),
        }
    }
}

/// RFC 3339 to milliseconds since 1970, rounded up, so that "from then on" includes no earlier
/// record.
pub(crate) fn time_ms(text: &str) -> Option<i64> {
    // A `+` that was not escaped has become a space.
    let time: Timestamp = text.replace(' ', "+").parse().ok()?;
    let ms = time.as_millisecond();
    let whole = Timestamp::from_millisecond(ms).is_ok_and(|floor| floor == time);
    Some(if whole || time < Timestamp::UNIX_EPOCH {
        ms
    } else {
        ms + 1
    })
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

    #[test]
    fn times_are_rounded_up_to_milliseconds() {
        assert_eq!(time_ms("1970-01-01T00:00:01Z"), Some(1000));
        assert_eq!(time_ms("1970-01-01T01:00:01.0001+01:00"), Some(1001));
        assert_eq!(time_ms("1970-01-01T01:00:01 01:00"), Some(1000));
        for text in ["", "yesterday", "1970-01-01", "1970-01-01T00:00:00"] {
            assert_eq!(time_ms(text), None, "{text}");
        }
    }
}
