//! FindCoordinator (10): the broker that keeps a group, or a transaction.

use kafka_protocol::messages::find_coordinator_response::Coordinator as WireCoordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT8, Kind};
use crate::{ErrorCode, Header};

/// Key type of a consumer group.
pub const GROUP: i8 = 0;
/// Key type of a transactional producer.
pub const TRANSACTION: i8 = 1;

/// The line of the version table.
pub const API: Api = Api {
    key: 10,
    name: "FindCoordinator",
    min: 0,
    max: 5,
    served_min: 0,
    flexible_since: 3,
    flexible_response_header: true,
    request: &[
        Field::new("key", Kind::String).until(3),
        Field::new("key_type", INT8).since(1),
        Field::new("coordinator_keys", Kind::Strings).since(4),
    ],
    decode: |body, version| {
        let decoded: FindCoordinatorRequest = decode(body, version)?;
        let keys = match version {
            4.. => decoded.coordinator_keys,
            _ => vec![decoded.key],
        };
        Ok(super::Request::FindCoordinator(Request {
            key_type: decoded.key_type,
            keys: keys.iter().map(|key| key.as_str().to_owned()).collect(),
        }))
    },
};

/// The request. Below version 4 it has exactly one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// [`GROUP`], [`TRANSACTION`], or something newer.
    pub key_type: i8,
    /// Names of groups, or transactional ids.
    pub keys: Vec<String>,
}

/// The answer, by key as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// By key; below version 4 only the first is told.
    pub coordinators: Vec<Coordinator>,
}

/// Who keeps a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator {
    /// The key.
    pub key: String,
    /// 0, or why there is none.
    pub error: ErrorCode,
    /// The broker's id, -1 with an error.
    pub node_id: i32,
    /// Where this client reaches it.
    pub host: String,
    /// Port of the listener that the client came in on; -1 with an error.
    pub port: i32,
}

impl Coordinator {
    /// A key that nobody keeps.
    #[must_use]
    pub fn none(key: String, error: ErrorCode) -> Self {
        Self {
            key,
            error,
            node_id: -1,
            host: String::new(),
            port: -1,
        }
    }
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let body = FindCoordinatorResponse::default();
        if header.version >= 4 {
            let all = self.coordinators.iter().map(|found| {
                WireCoordinator::default()
                    .with_key(text(&found.key))
                    .with_node_id(BrokerId(found.node_id))
                    .with_host(text(&found.host))
                    .with_port(found.port)
                    .with_error_code(code(found.error))
            });
            return whole(header, flexible, &body.with_coordinators(all.collect()));
        }
        let nobody = || Coordinator::none(String::new(), ErrorCode::COORDINATOR_NOT_AVAILABLE);
        let found = self.coordinators.first().cloned().unwrap_or_else(nobody);
        let body = body
            .with_error_code(code(found.error))
            .with_node_id(BrokerId(found.node_id))
            .with_host(text(&found.host))
            .with_port(found.port);
        whole(header, flexible, &body)
    }
}
