//! Heartbeat (12): a member is still there.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::{Api, code, decode, instance};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 12,
    name: "Heartbeat",
    min: 0,
    max: 4,
    served_min: 0,
    flexible_since: 4,
    flexible_response_header: true,
    request: &[
        Field::new("group_id", Kind::String),
        Field::new("generation_id", INT32),
        Field::new("member_id", Kind::String),
        Field::new("group_instance_id", Kind::String).since(3),
    ],
    decode: |body, version| {
        let decoded: HeartbeatRequest = decode(body, version)?;
        Ok(super::Request::Heartbeat(Request {
            group: decoded.group_id.as_str().to_owned(),
            generation: decoded.generation_id,
            member: decoded.member_id.as_str().to_owned(),
            instance: instance(decoded.group_instance_id),
        }))
    },
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
}

/// The answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or what the member should know.
    pub error: ErrorCode,
}

impl Response {
    pub(super) fn encode(self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let body = HeartbeatResponse::default().with_error_code(code(self.error));
        whole(header, flexible, &body)
    }
}
