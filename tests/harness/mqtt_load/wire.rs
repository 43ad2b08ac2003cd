//! The packets of MQTT 3.1.1 that the load needs, by hand, and the payload that carries who sent
//! it and which it is.

use crate::source::{packet, text};

/// Bytes of every payload.
pub const PAYLOAD_BYTES: usize = 256;
/// Where publisher and number stand in the payload, as decimal digits.
const PUBLISHER: std::ops::Range<usize> = 14..18;
const NUMBER: std::ops::Range<usize> = 27..37;
const READING: &str = "\"device\":\"machine-07\",\"line\":\"assembly-3\",\"state\":\"ok\",\
    \"temperature\":21.517,\"pressure\":1013.206,\"humidity\":45.031,\"vibration\":0.811,\
    \"current\":12.402,\"rpm\":1480.112,\"note\":\"";

/// Quality of service of publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// At most once.
    Zero,
    /// At least once.
    One,
}

const KEEP_ALIVE_S: u16 = 36_000;

/// Packet types, high half of the first byte.
pub(super) const PUBLISH: u8 = 3;
pub(super) const PUBACK: u8 = 4;

/// Topic of a publisher.
pub(super) fn topic(publisher: usize) -> String {
    format!("plant/machine-{publisher:04}/readings")
}

/// A PUBLISH whose payload, packet id and QoS are filled in for each message.
#[derive(Debug)]
pub(super) struct Template {
    packet: Vec<u8>,
    payload_at: usize,
}

impl Template {
    pub(super) fn new(publisher: usize, qos: Qos) -> Self {
        let mut payload =
            format!("{{\"publisher\":\"{publisher:04}\",\"seq\":\"0000000000\",{READING}");
        payload.extend(std::iter::repeat_n('-', PAYLOAD_BYTES - payload.len() - 2));
        payload.push_str("\"}");
        let mut body = Vec::new();
        text(&mut body, &topic(publisher));
        if qos == Qos::One {
            body.extend([0, 0]);
        }
        let before_payload = body.len();
        body.extend(payload.as_bytes());
        let packet = packet(if qos == Qos::One { 0x32 } else { 0x30 }, &body);
        let payload_at = packet.len() - body.len() + before_payload;
        Self { packet, payload_at }
    }

    /// Appends the message `number`; its packet id, if it has one, is `packet_id`.
    pub(super) fn encode(&mut self, number: usize, packet_id: Option<u16>, out: &mut Vec<u8>) {
        let at = self.payload_at;
        digits(number, &mut self.packet[at..][NUMBER]);
        if let Some(id) = packet_id {
            self.packet[at - 2..at].copy_from_slice(&id.to_be_bytes());
        }
        out.extend_from_slice(&self.packet);
    }
}

/// Publisher and number of a payload.
pub(super) fn stamp(payload: &[u8]) -> Option<(usize, usize)> {
    let number = |range| std::str::from_utf8(payload.get(range)?).ok()?.parse().ok();
    Some((number(PUBLISHER)?, number(NUMBER)?))
}

/// Packet id of a publisher's message: 1 to 60,000, in turn.
pub(super) fn packet_id(number: usize) -> u16 {
    u16::try_from(number % 60_000).unwrap_or(0) + 1
}

/// A CONNECT with a clean session. rumqttd takes no client without a keep alive.
pub(super) fn connect(client_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.extend([4, 2]);
    body.extend(KEEP_ALIVE_S.to_be_bytes());
    text(&mut body, client_id);
    packet(0x10, &body)
}

/// A SUBSCRIBE to one filter, packet id 1.
pub(super) fn subscribe(filter: &str, qos: Qos) -> Vec<u8> {
    let mut body = vec![0, 1];
    text(&mut body, filter);
    body.push(u8::from(qos == Qos::One));
    packet(0x82, &body)
}

/// What a PUBLISH holds: the packet id, if it is of QoS 1, and the payload.
pub(super) fn parse_publish(first: u8, body: &[u8]) -> Option<(Option<[u8; 2]>, &[u8])> {
    let topic_bytes = usize::from(u16::from_be_bytes(*body.first_chunk()?));
    let rest = body.get(2 + topic_bytes..)?;
    if first & 0b110 == 0 {
        return Some((None, rest));
    }
    let (id, payload) = rest.split_first_chunk()?;
    Some((Some(*id), payload))
}

/// Finds the first packet: its first byte, where its body begins, and where it ends.
pub(super) fn frame(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, rest) = bytes.split_first()?;
    let (mut length, mut digits) = (0, 0);
    for digit in rest.iter().take(4) {
        length |= usize::from(digit & 0x7F) << (7 * digits);
        digits += 1;
        if digit & 0x80 == 0 {
            let end = 1 + digits + length;
            return (bytes.len() >= end).then_some((*first, 1 + digits, end));
        }
    }
    None
}

fn digits(mut number: usize, into: &mut [u8]) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_carries_its_stamp() {
        for (qos, id) in [(Qos::Zero, None), (Qos::One, Some(777))] {
            let mut out = Vec::new();
            Template::new(42, qos).encode(1_234_567, id, &mut out);
            let (first, body, end) = frame(&out).unwrap();
            assert_eq!(end, out.len());
            assert_eq!(frame(&out[..end - 1]), None);
            let (got, payload) = parse_publish(first, &out[body..]).unwrap();
            assert_eq!(got.map(u16::from_be_bytes), id);
            assert_eq!(payload.len(), PAYLOAD_BYTES);
            assert_eq!(stamp(payload), Some((42, 1_234_567)));
            serde_json::from_slice::<serde_json::Value>(payload).unwrap();
        }
    }
}
