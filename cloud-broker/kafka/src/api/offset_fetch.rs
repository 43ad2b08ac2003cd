//! OffsetFetch (9): how far groups have come. From version 8 on it asks for several groups.

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{BOOL, Field, INT32, Kind};
use crate::{ErrorCode, Header};

/// The first version with several groups.
const GROUPS_SINCE: i16 = 8;
/// The first version in which the whole answer has an error.
const ERROR_SINCE: i16 = 2;

const TOPICS: Kind = Kind::Array(&[
    Field::new("name", Kind::String),
    Field::new("partition_indexes", Kind::FixedArray(4)),
]);

/// The line of the version table.
pub const API: Api = Api {
    key: 9,
    name: "OffsetFetch",
    min: 1,
    max: 9,
    served_min: 1,
    flexible_since: 6,
    flexible_response_header: true,
    request: &[
        Field::new("group_id", Kind::String).until(7),
        Field::new("topics", TOPICS).until(7),
        Field::new(
            "groups",
            Kind::Array(&[
                Field::new("group_id", Kind::String),
                Field::new("member_id", Kind::String).since(9),
                Field::new("member_epoch", INT32).since(9),
                Field::new("topics", TOPICS),
            ]),
        )
        .since(GROUPS_SINCE),
        Field::new("require_stable", BOOL).since(7),
    ],
    decode: |body, version| {
        Ok(super::Request::OffsetFetch(request(
            decode(body, version)?,
            version,
        )))
    },
};

/// The request. Below version 8 it has exactly one group. `require_stable` waits for transactions,
/// which are not there; member and epoch belong to another kind of group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// By group.
    pub groups: Vec<Group>,
}

/// What is asked of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Topics and partitions; `None` = all that are known.
    pub topics: Option<Vec<(String, Vec<i32>)>>,
}

/// The answer, by group as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// By group; below version 8 only the first is told.
    pub groups: Vec<GroupResponse>,
}

/// The answer for one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupResponse {
    /// Its name.
    pub name: String,
    /// 0, or why there is nothing; at version 1 every partition has it.
    pub error: ErrorCode,
    /// Name and partitions.
    pub topics: Vec<(String, Vec<Partition>)>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The next offset to read, -1 for none.
    pub offset: i64,
    /// Leader epoch of the record before it, -1 for none; told from version 5.
    pub leader_epoch: i32,
    /// The client's own words.
    pub metadata: String,
    /// 0, or why there is nothing.
    pub error: ErrorCode,
}

impl Partition {
    /// A partition of which nothing is known.
    #[must_use]
    pub fn none(index: i32, error: ErrorCode) -> Self {
        Self {
            index,
            offset: -1,
            leader_epoch: -1,
            metadata: String::new(),
            error,
        }
    }
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let body = OffsetFetchResponse::default();
        if header.version >= GROUPS_SINCE {
            let groups = self.groups.iter().map(group);
            return whole(header, flexible, &body.with_groups(groups.collect()));
        }
        let one = self.groups.first().cloned().unwrap_or_default();
        let down = (header.version < ERROR_SINCE).then_some(one.error);
        let topics = one.topics.iter().map(|(name, partitions)| {
            let partitions = partitions
                .iter()
                .map(|found| partition(found, header.version, down));
            OffsetFetchResponseTopic::default()
                .with_name(text(name).into())
                .with_partitions(partitions.collect())
        });
        let error = if down.is_some() { 0 } else { code(one.error) };
        let body = body.with_topics(topics.collect()).with_error_code(error);
        whole(header, flexible, &body)
    }
}

fn group(group: &GroupResponse) -> OffsetFetchResponseGroup {
    let topics = group.topics.iter().map(|(name, partitions)| {
        let partitions = partitions.iter().map(|found| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(found.index)
                .with_committed_offset(found.offset)
                .with_committed_leader_epoch(found.leader_epoch)
                .with_metadata(Some(text(&found.metadata)))
                .with_error_code(code(found.error))
        });
        OffsetFetchResponseTopics::default()
            .with_name(text(name).into())
            .with_partitions(partitions.collect())
    });
    OffsetFetchResponseGroup::default()
        .with_group_id(text(&group.name).into())
        .with_error_code(code(group.error))
        .with_topics(topics.collect())
}

fn partition(
    found: &Partition,
    version: i16,
    down: Option<ErrorCode>,
) -> OffsetFetchResponsePartition {
    let error = down.filter(|error| !error.is_none()).unwrap_or(found.error);
    let leader_epoch = if version >= 5 { found.leader_epoch } else { -1 };
    OffsetFetchResponsePartition::default()
        .with_partition_index(found.index)
        .with_committed_offset(found.offset)
        .with_committed_leader_epoch(leader_epoch)
        .with_metadata(Some(text(&found.metadata)))
        .with_error_code(code(error))
}

fn request(decoded: OffsetFetchRequest, version: i16) -> Request {
    let groups = match version {
        GROUPS_SINCE.. => {
            let groups = decoded.groups.into_iter().map(|group| Group {
                name: group.group_id.as_str().to_owned(),
                topics: group.topics.map(|topics| {
                    let one = topics.into_iter();
                    one.map(|topic| (topic.name.as_str().to_owned(), topic.partition_indexes))
                        .collect()
                }),
            });
            groups.collect()
        }
        _ => vec![Group {
            name: decoded.group_id.as_str().to_owned(),
            topics: decoded.topics.map(|topics| {
                let one = topics.into_iter();
                one.map(|topic| (topic.name.as_str().to_owned(), topic.partition_indexes))
                    .collect()
            }),
        }],
    };
    Request { groups }
}
