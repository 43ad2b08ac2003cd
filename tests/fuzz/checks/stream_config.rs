//! How streams are configured, over HTTP and Kafka.

use headwater_broker::fuzz;
use serde_json::{Value, json};

use super::Check;

/// A declaration over HTTP, or lines `KEY=VALUE` as CreateTopics has them: what is taken is shown,
/// and what is shown is taken again and means the same.
pub const STREAM_CONFIG: Check = Check {
    name: "stream_config",
    run,
    memory_fixed: 256 << 10,
    memory_per_byte: 1024,
};

fn run(bytes: &[u8]) {
    declaration(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let pairs = text.lines().map(|line| match line.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        });
        topic(&pairs.collect::<Vec<_>>());
    }
}

fn declaration(body: &[u8]) {
    let Some(spec) = fuzz::declaration(body) else {
        return;
    };
    assert_eq!(spec.check(), Ok(()));
    let shown: Value = json!({
        "name": spec.name, "filters": spec.filters, "partitions": spec.partitions,
        "retention_ms": spec.retention_ms, "retention_bytes": spec.retention_bytes,
        "cleanup": spec.cleanup, "partition_by": spec.partition_by,
        "validation": spec.validation,
    });
    assert_eq!(fuzz::declaration(shown.to_string().as_bytes()), Some(spec));
}

fn topic(pairs: &[(&str, Option<&str>)]) {
    let spec = match fuzz::topic(pairs) {
        Ok(spec) => spec,
        Err(message) => return assert!(!message.is_empty()),
    };
    assert_eq!(spec.check(), Ok(()));
    let shown = fuzz::topic_config(&spec);
    let shown: Vec<_> = shown
        .iter()
        .map(|(key, value)| (*key, Some(value.as_str())))
        .collect();
    assert_eq!(fuzz::topic(&shown), Ok(spec));
}
