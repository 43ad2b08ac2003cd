//! DescribeCluster: this broker, which is all that there is on one machine.

use headwater_kafka::ErrorCode;
use headwater_kafka::describe_cluster::{BROKERS, Request, Response};

use super::metadata::{cluster_id, this_broker};
use super::session::{NODE_ID, Session};

/// Asks for the nodes that decide about topics and leaders: there are no others than the brokers.
const CONTROLLERS: i8 = 2;

pub(super) fn handle(session: &Session, request: &Request) -> Response {
    let (error, message) = match request.endpoints {
        BROKERS => (ErrorCode::NONE, None),
        CONTROLLERS => (
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            Some("This is a broker, not a controller".to_owned()),
        ),
        _ => (
            ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
            Some("Endpoints are brokers (1) or controllers (2)".to_owned()),
        ),
    };
    let brokers = error.is_none().then(|| this_broker(session));
    Response {
        error,
        message,
        cluster_id: cluster_id(session),
        controller_id: NODE_ID,
        brokers: brokers.into_iter().collect(),
    }
}
