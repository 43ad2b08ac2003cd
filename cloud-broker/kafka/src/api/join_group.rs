//! JoinGroup (11): become a member of a group's next generation.

use bytes::Bytes;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use super::{Api, code, decode, instance, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table. librdkafka before 2.11 has no groups unless version 0 is there.
pub const API: Api = Api {
    key: 11,
    name: "JoinGroup",
    min: 0,
    max: 9,
    served_min: 0,
    flexible_since: 6,
    flexible_response_header: true,
    request: &[
        Field::new("group_id", Kind::String),
        Field::new("session_timeout_ms", INT32),
        Field::new("rebalance_timeout_ms", INT32).since(1),
        Field::new("member_id", Kind::String),
        Field::new("group_instance_id", Kind::String).since(5),
        Field::new("protocol_type", Kind::String),
        Field::new(
            "protocols",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new("metadata", Kind::Bytes),
            ]),
        ),
        Field::new("reason", Kind::String).since(8),
    ],
    decode: |body, version| {
        Ok(super::Request::JoinGroup(request(
            decode(body, version)?,
            version,
        )))
    },
};

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The group.
    pub group: String,
    /// How long the member may be silent, ms.
    pub session_timeout_ms: i32,
    /// How long the group waits for the member, ms; at version 0 the session timeout.
    pub rebalance_timeout_ms: i32,
    /// The member's id, empty for none.
    pub member: String,
    /// A static member's name (version 5).
    pub instance: Option<String>,
    /// What kind of group it is.
    pub protocol_type: String,
    /// What the member can do, best first: name and opaque bytes, slices of the frame.
    pub protocols: Vec<(String, Bytes)>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or why the member has not joined.
    pub error: ErrorCode,
    /// Number of the generation, -1 with an error.
    pub generation: i32,
    /// What kind of group it is; told from version 7.
    pub protocol_type: Option<String>,
    /// The chosen protocol; `None` is an empty string below version 7.
    pub protocol: Option<String>,
    /// The leader's id.
    pub leader: String,
    /// The leader need not assign anything (version 9).
    pub skip_assignment: bool,
    /// The member's id.
    pub member: String,
    /// All members, for the leader.
    pub members: Vec<Member>,
}

/// One member, as the leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// A static member's name; told from version 5.
    pub instance: Option<String>,
    /// Its bytes for the chosen protocol.
    pub metadata: Bytes,
}

impl Response {
    /// An answer to somebody who has not joined.
    #[must_use]
    pub fn refused(error: ErrorCode, member: String) -> Self {
        Self {
            error,
            generation: -1,
            member,
            ..Self::default()
        }
    }

    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let version = header.version;
        let members = self.members.iter().map(|member| {
            JoinGroupResponseMember::default()
                .with_member_id(text(&member.id))
                .with_group_instance_id(member.instance.as_deref().map(text))
                .with_metadata(member.metadata.clone())
        });
        let protocol = self
            .protocol
            .as_deref()
            .or_else(|| (version < 7).then_some(""));
        let body = JoinGroupResponse::default()
            .with_error_code(code(self.error))
            .with_generation_id(self.generation)
            .with_protocol_type(self.protocol_type.as_deref().map(text))
            .with_protocol_name(protocol.map(text))
            .with_leader(text(&self.leader))
            .with_skip_assignment(self.skip_assignment && version >= 9)
            .with_member_id(text(&self.member))
            .with_members(members.collect());
        whole(header, flexible, &body)
    }
}

fn request(decoded: JoinGroupRequest, version: i16) -> Request {
    let rebalance_timeout_ms = match version {
        0 => decoded.session_timeout_ms,
        _ => decoded.rebalance_timeout_ms,
    };
    let protocols = decoded.protocols.into_iter();
    Request {
        group: decoded.group_id.as_str().to_owned(),
        session_timeout_ms: decoded.session_timeout_ms,
        rebalance_timeout_ms,
        member: decoded.member_id.as_str().to_owned(),
        instance: instance(decoded.group_instance_id),
        protocol_type: decoded.protocol_type.as_str().to_owned(),
        protocols: protocols
            .map(|one| (one.name.as_str().to_owned(), one.metadata))
            .collect(),
    }
}
