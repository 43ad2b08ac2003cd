//! librdkafka, reading a whole stream: live for the counters, and once more at the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::books::Record;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Counters that a live reader keeps.
#[derive(Debug, Default)]
pub struct Seen {
    /// Records.
    pub records: AtomicU64,
    /// Bytes of their keys and values.
    pub bytes: AtomicU64,
    /// Newest end-to-end latencies, in milliseconds: reading's own time to its arrival here.
    latencies_ms: Mutex<Vec<u64>>,
}

impl Seen {
    /// Median of the latencies since the last call.
    pub fn latency_ms(&self) -> Option<u64> {
        let mut latencies = std::mem::take(&mut *self.latencies_ms.lock().ok()?);
        latencies.sort_unstable();
        latencies.get(latencies.len() / 2).copied()
    }

    fn note(&self, message: &BorrowedMessage<'_>) {
        let bytes = message.key_len() + message.payload_len();
        self.records.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        let now_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis());
        let then_ms = message
            .timestamp()
            .to_millis()
            .and_then(|t| u128::try_from(t).ok())
            .unwrap_or(now_ms);
        let latency_ms = u64::try_from(now_ms.saturating_sub(then_ms)).unwrap_or(0);
        if let Ok(mut latencies) = self.latencies_ms.lock() {
            latencies.push(latency_ms);
        }
    }
}

/// Reads `stream` live until `stop`.
///
/// # Errors
/// What librdkafka says.
pub fn follow(
    kafka: SocketAddr,
    stream: &str,
    seen: &Seen,
    stop: &Arc<AtomicBool>,
) -> Result<(), String> {
    let consumer = consumer(kafka)?;
    assign(
        &consumer,
        stream,
        partitions(&consumer, stream)?,
        Offset::Beginning,
    )?;
    while !stop.load(Ordering::Relaxed) {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => seen.note(&message),
            Some(Err(error)) => return Err(error.to_string()),
            None => {}
        }
    }
    Ok(())
}

/// Everything that `stream` holds, in order of partition and offset.
///
/// # Errors
/// What librdkafka says, or that nothing more came.
pub fn everything(kafka: SocketAddr, stream: &str) -> Result<Vec<Record>, String> {
    let consumer = consumer(kafka)?;
    let mut missing = BTreeMap::new();
    for partition in partitions(&consumer, stream)? {
        let (start, end) = consumer
            .fetch_watermarks(stream, partition, TIMEOUT)
            .map_err(|e| e.to_string())?;
        if start < end {
            missing.insert(partition, end);
        }
    }
    assign(
        &consumer,
        stream,
        missing.keys().copied().collect(),
        Offset::Beginning,
    )?;
    let mut records = Vec::new();
    let mut progress = Instant::now();
    while !missing.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                progress = Instant::now();
                if missing
                    .get(&message.partition())
                    .is_some_and(|end| message.offset() + 1 >= *end)
                {
                    missing.remove(&message.partition());
                }
                records.push((message.partition(), message.offset(), owned(&message)));
            }
            Some(Err(error)) => return Err(error.to_string()),
            None if progress.elapsed() > TIMEOUT => {
                return Err(format!("Nothing more comes, missing {missing:?}"));
            }
            None => {}
        }
    }
    records.sort_by_key(|(partition, offset, _)| (*partition, *offset));
    Ok(records.into_iter().map(|(_, _, record)| record).collect())
}

fn consumer(kafka: SocketAddr) -> Result<BaseConsumer, String> {
    ClientConfig::new()
        .set("bootstrap.servers", kafka.to_string())
        .set("group.id", "quickstart")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()
        .map_err(|e| e.to_string())
}

fn partitions(consumer: &BaseConsumer, stream: &str) -> Result<Vec<i32>, String> {
    let metadata = consumer
        .fetch_metadata(Some(stream), TIMEOUT)
        .map_err(|e| e.to_string())?;
    let topic = metadata
        .topics()
        .first()
        .ok_or_else(|| format!("No stream {stream}"))?;
    Ok(topic
        .partitions()
        .iter()
        .map(rdkafka::metadata::MetadataPartition::id)
        .collect())
}

fn assign(
    consumer: &BaseConsumer,
    stream: &str,
    partitions: Vec<i32>,
    from: Offset,
) -> Result<(), String> {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(stream, partition, from)
            .map_err(|e| e.to_string())?;
    }
    consumer.assign(&list).map_err(|e| e.to_string())
}

fn owned(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    Record {
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
    }
}
