//! From a PUBLISH to an event and to a live message.

use bytes::Bytes;
use headwater_mqtt::{Id, Properties, PropertyBuf, Publish, Qos, TooLong, Value};
use headwater_wire::names;

use super::hub::Publication;
use crate::sources::Headers;

/// The record headers of a message: client and flags first, then its properties, user properties
/// under their own names, in their order, repeats kept.
pub(super) fn headers(client: &str, qos: Qos, retain: bool, properties: Properties<'_>) -> Headers {
    let flags = qos as u8 | u8::from(retain) << 2;
    let mut headers = vec![
        (
            names::MQTT_CLIENT.to_owned(),
            Some(Bytes::copy_from_slice(client.as_bytes())),
        ),
        (
            names::MQTT_FLAGS.to_owned(),
            Some(Bytes::copy_from_slice(&[flags])),
        ),
    ];
    for property in properties.iter() {
        if let Some((name, value)) = header(property.id, property.value) {
            headers.push((name, Some(value)));
        }
    }
    headers
}

fn header(id: Id, value: Value<'_>) -> Option<(String, Bytes)> {
    let name = match id {
        Id::ContentType => names::MQTT_CONTENT_TYPE,
        Id::ResponseTopic => names::MQTT_RESPONSE_TOPIC,
        Id::CorrelationData => names::MQTT_CORRELATION_DATA,
        Id::PayloadFormat => names::MQTT_PAYLOAD_FORMAT,
        Id::MessageExpiry => names::MQTT_EXPIRY,
        Id::User => "",
        _ => return None,
    };
    Some(match value {
        Value::Byte(byte) => (name.to_owned(), Bytes::copy_from_slice(&[byte])),
        Value::Int(number) => (
            name.to_owned(),
            Bytes::copy_from_slice(&number.to_be_bytes()),
        ),
        Value::Text(text) => (name.to_owned(), Bytes::copy_from_slice(text.as_bytes())),
        Value::Binary(bytes) => (name.to_owned(), Bytes::copy_from_slice(bytes)),
        Value::Pair(name, value) => (user_name(name), Bytes::copy_from_slice(value.as_bytes())),
        Value::Short(_) | Value::Var(_) => return None,
    })
}

/// Names that mean something to headwater are not a plain client's to use.
fn user_name(name: &str) -> String {
    if names::is_reserved_property(name) {
        format!("{}{name}", names::USER_PREFIX)
    } else {
        name.to_owned()
    }
}

/// The live message of a PUBLISH whose value is `payload` (shared with its event).
pub(super) fn publication(from: u64, publish: &Publish<'_>, payload: Bytes) -> Publication {
    Publication {
        from,
        topic: publish.topic.to_owned(),
        payload,
        qos: publish.qos,
        retain: publish.retain,
        properties: passed_on(publish.properties).unwrap_or_default(),
    }
}

/// What goes on to subscribers: all but the alias, which belongs to one connection.
pub(super) fn passed_on(properties: Properties<'_>) -> Result<PropertyBuf, TooLong> {
    let mut buf = PropertyBuf::new();
    for property in properties
        .iter()
        .filter(|property| header(property.id, property.value).is_some())
    {
        buf.push(property.id, property.value)?;
    }
    Ok(buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_become_headers_in_order() {
        let mut buf = PropertyBuf::new();
        buf.push(Id::ContentType, Value::Text("text/plain"))
            .unwrap();
        buf.push(Id::MessageExpiry, Value::Int(258)).unwrap();
        buf.push_user("a", "1").unwrap();
        buf.push_user("hw-lost", "0-9").unwrap();
        buf.push_user("a", "2").unwrap();
        let headers = headers("c", Qos::AtLeastOnce, true, buf.view());
        let plain: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().unwrap_or_default()))
            .collect();
        let expected: [(&str, &[u8]); 7] = [
            ("mqtt-client", b"c"),
            ("mqtt-flags", b"\x05"),
            ("mqtt-content-type", b"text/plain"),
            ("mqtt-expiry", b"\0\0\x01\x02"),
            ("a", b"1"),
            ("user-hw-lost", b"0-9"),
            ("a", b"2"),
        ];
        assert_eq!(plain, expected);
    }

    #[test]
    fn the_alias_is_not_passed_on() {
        let mut buf = PropertyBuf::new();
        buf.push(Id::TopicAlias, Value::Short(3)).unwrap();
        buf.push_user("hw-x", "1").unwrap();
        let passed = passed_on(buf.view()).unwrap();
        assert_eq!(passed.view().user().collect::<Vec<_>>(), [("hw-x", "1")]);
        assert_eq!(passed.view().short(Id::TopicAlias), None);
    }
}
