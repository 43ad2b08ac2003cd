//! Any answer can be written in any version served, and the crate's client side reads it back.

mod describe;
mod topics;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsResponse, FetchResponse, InitProducerIdResponse, ListOffsetsResponse,
    MetadataResponse, ProduceResponse, ResponseHeader,
};
use kafka_protocol::protocol::Decodable;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::fetch::EpochEnd;
use crate::metadata::{Broker, Partition, TopicResponse};
use crate::produce::RecordError;
use crate::{
    APIS, ErrorCode, Header, Response, api_versions, encode, fetch, init_producer_id, list_offsets,
    metadata, produce,
};

/// Encodes, checks length and header, and gives the decoded body; nothing may be left over.
pub(super) fn through<T: Decodable>(key: i16, version: i16, response: &Response) -> T {
    let header = Header {
        key,
        version,
        correlation_id: 4711,
        client_id: None,
    };
    let encoded = encode(&header, response).expect("every answer fits every version");
    assert!(encoded.pieces.iter().all(|piece| !piece.is_empty()));
    let mut frame = BytesMut::new();
    encoded
        .pieces
        .iter()
        .for_each(|piece| frame.extend_from_slice(piece));
    assert_eq!(frame.len(), encoded.total_bytes());
    let mut frame = frame.freeze();
    assert_eq!(usize::try_from(frame.get_i32()), Ok(frame.len()));
    let api = ApiKey::try_from(key).expect("the crate knows all keys of the table");
    let head = ResponseHeader::decode(&mut frame, api.response_header_version(version));
    assert_eq!(head.expect("a header").correlation_id, 4711);
    let body = T::decode(&mut frame, version).expect("a body of this version");
    assert!(frame.is_empty(), "{} bytes left over", frame.len());
    body
}

pub(super) fn error() -> impl Strategy<Value = ErrorCode> {
    proptest::sample::select(vec![0i16, 1, 2, 3, 45, 74, 75, 87, 100]).prop_map(ErrorCode)
}

pub(super) fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._-]{1,200}"
}

fn id() -> impl Strategy<Value = [u8; 16]> {
    any::<[u8; 16]>()
}

pub(super) fn versions(key: i16) -> std::ops::RangeInclusive<i16> {
    let api = APIS
        .iter()
        .find(|api| api.key == key)
        .expect("in the table");
    api.served_min..=api.max
}

fn metadata_response() -> impl Strategy<Value = metadata::Response> {
    let broker = (any::<i32>(), text(), any::<u16>());
    let broker = broker.prop_map(|(id, host, port)| Broker { id, host, port });
    let numbers = (any::<i32>(), any::<i32>(), 0..i32::MAX);
    let partition = numbers.prop_map(|(index, leader, leader_epoch)| Partition {
        index,
        leader,
        leader_epoch,
    });
    let topic = (
        error(),
        option::of(text()),
        id(),
        any::<bool>(),
        vec(partition, 0..5),
    );
    let topic = topic.prop_map(|(error, name, id, internal, partitions)| TopicResponse {
        error,
        name,
        id,
        internal,
        partitions,
    });
    (vec(broker, 1..3), text(), any::<i32>(), vec(topic, 0..5)).prop_map(
        |(brokers, cluster_id, controller_id, topics)| metadata::Response {
            brokers,
            cluster_id,
            controller_id,
            topics,
        },
    )
}

fn produce_response() -> impl Strategy<Value = produce::Response> {
    let record_error = (any::<i32>(), option::of(text()));
    let record_error = record_error.prop_map(|(index, message)| RecordError { index, message });
    let numbers = (any::<i32>(), error(), any::<i64>(), any::<i64>());
    let partition = (numbers, vec(record_error, 0..3), option::of(text())).prop_map(
        |((index, error, base_offset, log_start_offset), record_errors, message)| {
            produce::PartitionResponse {
                index,
                error,
                base_offset,
                log_start_offset,
                record_errors,
                message,
            }
        },
    );
    let topic = (text(), vec(partition, 0..4));
    let topic = topic.prop_map(|(name, partitions)| produce::TopicResponse { name, partitions });
    vec(topic, 0..4).prop_map(|topics| produce::Response { topics })
}

fn fetch_partition() -> impl Strategy<Value = fetch::PartitionResponse> {
    let numbers = (
        any::<i32>(),
        error(),
        any::<i64>(),
        any::<i64>(),
        any::<bool>(),
    );
    let end = option::of((0..i32::MAX, 0..i64::MAX));
    let records = vec(vec(any::<u8>(), 0..300).prop_map(Bytes::from), 0..4);
    (numbers, end, records).prop_map(|(numbers, end, records)| fetch::PartitionResponse {
        index: numbers.0,
        error: numbers.1,
        high_watermark: numbers.2,
        log_start_offset: numbers.3,
        read_committed: numbers.4,
        diverging: end.map(|(epoch, end_offset)| EpochEnd { epoch, end_offset }),
        records,
    })
}

fn fetch_response() -> impl Strategy<Value = fetch::Response> {
    let topic = (text(), id(), vec(fetch_partition(), 0..5));
    let topic = topic.prop_map(|(name, id, partitions)| fetch::TopicResponse {
        name,
        id,
        partitions,
    });
    (error(), vec(topic, 0..5)).prop_map(|(error, topics)| fetch::Response { error, topics })
}

fn check_fetched(version: i16, sent: &fetch::Response, read: &FetchResponse) {
    assert_eq!(read.error_code, if version >= 7 { sent.error.0 } else { 0 });
    assert_eq!((read.session_id, read.throttle_time_ms), (0, 0));
    assert_eq!(read.responses.len(), sent.topics.len());
    for (topic, sent) in read.responses.iter().zip(&sent.topics) {
        match version {
            13.. => assert_eq!(topic.topic_id.into_bytes(), sent.id),
            _ => assert_eq!(topic.topic.as_str(), sent.name),
        }
        assert_eq!(topic.partitions.len(), sent.partitions.len());
        for (partition, sent) in topic.partitions.iter().zip(&sent.partitions) {
            assert_eq!(partition.partition_index, sent.index);
            assert_eq!(partition.error_code, sent.error.0);
            assert_eq!(partition.high_watermark, sent.high_watermark);
            assert_eq!(partition.last_stable_offset, sent.high_watermark);
            let start = if version >= 5 {
                sent.log_start_offset
            } else {
                -1
            };
            assert_eq!(partition.log_start_offset, start);
            assert_eq!(
                partition.aborted_transactions.is_some(),
                sent.read_committed
            );
            let records = partition.records.as_ref().expect("records are never null");
            assert_eq!(records[..], sent.records.concat()[..]);
            let end = sent.diverging.filter(|_| version >= 12);
            let end = end.map_or((-1, -1), |end| (end.epoch, end.end_offset));
            let read = &partition.diverging_epoch;
            assert_eq!((read.epoch, read.end_offset), end);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn metadata_reads_back(sent in metadata_response()) {
        for version in versions(3) {
            let read: MetadataResponse = through(3, version, &Response::Metadata(sent.clone()));
            prop_assert_eq!(read.brokers.len(), sent.brokers.len());
            prop_assert_eq!(read.topics.len(), sent.topics.len());
            for (topic, sent) in read.topics.iter().zip(&sent.topics) {
                prop_assert_eq!(topic.name.is_some(), version < 12 || sent.name.is_some());
                prop_assert!(version < 10 || topic.topic_id.into_bytes() == sent.id);
                for (partition, sent) in topic.partitions.iter().zip(&sent.partitions) {
                    prop_assert_eq!(partition.replica_nodes.len(), 1);
                    prop_assert_eq!(partition.isr_nodes[0].0, sent.leader);
                }
            }
        }
    }

    #[test]
    fn produce_reads_back(sent in produce_response()) {
        for version in versions(0) {
            let read: ProduceResponse = through(0, version, &Response::Produce(sent.clone()));
            let offsets = read.responses.iter().flat_map(|t| &t.partition_responses);
            let expected = sent.topics.iter().flat_map(|t| &t.partitions);
            prop_assert!(offsets.map(|p| (p.index, p.error_code, p.base_offset))
                .eq(expected.map(|p| (p.index, p.error.0, p.base_offset))));
        }
    }

    #[test]
    fn fetch_reads_back(sent in fetch_response()) {
        for version in versions(1) {
            let read: FetchResponse = through(1, version, &Response::Fetch(sent.clone()));
            check_fetched(version, &sent, &read);
        }
    }

    #[test]
    fn list_offsets_reads_back(
        topics in vec((text(), vec((any::<i32>(), any::<i64>(), any::<i64>(), any::<i32>()), 0..4)), 0..4)
    ) {
        let topics = topics.into_iter().map(|(name, partitions)| list_offsets::TopicResponse {
            name,
            partitions: partitions.into_iter().map(|(index, timestamp, offset, leader_epoch)| {
                let error = ErrorCode::NONE;
                list_offsets::PartitionResponse { index, error, timestamp, offset, leader_epoch }
            }).collect(),
        });
        let sent = list_offsets::Response { topics: topics.collect() };
        for version in versions(2) {
            let read: ListOffsetsResponse = through(2, version, &Response::ListOffsets(sent.clone()));
            let read = read.topics.iter().flat_map(|t| &t.partitions).map(|p| (p.offset, p.timestamp));
            let sent = sent.topics.iter().flat_map(|t| &t.partitions).map(|p| (p.offset, p.timestamp));
            prop_assert!(read.eq(sent));
        }
    }

    #[test]
    fn init_producer_id_reads_back(producer_id in any::<i64>(), producer_epoch in any::<i16>(), error in error()) {
        let sent = init_producer_id::Response { error, producer_id, producer_epoch };
        for version in versions(22) {
            let read: InitProducerIdResponse = through(22, version, &Response::InitProducerId(sent));
            prop_assert_eq!((read.producer_id.0, read.producer_epoch), (producer_id, producer_epoch));
        }
    }
}

#[test]
fn api_versions_lists_the_table_and_no_tagged_field() {
    for version in versions(18) {
        let sent = api_versions::Response {
            error: ErrorCode::NONE,
        };
        let read: ApiVersionsResponse = through(18, version, &Response::ApiVersions(sent));
        let listed = read
            .api_keys
            .iter()
            .map(|a| (a.api_key, a.min_version, a.max_version));
        let expected = APIS.iter().map(|api| (api.key, api.min, api.max));
        assert!(listed.eq(expected));
        assert!(read.supported_features.is_empty() && read.unknown_tagged_fields.is_empty());
    }
}

#[test]
fn api_versions_too_high_is_answered_with_our_range_alone() {
    let sent = api_versions::Response {
        error: ErrorCode::UNSUPPORTED_VERSION,
    };
    let read: ApiVersionsResponse = through(18, 0, &Response::ApiVersions(sent));
    assert_eq!((read.error_code, read.api_keys.len()), (35, 1));
    let only = &read.api_keys[0];
    assert_eq!(
        (only.api_key, only.min_version, only.max_version),
        (18, 0, 4)
    );
}

/// Old librdkafka turns features on by exact versions; these ranges may never shrink.
#[test]
fn floors_that_old_clients_need_are_kept() {
    for (key, version) in [
        (0, 0),
        (0, 3),
        (0, 7),
        (1, 4),
        (1, 10),
        (2, 1),
        (8, 2),
        (9, 1),
        (10, 0),
        (11, 0),
        (12, 0),
        (13, 0),
        (14, 0),
        (18, 0),
        (22, 0),
    ] {
        let api = APIS
            .iter()
            .find(|api| api.key == key)
            .expect("in the table");
        assert!(
            (api.min..=api.max).contains(&version),
            "{} {version}",
            api.name
        );
    }
}

#[test]
fn batches_go_out_uncopied() {
    let batch = Bytes::from(vec![1u8; 5000]);
    let partition = fetch::PartitionResponse {
        index: 0,
        error: ErrorCode::NONE,
        high_watermark: 9,
        log_start_offset: 0,
        diverging: None,
        read_committed: false,
        records: vec![batch.clone(), batch.clone()],
    };
    let topic = fetch::TopicResponse {
        name: "t".into(),
        id: [1; 16],
        partitions: vec![partition],
    };
    let response = Response::Fetch(fetch::Response {
        error: ErrorCode::NONE,
        topics: vec![topic],
    });
    let header = Header {
        key: 1,
        version: 13,
        correlation_id: 0,
        client_id: None,
    };
    let pieces = encode(&header, &response).unwrap().pieces;
    let shared = pieces
        .iter()
        .filter(|piece| piece.as_ptr() == batch.as_ptr());
    assert_eq!(shared.count(), 2);
}
