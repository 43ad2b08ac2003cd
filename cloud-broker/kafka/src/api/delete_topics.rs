//! DeleteTopics (20): topics that are not to be there any more.

use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use uuid::Uuid;

use super::metadata::Topic;
use super::{Api, ParseError, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, INT32, Kind, UUID};
use crate::{ErrorCode, Header, TopicId};

/// The line of the version table.
pub const API: Api = Api {
    key: 20,
    name: "DeleteTopics",
    min: 1,
    max: 6,
    served_min: 1,
    flexible_since: 4,
    flexible_response_header: true,
    request: &[
        Field::new(
            "topics",
            Kind::Array(&[
                Field::new("name", Kind::String),
                Field::new("topic_id", UUID),
            ]),
        )
        .since(6),
        Field::new("topic_names", Kind::Strings).until(5),
        Field::new("timeout_ms", INT32),
    ],
    decode: |body, version| request(&decode(body, version)?, version),
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The topics, by name or (version 6) by id.
    pub topics: Vec<Topic>,
}

/// The answer, topic by topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The topics as asked.
    pub topics: Vec<TopicResponse>,
}

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicResponse {
    /// Its name; `None` if an id was asked that does not exist.
    pub name: Option<String>,
    /// Its id; zero if a name was asked that does not exist.
    pub id: TopicId,
    /// 0, or why it is still there.
    pub error: ErrorCode,
    /// The error in words.
    pub message: Option<String>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let responses = self.topics.iter().map(|topic| {
            // Only version 6 knows a topic without a name.
            let name = topic
                .name
                .as_deref()
                .or_else(|| (header.version < 6).then_some(""));
            DeletableTopicResult::default()
                .with_name(name.map(|name| text(name).into()))
                .with_topic_id(Uuid::from_bytes(topic.id))
                .with_error_code(code(topic.error))
                .with_error_message(topic.message.as_deref().map(text))
        });
        let body = DeleteTopicsResponse::default().with_responses(responses.collect());
        whole(header, flexible, &body)
    }
}

fn request(decoded: &DeleteTopicsRequest, version: i16) -> Result<super::Request, ParseError> {
    let by_name = |name: &str| Topic::Name(name.to_owned());
    let topics = if version < 6 {
        let names = decoded.topic_names.iter();
        names.map(|name| by_name(name.as_str())).collect()
    } else {
        let topics = decoded.topics.iter().map(|topic| match &topic.name {
            Some(name) if topic.topic_id.is_nil() => Ok(by_name(name.as_str())),
            Some(_) => Err(ParseError::Value("Topic with both name and id".into())),
            None => Ok(Topic::Id(topic.topic_id.into_bytes())),
        });
        topics.collect::<Result<_, _>>()?
    };
    Ok(super::Request::DeleteTopics(Request { topics }))
}
