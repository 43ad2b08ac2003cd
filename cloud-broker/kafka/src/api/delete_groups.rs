//! DeleteGroups (42): groups without members, and how far they had come.

use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 42,
    name: "DeleteGroups",
    min: 0,
    max: 2,
    served_min: 0,
    flexible_since: 2,
    flexible_response_header: true,
    request: &[Field::new("groups_names", Kind::Strings)],
    decode: |body, version| {
        let decoded: DeleteGroupsRequest = decode(body, version)?;
        let names = decoded
            .groups_names
            .iter()
            .map(|name| name.as_str().to_owned());
        Ok(super::Request::DeleteGroups(Request {
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

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// By group as asked: name and 0, or why it is still there.
    pub groups: Vec<(String, ErrorCode)>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let results = self.groups.iter().map(|(name, error)| {
            DeletableGroupResult::default()
                .with_group_id(text(name).into())
                .with_error_code(code(*error))
        });
        let body = DeleteGroupsResponse::default().with_results(results.collect());
        whole(header, flexible, &body)
    }
}
