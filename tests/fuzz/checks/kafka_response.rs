//! Kafka answers: ours, read and written again by a codec that is not ours.

use bytes::{Buf, BytesMut};
use headwater_kafka::{
    APIS, ErrorCode, Header, Response, create_topics, describe_groups, encode, fetch, join_group,
    list_offsets, metadata, offset_commit, offset_fetch, produce, sync_group,
};
use kafka_protocol::messages::{ApiKey, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::Decodable;

use super::Check;
use super::data::Data;

/// Any content of an answer, in every version that is served: the other codec reads all of it, and
/// writes the same bytes.
pub const KAFKA_RESPONSE: Check = Check {
    name: "kafka_response",
    run,
    memory_fixed: 256 << 10,
    memory_per_byte: 512,
};

fn run(bytes: &[u8]) {
    let mut data = Data(bytes);
    let (key, response) = response(&mut data);
    let api = APIS
        .iter()
        .find(|api| api.key == key)
        .expect("in the table");
    for version in api.served_min..=api.max {
        round_trip(key, version, &response);
    }
}

fn round_trip(key: i16, version: i16, response: &Response) {
    let header = Header {
        key,
        version,
        correlation_id: 4711,
        client_id: None,
    };
    let encoded = encode(&header, response).expect("every answer fits every version");
    let total = encoded.total_bytes();
    let mut frame = BytesMut::new();
    encoded
        .pieces
        .iter()
        .for_each(|piece| frame.extend_from_slice(piece));
    assert_eq!(frame.len(), total);
    let mut frame = frame.freeze();
    assert_eq!(usize::try_from(frame.get_i32()), Ok(frame.len()));
    let api = ApiKey::try_from(key).expect("the codec knows the table");
    let head = ResponseHeader::decode(&mut frame, api.response_header_version(version));
    assert_eq!(head.expect("a header").correlation_id, 4711);
    let body = frame.clone();
    let read = ResponseKind::decode(api, &mut frame, version).expect("it is legal");
    assert!(frame.is_empty(), "{} bytes are left", frame.len());
    let mut again = BytesMut::new();
    read.encode(&mut again, version).expect("what was read");
    assert!(again == body, "{read:?} in version {version}");
}

fn response(data: &mut Data<'_>) -> (i16, Response) {
    match data.byte() % 9 {
        0 => (0, Response::Produce(produced(data))),
        1 => (1, Response::Fetch(fetched(data))),
        2 => (2, Response::ListOffsets(listed(data))),
        3 => (3, Response::Metadata(described(data))),
        4 => (8, Response::OffsetCommit(committed(data))),
        5 => (9, Response::OffsetFetch(positions(data))),
        6 => (11, Response::JoinGroup(joined(data))),
        7 => match data.bool() {
            true => (14, Response::SyncGroup(synced(data))),
            false => (15, Response::DescribeGroups(groups(data))),
        },
        _ => (19, Response::CreateTopics(created(data))),
    }
}

fn error(data: &mut Data<'_>) -> ErrorCode {
    ErrorCode(data.i16())
}

fn produced(data: &mut Data<'_>) -> produce::Response {
    let topics = data.list(|data| produce::TopicResponse {
        name: data.text(),
        partitions: data.list(|data| produce::PartitionResponse {
            index: data.i32(),
            error: error(data),
            base_offset: data.i64(),
            log_start_offset: data.i64(),
            record_errors: data.list(|data| produce::RecordError {
                index: data.i32(),
                message: data.some(Data::text),
            }),
            message: data.some(Data::text),
        }),
    });
    produce::Response { topics }
}

fn fetched(data: &mut Data<'_>) -> fetch::Response {
    let error_of_all = error(data);
    let topics = data.list(|data| fetch::TopicResponse {
        name: data.text(),
        id: data.id(),
        partitions: data.list(|data| fetch::PartitionResponse {
            index: data.i32(),
            error: error(data),
            high_watermark: data.i64(),
            log_start_offset: data.i64(),
            diverging: data.some(epoch_end).filter(|end| *end != NO_EPOCH_END),
            read_committed: data.bool(),
            records: data.list(Data::bytes),
        }),
    });
    fetch::Response {
        error: error_of_all,
        topics,
    }
}

/// What the protocol leaves out.
const NO_EPOCH_END: fetch::EpochEnd = fetch::EpochEnd {
    epoch: -1,
    end_offset: -1,
};

fn epoch_end(data: &mut Data<'_>) -> fetch::EpochEnd {
    fetch::EpochEnd {
        epoch: data.i32(),
        end_offset: data.i64(),
    }
}

fn listed(data: &mut Data<'_>) -> list_offsets::Response {
    let topics = data.list(|data| list_offsets::TopicResponse {
        name: data.text(),
        partitions: data.list(|data| list_offsets::PartitionResponse {
            index: data.i32(),
            error: error(data),
            timestamp: data.i64(),
            offset: data.i64(),
            leader_epoch: data.i32(),
        }),
    });
    list_offsets::Response { topics }
}

fn described(data: &mut Data<'_>) -> metadata::Response {
    metadata::Response {
        brokers: data.list(|data| metadata::Broker {
            id: data.i32(),
            host: data.text(),
            port: data.u16(),
        }),
        cluster_id: data.text(),
        controller_id: data.i32(),
        topics: data.list(|data| metadata::TopicResponse {
            error: error(data),
            name: data.some(Data::text),
            id: data.id(),
            internal: data.bool(),
            partitions: data.list(|data| metadata::Partition {
                index: data.i32(),
                leader: data.i32(),
                leader_epoch: data.i32(),
            }),
        }),
    }
}

fn committed(data: &mut Data<'_>) -> offset_commit::Response {
    let partition = |data: &mut Data<'_>| (data.i32(), error(data));
    let topics = data.list(|data| (data.text(), data.list(partition)));
    offset_commit::Response { topics }
}

/// Versions before 8 know one group.
fn positions(data: &mut Data<'_>) -> offset_fetch::Response {
    let group = offset_fetch::GroupResponse {
        name: data.text(),
        error: error(data),
        topics: data.list(|data| {
            let name = data.text();
            let partitions = data.list(|data| offset_fetch::Partition {
                index: data.i32(),
                offset: data.i64(),
                leader_epoch: data.i32(),
                metadata: data.text(),
                error: error(data),
            });
            (name, partitions)
        }),
    };
    offset_fetch::Response {
        groups: vec![group],
    }
}

fn joined(data: &mut Data<'_>) -> join_group::Response {
    join_group::Response {
        error: error(data),
        generation: data.i32(),
        protocol_type: data.some(Data::text),
        protocol: data.some(Data::text),
        leader: data.text(),
        skip_assignment: data.bool(),
        member: data.text(),
        members: data.list(|data| join_group::Member {
            id: data.text(),
            instance: data.some(Data::text),
            metadata: data.bytes(),
        }),
    }
}

fn synced(data: &mut Data<'_>) -> sync_group::Response {
    sync_group::Response {
        error: error(data),
        protocol_type: data.some(Data::text),
        protocol: data.some(Data::text),
        assignment: data.bytes(),
    }
}

fn groups(data: &mut Data<'_>) -> describe_groups::Response {
    let groups = data.list(|data| describe_groups::Group {
        error: error(data),
        name: data.text(),
        state: data.text(),
        protocol_type: data.text(),
        protocol: data.text(),
        members: data.list(|data| describe_groups::Member {
            id: data.text(),
            instance: data.some(Data::text),
            client_id: data.text(),
            client_host: data.text(),
            metadata: data.bytes(),
            assignment: data.bytes(),
        }),
    });
    describe_groups::Response { groups }
}

fn created(data: &mut Data<'_>) -> create_topics::Response {
    let topics = data.list(|data| create_topics::TopicResponse {
        name: data.text(),
        id: data.id(),
        error: error(data),
        message: data.some(Data::text),
        partitions: data.i32(),
        replication_factor: data.i16(),
        configs: Vec::new(),
    });
    create_topics::Response { topics }
}
