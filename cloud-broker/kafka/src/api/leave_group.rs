//! LeaveGroup (13): members go.

use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::{Api, code, decode, instance, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, Kind};
use crate::{ErrorCode, Header};

/// The first version with several members.
const BATCHED_SINCE: i16 = 3;

/// The line of the version table.
pub const API: Api = Api {
    key: 13,
    name: "LeaveGroup",
    min: 0,
    max: 5,
    served_min: 0,
    flexible_since: 4,
    flexible_response_header: true,
    request: &[
        Field::new("group_id", Kind::String),
        Field::new("member_id", Kind::String).until(2),
        Field::new(
            "members",
            Kind::Array(&[
                Field::new("member_id", Kind::String),
                Field::new("group_instance_id", Kind::String),
                Field::new("reason", Kind::String).since(5),
            ]),
        )
        .since(BATCHED_SINCE),
    ],
    decode: |body, version| {
        Ok(super::Request::LeaveGroup(request(
            decode(body, version)?,
            version,
        )))
    },
};

/// The request. Below version 3 it has exactly one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The group.
    pub group: String,
    /// Who goes.
    pub members: Vec<Member>,
}

/// One member, by id, instance or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id; empty if the instance alone says who it is.
    pub id: String,
    /// A static member's name.
    pub instance: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or why the whole request failed.
    pub error: ErrorCode,
    /// By member as asked; below version 3 the first one's error is the answer's.
    pub members: Vec<(Member, ErrorCode)>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let body = LeaveGroupResponse::default();
        if header.version < BATCHED_SINCE {
            let first = self.members.first().map(|(_, error)| *error);
            let error = first.filter(|_| self.error.is_none()).unwrap_or(self.error);
            return whole(header, flexible, &body.with_error_code(code(error)));
        }
        let members = self.members.iter().map(|(member, error)| {
            MemberResponse::default()
                .with_member_id(text(&member.id))
                .with_group_instance_id(member.instance.as_deref().map(text))
                .with_error_code(code(*error))
        });
        let body = body
            .with_error_code(code(self.error))
            .with_members(members.collect());
        whole(header, flexible, &body)
    }
}

fn request(decoded: LeaveGroupRequest, version: i16) -> Request {
    let members = match version {
        BATCHED_SINCE.. => {
            let members = decoded.members.into_iter().map(|member| Member {
                id: member.member_id.as_str().to_owned(),
                instance: instance(member.group_instance_id),
            });
            members.collect()
        }
        _ => vec![Member {
            id: decoded.member_id.as_str().to_owned(),
            instance: None,
        }],
    };
    Request {
        group: decoded.group_id.as_str().to_owned(),
        members,
    }
}
