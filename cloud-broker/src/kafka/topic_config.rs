//! Kafka's configuration of a topic, and what it is in a stream.
//!
//! What is listed by [`all`] counts. Keys of [`WITHOUT_EFFECT`] are taken, because clients set them
//! for every topic that they make, and change nothing here: they tune files and copies that this
//! broker does not have. Any other key is refused.

use headwater_broker_core::StreamSpec;
use headwater_broker_core::catalog::Cleanup;
use headwater_kafka::config::{Config, ConfigType, Source, Synonym};

use super::produce::BATCH_BYTES_MAX;

/// Copies of a partition that Kafka clients see: they are kept by the store below.
pub(super) const REPLICATION_FACTOR: i16 = 1;

/// Keys of Kafka 3.9 (apache/kafka `TopicConfig`) that tune what is not here.
const WITHOUT_EFFECT: [&str; 26] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "preallocate",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];
const CODECS: [&str; 6] = ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

/// Sets one key; gives why not, for the client.
pub(super) fn set(spec: &mut StreamSpec, key: &str, value: Option<&str>) -> Result<(), String> {
    let Some(value) = value else {
        return Err(format!("Null value for {key}"));
    };
    let bad = || format!("Invalid value {value} for configuration {key}");
    match key {
        "cleanup.policy" => spec.cleanup = cleanup(value).ok_or_else(bad)?,
        "retention.ms" => spec.retention_ms = limit(value).ok_or_else(bad)?,
        "retention.bytes" => {
            let bytes = limit(value).ok_or_else(bad)?;
            spec.retention_bytes = bytes.map(i64::unsigned_abs);
        }
        "max.message.bytes" => match value.parse::<usize>() {
            Ok(bytes) if bytes <= BATCH_BYTES_MAX => {}
            Ok(_) => return Err(format!("{key} is at most {BATCH_BYTES_MAX}")),
            Err(_) => return Err(bad()),
        },
        "message.timestamp.type" if value == "CreateTime" => {}
        "message.timestamp.type" => return Err(format!("{key} is always CreateTime here")),
        // Batches are kept as their producers have compressed them.
        "compression.type" if CODECS.contains(&value) => {}
        "min.insync.replicas" if value.parse::<u16>().is_ok_and(|copies| copies > 0) => {}
        "compression.type" | "min.insync.replicas" => return Err(bad()),
        _ if WITHOUT_EFFECT.contains(&key) => {}
        _ => return Err(format!("Unknown topic config name: {key}")),
    }
    Ok(())
}

/// Every key that counts, with its value.
pub(super) fn all(spec: &StreamSpec) -> Vec<Config> {
    let default = StreamSpec::new("");
    let changeable = |name, broker_name, kind, value: fn(&StreamSpec) -> String| {
        let (value, default) = (value(spec), value(&default));
        config(name, broker_name, kind, value, default)
    };
    let fixed = |name, broker_name, kind, value: String| Config {
        read_only: true,
        ..config(name, broker_name, kind, value.clone(), value)
    };
    let (int, long, list, text) = (
        ConfigType::Int,
        ConfigType::Long,
        ConfigType::List,
        ConfigType::String,
    );
    let time_type = "message.timestamp.type";
    vec![
        changeable("cleanup.policy", "log.cleanup.policy", list, cleanup_text),
        fixed(
            "compression.type",
            "compression.type",
            text,
            "producer".into(),
        ),
        fixed(
            "max.message.bytes",
            "message.max.bytes",
            int,
            BATCH_BYTES_MAX.to_string(),
        ),
        fixed(
            time_type,
            "log.message.timestamp.type",
            text,
            "CreateTime".into(),
        ),
        fixed(
            "min.insync.replicas",
            "min.insync.replicas",
            int,
            REPLICATION_FACTOR.to_string(),
        ),
        changeable(
            "retention.bytes",
            "log.retention.bytes",
            long,
            retention_bytes,
        ),
        changeable("retention.ms", "log.retention.ms", long, retention_ms),
    ]
}

fn config(
    name: &'static str,
    broker_name: &'static str,
    kind: ConfigType,
    value: String,
    default: String,
) -> Config {
    let of_topic = Synonym {
        name,
        value: value.clone(),
        source: Source::Topic,
    };
    let source = match value == default {
        true => Source::Default,
        false => Source::Topic,
    };
    let of_broker = Synonym {
        name: broker_name,
        value: default,
        source: Source::Default,
    };
    let of_topic = (source == Source::Topic).then_some(of_topic);
    Config {
        name,
        value,
        source,
        kind,
        read_only: false,
        synonyms: of_topic.into_iter().chain([of_broker]).collect(),
    }
}

fn cleanup(value: &str) -> Option<Cleanup> {
    let (mut delete, mut compact) = (false, false);
    for policy in value.split(',') {
        match policy.trim() {
            "delete" => delete = true,
            "compact" => compact = true,
            _ => return None,
        }
    }
    match (delete, compact) {
        (true, true) => Some(Cleanup::CompactDelete),
        (false, true) => Some(Cleanup::Compact),
        _ => Some(Cleanup::Delete),
    }
}

fn cleanup_text(spec: &StreamSpec) -> String {
    let text = match spec.cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactDelete => "compact,delete",
    };
    text.to_owned()
}

/// A number from 0 on; -1 is no limit.
fn limit(value: &str) -> Option<Option<i64>> {
    match value.trim().parse::<i64>().ok()? {
        -1 => Some(None),
        limit if limit >= 0 => Some(Some(limit)),
        _ => None,
    }
}

fn retention_ms(spec: &StreamSpec) -> String {
    spec.retention_ms.unwrap_or(-1).to_string()
}

fn retention_bytes(spec: &StreamSpec) -> String {
    match spec.retention_bytes {
        Some(bytes) => bytes.to_string(),
        None => "-1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_all(pairs: &[(&str, &str)]) -> Result<StreamSpec, String> {
        let mut spec = StreamSpec::new("t");
        for (key, value) in pairs {
            set(&mut spec, key, Some(value))?;
        }
        Ok(spec)
    }

    #[test]
    fn what_is_set_is_what_is_shown() {
        let set = [
            ("cleanup.policy", "compact,delete"),
            ("retention.bytes", "1024"),
            ("retention.ms", "-1"),
        ];
        let spec = set_all(&set).expect("legal values");
        let shown = all(&spec);
        for (key, value) in set {
            let found = shown.iter().find(|config| config.name == key);
            let found = found.expect("it is listed");
            assert_eq!((found.value.as_str(), found.source), (value, Source::Topic));
            let places: Vec<_> = found.synonyms.iter().map(|s| s.source).collect();
            assert_eq!(places, [Source::Topic, Source::Default]);
        }
        let defaults = all(&StreamSpec::new("t"));
        assert!(
            defaults
                .iter()
                .all(|config| config.source == Source::Default)
        );
        assert_eq!(defaults[0].value, "delete");
        assert_eq!(defaults[6].value, "604800000");
    }

    #[test]
    fn what_streams_and_connect_set_is_taken() {
        for pairs in [
            &[
                ("cleanup.policy", "compact"),
                ("message.timestamp.type", "CreateTime"),
            ][..],
            &[
                ("cleanup.policy", "delete"),
                ("segment.bytes", "52428800"),
                ("retention.ms", "-1"),
            ],
            &[("min.insync.replicas", "2"), ("compression.type", "lz4")],
            &[
                ("max.message.bytes", "1048588"),
                ("cleanup.policy", " delete , compact "),
            ],
        ] {
            assert!(set_all(pairs).is_ok(), "{pairs:?}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (key, value) in [
            ("no.such.key", "1"),
            ("cleanup.policy", "never"),
            ("cleanup.policy", ""),
            ("retention.ms", "-2"),
            ("retention.ms", "soon"),
            ("retention.bytes", "1.5"),
            ("max.message.bytes", "2000000"),
            ("message.timestamp.type", "LogAppendTime"),
            ("compression.type", "rar"),
            ("min.insync.replicas", "0"),
        ] {
            let error = set_all(&[(key, value)]).expect_err("not legal");
            assert!(error.contains(key), "{error}");
        }
        assert!(set(&mut StreamSpec::new("t"), "retention.ms", None).is_err());
    }
}
