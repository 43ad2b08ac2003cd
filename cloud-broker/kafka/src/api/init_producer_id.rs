//! InitProducerId (22): an id under which a producer numbers its batches.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use super::{Api, code, decode};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT16, INT32, INT64, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 22,
    name: "InitProducerId",
    min: 0,
    max: 5,
    served_min: 0,
    flexible_since: 2,
    flexible_response_header: true,
    request: &[
        Field::new("transactional_id", Kind::String),
        Field::new("transaction_timeout_ms", INT32),
        Field::new("producer_id", INT64).since(3),
        Field::new("producer_epoch", INT16).since(3),
    ],
    decode: |body, version| {
        let decoded: InitProducerIdRequest = decode(body, version)?;
        Ok(super::Request::InitProducerId(Request {
            transactional_id: decoded.transactional_id.map(|id| id.as_str().to_owned()),
        }))
    },
};

/// The request. The id and epoch that it may carry ask for a continuation, which only
/// transactional producers have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Set by transactional producers only.
    pub transactional_id: Option<String>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// 0, or why there is no id.
    pub error: ErrorCode,
    /// The new id, -1 with an error.
    pub producer_id: i64,
    /// Its epoch, -1 with an error.
    pub producer_epoch: i16,
}

impl Response {
    /// An answer without an id.
    #[must_use]
    pub fn refused(error: ErrorCode) -> Self {
        Self {
            error,
            producer_id: -1,
            producer_epoch: -1,
        }
    }

    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let body = InitProducerIdResponse::default()
            .with_error_code(code(self.error))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.producer_epoch);
        whole(header, flexible, &body)
    }
}
