//! What is appended, what is refused and with which code.

use bytes::Bytes;
use headwater_wire::batch::{BatchBuilder, CRC, Compressor, Producer};
use headwater_wire::crc::crc32c;
use kafka_protocol::messages::{MetadataRequest, ProduceRequest};

use super::{Broker, Produced, batch, numbered, produce_request};
use crate::metrics::DoorName;

/// Changes bytes of a batch and makes its CRC right again.
fn altered(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut altered = batch.to_vec();
    altered[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&altered[21..]);
    altered[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    altered.into()
}

fn zstd() -> Bytes {
    let mut builder = BatchBuilder::new();
    builder
        .push(1, Some(b"k"), Some(&[7; 1000]), [])
        .expect("small");
    let mut batch = Vec::new();
    builder.finish_zstd_into(Producer::NONE, &mut Compressor::new(1), &mut batch);
    batch.into()
}

fn keyless() -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.push(1, Some(b"k"), Some(b"v"), []).expect("small");
    builder.push(1, None, Some(b"v"), []).expect("small");
    let mut batch = Vec::new();
    builder.finish_into(Producer::NONE, &mut batch);
    batch.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_refused_one_by_one() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let good = batch(1, 2);
    let mut torn = good.to_vec();
    *torn.last_mut().expect("not empty") ^= 1;
    let two = [&good[..], &good[..]].concat();
    let agent = Producer {
        id: 1 << 52,
        epoch: 0,
        base_sequence: 0,
    };
    let cases: Vec<(&str, Bytes, i16)> = vec![
        ("nothing", Bytes::new(), 2),
        ("cut short", good.slice(..good.len() - 1), 2),
        ("wrong CRC", torn.into(), 2),
        ("two batches", two.into(), 87),
        ("magic 1", altered(&good, 16, &[1]), 87),
        ("base offset", altered(&good, 0, &7i64.to_be_bytes()), 87),
        ("control", altered(&good, 21, &0x20u16.to_be_bytes()), 87),
        (
            "transactional",
            altered(&good, 21, &0x10u16.to_be_bytes()),
            87,
        ),
        (
            "append time",
            altered(&good, 21, &0x08u16.to_be_bytes()),
            87,
        ),
        ("codec 7", altered(&good, 21, &0x07u16.to_be_bytes()), 87),
        ("not gzip", altered(&good, 21, &0x01u16.to_be_bytes()), 87),
        ("record count", altered(&good, 57, &3i32.to_be_bytes()), 87),
        (
            "max timestamp",
            altered(&good, 35, &99i64.to_be_bytes()),
            87,
        ),
        ("an agent's producer id", numbered(1, 1, agent), 87),
        ("too large", vec![0; 1_048_589].into(), 10),
    ];
    for (name, bytes, code) in cases {
        let Produced(answer) = client.produce("events", 0, bytes).await;
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (code, -1),
            "{name}"
        );
        assert!(answer.error_message.is_some(), "{name}");
    }
    assert_eq!(client.append("events", 0, good).await, 0);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_that_take_nothing_are_named() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    for (topic, partition, code) in [
        ("nowhere", 0, 3),
        ("events", 2, 3),
        ("events", -1, 3),
        ("__lanes", 0, 17),
    ] {
        let Produced(answer) = client.produce(topic, partition, batch(1, 1)).await;
        assert_eq!(answer.error_code, code, "{topic}/{partition}");
    }
    let request = produce_request("events", 0, batch(1, 1)).with_acks(2);
    let answer = client.call(9, &request).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 21);
    let name = kafka_protocol::protocol::StrBytes::from_static_str("t");
    let request = produce_request("events", 0, batch(1, 1));
    let request = request.with_transactional_id(Some(name.into()));
    let answer = client.call(9, &request).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 53);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_needs_a_version_that_knows_it() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let request = produce_request("events", 1, zstd());
    for (version, code) in [(3, 76), (6, 76), (7, 0), (11, 0)] {
        let answer = client.call(version, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(partition.error_code, code, "v{version}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_stream_needs_keys_and_the_record_is_named() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let Produced(answer) = client.produce("table", 0, keyless()).await;
    assert_eq!(answer.error_code, 87);
    assert_eq!(answer.record_errors[0].batch_index, 1);
    client.append("table", 0, batch(1, 1)).await;
    client.append("events", 0, keyless()).await;
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_sent_twice_is_appended_once() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let producer = |epoch, base_sequence| Producer {
        id: 77,
        epoch,
        base_sequence,
    };
    let first = numbered(1, 3, producer(0, 0));
    assert_eq!(client.append("events", 0, first.clone()).await, 0);
    assert_eq!(
        client
            .append("events", 0, numbered(2, 2, producer(0, 3)))
            .await,
        3
    );
    assert_eq!(client.append("events", 0, first).await, 0);
    assert_eq!(client.append("events", 0, batch(9, 1)).await, 5);
    let gap = client
        .produce("events", 0, numbered(3, 1, producer(0, 9)))
        .await;
    assert_eq!(gap.0.error_code, 45);
    client
        .append("events", 0, numbered(3, 1, producer(1, 0)))
        .await;
    let old = client
        .produce("events", 0, numbered(3, 1, producer(0, 5)))
        .await;
    assert_eq!(old.0.error_code, 47);
    let metrics = &broker.door.metrics;
    assert_eq!(metrics.records_in.of(DoorName::Kafka).value(), 7);
    assert_eq!(metrics.duplicates.of(DoorName::Kafka).value(), 3);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_appended_and_answered_in_order() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let requests = 100;
    for number in 0..requests {
        let request = produce_request("events", 0, batch(number, 1));
        client.send(9, &request).await;
    }
    for number in 0..requests {
        let (correlation_id, answer) = client.receive_any::<ProduceRequest>(9).await;
        assert_eq!(i64::from(correlation_id), number + 1);
        assert_eq!(
            answer.responses[0].partition_responses[0].base_offset,
            number
        );
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_acknowledgement_there_is_no_answer_and_an_error_ends_the_connection() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let quiet = produce_request("events", 0, batch(1, 1)).with_acks(0);
    client.send(9, &quiet).await;
    // The next answer on the connection is the next request's.
    client.call(12, &MetadataRequest::default()).await;
    assert_eq!(client.append("events", 0, batch(2, 1)).await, 1);
    let bad = produce_request("nowhere", 0, batch(1, 1)).with_acks(0);
    client.send(9, &bad).await;
    client.closed().await;
    broker.stop().await;
}
