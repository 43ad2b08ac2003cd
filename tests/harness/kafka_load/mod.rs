//! One librdkafka client for every broker that is compared: records of 256 bytes, numbered in each
//! partition, read back and checked.

mod both;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientContext, error::KafkaError};

pub use both::{Latencies, at_once};

/// Partitions of every topic; both brokers create topics with so many by themselves.
pub const PARTITIONS: usize = 4;
const RECORD_BYTES: usize = 256;
/// Where a record's number stands.
const NUMBER: std::ops::Range<usize> = 8..18;
const GIVE_UP: Duration = Duration::from_secs(60);

/// Counts what was acknowledged and what failed.
#[derive(Debug, Default, Clone)]
struct Counting {
    acked: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
}

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let counter = if result.is_ok() {
            &self.acked
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Settings of the producer; what is not here is librdkafka's default.
fn producer_settings(broker: SocketAddr, codec: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", broker.to_string())
        .set("acks", "all")
        // As Kafka's own client does by default; without it a retry may change the order.
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("batch.size", "1048576")
        .set("batch.num.messages", "100000")
        .set("queue.buffering.max.messages", "200000")
        .set("compression.codec", codec);
    settings
}

/// Writes `count` records to `topic`, taking turns between its partitions, and waits until all are
/// acknowledged.
///
/// # Errors
/// What librdkafka says, or how many failed.
pub fn produce(
    broker: SocketAddr,
    topic: &str,
    codec: &str,
    count: usize,
) -> Result<Duration, String> {
    let counting = Counting::default();
    let producer: ThreadedProducer<Counting> = producer_settings(broker, codec)
        .create_with_context(counting.clone())
        .map_err(|e| e.to_string())?;
    await_topic(producer.client(), topic)?;
    let begun = Instant::now();
    let mut payload = record();
    for number in 0..count {
        stamp(&mut payload, number / PARTITIONS);
        let partition = i32::try_from(number % PARTITIONS).unwrap_or(0);
        send(&producer, topic, partition, &payload)?;
    }
    producer.flush(GIVE_UP).map_err(|e| e.to_string())?;
    match counting.failed.load(Ordering::Relaxed) {
        0 => Ok(begun.elapsed()),
        failed => Err(format!("{failed} of {count} records were refused")),
    }
}

/// Reads `count` records of `topic` from its start and checks that each partition's come once and
/// in order.
///
/// # Errors
/// What librdkafka says, or what is missing or out of order.
pub fn consume(broker: SocketAddr, topic: &str, count: usize) -> Result<Duration, String> {
    let consumer = consumer(broker)?;
    assign(&consumer, topic, Offset::Beginning)?;
    let mut next = [0; PARTITIONS];
    let begun = Instant::now();
    let mut progress = begun;
    let mut read = 0;
    while read < count {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let partition = usize::try_from(message.partition()).unwrap_or(usize::MAX);
                let got = message.payload().and_then(number);
                let due = next.get_mut(partition).ok_or("A partition too many")?;
                if got != Some(*due) {
                    return Err(format!("{got:?} where {due} was due in {partition}"));
                }
                *due += 1;
                read += 1;
                if read % 1024 == 0 {
                    progress = Instant::now();
                }
            }
            Some(Err(error)) => return Err(error.to_string()),
            None if progress.elapsed() > GIVE_UP => {
                return Err(format!("{read} of {count} records came"));
            }
            None => {}
        }
    }
    Ok(begun.elapsed())
}

fn consumer(broker: SocketAddr) -> Result<BaseConsumer, String> {
    ClientConfig::new()
        .set("bootstrap.servers", broker.to_string())
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .create()
        .map_err(|e| e.to_string())
}

fn assign(consumer: &BaseConsumer, topic: &str, from: Offset) -> Result<(), String> {
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let partition = i32::try_from(partition).unwrap_or(0);
        assignment
            .add_partition_offset(topic, partition, from)
            .map_err(|e| e.to_string())?;
    }
    consumer.assign(&assignment).map_err(|e| e.to_string())
}

/// Asks for a topic until the broker has created it.
fn await_topic<C: ClientContext>(
    client: &rdkafka::client::Client<C>,
    topic: &str,
) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        let metadata = client.fetch_metadata(Some(topic), GIVE_UP);
        let metadata = metadata.map_err(|e| e.to_string())?;
        let found = metadata.topics().first();
        if found.is_some_and(|t| t.error().is_none() && t.partitions().len() == PARTITIONS) {
            return Ok(());
        }
        if begun.elapsed() > GIVE_UP {
            return Err(format!("Topic {topic} does not come to be"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(
    producer: &ThreadedProducer<Counting>,
    topic: &str,
    partition: i32,
    payload: &[u8],
) -> Result<(), String> {
    let mut record = BaseRecord::<(), [u8]>::to(topic)
        .partition(partition)
        .payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.to_string()),
        }
    }
}

/// A sensor's reading as JSON, 256 bytes.
fn record() -> Vec<u8> {
    let mut text = String::from(
        "{\"seq\":\"0000000000\",\"device\":\"machine-07\",\"line\":\"assembly-3\",\"state\":\"ok\",\
         \"temperature\":21.517,\"pressure\":1013.206,\"humidity\":45.031,\"vibration\":0.811,\
         \"current\":12.402,\"rpm\":1480.112,\"note\":\"",
    );
    text.extend(std::iter::repeat_n('-', RECORD_BYTES - text.len() - 2));
    text.push_str("\"}");
    text.into_bytes()
}

fn stamp(payload: &mut [u8], mut number: usize) {
    for digit in payload[NUMBER].iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

fn number(payload: &[u8]) -> Option<usize> {
    let digits = payload.get(NUMBER)?;
    digits.iter().try_fold(0, |number: usize, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        Some(number * 10 + usize::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_carries_its_number() {
        let mut payload = record();
        assert_eq!(payload.len(), RECORD_BYTES);
        stamp(&mut payload, 1_234_567);
        assert_eq!(number(&payload), Some(1_234_567));
        serde_json::from_slice::<serde_json::Value>(&payload).unwrap();
    }
}
