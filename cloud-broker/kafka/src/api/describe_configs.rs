//! DescribeConfigs (32): how topics and brokers are configured.

use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::config::{Config, Synonym};
use super::{Api, code, decode, text};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{BOOL, Field, INT8, Kind};
use crate::{ErrorCode, Header};

/// A resource that is a topic, by its name.
pub const TOPIC: i8 = 2;
/// A resource that is a broker, by its id; an empty id means what all brokers share.
pub const BROKER: i8 = 4;

/// The line of the version table.
pub const API: Api = Api {
    key: 32,
    name: "DescribeConfigs",
    min: 1,
    max: 4,
    served_min: 1,
    flexible_since: 4,
    flexible_response_header: true,
    request: &[
        Field::new(
            "resources",
            Kind::Array(&[
                Field::new("resource_type", INT8),
                Field::new("resource_name", Kind::String),
                Field::new("configuration_keys", Kind::Strings),
            ]),
        ),
        Field::new("include_synonyms", BOOL),
        Field::new("include_documentation", BOOL).since(3),
    ],
    decode: |body, version| {
        Ok(super::Request::DescribeConfigs(request(decode(
            body, version,
        )?)))
    },
};

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub resources: Vec<Resource>,
    /// Tell what else would set each value?
    pub include_synonyms: bool,
}

/// One thing that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// [`TOPIC`], [`BROKER`], or one of which nothing is known here.
    pub kind: i8,
    /// Its name.
    pub name: String,
    /// The keys asked; `None` asks for all.
    pub keys: Option<Vec<String>>,
}

/// The answer, resource by resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The resources as asked.
    pub resources: Vec<ResourceResponse>,
}

/// The configuration of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceResponse {
    /// 0, or why there is nothing below.
    pub error: ErrorCode,
    /// The error in words.
    pub message: Option<String>,
    /// As in the request.
    pub kind: i8,
    /// As in the request.
    pub name: String,
    /// Its keys.
    pub configs: Vec<Config>,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let results = self.resources.iter().map(|resource| {
            let configs = resource.configs.iter();
            DescribeConfigsResult::default()
                .with_error_code(code(resource.error))
                .with_error_message(resource.message.as_deref().map(text))
                .with_resource_type(resource.kind)
                .with_resource_name(text(&resource.name))
                .with_configs(configs.map(|c| config(c, header.version)).collect())
        });
        let body = DescribeConfigsResponse::default().with_results(results.collect());
        whole(header, flexible, &body)
    }
}

fn config(config: &Config, version: i16) -> DescribeConfigsResourceResult {
    let synonym = |synonym: &Synonym| {
        DescribeConfigsSynonym::default()
            .with_name(text(synonym.name))
            .with_value(Some(text(&synonym.value)))
            .with_source(synonym.source as i8)
    };
    let result = DescribeConfigsResourceResult::default()
        .with_name(text(config.name))
        .with_value(Some(text(&config.value)))
        .with_read_only(config.read_only)
        .with_config_source(config.source as i8)
        .with_synonyms(config.synonyms.iter().map(synonym).collect());
    match version {
        3.. => result.with_config_type(config.kind as i8),
        _ => result,
    }
}

fn request(decoded: DescribeConfigsRequest) -> Request {
    let resources = decoded.resources.into_iter().map(|resource| Resource {
        kind: resource.resource_type,
        name: resource.resource_name.as_str().to_owned(),
        keys: resource
            .configuration_keys
            .map(|keys| keys.iter().map(|key| key.as_str().to_owned()).collect()),
    });
    Request {
        resources: resources.collect(),
        include_synonyms: decoded.include_synonyms,
    }
}
