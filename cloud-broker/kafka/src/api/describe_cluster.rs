//! DescribeCluster (60): the brokers, for admin clients.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use super::metadata::Broker;
use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{BOOL, Field, INT8};
use crate::{ErrorCode, Header};

/// Asks for the brokers that clients speak to.
pub const BROKERS: i8 = 1;

/// The line of the version table.
pub const API: Api = Api {
    key: 60,
    name: "DescribeCluster",
    min: 0,
    max: 1,
    served_min: 0,
    flexible_since: 0,
    flexible_response_header: true,
    request: &[
        Field::new("include_cluster_authorized_operations", BOOL),
        Field::new("endpoint_type", INT8).since(1),
    ],
    decode: |body, version| {
        let decoded: DescribeClusterRequest = decode(body, version)?;
        Ok(super::Request::DescribeCluster(Request {
            endpoints: decoded.endpoint_type,
        }))
    },
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which nodes are meant: [`BROKERS`], always so before version 1.
    pub endpoints: i8,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 0, or why there are no brokers below.
    pub error: ErrorCode,
    /// The error in words.
    pub message: Option<String>,
    /// The cluster's id, never empty.
    pub cluster_id: String,
    /// Must name a broker.
    pub controller_id: i32,
    /// All brokers.
    pub brokers: Vec<Broker>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let brokers = self.brokers.iter().map(|broker| {
            DescribeClusterBroker::default()
                .with_broker_id(BrokerId(broker.id))
                .with_host(text(&broker.host))
                .with_port(i32::from(broker.port))
        });
        let body = DescribeClusterResponse::default()
            .with_error_code(code(self.error))
            .with_error_message(self.message.as_deref().map(text))
            .with_endpoint_type(BROKERS)
            .with_cluster_id(text(&self.cluster_id))
            .with_controller_id(BrokerId(self.controller_id))
            .with_brokers(brokers.collect());
        whole(header, flexible, &body)
    }
}
