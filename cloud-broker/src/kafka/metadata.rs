//! Metadata: this broker, and the streams as topics.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use headwater_broker_core::catalog::{INTERNAL_PREFIX, PartitionBy};
use headwater_broker_core::{Stream, StreamSpec};
use headwater_kafka::metadata::{Broker, Partition, Request, Response, Topic, TopicResponse};
use headwater_kafka::{ErrorCode, TopicId};

use super::dispatch::unavailable;
use super::session::{NODE_ID, Session};
use super::topics::illegal;
use crate::backend::CreateError;

pub(super) async fn handle(session: &Session, request: Request) -> Response {
    let mut topics = Vec::new();
    match request.topics {
        None => {
            let catalog = session.backend().catalog();
            let streams = catalog.streams().filter(|stream| !stream.internal);
            topics.extend(streams.map(|stream| describe(session, stream)));
        }
        Some(asked) => {
            for topic in asked {
                let create = request.allow_auto_create && session.config().kafka.auto_create;
                topics.push(one(session, topic, create).await);
            }
        }
    }
    Response {
        brokers: vec![this_broker(session)],
        cluster_id: cluster_id(session),
        controller_id: NODE_ID,
        topics,
    }
}

/// This broker, under the name by which its client has reached it.
pub(super) fn this_broker(session: &Session) -> Broker {
    Broker {
        id: NODE_ID,
        host: session.host.clone(),
        port: session.port,
    }
}

/// The cluster's id as Kafka writes it.
pub(super) fn cluster_id(session: &Session) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(session.backend().cluster_id())
}

async fn one(session: &Session, topic: Topic, create: bool) -> TopicResponse {
    let catalog = session.backend().catalog();
    let name = match topic {
        Topic::Id(id) => {
            return match catalog.by_id(&id) {
                Some(stream) => describe(session, stream),
                None => missing(None, id, ErrorCode::UNKNOWN_TOPIC_ID),
            };
        }
        Topic::Name(name) => name,
    };
    if let Some(stream) = catalog.by_name(&name) {
        return describe(session, stream);
    }
    match made(session, &name, create).await {
        Ok(stream) => describe(session, &stream),
        Err(error) => missing(Some(name), [0; 16], error),
    }
}

/// The stream that Kafka clients get when they name one that does not exist: their own partitioner
/// decides, and no MQTT topic belongs to it.
async fn made(session: &Session, name: &str, create: bool) -> Result<Arc<Stream>, ErrorCode> {
    let spec = StreamSpec {
        partitions: session.config().kafka.auto_create_partitions,
        partition_by: PartitionBy::Topic,
        ..StreamSpec::new(name)
    };
    if let Err(error) = spec.check() {
        return Err(illegal(&error));
    }
    if !create {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    // One after the other: of two clients that name the same topic the second finds it.
    let _creating = session.creating().await;
    if let Some(stream) = session.backend().catalog().by_name(name) {
        return Ok(Arc::clone(stream));
    }
    match session.backend().create_stream(spec).await {
        Ok(stream) => {
            tracing::info!(stream = name, "Stream created for a Kafka client");
            Ok(stream)
        }
        // Another door is making it at this moment; clients ask again.
        Err(CreateError::Exists) => Err(ErrorCode::LEADER_NOT_AVAILABLE),
        Err(CreateError::TooManyPartitions) => Err(ErrorCode::INVALID_PARTITIONS),
        Err(CreateError::Spec(error)) => Err(illegal(&error)),
        Err(CreateError::Unavailable(reason)) => Err(unavailable(reason)),
    }
}

fn describe(session: &Session, stream: &Stream) -> TopicResponse {
    let partitions = (0..).zip(&stream.partitions);
    let partitions = partitions.map(|(index, partition)| Partition {
        index,
        leader: NODE_ID,
        leader_epoch: session.backend().bounds(*partition).epoch,
    });
    TopicResponse {
        error: ErrorCode::NONE,
        name: Some(stream.spec.name.clone()),
        id: stream.id,
        internal: stream.internal,
        partitions: partitions.collect(),
    }
}

fn missing(name: Option<String>, id: TopicId, error: ErrorCode) -> TopicResponse {
    let internal = name
        .as_deref()
        .is_some_and(|name| name.starts_with(INTERNAL_PREFIX));
    TopicResponse {
        error,
        name,
        id,
        internal,
        partitions: Vec::new(),
    }
}
