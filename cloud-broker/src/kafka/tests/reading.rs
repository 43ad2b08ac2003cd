//! Fetch and ListOffsets: what is read, how long is waited, and which errors there are.

use bytes::Bytes;
use headwater_wire::batch::{Header, LEADER_EPOCH};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{FetchRequest, ListOffsetsRequest, ProduceRequest};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Broker, Client, batch, produce_request};

const LONG_MS: i32 = 600_000;

/// Asks for partition 0 of `events` from `offset` on.
fn from(offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20)
}

fn fetch(partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = FetchTopic::default()
        .with_topic(StrBytes::from_static_str("events").into())
        .with_partitions(partitions);
    FetchRequest::default()
        .with_max_bytes(50 << 20)
        .with_min_bytes(1)
        .with_topics(vec![topic])
}

async fn one(client: &mut Client, request: &FetchRequest) -> PartitionData {
    let answer = client.call(12, request).await;
    assert_eq!(answer.error_code, 0);
    answer.responses[0].partitions[0].clone()
}

/// Base offsets of the batches in an answer, which must be whole.
fn base_offsets(partition: &PartitionData) -> Vec<i64> {
    let mut records: Bytes = partition.records.clone().expect("never null");
    let mut offsets = Vec::new();
    while !records.is_empty() {
        let header = Header::parse(&records).expect("whole batches");
        offsets.push(header.base_offset);
        drop(records.split_to(header.total_bytes()));
    }
    offsets
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_come_back_as_they_were_sent() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let sent = [batch(1, 3), batch(2, 2), batch(3, 5)];
    for batch in &sent {
        client.append("events", 0, batch.clone()).await;
    }
    let partition = one(&mut client, &fetch(vec![from(0)])).await;
    assert_eq!(base_offsets(&partition), [0, 3, 5]);
    assert_eq!(
        (partition.high_watermark, partition.log_start_offset),
        (10, 0)
    );
    let read = partition.records.expect("never null");
    let header = Header::parse(&read).expect("a batch");
    assert!(
        header.leader_epoch >= 0,
        "consumers believe the leader epoch"
    );
    // All but base offset and leader epoch is what the producer wrote.
    assert_eq!(read[8..LEADER_EPOCH], sent[0][8..LEADER_EPOCH]);
    let after = LEADER_EPOCH + 4;
    assert_eq!(read[after..sent[0].len()], sent[0][after..]);
    // From the middle of a batch on: that batch whole.
    for (offset, first) in [(1, 0), (4, 3), (9, 5)] {
        let partition = one(&mut client, &fetch(vec![from(offset)])).await;
        assert_eq!(base_offsets(&partition)[0], first, "{offset}");
    }
    let end = one(&mut client, &fetch(vec![from(10)])).await;
    assert_eq!((end.error_code, base_offsets(&end)), (0, vec![]));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_but_one_batch_always_comes() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    for partition in [0, 1] {
        for _ in 0..4 {
            client.append("events", partition, batch(1, 20)).await;
        }
    }
    let size = i32::try_from(batch(1, 20).len()).expect("small");
    let both = || vec![from(0), from(0).with_partition(1)];
    // (max_bytes, partition_max_bytes) and the batches that come of each partition.
    for (all, each, batches) in [
        (1, 1, [1, 0]),
        (1 << 20, 1, [1, 0]),
        (1, 1 << 20, [1, 0]),
        (0, 0, [1, 0]),
        (-1, -1, [1, 0]),
        (1 << 20, size, [1, 1]),
        (size * 3, size * 2, [2, 1]),
        (1 << 20, size * 3 + 1, [3, 3]),
        (1 << 20, 1 << 20, [4, 4]),
    ] {
        let partitions = both().into_iter();
        let partitions = partitions.map(|partition| partition.with_partition_max_bytes(each));
        let request = fetch(partitions.collect()).with_max_bytes(all);
        let answer = client.call(12, &request).await;
        let partitions = &answer.responses[0].partitions;
        let came = [0, 1].map(|number: usize| base_offsets(&partitions[number]).len());
        assert_eq!(came, batches, "{all} {each}");
    }
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_wakes_a_fetch_that_waits() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    let mut writer = broker.client().await;
    let request = fetch(vec![from(0)]).with_max_wait_ms(LONG_MS);
    client.send(12, &request).await;
    writer.append("events", 0, batch(1, 1)).await;
    let answer = client.receive::<FetchRequest>(12).await;
    assert_eq!(base_offsets(&answer.responses[0].partitions[0]), [0]);
    // Not enough yet: it goes on waiting until there is.
    let bytes = i32::try_from(batch(1, 1).len()).expect("small");
    let request = fetch(vec![from(0)]).with_max_wait_ms(LONG_MS);
    client.send(12, &request.with_min_bytes(bytes * 3)).await;
    writer.append("events", 0, batch(1, 1)).await;
    writer.append("events", 0, batch(1, 1)).await;
    let answer = client.receive::<FetchRequest>(12).await;
    assert_eq!(base_offsets(&answer.responses[0].partitions[0]), [0, 1, 2]);
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_answered_when_the_broker_stops() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    client.append("events", 0, batch(1, 1)).await;
    client
        .send(12, &fetch(vec![from(1)]).with_max_wait_ms(LONG_MS))
        .await;
    // What is sent behind it and has been appended shows that the long poll has begun.
    client
        .send(9, &produce_request("events", 1, batch(1, 1)))
        .await;
    let request = fetch(vec![from(0).with_partition(1)]).with_max_wait_ms(LONG_MS);
    assert_eq!(
        base_offsets(&one(&mut broker.client().await, &request).await),
        [0]
    );
    broker.stop().await;
    let answer = client.receive::<FetchRequest>(12).await;
    let partition = &answer.responses[0].partitions[0];
    assert_eq!((partition.error_code, base_offsets(partition)), (0, vec![]));
    let answer = client.receive::<ProduceRequest>(9).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    client.closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_answered_at_once() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    client.append("events", 0, batch(1, 5)).await;
    let cases = [
        ("below the start", from(-1), 1),
        ("beyond the end", from(6), 1),
        ("no partition", from(0).with_partition(9), 3),
        ("an old epoch", from(0).with_current_leader_epoch(0), 74),
        (
            "an epoch to come",
            from(0).with_current_leader_epoch(99),
            75,
        ),
    ];
    for (name, partition, code) in cases {
        let request = fetch(vec![partition]).with_max_wait_ms(LONG_MS);
        let answer = one(&mut client, &request).await;
        assert_eq!(
            (answer.error_code, base_offsets(&answer)),
            (code, vec![]),
            "{name}"
        );
    }
    let future = fetch(vec![from(0).with_last_fetched_epoch(99)]);
    let answer = one(&mut client, &future.with_max_wait_ms(LONG_MS)).await;
    assert_eq!(
        (answer.error_code, answer.diverging_epoch.end_offset),
        (0, 5)
    );
    let unknown = FetchTopic::default()
        .with_topic_id(Uuid::from_u128(5))
        .with_partitions(vec![from(0)]);
    let request = fetch(vec![]).with_topics(vec![unknown]);
    let answer = client.call(13, &request.with_max_wait_ms(LONG_MS)).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, 100);
    assert_eq!(answer.responses[0].topic_id, Uuid::from_u128(5));
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_refused() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    client.append("events", 0, batch(1, 1)).await;
    for (id, epoch, code) in [(0, 0, 0), (0, -1, 0), (0, 1, 71), (9, 1, 70), (9, 0, 70)] {
        let request = fetch(vec![from(0)])
            .with_session_id(id)
            .with_session_epoch(epoch);
        let answer = client.call(11, &request).await;
        assert_eq!(
            (answer.error_code, answer.session_id),
            (code, 0),
            "{id} {epoch}"
        );
        assert_eq!(answer.responses.is_empty(), code != 0);
    }
    broker.stop().await;
}

async fn offset(client: &mut Client, version: i16, asked: ListOffsetsPartition) -> (i16, i64, i64) {
    let topic = ListOffsetsTopic::default()
        .with_name(StrBytes::from_static_str("events").into())
        .with_partitions(vec![asked]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    let answer = client.call(version, &request).await;
    let found = &answer.topics[0].partitions[0];
    assert!(found.offset == -1 || found.leader_epoch >= 0);
    (found.error_code, found.offset, found.timestamp)
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_by_time_are_exact_to_the_record() {
    let broker = Broker::start("");
    let mut client = broker.client().await;
    // Times go back and forth: a late batch, as from an edge that was offline.
    for first_ms in [1000, 5000, 2000] {
        client.append("events", 0, batch(first_ms, 10)).await;
    }
    for (timestamp, expected) in [
        (-1, (0, 30, -1)),
        (-2, (0, 0, -1)),
        (-3, (0, 19, 5009)),
        (-4, (0, 0, -1)),
        (-5, (0, -1, -1)),
        (-6, (35, -1, -1)),
        (0, (0, 0, 1000)),
        (1003, (0, 3, 1003)),
        (1500, (0, 10, 5000)),
        (5009, (0, 19, 5009)),
        (5010, (0, -1, -1)),
    ] {
        let asked = ListOffsetsPartition::default().with_timestamp(timestamp);
        assert_eq!(offset(&mut client, 9, asked).await, expected, "{timestamp}");
    }
    let asked = ListOffsetsPartition::default().with_timestamp(-3);
    assert_eq!(offset(&mut client, 6, asked.clone()).await.0, 35);
    let fenced = asked.clone().with_current_leader_epoch(0);
    assert_eq!(offset(&mut client, 9, fenced).await.0, 74);
    let future = asked.clone().with_current_leader_epoch(99);
    assert_eq!(offset(&mut client, 9, future).await.0, 75);
    let nowhere = asked.with_partition_index(7);
    assert_eq!(offset(&mut client, 9, nowhere).await.0, 3);
    broker.stop().await;
}
