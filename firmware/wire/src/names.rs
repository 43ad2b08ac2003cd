//! Names that appear inside records: header names and reserved keys (see FORMAT.md, section 3).

/// Record header: client id of the MQTT publisher.
pub const MQTT_CLIENT: &str = "mqtt-client";
/// Record header of one byte: bits 0 and 1 the QoS, bit 2 retain.
pub const MQTT_FLAGS: &str = "mqtt-flags";
/// Record header: MQTT 5 content type, UTF-8.
pub const MQTT_CONTENT_TYPE: &str = "mqtt-content-type";
/// Record header: MQTT 5 response topic, UTF-8.
pub const MQTT_RESPONSE_TOPIC: &str = "mqtt-response-topic";
/// Record header: MQTT 5 correlation data, any bytes.
pub const MQTT_CORRELATION_DATA: &str = "mqtt-correlation-data";
/// Record header of one byte: MQTT 5 payload format indicator.
pub const MQTT_PAYLOAD_FORMAT: &str = "mqtt-payload-format";
/// Record header of four bytes, big-endian: MQTT 5 message expiry interval in seconds.
pub const MQTT_EXPIRY: &str = "mqtt-expiry";
/// Record header: the device, on records whose key does not begin with `<device>/`.
pub const DEVICE: &str = "hw-device";
/// Record header of a loss record: the range of lost positions, `A-B`, B not included.
pub const LOST: &str = "hw-lost";
/// Record header: why a record lies in stream `rejected`, UTF-8.
pub const REASON: &str = "hw-reason";
/// User property of a delivery: `<stream>/<partition>/<offset>`.
pub const OFFSET: &str = "hw-offset";

/// A plain client's user properties that begin with one of these are stored with [`USER_PREFIX`]
/// put before them.
pub const RESERVED_PREFIXES: [&str; 3] = ["hw-", "mqtt-", USER_PREFIX];
/// Put before a plain client's reserved property names, taken off at delivery.
pub const USER_PREFIX: &str = "user-";

/// Keys of loss records begin so; the device and the stream follow.
pub const LOSS_KEY_PREFIX: &str = "$hw/loss/";
/// Keys of repair records begin so; the device and the stream follow.
pub const REPAIR_KEY_PREFIX: &str = "$hw/repair/";
/// Topics of commands to devices begin so; sources may not use them.
pub const COMMAND_PREFIX: &str = "cmd/";

/// Whether no source may use `key` as topic: it begins with `$` or `cmd/`.
#[must_use]
pub fn is_reserved_key(key: &[u8]) -> bool {
    key.first() == Some(&b'$') || key.starts_with(COMMAND_PREFIX.as_bytes())
}

/// Whether a plain client's user property of this name is stored with [`USER_PREFIX`].
#[must_use]
pub fn is_reserved_property(name: &str) -> bool {
    RESERVED_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved() {
        assert!(is_reserved_key(b"$SYS/x") && is_reserved_key(b"cmd/gw-1/led"));
        assert!(!is_reserved_key(b"cmd") && !is_reserved_key(b"") && !is_reserved_key(b"a/cmd/b"));
        assert!(is_reserved_property("user-user-x") && is_reserved_property("hw-lost"));
        assert!(!is_reserved_property("http-x"));
    }
}
