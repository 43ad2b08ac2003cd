//! CreateTopics: streams for Kafka clients, as they ask for them.

use std::collections::BTreeMap;

use headwater_broker_core::StreamSpec;
use headwater_broker_core::catalog::{PARTITIONS_MAX, PartitionBy};
use headwater_kafka::create_topics::{Assignment, Request, Response, Topic, TopicResponse};
use headwater_kafka::{ErrorCode, TopicId};

use super::session::{NODE_ID, Session};
use super::topic_config::{self, REPLICATION_FACTOR};
use super::topics::{illegal, unavailable};
use crate::backend::CreateError;

/// Why a topic is not made.
type Refusal = (ErrorCode, String);

pub(super) async fn handle(session: &Session, request: Request) -> Response {
    let mut named = BTreeMap::<String, usize>::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let made = match named.get(&topic.name) {
            Some(1) => make(session, &topic, request.validate_only).await,
            _ => Err(refuse(
                ErrorCode::INVALID_REQUEST,
                "The request names the topic twice",
            )),
        };
        topics.push(
            made.unwrap_or_else(|(error, message)| {
                TopicResponse::refused(topic.name, error, message)
            }),
        );
    }
    Response { topics }
}

async fn make(
    session: &Session,
    topic: &Topic,
    validate_only: bool,
) -> Result<TopicResponse, Refusal> {
    let spec = plan(session, topic)?;
    if validate_only {
        return Ok(made(&spec, [0; 16]));
    }
    let stream = session
        .backend()
        .create_stream(spec)
        .await
        .map_err(|error| {
            let code = match &error {
                CreateError::Exists => ErrorCode::TOPIC_ALREADY_EXISTS,
                CreateError::TooManyPartitions => ErrorCode::INVALID_PARTITIONS,
                CreateError::Spec(error) => illegal(error),
                CreateError::Unavailable(reason) => unavailable(*reason),
            };
            refuse(code, error.to_string())
        })?;
    tracing::info!(stream = topic.name, "Stream created by a Kafka client");
    Ok(made(&stream.spec, stream.id))
}

/// The stream that is asked for, if it can be.
fn plan(session: &Session, topic: &Topic) -> Result<StreamSpec, Refusal> {
    let mut spec = StreamSpec {
        partition_by: PartitionBy::Topic,
        ..StreamSpec::new(&topic.name)
    };
    spec.check()
        .map_err(|error| refuse(illegal(&error), error.to_string()))?;
    if session.backend().catalog().by_name(&topic.name).is_some() {
        let message = format!("Topic {} exists already", topic.name);
        return Err(refuse(ErrorCode::TOPIC_ALREADY_EXISTS, message));
    }
    spec.partitions = partitions(session, topic)?;
    for (key, value) in &topic.configs {
        topic_config::set(&mut spec, key, value.as_deref())
            .map_err(|message| refuse(ErrorCode::INVALID_CONFIG, message))?;
    }
    spec.check()
        .map_err(|error| refuse(illegal(&error), error.to_string()))?;
    Ok(spec)
}

/// How many partitions are asked for. Any number of copies is taken, since the store keeps them;
/// one is what clients then see.
fn partitions(session: &Session, topic: &Topic) -> Result<u32, Refusal> {
    if !topic.assignments.is_empty() {
        if topic.partitions != -1 || topic.replication_factor != -1 {
            let message = "Numbers and assignments are both given";
            return Err(refuse(ErrorCode::INVALID_REQUEST, message));
        }
        return assigned(&topic.assignments);
    }
    if topic.replication_factor == 0 || topic.replication_factor < -1 {
        let message = "Replication factor must be larger than 0, or -1 for the default";
        return Err(refuse(ErrorCode::INVALID_REPLICATION_FACTOR, message));
    }
    match u32::try_from(topic.partitions) {
        Ok(count) if (1..=PARTITIONS_MAX).contains(&count) => Ok(count),
        Err(_) if topic.partitions == -1 => Ok(session.config().kafka.auto_create_partitions),
        Ok(_) | Err(_) => {
            let message = format!("A topic has 1 to {PARTITIONS_MAX} partitions, or -1");
            Err(refuse(ErrorCode::INVALID_PARTITIONS, message))
        }
    }
}

/// Partitions that the client places itself: there is one broker to place them on.
fn assigned(assignments: &[Assignment]) -> Result<u32, Refusal> {
    let mut numbers: Vec<i32> = assignments.iter().map(|place| place.partition).collect();
    numbers.sort_unstable();
    let consecutive = numbers.iter().copied().eq((0..).take(numbers.len()));
    let on_this = |place: &Assignment| place.brokers == [NODE_ID];
    if !consecutive || !assignments.iter().all(on_this) {
        let message = format!("Partitions 0, 1, 2, … can lie on broker {NODE_ID} only, once");
        return Err(refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    match u32::try_from(numbers.len()) {
        Ok(count) if count <= PARTITIONS_MAX => Ok(count),
        _ => Err(refuse(
            ErrorCode::INVALID_PARTITIONS,
            format!("A topic has at most {PARTITIONS_MAX} partitions"),
        )),
    }
}

fn made(spec: &StreamSpec, id: TopicId) -> TopicResponse {
    TopicResponse {
        name: spec.name.clone(),
        id,
        error: ErrorCode::NONE,
        message: None,
        partitions: i32::try_from(spec.partitions).unwrap_or(i32::MAX),
        replication_factor: REPLICATION_FACTOR,
        configs: topic_config::all(spec),
    }
}

fn refuse(error: ErrorCode, message: impl Into<String>) -> Refusal {
    (error, message.into())
}
