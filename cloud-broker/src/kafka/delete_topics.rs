//! DeleteTopics: streams with all that they hold, by name or by id.

use headwater_kafka::delete_topics::{Request, Response, TopicResponse};
use headwater_kafka::metadata::Topic;
use headwater_kafka::{ErrorCode, TopicId};

use super::session::Session;
use super::topics::unavailable;
use crate::backend::DeleteError;

pub(super) async fn handle(session: &Session, request: Request) -> Response {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        topics.push(delete(session, topic).await);
    }
    Response { topics }
}

async fn delete(session: &Session, topic: Topic) -> TopicResponse {
    let catalog = session.backend().catalog();
    let (stream, missing) = match &topic {
        Topic::Name(name) => (catalog.by_name(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        Topic::Id(id) => (catalog.by_id(id), ErrorCode::UNKNOWN_TOPIC_ID),
    };
    let Some(stream) = stream else {
        let (name, id) = match topic {
            Topic::Name(name) => (Some(name), [0; 16]),
            Topic::Id(id) => (None, id),
        };
        return refused(name, id, missing, &DeleteError::NoStream);
    };
    let name = Some(stream.spec.name.clone());
    let Err(error) = session.backend().delete_stream(stream.id).await else {
        tracing::info!(
            stream = stream.spec.name,
            "Stream deleted by a Kafka client"
        );
        return TopicResponse {
            name,
            id: stream.id,
            error: ErrorCode::NONE,
            message: None,
        };
    };
    let code = match &error {
        DeleteError::NoStream => missing,
        // As they can neither be created nor written.
        DeleteError::Internal => ErrorCode::INVALID_TOPIC_EXCEPTION,
        DeleteError::Unavailable(reason) => unavailable(*reason),
    };
    refused(name, stream.id, code, &error)
}

fn refused(
    name: Option<String>,
    id: TopicId,
    error: ErrorCode,
    reason: &DeleteError,
) -> TopicResponse {
    TopicResponse {
        name,
        id,
        error,
        message: Some(reason.to_string()),
    }
}
