//! `POST /api/v1/streams` and `DELETE /api/v1/streams/{s}`.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use headwater_broker_core::StreamSpec;
use headwater_broker_core::catalog::INTERNAL_PREFIX;
use headwater_settings::{Quota, Retention};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::error::ApiError;
use super::query::{Params, content_type};
use super::streams::{self, StreamName};
use crate::door::Door;

/// The longest declaration, bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// A declaration takes at most this long to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Creates a stream; it is durable when that is answered: 201 and the stream.
pub(super) async fn create(
    State(door): State<Door>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    check_content_type(&headers)?;
    let spec = declaration(&collect(body).await?)?;
    let stream = door.backend.create_stream(spec).await?;
    tracing::info!(stream = %stream.spec.name, "Stream created over HTTP");
    let mut created = streams::described(&door.backend, &stream);
    *created.status_mut() = StatusCode::CREATED;
    Ok(created)
}

/// Deletes a stream with all that it holds: 204 once that is durable.
pub(super) async fn delete(
    State(door): State<Door>,
    StreamName(name): StreamName,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::of(&uri)?.finish()?;
    let stream = streams::find(&door.backend, &name)?;
    door.backend.delete_stream(stream.id).await?;
    tracing::info!(stream = name, "Stream deleted over HTTP");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// No page of another site can make a browser send this type without being asked first.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    if content_type(headers) == "application/json" {
        return Ok(());
    }
    let message = "A stream is declared as application/json";
    Err(ApiError::bad_request("bad-content-type", message))
}

async fn collect(body: Body) -> Result<Bytes, ApiError> {
    match timeout(BODY_TIME_MAX, axum::body::to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        // Or the client is gone, and nobody reads this.
        Ok(Err(_)) => Err(ApiError::too_large(format!(
            "A declaration has at most {BODY_BYTES_MAX} bytes"
        ))),
        Err(_) => Err(ApiError::bad_request("too-slow", "The body took too long")),
    }
}

/// A stream with the names and defaults of `[[stream]]`, or with the names under which
/// `GET /api/v1/streams` gives them.
pub(super) fn declaration(body: &[u8]) -> Result<StreamSpec, ApiError> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request("bad-json", error.to_string()))?;
    let Value::Object(fields) = json else {
        let message = "A declaration is a JSON object";
        return Err(ApiError::bad_request("bad-json", message));
    };
    let mut fields = Fields(fields);
    let Some(name) = fields.take::<String>("name")? else {
        return Err(bad("name", "is missing"));
    };
    if name.starts_with(INTERNAL_PREFIX) {
        return Err(ApiError::internal_stream());
    }
    let mut spec = StreamSpec::new(&name);
    fields.set("filters", &mut spec.filters)?;
    fields.set("partitions", &mut spec.partitions)?;
    fields.set("cleanup", &mut spec.cleanup)?;
    fields.set("partition_by", &mut spec.partition_by)?;
    fields.set("validation", &mut spec.validation)?;
    fields.set("transient", &mut spec.transient)?;
    if fields.0.contains_key("retention") && fields.0.contains_key("retention_ms") {
        return Err(bad(
            "retention",
            "retention_ms says the same, give one of them",
        ));
    }
    fields.set("retention_ms", &mut spec.retention_ms)?;
    if let Some(retention) = fields.take::<Retention>("retention")? {
        let ms = retention.ms().map(i64::try_from).transpose();
        spec.retention_ms = ms.map_err(|_| bad("retention", "is too long"))?;
    }
    match fields.0.get("retention_bytes") {
        Some(Value::Null) => drop(fields.0.remove("retention_bytes")),
        _ => {
            if let Some(quota) = fields.take::<Quota>("retention_bytes")? {
                spec.retention_bytes = quota.bytes();
            }
        }
    }
    match fields.0.keys().next() {
        Some(unknown) => Err(bad(unknown, "is not a field of a stream")),
        None => checked(spec),
    }
}

fn checked(spec: StreamSpec) -> Result<StreamSpec, ApiError> {
    if let Err(error) = spec.check() {
        return Err(bad(error.field(), &error.to_string()));
    }
    if spec.transient {
        return Err(bad("transient", "is not supported yet"));
    }
    Ok(spec)
}

/// What is left of a declaration.
struct Fields(Map<String, Value>);

impl Fields {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.0.remove(name) else {
            return Ok(None);
        };
        let read = serde_json::from_value(value);
        read.map(Some)
            .map_err(|error| bad(name, &error.to_string()))
    }

    fn set<T: DeserializeOwned>(&mut self, name: &str, field: &mut T) -> Result<(), ApiError> {
        if let Some(value) = self.take(name)? {
            *field = value;
        }
        Ok(())
    }
}

/// 400 for a field.
fn bad(field: &str, what: &str) -> ApiError {
    ApiError::bad_request("bad-field", format!("{field}: {what}"))
}

#[cfg(test)]
mod tests {
    use headwater_broker_core::catalog::{Cleanup, PartitionBy, Validation};

    use super::*;

    fn declared(json: &str) -> Result<StreamSpec, String> {
        declaration(json.as_bytes()).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn fields_have_the_defaults_of_the_settings() {
        assert_eq!(declared(r#"{"name":"a"}"#), Ok(StreamSpec::new("a")));
        let all = r##"{"name":"a","filters":["x/#"],"partitions":3,"retention":"1h",
            "retention_bytes":"1KiB","cleanup":"compact,delete","partition_by":"topic",
            "validation":"header","transient":false}"##;
        let expected = StreamSpec {
            name: "a".into(),
            filters: vec!["x/#".into()],
            partitions: 3,
            retention_ms: Some(3_600_000),
            retention_bytes: Some(1024),
            cleanup: Cleanup::CompactDelete,
            partition_by: PartitionBy::Topic,
            validation: Validation::Header,
            transient: false,
        };
        assert_eq!(declared(all), Ok(expected));
        let forever = r#"{"name":"a","retention_ms":null,"retention_bytes":7}"#;
        let forever = declared(forever).map(|spec| (spec.retention_ms, spec.retention_bytes));
        assert_eq!(forever, Ok((None, Some(7))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, named) in [
            (r#"{}"#, "name: is missing"),
            (r#"{"name":1}"#, "name: "),
            (r#"{"name":"a b"}"#, "name: Stream name must be"),
            (r#"{"name":"__a"}"#, "Internal streams"),
            (r#"{"name":"a","partitions":0}"#, "partitions: "),
            (r#"{"name":"a","partitions":-1}"#, "partitions: "),
            (r#"{"name":"a","partitions":10001}"#, "partitions: "),
            (
                r##"{"name":"a","filters":["a#"]}"##,
                "filters: Not a topic filter: a#",
            ),
            (r#"{"name":"a","filters":"a"}"#, "filters: "),
            (r#"{"name":"a","retention":"long"}"#, "retention: "),
            (r#"{"name":"a","retention_ms":-1}"#, "retention_ms: "),
            (
                r#"{"name":"a","retention_ms":1,"retention":"1h"}"#,
                "retention: retention_ms says the same",
            ),
            (r#"{"name":"a","retention_bytes":-1}"#, "retention_bytes: "),
            (r#"{"name":"a","cleanup":"never"}"#, "cleanup: "),
            (
                r#"{"name":"a","filters":["x"],"cleanup":"compact"}"#,
                "partition_by: ",
            ),
            (r#"{"name":"a","partition_by":"luck"}"#, "partition_by: "),
            (r#"{"name":"a","transient":true}"#, "transient: "),
            (r#"{"name":"a","partition":3}"#, "partition: is not a field"),
            (r#"[]"#, "A declaration is"),
            ("{", "EOF"),
        ] {
            let message = declared(json).expect_err("it is wrong");
            assert!(message.starts_with(named), "{json}: {message}");
        }
    }
}
