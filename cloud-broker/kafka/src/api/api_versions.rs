//! ApiVersions (18): the first request of nearly every client, answered before authentication too.

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::{APIS, Api, ParseError, code, decode};
use crate::encoded::{EncodeError, Encoded, whole};
use crate::shape::{Field, Kind};
use crate::{ErrorCode, Header};

/// The line of the version table.
pub const API: Api = Api {
    key: 18,
    name: "ApiVersions",
    min: 0,
    max: 4,
    served_min: 0,
    flexible_since: 3,
    flexible_response_header: false,
    request: &[
        Field::new("client_software_name", Kind::String).since(3),
        Field::new("client_software_version", Kind::String).since(3),
    ],
    decode: |body, version| {
        let decoded: ApiVersionsRequest = decode(body, version)?;
        let software = (version >= 3).then(|| Software {
            name: decoded.client_software_name.as_str().to_owned(),
            version: decoded.client_software_version.as_str().to_owned(),
        });
        Ok::<_, ParseError>(super::Request::ApiVersions(Request::Asked { software }))
    },
};

/// What a client says of itself from version 3 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Software {
    /// For example `librdkafka`.
    pub name: String,
    /// For example `2.0.2`.
    pub version: String,
}

impl Software {
    /// Are both `[a-zA-Z0-9]([a-zA-Z0-9\-.]*[a-zA-Z0-9])?`? Otherwise INVALID_REQUEST is due.
    #[must_use]
    pub fn is_legal(&self) -> bool {
        legal(&self.name) && legal(&self.version)
    }
}

/// The request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// In a version that we speak; `software` from version 3 on.
    Asked {
        /// What the client is.
        software: Option<Software>,
    },
    /// In a version that we do not speak: the body cannot be known. Closing the connection instead
    /// of answering breaks clients that start with their own highest version.
    TooHigh,
}

/// The answer. The APIs listed are those of [`APIS`]; with an error only what the error asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// 0, UNSUPPORTED_VERSION for [`Request::TooHigh`], or INVALID_REQUEST.
    pub error: ErrorCode,
}

impl Response {
    pub(super) fn encode(&self, header: &Header, flexible: bool) -> Result<Encoded, EncodeError> {
        let listed = APIS.iter().filter(|api| match self.error {
            ErrorCode::NONE => true,
            ErrorCode::UNSUPPORTED_VERSION => api.key == API.key,
            _ => false,
        });
        // No feature tags: librdkafka before 2.2 miscounts the bytes of tagged fields, and a
        // default value written out would make the broker unusable for it.
        let body = ApiVersionsResponse::default()
            .with_error_code(code(self.error))
            .with_api_keys(listed.map(entry).collect());
        whole(header, flexible, &body)
    }
}

fn entry(api: &Api) -> ApiVersion {
    ApiVersion::default()
        .with_api_key(api.key)
        .with_min_version(api.min)
        .with_max_version(api.max)
}

fn legal(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().copied().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_software_are_checked_as_kafka_does() {
        for good in ["librdkafka", "2.0.2", "a", "apache-kafka-java", "1-x.y"] {
            assert!(legal(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "a_b", "\u{e9}"] {
            assert!(!legal(bad), "{bad}");
        }
    }
}
