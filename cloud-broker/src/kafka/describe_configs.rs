//! DescribeConfigs: what counts for a topic, and for this broker.

use std::collections::BTreeSet;

use headwater_kafka::ErrorCode;
use headwater_kafka::config::Config;
use headwater_kafka::describe_configs::{
    BROKER, Request, Resource, ResourceResponse, Response, TOPIC,
};

use super::session::{NODE_ID, Session};
use super::{broker_config, topic_config};

pub(super) fn handle(session: &Session, request: Request) -> Response {
    let synonyms = request.include_synonyms;
    // Each once, however often it is named: the answer is bounded by what there is.
    let mut seen = BTreeSet::new();
    let mut wanted = request.resources;
    wanted.retain(|resource| seen.insert((resource.kind, resource.name.clone())));
    let resources = wanted.into_iter().map(|resource| {
        let (error, message, configs) = match all(session, &resource) {
            Ok(configs) => (ErrorCode::NONE, None, chosen(configs, &resource, synonyms)),
            Err((error, message)) => (error, Some(message), Vec::new()),
        };
        ResourceResponse {
            error,
            message,
            kind: resource.kind,
            name: resource.name,
            configs,
        }
    });
    Response {
        resources: resources.collect(),
    }
}

fn all(session: &Session, resource: &Resource) -> Result<Vec<Config>, (ErrorCode, String)> {
    match resource.kind {
        TOPIC => match session.backend().catalog().by_name(&resource.name) {
            Some(stream) => Ok(topic_config::all(&stream.spec)),
            None => Err((
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                format!("There is no topic {}", resource.name),
            )),
        },
        BROKER if resource.name == NODE_ID.to_string() => Ok(broker_config::all(session.config())),
        // What all brokers share while they run: nothing can be set there.
        BROKER if resource.name.is_empty() => Ok(Vec::new()),
        BROKER => Err((
            ErrorCode::INVALID_REQUEST,
            format!("There is no broker {}", resource.name),
        )),
        _ => Err((
            ErrorCode::INVALID_REQUEST,
            format!("Resources of type {} have no configuration", resource.kind),
        )),
    }
}

fn chosen(mut configs: Vec<Config>, resource: &Resource, synonyms: bool) -> Vec<Config> {
    if let Some(keys) = &resource.keys {
        configs.retain(|config| keys.iter().any(|key| key == config.name));
    }
    if !synonyms {
        configs
            .iter_mut()
            .for_each(|config| config.synonyms.clear());
    }
    configs
}
