//! A publish as a record of the log, and a record as a publish again (`interfaces.md` 2).

use headwater_mqtt::{Id, Properties, PropertyBuf, Publish, Qos, Value, topic};
use headwater_wire::batch::Record;
use headwater_wire::names;

/// What of a publish becomes headers of its record.
#[derive(Debug)]
pub(super) struct PlainHeaders<'a> {
    client_id: &'a str,
    flags: [u8; 1],
    content_type: Option<&'a str>,
    response_topic: Option<&'a str>,
    correlation: Option<&'a [u8]>,
    format: Option<[u8; 1]>,
    expiry: Option<[u8; 4]>,
    properties: Properties<'a>,
    /// The reserved names among the user properties, with the prefix put before them.
    renamed: Vec<String>,
}

impl<'a> PlainHeaders<'a> {
    pub(super) fn of(client_id: &'a str, publish: &Publish<'a>) -> Self {
        Self::new(client_id, publish.qos, publish.retain, publish.properties)
    }

    pub(super) fn new(
        client_id: &'a str,
        qos: Qos,
        retain: bool,
        properties: Properties<'a>,
    ) -> Self {
        let mut headers = Self {
            client_id,
            flags: [qos as u8 | u8::from(retain) << 2],
            content_type: None,
            response_topic: None,
            correlation: None,
            format: None,
            expiry: None,
            properties,
            renamed: Vec::new(),
        };
        for property in properties.iter() {
            headers.take(property.id, property.value);
        }
        headers
    }

    fn take(&mut self, id: Id, value: Value<'a>) {
        match (id, value) {
            (Id::ContentType, Value::Text(text)) => self.content_type = Some(text),
            (Id::ResponseTopic, Value::Text(text)) => self.response_topic = Some(text),
            (Id::CorrelationData, Value::Binary(bytes)) => self.correlation = Some(bytes),
            (Id::PayloadFormat, Value::Byte(byte)) => self.format = Some([byte]),
            (Id::MessageExpiry, Value::Int(seconds)) => self.expiry = Some(seconds.to_be_bytes()),
            (_, Value::Pair(name, _)) if names::is_reserved_property(name) => {
                self.renamed.push(format!("{}{name}", names::USER_PREFIX));
            }
            _ => {}
        }
    }

    /// The headers in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
        let fixed = [
            (names::MQTT_CLIENT, Some(self.client_id.as_bytes())),
            (names::MQTT_FLAGS, Some(&self.flags[..])),
            (
                names::MQTT_CONTENT_TYPE,
                self.content_type.map(str::as_bytes),
            ),
            (
                names::MQTT_RESPONSE_TOPIC,
                self.response_topic.map(str::as_bytes),
            ),
            (names::MQTT_CORRELATION_DATA, self.correlation),
            (
                names::MQTT_PAYLOAD_FORMAT,
                self.format.as_ref().map(|format| &format[..]),
            ),
            (
                names::MQTT_EXPIRY,
                self.expiry.as_ref().map(|expiry| &expiry[..]),
            ),
        ];
        let mut renamed = self.renamed.iter();
        let user = self.properties.user().map(move |(name, value)| {
            let name = match names::is_reserved_property(name) {
                true => renamed.next().map_or(name, String::as_str),
                false => name,
            };
            (name, Some(value.as_bytes()))
        });
        fixed
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .chain(user)
    }
}

/// A record that can be delivered.
#[derive(Debug)]
pub(super) struct Delivery<'a> {
    /// Topic.
    pub(super) topic: &'a str,
    /// Payload.
    pub(super) payload: &'a [u8],
    /// The QoS that it was published with.
    pub(super) qos: Qos,
    /// The retain flag that it was published with.
    pub(super) retain: bool,
    /// Client id of its publisher.
    pub(super) client_id: Option<&'a [u8]>,
    /// What remains of its expiry interval, s.
    expiry: Option<u32>,
    record: Record<'a>,
}

impl<'a> Delivery<'a> {
    /// The record as a delivery at `now` (ms); `None` if its key is no topic name or it has
    /// expired.
    pub(super) fn of(record: Record<'a>, arrival_ms: i64, now_ms: i64) -> Option<Self> {
        let key = record
            .key
            .filter(|key| key.len() <= usize::from(u16::MAX))?;
        let mut delivery = Self {
            topic: topic::name(key).ok()?,
            payload: record.value.unwrap_or_default(),
            qos: Qos::AtLeastOnce,
            retain: false,
            client_id: None,
            expiry: None,
            record,
        };
        for (name, value) in record.headers {
            let Some(value) = value else { continue };
            match (name, value) {
                (names::MQTT_FLAGS, &[flags]) => {
                    delivery.qos = Qos::from_number(flags & 3).unwrap_or(Qos::AtLeastOnce);
                    delivery.retain = flags & 4 != 0;
                }
                (names::MQTT_CLIENT, client_id) => delivery.client_id = Some(client_id),
                (names::MQTT_EXPIRY, &[a, b, c, d]) => {
                    let seconds = u32::from_be_bytes([a, b, c, d]);
                    // A sensor whose clock is ahead has not published after the arrival.
                    let since = record.timestamp.min(arrival_ms);
                    delivery.expiry = Some(remaining(seconds, since, now_ms)?);
                }
                _ => {}
            }
        }
        Some(delivery)
    }

    /// The record's own properties, into `properties`: those that all receivers share.
    pub(super) fn write_properties(&self, properties: &mut PropertyBuf) {
        properties.clear();
        // What is too long for MQTT, which only a Kafka client can have written, is left out.
        let mut push = |id, value| properties.push(id, value).unwrap_or(());
        if let Some(seconds) = self.expiry {
            push(Id::MessageExpiry, Value::Int(seconds));
        }
        for (name, value) in self.record.headers {
            let Some(value) = value else { continue };
            let text = || topic::text(value).ok();
            match (name, value) {
                (names::MQTT_PAYLOAD_FORMAT, &[format @ 0..=1]) => {
                    push(Id::PayloadFormat, Value::Byte(format));
                }
                (names::MQTT_CONTENT_TYPE, _) => {
                    text()
                        .into_iter()
                        .for_each(|text| push(Id::ContentType, Value::Text(text)));
                }
                (names::MQTT_RESPONSE_TOPIC, _) => {
                    let name = topic::name(value).ok();
                    name.into_iter()
                        .for_each(|name| push(Id::ResponseTopic, Value::Text(name)));
                }
                (names::MQTT_CORRELATION_DATA, _) => {
                    push(Id::CorrelationData, Value::Binary(value));
                }
                _ if name.starts_with("mqtt-") => {}
                _ => {
                    let name = name.strip_prefix(names::USER_PREFIX).unwrap_or(name);
                    let name = topic::text(name.as_bytes()).ok();
                    if let (Some(name), Some(text)) = (name, text()) {
                        push(Id::User, Value::Pair(name, text));
                    }
                }
            }
        }
    }
}

/// Properties without the user properties called `name`; `buffer` is used if there are such.
pub(super) fn but<'b>(
    name: &str,
    written: &'b PropertyBuf,
    buffer: &'b mut PropertyBuf,
) -> Properties<'b> {
    let is_said = |(said, _): (&str, &str)| said == name;
    if !written.view().user().any(is_said) {
        return written.view();
    }
    for property in written.view().iter() {
        match property.value {
            Value::Pair(said, _) if said == name => {}
            value => buffer.push(property.id, value).unwrap_or(()),
        }
    }
    buffer.view()
}

/// Seconds that are left of an expiry interval; `None` if none is.
fn remaining(seconds: u32, since_ms: i64, now_ms: i64) -> Option<u32> {
    let passed = now_ms.saturating_sub(since_ms).max(0) / 1000;
    let left = i64::from(seconds).checked_sub(passed)?;
    u32::try_from(left)
        .ok()
        .filter(|left| *left > 0 || seconds == 0 && passed == 0)
}

#[cfg(test)]
mod tests {
    use headwater_wire::batch::{BatchBuilder, Header, Producer, payload, records};

    use super::*;

    /// A batch of one record at time 1000.
    fn batch<'h>(
        key: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
    ) -> Vec<u8> {
        let (mut builder, mut batch) = (BatchBuilder::new(), Vec::new());
        builder.push(1000, key, Some(b"v"), headers).unwrap();
        builder.finish_into(Producer::NONE, &mut batch);
        batch
    }

    fn only(batch: &[u8]) -> Record<'_> {
        let header = Header::parse(batch).unwrap();
        let mut records = records(&header, payload(&header, batch));
        records.next().unwrap().unwrap()
    }

    fn round_trip(properties: &PropertyBuf, now_ms: i64) -> Option<(Vec<String>, Qos, bool)> {
        let headers = PlainHeaders::new("c", Qos::AtLeastOnce, true, properties.view());
        let batch = batch(Some(b"a/b"), headers.iter());
        let delivery = Delivery::of(only(&batch), 1000, now_ms)?;
        assert_eq!((delivery.topic, delivery.payload), ("a/b", &b"v"[..]));
        assert_eq!(delivery.client_id, Some(&b"c"[..]));
        let mut out = PropertyBuf::new();
        delivery.write_properties(&mut out);
        let properties = out.view().iter().map(|property| format!("{property:?}"));
        Some((properties.collect(), delivery.qos, delivery.retain))
    }

    fn properties(list: &[(Id, Value<'_>)]) -> PropertyBuf {
        let mut buf = PropertyBuf::new();
        list.iter()
            .for_each(|(id, value)| buf.push(*id, *value).unwrap());
        buf
    }

    #[test]
    fn properties_come_back_as_they_were() {
        let sent = properties(&[
            (Id::MessageExpiry, Value::Int(60)),
            (Id::ContentType, Value::Text("text/plain")),
            (Id::ResponseTopic, Value::Text("r/1")),
            (Id::CorrelationData, Value::Binary(&[0, 255])),
            (Id::PayloadFormat, Value::Byte(1)),
            (Id::User, Value::Pair("k", "1")),
            (Id::User, Value::Pair("hw-device", "forged")),
            (Id::User, Value::Pair("user-x", "2")),
            (Id::User, Value::Pair("k", "3")),
        ]);
        let (got, qos, retain) = round_trip(&sent, 1000).unwrap();
        let expected: Vec<String> = sent.view().iter().map(|p| format!("{p:?}")).collect();
        assert_eq!(got, expected);
        assert_eq!((qos, retain), (Qos::AtLeastOnce, true));
    }

    #[test]
    fn reserved_names_are_stored_with_a_prefix() {
        let sent = properties(&[(Id::User, Value::Pair("mqtt-client", "forged"))]);
        let headers = PlainHeaders::new("c", Qos::AtMostOnce, false, sent.view());
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["mqtt-client", "mqtt-flags", "user-mqtt-client"]);
    }

    #[test]
    fn an_expiry_runs_down() {
        let sent = properties(&[(Id::MessageExpiry, Value::Int(60))]);
        let (got, ..) = round_trip(&sent, 1000 + 12_900).unwrap();
        assert_eq!(got, ["Property { id: MessageExpiry, value: Int(48) }"]);
        assert!(round_trip(&sent, 1000 + 60_000).is_none());
        assert_eq!(remaining(u32::MAX, i64::MAX, i64::MIN), Some(u32::MAX));
        assert_eq!(remaining(5, i64::MIN, i64::MAX), None);
        assert_eq!(remaining(0, 5, 5), Some(0));
    }

    #[test]
    fn what_is_no_topic_is_not_delivered() {
        let keys: [Option<&[u8]>; 5] = [None, Some(b""), Some(b"a/#"), Some(b"\xff"), Some(b"a\0")];
        for key in keys {
            let batch = batch(key, []);
            assert!(Delivery::of(only(&batch), 0, 0).is_none(), "{key:?}");
        }
    }
}
