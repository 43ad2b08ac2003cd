//! DescribeGroups (15): members of groups, and what each has.

use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{BOOL, Field, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 15,
    name: "DescribeGroups",
    min: 0,
    max: 5,
    served_min: 0,
    flexible_since: 5,
    flexible_response_header: true,
    request: &[
        Field::new("groups", Kind::Strings),
        Field::new("include_authorized_operations", BOOL).since(3),
    ],
    decode: |body, version| {
        let decoded: DescribeGroupsRequest = decode(body, version)?;
        let names = decoded.groups.iter().map(|name| name.as_str().to_owned());
        Ok(super::Request::DescribeGroups(Request {
            groups: names.collect(),
        }))
    },
};

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The groups.
    pub groups: Vec<String>,
}

/// The answer, by group as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The groups.
    pub groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// 0, or why nothing is known; a group that is not there is dead, without an error.
    pub error: ErrorCode,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: String,
    /// What kind of group it is.
    pub protocol_type: String,
    /// The chosen protocol.
    pub protocol: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: String,
    /// A static member's name; told from version 4.
    pub instance: Option<String>,
    /// What the client calls itself.
    pub client_id: String,
    /// Where it comes from.
    pub client_host: String,
    /// Its bytes for the chosen protocol.
    pub metadata: Bytes,
    /// Its part.
    pub assignment: Bytes,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        // Permitted operations stay at their default, "not asked": there are no ACLs.
        let groups = self.groups.iter().map(|group| {
            DescribedGroup::default()
                .with_error_code(code(group.error))
                .with_group_id(text(&group.name).into())
                .with_group_state(text(&group.state))
                .with_protocol_type(text(&group.protocol_type))
                .with_protocol_data(text(&group.protocol))
                .with_members(group.members.iter().map(member).collect())
        });
        let body = DescribeGroupsResponse::default().with_groups(groups.collect());
        whole(header, flexible, &body)
    }
}

fn member(member: &Member) -> DescribedGroupMember {
    DescribedGroupMember::default()
        .with_member_id(text(&member.id))
        .with_group_instance_id(member.instance.as_deref().map(text))
        .with_client_id(text(&member.client_id))
        .with_client_host(text(&member.client_host))
        .with_member_metadata(member.metadata.clone())
        .with_member_assignment(member.assignment.clone())
}
