//! SyncGroup (14): the leader gives out the assignment, every member gets its part.

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{Api, code, decode, instance, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 14,
    name: "SyncGroup",
    min: 0,
    max: 5,
    served_min: 0,
    flexible_since: 4,
    flexible_response_header: true,
    request: &[
        Field::new("group_id", Kind::String),
        Field::new("generation_id", INT32),
        Field::new("member_id", Kind::String),
        Field::new("group_instance_id", Kind::String).since(3),
        Field::new("protocol_type", Kind::String).since(5),
        Field::new("protocol_name", Kind::String).since(5),
        Field::new(
            "assignments",
            Kind::Array(&[
                Field::new("member_id", Kind::String),
                Field::new("assignment", Kind::Bytes),
            ]),
        ),
    ],
    decode: |body, version| Ok(super::Request::SyncGroup(request(decode(body, version)?))),
};

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The group.
    pub group: String,
    /// The generation that the member has joined.
    pub generation: i32,
    /// The member's id.
    pub member: String,
    /// A static member's name (version 3).
    pub instance: Option<String>,
    /// What kind of group the member takes it for (version 5).
    pub protocol_type: Option<String>,
    /// The protocol that the member takes for chosen (version 5).
    pub protocol: Option<String>,
    /// Each member's part, from the leader; slices of the frame.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or why there is no part.
    pub error: ErrorCode,
    /// What kind of group it is; told from version 5.
    pub protocol_type: Option<String>,
    /// The chosen protocol; told from version 5.
    pub protocol: Option<String>,
    /// The member's part; empty, never absent.
    pub assignment: Bytes,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let body = SyncGroupResponse::default()
            .with_error_code(code(self.error))
            .with_protocol_type(self.protocol_type.as_deref().map(text))
            .with_protocol_name(self.protocol.as_deref().map(text))
            .with_assignment(self.assignment.clone());
        whole(header, flexible, &body)
    }
}

fn request(decoded: SyncGroupRequest) -> Request {
    let parts = decoded.assignments.into_iter();
    Request {
        group: decoded.group_id.as_str().to_owned(),
        generation: decoded.generation_id,
        member: decoded.member_id.as_str().to_owned(),
        instance: instance(decoded.group_instance_id),
        protocol_type: decoded.protocol_type.map(|name| name.as_str().to_owned()),
        protocol: decoded.protocol_name.map(|name| name.as_str().to_owned()),
        assignments: parts
            .map(|part| (part.member_id.as_str().to_owned(), part.assignment))
            .collect(),
    }
}
