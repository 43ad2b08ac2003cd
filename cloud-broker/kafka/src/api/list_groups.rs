//! ListGroups (16): the groups that this broker keeps.

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 16,
    name: "ListGroups",
    min: 0,
    max: 5,
    served_min: 0,
    flexible_since: 3,
    flexible_response_header: true,
    request: &[
        Field::new("states_filter", Kind::Strings).since(4),
        Field::new("types_filter", Kind::Strings).since(5),
    ],
    decode: |body, version| {
        let decoded: ListGroupsRequest = decode(body, version)?;
        let words = |all: Vec<kafka_protocol::protocol::StrBytes>| {
            all.iter().map(|word| word.as_str().to_owned()).collect()
        };
        Ok(super::Request::ListGroups(Request {
            states: words(decoded.states_filter),
            types: words(decoded.types_filter),
        }))
    },
};

/// The request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Only groups in one of these states (version 4); empty = all.
    pub states: Vec<String>,
    /// Only groups of one of these types (version 5); empty = all.
    pub types: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// 0, or why there is no list.
    pub error: ErrorCode,
    /// The groups.
    pub groups: Vec<Group>,
}

/// One group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What kind of group it is; empty if it never had members.
    pub protocol_type: String,
    /// Where it stands; told from version 4.
    pub state: String,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let groups = self.groups.iter().map(|group| {
            ListedGroup::default()
                .with_group_id(text(&group.name).into())
                .with_protocol_type(text(&group.protocol_type))
                .with_group_state(text(&group.state))
                .with_group_type(text("classic"))
        });
        let body = ListGroupsResponse::default()
            .with_error_code(code(self.error))
            .with_groups(groups.collect());
        whole(header, flexible, &body)
    }
}
