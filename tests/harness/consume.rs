//! Everything that a stream holds, as a stock Kafka client reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// How long reading may take without progress before it is given up.
const GIVE_UP: Duration = Duration::from_secs(30);

/// One record as librdkafka gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Partition it lies in.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// Value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Reads all partitions of `stream` from start to end, each in order of its offsets.
///
/// # Errors
/// What librdkafka says, or that nothing came for too long.
pub fn everything(kafka: SocketAddr, stream: &str) -> Result<Vec<Record>, String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.to_string())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()
        .map_err(|e| e.to_string())?;
    let mut missing = ends(&consumer, stream)?;
    let mut assignment = TopicPartitionList::new();
    for partition in missing.keys() {
        assignment
            .add_partition_offset(stream, *partition, Offset::Beginning)
            .map_err(|e| e.to_string())?;
    }
    consumer.assign(&assignment).map_err(|e| e.to_string())?;
    let mut records = Vec::new();
    let mut progress = Instant::now();
    while !missing.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                progress = Instant::now();
                let record = owned(&message);
                if missing
                    .get(&record.partition)
                    .is_some_and(|end| record.offset + 1 >= *end)
                {
                    missing.remove(&record.partition);
                }
                records.push(record);
            }
            Some(Err(error)) => return Err(error.to_string()),
            None if progress.elapsed() > GIVE_UP => {
                return Err(format!("Nothing more comes: {missing:?}"));
            }
            None => {}
        }
    }
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

/// End offset of each partition that holds something.
fn ends(consumer: &BaseConsumer, stream: &str) -> Result<BTreeMap<i32, i64>, String> {
    let metadata = consumer
        .fetch_metadata(Some(stream), GIVE_UP)
        .map_err(|e| e.to_string())?;
    let topic = metadata.topics().first().ok_or("No such stream")?;
    let mut ends = BTreeMap::new();
    for partition in topic.partitions() {
        let (start, end) = consumer
            .fetch_watermarks(stream, partition.id(), GIVE_UP)
            .map_err(|e| e.to_string())?;
        if end > start {
            ends.insert(partition.id(), end);
        }
    }
    Ok(ends)
}

fn owned(message: &rdkafka::message::BorrowedMessage<'_>) -> Record {
    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
    };
    Record {
        partition: message.partition(),
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message
            .headers()
            .map(|all| all.iter().map(header).collect())
            .unwrap_or_default(),
    }
}
