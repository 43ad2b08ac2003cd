//! Requests as the crate's client side writes them are understood, in every version served.

mod describe;
mod topics;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{
    FetchPartition, FetchTopic, ForgottenTopic, ReplicaState,
};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiVersionsRequest, BrokerId, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    MetadataRequest, ProduceRequest,
};
use kafka_protocol::protocol::StrBytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use super::{frame, groups};
use crate::{APIS, Request, parse};

/// Any request that a client could send, as a frame, of any API in any version served.
pub(super) fn any_frame() -> impl Strategy<Value = Bytes> {
    let lines = APIS
        .iter()
        .flat_map(|api| (api.served_min..=api.max).map(|version| (api.key, version)));
    let lines: Vec<(i16, i16)> = lines.collect();
    proptest::sample::select(lines).prop_flat_map(|(key, version)| of_version(key, version))
}

fn of_version(key: i16, version: i16) -> BoxedStrategy<Bytes> {
    match key {
        0 => produce(version).boxed(),
        1 => fetch(version).boxed(),
        2 => list_offsets(version).boxed(),
        3 => metadata(version).boxed(),
        18 => api_versions(version).boxed(),
        19 => topics::create(version).boxed(),
        20 => topics::delete(version).boxed(),
        23 => describe::epochs(version).boxed(),
        32 => describe::configs(version).boxed(),
        60 => describe::cluster(version).boxed(),
        22 => init_producer_id(version).boxed(),
        _ => groups::of_version(key, version).expect("every API has a strategy"),
    }
}

pub(super) fn text() -> impl Strategy<Value = StrBytes> {
    "[a-zA-Z0-9._-]{0,200}".prop_map(StrBytes::from_string)
}

/// Tagged fields that no schema knows, as a newer client may send them.
pub(super) fn tags(
    flexible: bool,
) -> impl Strategy<Value = std::collections::BTreeMap<i32, Bytes>> {
    let tag = (50..1000i32, vec(any::<u8>(), 0..20).prop_map(Bytes::from));
    vec(tag, 0..if flexible { 3 } else { 1 }).prop_map(|tags| tags.into_iter().collect())
}

fn produce(version: i16) -> impl Strategy<Value = Bytes> {
    let records = option::of(vec(any::<u8>(), 0..300).prop_map(Bytes::from));
    let partition = (any::<i32>(), records).prop_map(|(index, records)| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(records)
    });
    let topic = (text(), vec(partition, 0..4)).prop_map(|(name, partitions)| {
        TopicProduceData::default()
            .with_name(name.into())
            .with_partition_data(partitions)
    });
    let fields = (
        option::of(text()),
        any::<i16>(),
        any::<i32>(),
        vec(topic, 0..4),
    );
    (fields, tags(version >= 9)).prop_map(move |((id, acks, timeout_ms, topics), tags)| {
        let body = ProduceRequest::default()
            .with_transactional_id(id.map(Into::into))
            .with_acks(acks)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(topics)
            .with_unknown_tagged_fields(tags);
        frame(0, version, &body)
    })
}

fn fetch_partition(version: i16) -> impl Strategy<Value = FetchPartition> {
    let numbers = (any::<i32>(), any::<i32>(), any::<i64>(), any::<i32>());
    (numbers, any::<u128>()).prop_map(move |((index, epoch, offset, bytes), directory)| {
        let mut partition = FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(bytes);
        if version >= 9 {
            partition = partition.with_current_leader_epoch(epoch);
        }
        if version >= 12 {
            partition = partition.with_last_fetched_epoch(epoch.wrapping_add(1));
        }
        if version >= 17 {
            partition = partition.with_replica_directory_id(Uuid::from_u128(directory));
        }
        partition
    })
}

fn fetch_topics(version: i16) -> impl Strategy<Value = (Vec<FetchTopic>, Vec<ForgottenTopic>)> {
    let topic = (text(), any::<u128>(), vec(fetch_partition(version), 0..4));
    let topic = topic.prop_map(move |(name, id, partitions)| {
        let topic = FetchTopic::default().with_partitions(partitions);
        match version {
            13.. => topic.with_topic_id(Uuid::from_u128(id)),
            _ => topic.with_topic(name.into()),
        }
    });
    let forgotten = (text(), vec(any::<i32>(), 0..5)).prop_map(move |(name, partitions)| {
        let topic = ForgottenTopic::default().with_partitions(partitions);
        match version {
            13.. => topic,
            _ => topic.with_topic(name.into()),
        }
    });
    let forgotten_max = if version >= 7 { 3 } else { 1 };
    (vec(topic, 0..4), vec(forgotten, 0..forgotten_max))
}

fn fetch(version: i16) -> impl Strategy<Value = Bytes> {
    let numbers = (any::<i32>(), any::<i32>(), any::<i32>(), any::<i8>());
    let session = (any::<i32>(), any::<i32>(), text(), option::of(text()));
    let parts = (fetch_topics(version), tags(version >= 12));
    (numbers, session, parts).prop_map(move |(numbers, session, ((topics, forgotten), tags))| {
        let mut body = FetchRequest::default()
            .with_max_wait_ms(numbers.0)
            .with_min_bytes(numbers.1)
            .with_max_bytes(numbers.2)
            .with_isolation_level(numbers.3)
            .with_topics(topics)
            .with_unknown_tagged_fields(tags);
        if version >= 7 {
            body = body
                .with_session_id(session.0)
                .with_session_epoch(session.1)
                .with_forgotten_topics_data(forgotten);
        }
        if version >= 11 {
            body = body.with_rack_id(session.2);
        }
        if version >= 12 {
            body = body.with_cluster_id(session.3);
        }
        if version >= 15 {
            let state = ReplicaState::default().with_replica_id(BrokerId(session.0));
            body = body.with_replica_state(state);
        }
        frame(1, version, &body)
    })
}

fn list_offsets(version: i16) -> impl Strategy<Value = Bytes> {
    let partition = (any::<i32>(), any::<i32>(), any::<i64>());
    let partition = partition.prop_map(move |(index, epoch, timestamp)| {
        ListOffsetsPartition::default()
            .with_partition_index(index)
            .with_current_leader_epoch(if version >= 4 { epoch } else { -1 })
            .with_timestamp(timestamp)
    });
    let topic = (text(), vec(partition, 0..4)).prop_map(|(name, partitions)| {
        ListOffsetsTopic::default()
            .with_name(name.into())
            .with_partitions(partitions)
    });
    (any::<i8>(), vec(topic, 0..4), tags(version >= 6)).prop_map(move |(level, topics, tags)| {
        let body = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(if version >= 2 { level } else { 0 })
            .with_topics(topics)
            .with_unknown_tagged_fields(tags);
        frame(2, version, &body)
    })
}

fn metadata(version: i16) -> impl Strategy<Value = Bytes> {
    let topic = (text(), any::<u128>(), any::<bool>()).prop_map(move |(name, id, by_id)| {
        let topic = MetadataRequestTopic::default();
        match version {
            12.. if by_id => topic.with_name(None).with_topic_id(Uuid::from_u128(id)),
            10.. => topic
                .with_name(Some(name.into()))
                .with_topic_id(Uuid::from_u128(id)),
            _ => topic.with_name(Some(name.into())),
        }
    });
    let topics = option::weighted(0.7, vec(topic, 0..5))
        .prop_map(move |topics| topics.or_else(|| (version == 0).then(Vec::new)));
    (topics, any::<[bool; 3]>(), tags(version >= 9)).prop_map(move |(topics, flags, tags)| {
        let body = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(version < 4 || flags[0])
            .with_include_cluster_authorized_operations((8..=10).contains(&version) && flags[1])
            .with_include_topic_authorized_operations(version >= 8 && flags[2])
            .with_unknown_tagged_fields(tags);
        frame(3, version, &body)
    })
}

fn api_versions(version: i16) -> impl Strategy<Value = Bytes> {
    (text(), text(), tags(version >= 3)).prop_map(move |(name, software, tags)| {
        let body = ApiVersionsRequest::default()
            .with_client_software_name(name)
            .with_client_software_version(software)
            .with_unknown_tagged_fields(tags);
        frame(18, version, &body)
    })
}

fn init_producer_id(version: i16) -> impl Strategy<Value = Bytes> {
    let fields = (option::of(text()), any::<i64>(), any::<i16>());
    (fields, tags(version >= 2)).prop_map(move |((id, producer, epoch), tags)| {
        let mut body = InitProducerIdRequest::default()
            .with_transactional_id(id.map(Into::into))
            .with_unknown_tagged_fields(tags);
        if version >= 3 {
            body = body
                .with_producer_id(producer.into())
                .with_producer_epoch(epoch);
        }
        frame(22, version, &body)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_crate_can_encode_passes_the_scan(frame in any_frame()) {
        let incoming = parse(&frame).expect("an honest frame is understood");
        prop_assert_eq!(incoming.header.correlation_id, 77);
        prop_assert_eq!(incoming.header.client_id.as_deref(), Some("tester"));
    }
}

#[test]
fn values_arrive_where_they_belong() {
    for version in 4..=17 {
        let partition = FetchPartition::default()
            .with_partition(3)
            .with_fetch_offset(44)
            .with_partition_max_bytes(55);
        let topic = FetchTopic::default().with_partitions(vec![partition]);
        let topic = match version {
            13.. => topic.with_topic_id(Uuid::from_u128(9)),
            _ => topic.with_topic(StrBytes::from_static_str("t").into()),
        };
        let body = FetchRequest::default()
            .with_max_wait_ms(1)
            .with_min_bytes(2)
            .with_max_bytes(3)
            .with_topics(vec![topic]);
        let Request::Fetch(request) = parse(&frame(1, version, &body)).unwrap().request else {
            panic!("not a Fetch request");
        };
        let numbers = (request.max_wait_ms, request.min_bytes, request.max_bytes);
        assert_eq!(numbers, (1, 2, 3));
        let topic = &request.topics[0];
        let by_id = version >= 13;
        assert_eq!(topic.id == Uuid::from_u128(9).into_bytes(), by_id);
        assert_eq!(topic.name == "t", !by_id);
        let partition = topic.partitions[0];
        assert_eq!((partition.index, partition.offset), (3, 44));
        assert_eq!(
            (partition.max_bytes, partition.last_fetched_epoch),
            (55, -1)
        );
    }
}

#[test]
fn records_of_a_produce_request_are_slices_of_its_frame() {
    let records = Bytes::from(vec![7u8; 1000]);
    let partition = PartitionProduceData::default().with_records(Some(records));
    let topic = TopicProduceData::default().with_partition_data(vec![partition]);
    let frame = frame(
        0,
        9,
        &ProduceRequest::default().with_topic_data(vec![topic]),
    );
    let Request::Produce(request) = parse(&frame).unwrap().request else {
        panic!("not a Produce request");
    };
    let records = request.topics[0].partitions[0].records.clone().unwrap();
    assert!(frame.as_ptr_range().contains(&records.as_ptr()));
    assert_eq!(records.len(), 1000);
}
